"""What a policy gets to see of a deck: enough, in few words, never cut from the middle."""

import importlib
import io

import pytest
from PIL import Image
from pptx import Presentation
from pptx.util import Inches

from autorl.calling import OBSERVATION_LIMIT
from autorl.content import load_pack
from tests.needs import require
from tests.tools.rich_deck import rich_presentation

load_pack("slides")
render = importlib.import_module("autorl_tools.slides.render")


@pytest.fixture
def run(make_run):
    return make_run(packs=("slides:all",))


def give(run, presentation, name="theirs.pptx"):
    buffer = io.BytesIO()
    presentation.save(buffer)
    run.workspace.write(name, buffer.getvalue())


def test_the_outline_names_slides_ids_layouts_and_counts(run):
    presentation = rich_presentation()
    presentation.slides[0].element.set("show", "0")
    give(run, presentation)
    assert run.done("read_deck").splitlines() == [
        "'theirs.pptx' has 3 slides.",
        "1 (s1) 'One' [Title Only]: 2 lines, hidden",
        "2 (s2) 'Two' [Title Only]: 2 lines, 1 table, 1 chart, 3 pictures, notes",
        "3 (s3) 'Three' [Title Only]: 1 chart"]


def test_a_long_deck_is_shown_in_parts_that_join(run):
    presentation = Presentation()
    for number in range(1, 131):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = f"Title {number} " + "with many words " * 6
    give(run, presentation)
    seen, first = [], 1
    for _ in range(20):
        answer = run.done("read_deck", first=first)
        assert len(answer) < OBSERVATION_LIMIT
        lines = answer.splitlines()
        seen += [int(line.split()[0]) for line in lines[1:] if " (s" in line]
        if "go on with" not in lines[-1]:
            break
        assert lines[-1].startswith(f"{130 - seen[-1]} more slide")
        first = int(lines[-1].rpartition("=")[2])
    assert seen == list(range(1, 131))
    assert "Give a number from 1 to 130" in run.refused("read_deck", first=131)


def test_a_slide_is_told_object_by_object(run):
    give(run, rich_presentation())
    answer = run.done("read_slide", slide=2)
    lines = answer.splitlines()
    assert lines[0] == "Slide 2 (s2) 'Two' [Title Only]: 2 lines, 1 table, 1 chart, 3 pictures, notes"
    assert lines[1].startswith("720 by 540 points, background ")
    assert "s2.2 title 'Title 1' at left 36, top 22, width 648, height 90" in lines
    assert "  - Two (44 pt)" in lines
    assert "  COLUMN_CLUSTERED of a, b" in lines
    assert "  Series: 1, 2" in lines
    assert "  | cell | " in lines
    assert "  link: https://example.org/" in lines
    assert "  link: slide 1" in lines
    assert any("picture" in line and line.endswith(", in a group") for line in lines)
    assert lines[-1] == "notes: Notes of two"


def test_levels_sizes_alternative_text_and_empty_boxes_are_told(run):
    run.done("new_deck", title="Bees")
    run.done("add_slide_by_layout", layout="Two Content", title="Levels", texts=[["one", "\ttwo"]])
    run.done("add_chart", title="Honey", kind="bar", labels=["a", "b"], values=[1, 2.5])
    lines = run.done("read_slide", slide=2).splitlines()
    assert "  - one (24 pt)" in lines
    assert "    - two (20 pt)" in lines
    assert any(line.startswith("s2.4 text 'Content Placeholder 3'") and line.endswith(", empty") for line in lines)
    assert "  alt text: Bar chart 'Honey': a 1, b 2.5" in run.done("read_slide", slide="s3").splitlines()


def test_a_full_slide_is_shown_in_parts_and_long_things_are_cut_with_their_length(run):
    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    slide.shapes.add_textbox(0, 0, Inches(5), Inches(1)).text_frame.text = "word " * 2_000
    table = slide.shapes.add_table(40, 3, 0, 0, Inches(5), Inches(3)).table
    table.cell(0, 0).text = "c" * 3_000
    for _ in range(60):
        slide.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "some more words " * 5
    give(run, presentation)
    answer = run.done("read_slide", slide=1)
    assert len(answer) < OBSERVATION_LIMIT
    assert "... (9999 characters) (18 pt)" in answer
    assert "and 28 more rows" in answer
    first = int(answer.rpartition("first=")[2])
    assert f"s1.{first + 1} text" in run.done("read_slide", slide=1, first=first).splitlines()[2]


def test_reading_changes_nothing(run):
    give(run, rich_presentation())
    path = run.workspace.root / "theirs.pptx"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    for slide in (1, 2, 3):
        run.done("read_slide", slide=slide)
    run.done("read_deck")
    run.done("list_layouts")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [each.name for each in run.workspace.root.iterdir()] == ["theirs.pptx"]


def test_a_slide_without_anything_and_one_that_is_not_there(run):
    presentation = Presentation()
    presentation.slides.add_slide(presentation.slide_layouts[6])
    give(run, presentation)
    assert run.done("read_deck").splitlines()[1] == "1 (s1) without a title [Blank]: nothing else"
    assert "0 objects" in run.done("read_slide", slide=1)
    assert "there is no slide '2'" in run.refused("read_slide", slide=2)


def test_a_slide_is_rendered_to_a_file_as_it_is_now(run):
    require(render.available() is None, "LibreOffice", render.available() or "")
    run.done("new_deck", title="Honey Bees", theme="signal")
    assert run.done("render_slide", slide=1, width=320).startswith("Wrote 'honey-bees-slide-1.png' (320 pixels wide, ")
    with Image.open(run.workspace.root / "honey-bees-slide-1.png") as image:
        assert (image.format, image.size) == ("PNG", (320, 180))
        before = image.convert("RGB").getpixel((300, 100))
    run.done("set_background", slide=1, colour="FFFFFF")
    run.done("render_slide", slide="s1", width=320)
    with Image.open(run.workspace.root / "honey-bees-slide-1.png") as image:
        assert before != image.convert("RGB").getpixel((300, 100)) == (255, 255, 255)
    assert run.done("read_deck").startswith("'honey-bees.pptx'")
