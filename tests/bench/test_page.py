"""The report as a page: it needs nothing else, says what the runs say, and no model can break it."""

import re
import sys
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl import ReplayStore
from autorl.bench import curves, page, report, run, text
from autorl.bench.page import Most, templates
from autorl.bench.pictures import Pictures
from autorl.bench.run import RUNS
from autorl.bench.spec import Budget
from autorl.errors import StoreUnavailable, UsageError
from autorl.models.scripted import Scripted
from tests.bench.pictured import GIVEN, PICTURED, opens_doors, pictured, size_of
from tests.bench.world import begun, episodes

SCREENS = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def written(played):
    """The page of a run with nothing left out."""
    target = played / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(played.parents[2])
        size = page.write(report.of(played), played, target)
    assert target.stat().st_size == size
    return target


class Parsed(HTMLParser):
    """What is in a page: the ids, the links within it, its scripts, its pictures, its tables' heads, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.ids, self.links, self.scripts, self.images, self.heads, self.words = [], [], 0, [], [], []
        self.outside = []
        self.feed(source)
        self.text = "".join(self.words)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.scripts += tag == "script"
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a":
            self.links.append(given["href"])
        if tag == "img":
            self.images.append(given)
        if tag == "th":
            self.heads.append(given.get("scope"))
        for name, value in given.items():
            assert not name.startswith("on"), f"{tag} {name}"
            if name in ("src", "href", "action", "data") and not (value or "").startswith(("#", "data:image/")):
                self.outside.append(value)

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_fits_the_screen_and_asks_for_nothing_else(written, browser, screen, dark):
    width, height = SCREENS[screen]
    shown = browser.page(width, height, dark=dark).open(written.as_uri())
    assert shown.ask("document.documentElement.scrollWidth") == width
    assert [url for url in shown.requests if not url.startswith("data:")] == [written.as_uri()]
    assert shown.errors == []
    assert shown.ask("document.scripts.length") == 0
    assert shown.ask("getComputedStyle(document.body).backgroundColor") == (
        "rgb(21, 22, 24)" if dark else "rgb(252, 252, 251)")
    shown.ask("document.querySelectorAll('details').forEach((each) => each.open = true)")
    shown.until("[...document.images].every((image) => image.loading = 'eager')")
    shown.until("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert shown.ask("document.images.length") > 10
    assert shown.ask("document.documentElement.scrollWidth") == width  # with every task and step open, too
    shown.close()


def test_a_link_to_a_run_opens_what_it_stands_in(written, browser):
    name = Parsed(written.read_text()).links[-1]
    shown = browser.page().open(f"{written.as_uri()}{name}")
    assert shown.ask("document.querySelector(':target').checkVisibility()")
    shown.close()


def test_every_figure_leads_to_its_runs_and_every_link_to_something(played, written):
    found = Parsed(written.read_text())
    targets = set(found.ids)
    assert len(targets) == len(found.ids)
    assert {link.removeprefix("#") for link in found.links} <= targets
    assert found.outside == []
    for episode in episodes(played):
        assert f"run-{episode.run}" in targets
    for row in report.of(played).rows:
        assert {f"#run-{run}" for run in row.runs} <= set(found.links)
    assert found.heads
    assert all(scope in ("row", "col") for scope in found.heads)


def test_it_holds_the_report_s_tables_and_what_others_reported(played, written):
    words = Parsed(written.read_text()).text
    made = report.of(played)
    for table in text.tables(made):
        assert table.title in words
        for line in table.cells:
            assert all(cell in words for cell in line)
    ours = next(table for table in text.tables(made) if table.title == "Beside the doormen")
    assert "model" not in ours.head  # there is one
    line = ours.cells[0]
    success = next(row.figures["ner"] for row in made.rows if row.setting == "agent")
    assert line[:3] == ["agent", "none", "50 %"]
    assert line[3] == text.figure(success, share=True)
    assert line[4] == "1.5"


def test_what_a_run_made_is_shown_with_words_for_who_cannot_see(played, written):
    found = Parsed(written.read_text())
    made = [episode for episode in episodes(played) if episode.produced]
    assert len(found.images) == 3 * len(made)  # three lines a door
    assert {image["alt"].partition(":")[0] for image in found.images} == {f"Slide {n} of 3" for n in (1, 2, 3)}
    assert any(image["alt"] == "Slide 1 of 3: open" for image in found.images)
    with closing(ReplayStore(played / RUNS)) as runs:
        preview = Pictures(played, run.begun_with(played)[0], runs).of(made[0])
        assert size_of(preview.pictures[0]) == (1120, 560)
    assert all((path / "texts.json").is_file() for path in (played / "pictures").iterdir())


def test_what_was_recalled_and_whether_it_helped_stands_at_the_run(played, written):
    found = {e.run: e for e in episodes(played)}
    without = {(e.cell.task, e.cell.seed): e.verified for e in found.values() if e.cell.setting == "agent"}
    helped = [e for e in found.values() if e.cell.setting == "agent+replay" and e.cell.phase == "held-out"
              and e.recalled and e.verified and not without[e.cell.task, e.cell.seed]]
    assert helped
    articles = dict(re.findall(r'<article id="run-(.*?)"(.*?)</article>', written.read_text(), re.DOTALL))
    for episode in helped:
        assert "Passed where agent failed." in articles[episode.run]
        for recalled in episode.recalled:
            assert f"#run-{recalled.run}" in articles[episode.run]
            assert found[recalled.run].cell.task in articles[episode.run]


def test_a_second_page_draws_nothing_again(played, written, monkeypatch):
    def never(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr("autorl.bench.pictures.preview", never)
    page.write(report.of(played), played, played / "again.html")
    assert (played / "again.html").read_bytes() == written.read_bytes()


def test_what_is_beyond_the_limits_is_left_out_and_counted(played, tmp_path):
    made = report.of(played)
    target = tmp_path / "small.html"
    page.write(made, played, target, most=Most(pictures=6, slides=2, told=10, listed=40))
    found = Parsed(target.read_text())
    count = len(made.episodes)
    undrawn = sum(bool(e.produced) for e in made.episodes) - 3
    assert len(found.images) == 6
    assert "and 1 more" in found.text
    assert f"{count - 40} runs have no line of their own" in found.text
    assert f"{40 - 10} runs are told without their steps" in found.text
    assert 0 < int(re.search(r"(\d+) files are not shown as pictures", found.text)[1]) <= undrawn
    assert len([name for name in found.ids if name.startswith("run-")]) == 40
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_where_nothing_can_be_drawn_it_says_why(monkeypatch):
    folder = pictured(held_out=1, learn=1)
    for changed, why in ((PICTURED.replace("lines = path", 'raise ToolError("no ink")\n    lines = path'), "no ink"),
                         (PICTURED.replace('previews={".txt": show}', ""), "no pack of doors can show a .txt")):
        Path("tools/gallery.py").write_text(changed)
        monkeypatch.delitem(sys.modules, "autorl_tools.gallery")
        page.write(report.of(folder), folder, folder / "report.html")
        assert f"No pictures: {why}" in (folder / "report.html").read_text()


def test_a_run_that_has_not_begun_and_one_that_is_half_done_have_a_page():
    folder = begun()
    page.write(report.of(folder), folder, folder / "report.html")
    assert "No held-out episode is done yet." in (folder / "report.html").read_text()
    run.resume(folder, given=GIVEN, budget=Budget(tokens=8000))
    page.write(report.of(folder), folder, folder / "report.html")
    assert "Left out:" in (folder / "report.html").read_text()


def test_a_page_that_cannot_be_written_is_told(played, tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        page.write(report.of(played), played, tmp_path)


def test_pictures_that_cannot_be_kept_stop_the_page_and_say_so():
    folder = pictured(held_out=1, learn=1)
    (folder / "pictures").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="pictures cannot be kept"):
        page.write(report.of(folder), folder, folder / "report.html")


HOSTILE = (
    "<script>document.title='broken'</script>", "</pre></details></article><h1>mine</h1>", "--><!--", "</style>",
    "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "{{ report }}{% raw %}", "&lt;b&gt;", "]]>", "\x00")


def test_what_a_model_writes_is_shown_as_text(browser):
    def hostile(request):
        said = opens_doors(request)
        return said.replace("Thought: ", f"Thought: {' '.join(HOSTILE[:9])} ")

    folder = pictured(play=False, learn=2, held_out=2)
    run.resume(folder, given={"scripted:door-opener": Scripted(hostile, name="door-opener")})
    target = folder / "report.html"
    page.write(report.of(folder), folder, target)
    shown = browser.page().open(target.as_uri())
    assert shown.ask("document.title") == "doors: report"
    assert shown.ask("document.querySelectorAll('h1').length") == 1
    assert shown.ask("document.querySelector('[onmouseover], [onerror], script')") is None
    thought = shown.ask("document.querySelector('.steps li p').textContent")
    assert all(each in thought for each in HOSTILE[:9])
    assert shown.errors == []
    shown.close()


@given(st.lists(st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE)), min_size=1, max_size=6).map(" ".join))
def test_any_text_comes_out_of_a_template_as_it_went_in(words):
    source = templates().from_string('<p title="{{ words }}">{{ words|cut }}</p>').render(words=words)
    found = Parsed(source)
    assert (found.scripts, found.images, found.ids) == (0, [], [])
    assert found.text == words


@given(st.text(min_size=701, max_size=2000))
def test_a_long_text_is_cut_and_says_by_how_much(words):
    cut = page._cut(words)
    assert cut == f"{words[:700]} [... {len(words) - 700:,} characters more]"


# The curves.


def test_curves_have_a_point_for_each_size_where_the_row_has_its_figure(played):
    made = report.of(played)
    by_store, by_tokens, *_, filling = curves.charts(made)
    assert (by_store.across, by_tokens.across) == ("successes in the store", "tokens spent to fill the store")
    for chart in (by_store, by_tokens):
        (flat,) = [line for line in chart.lines if line.flat]
        assert flat.setting == "agent"
        for line in chart.lines:
            rows = [row for row in made.rows if row.setting == line.setting]
            assert [point.y for point in line.points] == [row.figures["success"].value for row in rows]
            places = [point.x for point in line.points]
            assert places == sorted(places)
            assert line.flat or (places[0], places[-1]) == (0, 1)
    picture = ElementTree.fromstring(page.picture(made))  # well-formed, and told for who cannot see it
    assert str(picture.get("aria-label")).endswith("a line for each of agent, agent+replay, random")
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"agent", "agent+replay", "random", "Success by successes in the store"} <= set(words)
    assert page.picture(replace(made, rows=())) == "", "there is nothing to draw"
    assert len(filling.lines) == 2  # a store for each seed
    for line, filled in zip(filling.lines, made.fillings, strict=True):
        assert line.points[-1].says == f"episode {len(filled.passed)}: {sum(filled.passed)} successes"


def test_where_nothing_grows_the_picture_is_of_bars(played):
    made = report.of(played)
    rows = tuple(row for row in made.rows if row.size is None or row.size == made.spec.sizes[-1])
    drawn = ElementTree.fromstring(page.picture(replace(made, rows=rows)))
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {row.setting for row in rows} <= {str(word).partition(",")[0] for word in words}
    told = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    (alone,) = [row for row in rows if row.setting == "agent"]
    assert f"agent, success: {text.figure(alone.figures['success'], share=True)}" in told
    bars = [bar.get("width") for bar in drawn.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") == "bar"]
    assert f"{100 * alone.figures['success'].value:.1f}" in bars


@given(st.floats(1, 1e9))
def test_ticks_are_few_even_and_within(most):
    ticks = curves._even(most)
    assert 2 <= len(ticks) <= 7
    assert ticks[0] == 0
    assert ticks[-1] <= most
    assert len({round(b - a, 6) for a, b in pairwise(ticks)}) == 1


# Colours.


def _luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_what_is_written_and_drawn_stands_out(scheme):
    source, _, _ = templates().loader.get_source(templates(), "colours.css")
    blocks = re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[scheme]))
    for ground in ("ground", "panel"):
        for ink in ("ink", "quiet", "link", "good", "bad"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for drawn in ("accent", *(f"s{number}" for number in range(8))):
            assert _contrast(colours[drawn], colours[ground]) >= 3, (drawn, ground)
