"""A deck as the pack shows it to others: the words and the picture of each slide."""

import io
import shutil

import pytest
from PIL import Image

from autorl import content
from autorl.errors import AutorlError
from eval import planted
from tests import needs

content.load_pack("slides")

from autorl_tools.slides.render import available  # noqa: E402

PREVIEW = content.load_pack("slides").previews[".pptx"]


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    _, made = planted.clean_deck("harbour", 0)
    path = tmp_path_factory.mktemp("deck") / "deck.pptx"
    path.write_bytes(made)
    return path


def test_words_alone_need_nothing_drawn(deck, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    found = PREVIEW(deck, 0)
    assert len(found.texts) >= 6
    assert (found.pictures, found.why) == ((), "")


def test_without_libreoffice_there_are_words_and_the_reason(deck, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    found = PREVIEW(deck, 320)
    assert found.texts == PREVIEW(deck, 0).texts
    assert found.pictures == ()
    assert "soffice" in found.why


def test_each_slide_has_a_picture_of_the_size_asked_for(deck):
    needs.require(available() is None, "LibreOffice, poppler and fonts", str(available()))
    found = PREVIEW(deck, 320)
    sizes = {Image.open(io.BytesIO(picture)).size for picture in found.pictures}
    assert len(found.pictures) == len(found.texts)
    assert sizes == {(320, 180)}


def test_what_is_no_deck_is_told(tmp_path):
    (tmp_path / "deck.pptx").write_text("no deck")
    with pytest.raises(AutorlError, match=r"deck\.pptx"):
        PREVIEW(tmp_path / "deck.pptx", 320)


def test_controls_differ_on_the_slide_that_is_shown_and_come_in_every_kind_that_can_be_seen_there(tmp_path):
    pairs = list(planted.controls(1))
    assert {pair.kind for pair in pairs} == {
        name for name, kind in planted.KINDS.items() if kind.visible} - {"same_title", "repeated_slide"}
    for pair in pairs:
        assert pair.planted.slide > 1
        assert pair.clean != pair.defective
