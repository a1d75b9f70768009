"""The learning curve of a loop: a page that needs nothing but itself, and the picture in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from autorl.bench.ledger import Episode
from autorl.bench.report import figures_of
from autorl.bench.statistics import Estimate, Runs
from autorl.models.local import split
from autorl.train.gate import Ruling
from autorl.train.measure import perplexity

COLOURS = {"free": "#1d4ed8", "constrained": "#c2410c", "free+replay": "#0f766e", "constrained+replay": "#a21caf"}
PANELS = (("success", "share of runs that pass", 1.0), ("score", "score of the verifier", 1.0),
          ("tokens_per_success", "tokens a success takes", None))
WIDE, HIGH, EDGE = 420, 240, 40


@dataclass(frozen=True)
class Point:
    """A policy on the curve. figures: by setting and metric; perplexity: on neutral texts, None where not known"""

    name: str
    promoted: bool
    figures: Mapping[str, Mapping[str, Estimate]]
    perplexity: float | None

    @property
    def title(self) -> str:
        base, policy = split(self.name)
        return policy or base


def point(name: str, episodes: Sequence[Episode], *, promoted: bool, nats: Runs | None) -> Point:
    """What these episodes and texts say of a policy."""
    settings = dict.fromkeys(episode.cell.setting for episode in episodes)
    return Point(name, promoted, {setting: figures_of([e for e in episodes if e.cell.setting == setting])
                                  for setting in settings}, perplexity(nats) if nats else None)


def picture(points: Sequence[Point]) -> str:
    """The curve as SVG, a panel for each figure; a full dot is a policy that was promoted."""
    def line(setting: str, metric: str) -> list[Estimate | None]:
        return [each.figures.get(setting, {}).get(metric) for each in points]

    panels = [_panel(title, [(setting, line(setting, metric)) for setting in COLOURS], points, top)
              for metric, title, top in PANELS]
    forgot = [Estimate(p.perplexity, None, None, 1) if p.perplexity else None for p in points]
    panels.append(_panel("perplexity on neutral texts", [("free", forgot)], points, None))
    placed = "".join(f'<g transform="translate({WIDE * (n % 2)},{HIGH * (n // 2)})">{panel}</g>'
                     for n, panel in enumerate(panels))
    legend = "".join(f'<text x="{EDGE + 150 * n}" y="{2 * HIGH + 20}" fill="{colour}">\u25cf {setting}</text>'
                     for n, (setting, colour) in enumerate(COLOURS.items()))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDE} {2 * HIGH + 34}" width="{2 * WIDE}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{placed}{legend}'
            '</svg>\n')


def page(points: Sequence[Point], rulings: Sequence[Ruling], title: str) -> str:
    """The curve, its figures with their intervals, and what the gate said, as one HTML file."""
    rows = "".join(
        f"<tr><td>{escape(p.title)}{' *' if p.promoted else ''}</td><td>{escape(setting)}</td>"
        f"{''.join(_cell(figures.get(metric)) for metric, _, _ in PANELS)}"
        f"<td>{'' if p.perplexity is None else f'{p.perplexity:.1f}'}</td></tr>"
        for p in points for setting, figures in p.figures.items())
    said = "".join(f"<li>{escape(r.new)} against {escape(r.old)}: {'<b>passed</b>' if r.passed else 'not passed'}, "
                   f"{escape(r.why)}</li>" for r in rulings)
    heads = "".join(f"<th>{head}</th>" for head in ("policy", "asked", *(name for _, name, _ in PANELS), "perplexity"))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}: learning curve</title>
<style>body {{ font: 15px/1.5 sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse }} td, th {{ padding: .2em .8em; text-align: left; border-bottom: 1px solid #ddd }}
svg {{ max-width: 100%; height: auto }}</style>
<h1>{escape(title)}</h1>
<p>Held-out tasks, each policy on the same tasks and seeds. In brackets: 95 % intervals over tasks. A * marks what stood
for its model once.</p>
{picture(points)}
<table><tr>{heads}</tr>{rows}</table>
<h2>What the gate said</h2>
<ol>{said or "<li>nothing yet</li>"}</ol>
</html>
"""


def _panel(title: str, lines: Sequence[tuple[str, Sequence[Estimate | None]]], points: Sequence[Point],
           top: float | None) -> str:
    values = [value.value for _, line in lines for value in line if value]
    highest = top or 1.1 * max(values, default=1.0) or 1.0
    drawn = [f'<text x="{EDGE}" y="18" font-weight="bold">{title}</text>',
             f'<path d="M{EDGE} 28V{HIGH - EDGE}H{WIDE - 12}" fill="none" stroke="#888"/>',
             f'<text x="{EDGE - 4}" y="36" text-anchor="end">{_short(highest)}</text>',
             f'<text x="{EDGE - 4}" y="{HIGH - EDGE}" text-anchor="end">0</text>']

    def at(place: int, value: float) -> tuple[float, float]:
        across = EDGE + 24 + (WIDE - EDGE - 60) * place / max(1, len(points) - 1)
        return across, HIGH - EDGE - (HIGH - EDGE - 32) * min(value, highest) / highest

    for setting, line in lines:
        there = [(place, value) for place, value in enumerate(line) if value]
        path = " ".join("{:.1f},{:.1f}".format(*at(place, value.value)) for place, value in there)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[setting]}" stroke-width="1.5"/>')
        for place, value in there:
            x, y = at(place, value.value)
            if value.low is not None and value.high is not None:
                low, high = at(place, value.low)[1], at(place, value.high)[1]
                drawn.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{COLOURS[setting]}" opacity=".3"/>')
            inside = COLOURS[setting] if points[place].promoted else "white"
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{inside}" stroke="{COLOURS[setting]}"/>')
    for place, each in enumerate(points):
        x, _ = at(place, 0)
        name = escape(each.title.removeprefix("policy@")[:8])
        drawn.append(f'<text x="{x:.1f}" y="{HIGH - EDGE + 14}" text-anchor="middle">{name}</text>')
    return "".join(drawn)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _cell(value: Estimate | None) -> str:
    if value is None:
        return "<td></td>"
    interval = "" if value.low is None or value.high is None else f" ({value.low:.2f} to {value.high:.2f})"
    return f"<td>{value.value:.3g}{interval}</td>"
