"""Files that call themselves a .pptx and are none, or had better not be opened."""

import io
import zipfile

import pytest
from pptx import Presentation


def zip_of(parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def a_real_deck():
    buffer = io.BytesIO()
    presentation = Presentation()
    presentation.slides.add_slide(presentation.slide_layouts[0])
    presentation.save(buffer)
    return buffer.getvalue()


def with_part(name, content):
    with zipfile.ZipFile(io.BytesIO(a_real_deck())) as archive:
        return zip_of({part: archive.read(part) for part in archive.namelist()} | {name: content})


def encrypted(content):
    """Set the flag of encryption on every part, in the local headers and in the directory."""
    out = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = out.find(mark)
        while at >= 0:
            out[at + offset] |= 1
            at = out.find(mark, at + 4)
    return bytes(out)


BROKEN = {
    "nothing": lambda: b"",
    "text": lambda: b"this is no deck",
    "truncated": lambda: a_real_deck()[:5_000],
    "an empty zip": lambda: zip_of({}),
    "another zip": lambda: zip_of({"hello.txt": "hello"}),
    "an old or protected file": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000),
    "encrypted parts": lambda: encrypted(a_real_deck()),
    "a bomb": lambda: zip_of({"ppt/slides/slide1.xml": b" " * 250_000_000}),
    "a small bomb": lambda: zip_of({"[Content_Types].xml": b" " * 30_000_000}),
    "bad xml": lambda: with_part("ppt/slides/slide1.xml", b"<p:sld><unclosed>"),
    "wrong xml": lambda: with_part("ppt/slides/slide1.xml", b"<html/>"),
    "no slide": lambda: with_part("ppt/_rels/presentation.xml.rels", b"<Relationships/>"),
    "an entity bomb": lambda: with_part("ppt/slides/slide1.xml", b'<!DOCTYPE a [<!ENTITY b "'
                                        + b"x" * 1000 + b'"><!ENTITY c "' + b"&b;" * 1000 + b'">]><a>&c;</a>'),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_deck_fails_in_one_line(run, kind):
    run.workspace.write("deck.pptx", BROKEN[kind]())
    verdict = run.verdict()
    assert (verdict.passed, verdict.score) == (False, 0)
    assert [check.name for check in verdict.checks] == ["opens"]
    assert "'deck.pptx'" in verdict.why
    assert "\n" not in verdict.why
    assert len(verdict.why) < 300


def test_a_broken_file_beside_the_deck_does_not_matter(run):
    run.honest_deck()
    run.workspace.write("old.pptx", b"broken")
    assert run.verdict().passed
