"""The decks that the slides checker is measured with: clean ones, and the same with one defect."""

import io
import sys
from collections import Counter
from pathlib import Path

import pytest
from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))

from planted import KINDS, THEMES, TOPICS, Planted, clean_deck, pairs, plant
from slides_checker import Case, Found, detecting, scored, wilson


def opened(deck):
    return Presentation(io.BytesIO(deck))


def contents(deck):
    """Each slide with its layout, notes, charts and pictures. Workbooks hold the time of their making."""
    found = []
    for slide in opened(deck).slides:
        relations = slide.part.rels.values()
        parts = [slide.part, *(each.target_part for each in relations)]
        found.append(sorted((part.content_type, part.blob) for part in parts))
    return found


@pytest.mark.parametrize("theme", THEMES)
def test_one_seed_makes_one_deck_and_another_another(theme):
    task, deck = clean_deck(theme, 3)
    again, twin = clean_deck(theme, 3)
    assert task == again
    assert contents(deck) == contents(twin)
    assert contents(deck) != contents(clean_deck(theme, 3 + len(TOPICS))[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_changes_the_named_slide_and_no_other(kind):
    made = [pair for seed, theme in enumerate(THEMES) for pair in pairs([kind], [theme], [seed])]
    for pair in made:
        clean, defective = contents(pair.clean), contents(pair.defective)
        changed = [n for n, (one, other) in enumerate(zip(clean, defective, strict=True), start=1) if one != other]
        assert changed == [pair.planted.slide], (pair.theme, pair.planted)
        assert pair.planted.kind == kind


@pytest.mark.parametrize("theme", THEMES)
def test_every_kind_finds_a_place_in_every_deck(theme):
    for seed in range(len(TOPICS)):
        slides = list(opened(clean_deck(theme, seed)[1]).slides)[1:]
        assert not [name for name, kind in KINDS.items() if not any(map(kind.fits, slides))], (theme, seed)


def test_the_same_seed_plants_the_same_defect():
    _, deck = clean_deck("harbour", 0)
    (one, planted), (other, again) = (plant(deck, "off_slide", 5) for _ in range(2))
    assert planted == again
    assert contents(one) == contents(other)
    assert len({plant(deck, "off_slide", seed)[1] for seed in range(6)}) > 1


def test_a_defect_for_which_there_is_no_place_is_refused():
    presentation = opened(clean_deck("harbour", 0)[1])
    for slide in presentation.slides:
        for shape in [s for s in slide.shapes if s.has_table]:
            shape.element.getparent().remove(shape.element)
    buffer = io.BytesIO()
    presentation.save(buffer)
    with pytest.raises(ValueError, match="no slide of the deck has what 'long_table' needs"):
        plant(buffer.getvalue(), "long_table", 0)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("seed", range(3))
def test_a_clean_deck_holds_what_its_task_asks_for(theme, seed):
    task, deck = clean_deck(theme, seed)
    slides = list(opened(deck).slides)
    shapes = [shape for slide in slides for shape in slide.shapes]
    titles = [slide.shapes.title.text_frame.text for slide in slides]
    assert len(slides) == task.requirements["slides"]
    assert len(set(titles)) == len(titles)
    assert set(task.requirements["sections"]) <= set(titles)
    assert all(slide.notes_slide.notes_text_frame.text for slide in slides)
    assert any(shape.has_table for shape in shapes)
    assert any(shape.has_chart for shape in shapes)
    pictures = [shape for shape in shapes if shape.shape_type == MSO_SHAPE_TYPE.PICTURE]
    assert pictures
    for picture in pictures:
        wide, high = picture.image.size
        assert wide / high == pytest.approx(picture.width / picture.height, rel=0.01)
        assert len(picture.element.nvPicPr.cNvPr.get("descr")) > 20
    for slide in slides:
        ids = Counter(slide.element.xpath("//p:cNvPr/@id"))
        assert max(ids.values()) == 1
        assert all(int(size) >= 1200 for size in slide.element.xpath("//@sz"))


def test_there_are_defects_to_be_seen_and_defects_of_the_file():
    assert sum(kind.visible for kind in KINDS.values()) >= 18
    assert sum(not kind.visible for kind in KINDS.values()) >= 5
    assert all(kind.description.endswith(".") for kind in KINDS.values())


def test_a_defect_counts_as_detected_when_a_rule_reports_more_than_on_the_twin():
    case = Case("tiny_text", "clean-a-0.pptx", "tiny-a-0.pptx", "")
    noise, real = Found("overlap", 2, "two boxes"), Found("size", 3, "6 pt")
    assert detecting(case, {case.clean: [noise], case.defective: [noise]}) == set()
    assert detecting(case, {case.clean: [noise], case.defective: [noise, real]}) == {"size"}
    assert detecting(case, {case.clean: [noise], case.defective: [noise, noise]}) == {"overlap"}
    found = {case.clean: [noise], "clean-b-0.pptx": [real], case.defective: [noise, real]}
    score = scored([case], found)["tiny_text"]
    assert (score.recall, score.false_alarm) == (1, 0.5)


def test_an_interval_holds_its_share_and_stays_within_0_and_1():
    assert wilson(10, 10)[1] == pytest.approx(1)
    assert wilson(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)
    assert wilson(0, 50)[1] == pytest.approx(0.0714, abs=1e-4)


def test_what_was_planted_is_told():
    planted = plant(clean_deck("harbour", 0)[1], "long_table", 0)[1]
    assert isinstance(planted, Planted)
    assert planted.slide >= 2
    assert planted.what.endswith("rows")
