"""Files that call themselves a .pptx and are none, or had better not be opened."""

import io
import random
import socket
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
from pptx import Presentation

from tests.needs import require


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


def renamed(name, other):
    """The deck with `other` as the name of a part in the archive, without the check of a zip writer."""
    content = a_real_deck()
    assert len(name) == len(other)
    return content.replace(name.encode(), other.encode())


def with_twin(name, twin):
    """The deck with a second part of a name that a reader may take for the first."""
    buffer = io.BytesIO(a_real_deck())
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(twin, archive.read(name))
    return buffer.getvalue()


def with_types(find, put):
    with zipfile.ZipFile(io.BytesIO(a_real_deck())) as archive:
        return with_part("[Content_Types].xml", archive.read("[Content_Types].xml").replace(find, put))


def lying(name, real):
    """A part of `real` bytes, of which the archive says that it is of one."""
    out = bytearray(zip_of({"[Content_Types].xml": "<a/>", name: b" " * real}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = out.rfind(mark)
        out[at + offset:at + offset + 4] = (1).to_bytes(4, "little")
    return bytes(out)


def packed_otherwise():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("[Content_Types].xml", b" " * 5_000_000)
        archive.writestr("noise", random.Random(1).randbytes(100_000))
    return buffer.getvalue()


def slide_of(filling):
    """The deck, with more in its slide."""
    with zipfile.ZipFile(io.BytesIO(a_real_deck())) as archive:
        slide = archive.read("ppt/slides/slide1.xml")
    return with_part("ppt/slides/slide1.xml", slide.replace(b"</p:spTree>", filling + b"</p:spTree>"))


NOISE = b"<!--" + random.Random(1).randbytes(200_000).hex().encode() + b"-->"  # keeps below the bound on the ratio
RELATIONSHIPS = b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
MAIN = b"presentationml.presentation.main+xml"
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
    "a bomb that hides its size": lambda: lying("ppt/media/image1.png", 30_000_000),
    "another packing": packed_otherwise,
    "tiny elements": lambda: slide_of(b"<a:t/>" * 5_000_000 + NOISE),
    "attributes": lambda: slide_of(b'<a:t b="" c="" d="" e="" f=""/>' * 300_000 + NOISE),
    "relationships": lambda: with_part("ppt/slides/_rels/slide1.xml.rels", RELATIONSHIPS + b"".join(
        b'<Relationship Id="r%d" Type="t" Target="http://x" TargetMode="External"/>' % n for n in range(200_000))),
    "bad xml": lambda: with_part("ppt/slides/slide1.xml", b"<p:sld><unclosed>"),
    "wrong xml": lambda: with_part("ppt/slides/slide1.xml", b"<html/>"),
    "deep xml": lambda: slide_of(b"<a>" * 5_000 + b"</a>" * 5_000),
    "other characters": lambda: with_part("ppt/slides/slide1.xml", "<a/>".encode("utf-16")),
    "another encoding": lambda: with_part(
        "ppt/slides/slide1.xml", b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-'),
    "a list of slides that are not there": lambda: with_part(
        "ppt/_rels/presentation.xml.rels", RELATIONSHIPS + b"</Relationships>"),
    "a slide without a layout": lambda: with_part(
        "ppt/slides/_rels/slide1.xml.rels", RELATIONSHIPS + b"</Relationships>"),
    "an entity bomb": lambda: with_part("ppt/slides/slide1.xml", b'<!DOCTYPE a [<!ENTITY b "'
                                        + b"x" * 1000 + b'"><!ENTITY c "' + b"&b;" * 1000 + b'">]><a>&c;</a>'),
    "an entity from a file": lambda: with_part(
        "ppt/slides/slide1.xml", b' <!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    "a way out": lambda: with_twin("ppt/presProps.xml", "ppt/../../evil.xml"),
    "an absolute name": lambda: with_twin("ppt/presProps.xml", "/evil.xml"),
    "a drive": lambda: with_twin("ppt/presProps.xml", "C:/evil.xml"),
    "a backslash": lambda: renamed("ppt/presProps.xml", "ppt\\presProps.xml"),
    "a part twice": lambda: with_twin("ppt/presentation.xml", "ppt/presentation.xml"),
    "a part twice but for case": lambda: with_twin("ppt/presentation.xml", "ppt/Presentation.xml"),
    "another name in its header": lambda: a_real_deck().replace(b"ppt/presProps.xml", b"ppt/presProps.xmk", 1),
    "macros": lambda: with_types(MAIN, MAIN.replace(b"presentation.main", b"presentation.macroEnabled.main")),
    "macros in disguise": lambda: with_types(
        b"application/vnd.openxmlformats-officedocument.presentationml.printerSettings",
        b"application/vnd.ms-office.vbaProject"),
    "a picture that is a slide": lambda: with_types(
        b'ContentType="image/jpeg"', b'ContentType="application/vnd.openxmlformats-officedocument.theme+xml"'),
    "a spreadsheet": lambda: with_types(
        b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
        b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"),
}
each_kind = pytest.mark.parametrize("kind", BROKEN)


@each_kind
def test_a_file_that_is_no_deck_fails_in_one_line(run, kind):
    run.workspace.write("deck.pptx", BROKEN[kind]())
    verdict = run.verdict()
    assert (verdict.passed, verdict.score) == (False, 0)
    assert [check.name for check in verdict.checks] == ["opens"]
    assert "'deck.pptx'" in verdict.why
    assert "\n" not in verdict.why
    assert len(verdict.why) < 300


@each_kind
def test_a_file_that_is_no_deck_is_refused_as_deck_and_as_template(make_run, kind):
    run = make_run(packs=("slides:all",))
    run.done("new_deck", title="Bees")
    before = (run.workspace.root / "bees.pptx").read_bytes()
    run.workspace.write("other.pptx", BROKEN[kind]())
    for answer in (run.refused("open_deck", path="other.pptx"),
                   run.refused("new_deck", title="Wasps", template="other.pptx")):
        assert answer.startswith("Error: 'other.pptx' ")
        assert "\n" not in answer
        assert len(answer) < 300
    run.done("set_notes", slide=1, notes="still there")
    assert sorted(path.name for path in run.workspace.root.iterdir()) == ["bees.pptx", "other.pptx"]
    assert Presentation(run.workspace.root / "bees.pptx").slides[0].notes_slide.notes_text_frame.text == "still there"
    assert Presentation(io.BytesIO(before)).slides[0].has_notes_slide is False


MEASURE = """
import re, sys
from pathlib import Path
from autorl.content import load_pack
load_pack("slides")
from autorl_tools.slides.opening import BrokenDeck, open_presentation
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
try:
    open_presentation(Path(sys.argv[1]))
    print("opens", peak() - before)
except BrokenDeck:
    print("refused", peak() - before)
"""


def megabytes_to_open(folder, content):
    """What a process of its own says of the deck, and how much more memory it needed for that."""
    require(Path("/proc/self/status").exists(), "/proc", "run this test on Linux")
    (folder / "deck.pptx").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", MEASURE, str(folder / "deck.pptx")],
                          capture_output=True, text=True, timeout=60, check=True)
    said, megabytes = done.stdout.split()
    return said, int(megabytes)


@pytest.mark.parametrize("kind", ["a bomb", "a small bomb", "a bomb that hides its size", "another packing",
                                  "tiny elements", "attributes", "relationships", "deep xml", "an entity bomb"])
def test_what_is_made_to_fill_the_memory_takes_little_of_it(tmp_path, kind):
    said, megabytes = megabytes_to_open(tmp_path, BROKEN[kind]())
    assert said == "refused"
    assert megabytes < 50


@pytest.mark.parametrize("filling", [b"<a:t/>" * 1_300_000, b'<a:t b="" c="" d="" e="" f=""/>' * 150_000])
def test_the_heaviest_deck_that_opens_takes_a_bounded_amount_of_memory(tmp_path, filling):
    said, megabytes = megabytes_to_open(tmp_path, slide_of(filling + NOISE))
    assert said == "opens"
    assert 50 < megabytes < 300


def test_nothing_that_a_deck_links_to_is_fetched(make_run):
    run = make_run(packs=("slides:all",))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/picture.png"
        linked = slide_of(b'<p:pic xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:nvPicPr>'
                          b'<p:cNvPr id="90" name="Linked"/><p:cNvPicPr/><p:nvPr/></p:nvPicPr><p:blipFill><a:blip '
                          b'r:link="rId9"/><a:stretch><a:fillRect/></a:stretch></p:blipFill><p:spPr/></p:pic>')
        with zipfile.ZipFile(io.BytesIO(linked)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        rels = "ppt/slides/_rels/slide1.xml.rels"
        parts[rels] = parts[rels].replace(b"</Relationships>", (
            '<Relationship Id="rId9" TargetMode="External" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
            f'relationships/image" Target="{url}"/></Relationships>').encode())
        run.workspace.write("deck.pptx", zip_of(parts))
        run.done("open_deck", path="deck.pptx")
        assert "Linked" in run.done("read_slide", slide=1)
        run.done("duplicate_slide", slide=1)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert url in {rel.target_ref for rel in run.deck.slides[1].part.rels.values() if rel.is_external}


def test_a_broken_file_beside_the_deck_does_not_matter(run):
    run.honest_deck()
    run.workspace.write("old.pptx", b"broken")
    assert run.verdict().passed
