"""How long building and checking decks takes: building beside bare python-pptx in the same run, checking in seconds.

    python eval/slides_speed.py [--slides 1000] [--charts 100] [--rounds 3] [--no-keep]

Both builders make the same slides (title and bullets; title and chart) from the same template and save them. The tools
are called as an agent calls them: by name, arguments checked against their schema, titles and bullets held against the
rest of the deck, text measured. The rounds take turns; the ratio is that of the medians.
"""

import argparse
import io
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kept import keep, show
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from autorl import content
from autorl.registry import RunContext, Toolset
from autorl.types import Action, Task
from autorl.workspace import Workspace

TASK = Task(text="A long report")
AT_ONCE = 40


def texts(number: int) -> tuple[str, list[str]]:
    return f"Part {number} of the report", [f"Point {letter} of part {number} says what was found" for letter in "xyz"]


def by_tools(folder: Path, actions: list[Action]) -> None:
    """The deck through the tools."""
    tools = Toolset.of(["slides"], content.load_pack)
    context = RunContext(Workspace(folder), TASK)
    for action in [Action(name="start_deck", arguments={"title": "The report"}), *actions,
                   Action(name="save_deck")]:
        observation = tools.call(action, context)
        if not observation.ok:
            raise SystemExit(f"{action.name}: {observation.text}")


def text_actions(count: int) -> list[Action]:
    return [Action(name="add_slide", arguments={"title": title, "bullets": bullets})
            for title, bullets in map(texts, range(count))]


def chart_actions(count: int) -> list[Action]:
    return [Action(name="add_chart", arguments={"title": f"Chart {n}", "kind": "column", "labels": ["a", "b", "c"],
                                                "values": [n, n + 1, n + 2]}) for n in range(count)]


def bare_text(folder: Path, count: int) -> None:
    """The same text with python-pptx alone."""
    presentation = _template()
    for title, bullets in map(texts, range(count)):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text_frame.text = title
        frame = slide.placeholders[1].text_frame
        frame.text = bullets[0]
        for bullet in bullets[1:]:
            frame.add_paragraph().text = bullet
    _saved(presentation, folder)


def bare_charts(folder: Path, count: int) -> None:
    """The same charts with python-pptx alone."""
    presentation = _template()
    for number in range(count):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text_frame.text = f"Chart {number}"
        data = CategoryChartData()
        data.categories = ["a", "b", "c"]
        data.add_series(f"Chart {number}", (number, number + 1, number + 2))
        slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(2), Inches(10), Inches(5), data)
    _saved(presentation, folder)


def _template() -> Any:
    from autorl_tools.slides.theme import blank_presentation

    return blank_presentation()


def _saved(presentation: Any, folder: Path) -> None:
    buffer = io.BytesIO()
    presentation.save(buffer)
    (folder / "deck.pptx").write_bytes(buffer.getvalue())


def seconds(build: Callable[[Path], None]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        build(Path(folder))
        return time.perf_counter() - started


def ratio(ours: Callable[[Path], None], bare: Callable[[Path], None], rounds: int) -> dict[str, Any]:
    """Ours in parts of bare, by the medians of rounds that take turns."""
    pairs = [(seconds(ours), seconds(bare)) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    each = [one / other for one, other in pairs]
    return {"value": mine / theirs, "interval": [min(each), max(each)], "n": rounds, "unit": "x", "goal": "<= 1.3",
            "baseline": theirs}


def checked(rounds: int) -> tuple[list[float], list[float]]:
    """Seconds for a rendered check of a 12-slide deck that was never rendered, and of one that was."""
    from autorl_tools.slides.checker import report_on
    from autorl_tools.slides.render import render

    cold, warm = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            place = Path(folder) / str(number)
            actions = text_actions(9 + number)[number:] + chart_actions(2 + number)[number:]
            by_tools(place, actions)
            (path,) = place.glob("*.pptx")
            for times in (cold, warm):
                started = time.perf_counter()
                report_on(path, TASK)
                times.append(time.perf_counter() - started)
        paths = list(Path(folder).glob("*/*.pptx"))
        with ThreadPoolExecutor(AT_ONCE) as pool:  # each must see its own deck
            slides = list(pool.map(lambda n: len(render(paths[n % len(paths)]).pages), range(AT_ONCE)))
        if set(slides) != {12}:
            raise SystemExit(f"{AT_ONCE} renderings at once gave {slides} pages")
    return cold[1:], warm[1:]  # the first one loads the embedding and fills the disk cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=1000)
    parser.add_argument("--charts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-keep", action="store_true", help="only print")
    options = parser.parse_args()
    content.load_pack("slides")
    figures = {
        "build_vs_python_pptx": ratio(
            lambda folder: by_tools(folder, text_actions(options.slides)),
            lambda folder: bare_text(folder, options.slides), options.rounds),
        "charts_vs_python_pptx": ratio(
            lambda folder: by_tools(folder, chart_actions(options.charts)),
            lambda folder: bare_charts(folder, options.charts), options.rounds),
    }
    cold, warm = checked(5)
    figures["rendered_check_s"] = {"value": statistics.median(cold), "interval": [min(cold), max(cold)],
                                   "n": len(cold), "unit": "s", "goal": "<= 4.0"}
    figures["rendered_check_cached_s"] = {"value": statistics.median(warm), "interval": [min(warm), max(warm)],
                                          "n": len(warm), "unit": "s"}
    print(show(figures))
    if not options.no_keep:
        keep("slides", figures, shlex.join(["python", "eval/slides_speed.py", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
