"""One planted defect a kind: the checker finds it, says on which slide, and finds nothing on the clean deck."""

import re
import sys
from pathlib import Path

import pytest

from tests.needs import require

sys.path.insert(0, str(Path(__file__).parents[2] / "eval"))

from planted import KINDS, clean_deck, plant

from autorl.content import load_pack

SEED, THEME = 3, "midnight"
FOUND_BY = {
    "faint_text": "contrast", "faint_on_fill": "contrast", "faint_on_gradient": "contrast", "faint_on_picture": "faint",
    "placeholder_text": "placeholders", "empty_placeholder": "placeholders", "blank_slide": "substance",
    "no_title": "titles", "same_title": "titles", "same_bullet": "repeats", "repeated_slide": "repeats",
    "prompt_pasted": "pasted", "off_topic": "stray", "wall_of_text": "wordiness", "empty_chart": "chart data",
    "zero_chart": "chart data", "missing_section": "coverage", "missing_exhibit": None, "no_alt_text": "alt text",
    "alt_text_is_file_name": "alt text", "no_notes": "notes", "duplicate_id": "sound", "broken_picture": "sound",
    "tiny_text": "type size", "stretched_picture": "proportions", "off_slide": "on slide",
    "text_over_text": "over text", "text_over_table": "overlaps", "text_over_chart": "overlaps",
    "picture_on_text": "overlaps", "covered_text": "overlaps", "text_out_of_frame": "growth",
    "text_below_slide": "growth", "long_title": "growth", "long_table": "growth", "line_out_of_frame": "outside",
}
"""The check that is there for each kind; None where it depends on what was taken away."""
NOWHERE = {"coverage", "tables", "charts", "pictures"}  # what is not there has no place


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """Checks a deck, rendered in a cache that all of them share."""
    load_pack("slides")
    from autorl_tools.slides import checker, render

    require(render.available() is None, "LibreOffice", "make system")
    folder = tmp_path_factory.mktemp("decks")
    task, clean = clean_deck(THEME, SEED)

    def check(deck=clean):
        (folder / "deck.pptx").write_bytes(deck)
        return checker.report_on(folder / "deck.pptx", task)

    return clean, check


def test_every_kind_is_expected_here():
    assert set(FOUND_BY) == set(KINDS)


def test_the_clean_deck_has_no_findings(decks):
    _, check = decks
    assert [finding.found for each in check() if not each.passed for finding in each.findings] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_defect_is_found_where_it_is(decks, kind):
    clean, check = decks
    deck, planted = plant(clean, kind, SEED)
    failed = {each.name: each for each in check(deck) if not each.passed}
    expected = FOUND_BY[kind] or next(iter(failed), "none")
    assert expected in failed, (planted.what, sorted(failed))
    findings = failed[expected].findings
    assert all(finding.remedy for finding in findings)
    # Of two slides that say the same, the finding is on the second and names the first.
    told = " ".join(finding.found for finding in findings)
    assert expected in NOWHERE or re.search(rf"\bslides? (?:\d+ and )?{planted.slide}\b", told), told
