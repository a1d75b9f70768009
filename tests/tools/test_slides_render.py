"""Rendering decks with LibreOffice: what is measured, what is kept, and what a hostile deck cannot do."""

import http.server
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Inches, Pt

from autorl.content import load_pack
from tests import needs

load_pack("slides")
from autorl_tools.slides import libreoffice  # noqa: E402
from autorl_tools.slides import render as rendering  # noqa: E402
from autorl_tools.slides.opening import BrokenDeck  # noqa: E402
from autorl_tools.slides.render import NotRendered, available, render  # noqa: E402

SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
IMAGE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"


@pytest.fixture
def office():
    """A machine that can render."""
    needs.require(available() is None, "LibreOffice, poppler and fonts", str(available()))


@pytest.fixture
def deck(tmp_path):
    """Makes a deck with a text box on each slide, 1 inch from the left and 2 from the top."""

    def make(*texts: str, name: str = "deck.pptx", font: str = "Calibri") -> Path:
        presentation = Presentation()
        presentation.slide_width, presentation.slide_height = Inches(13.333), Inches(7.5)
        for text in texts:
            slide = presentation.slides.add_slide(presentation.slide_layouts[6])
            frame = slide.shapes.add_textbox(Inches(1), Inches(2), Inches(8), Inches(1)).text_frame
            frame.text, frame.word_wrap = text, True
            frame.paragraphs[0].font.name, frame.paragraphs[0].font.size = font, Pt(24)
        presentation.save(tmp_path / name)
        return tmp_path / name

    return make


@contextmanager
def changed(path: Path):
    """The presentation at `path`, written back at the end."""
    presentation = Presentation(str(path))
    yield presentation
    presentation.save(str(path))


def texts(page) -> list[str]:
    return [word.text for word in page.words]


# --- what is measured ---


def test_every_slide_is_a_page_also_a_hidden_one_and_notes_add_none(office, deck):
    path = deck("One queen", "Many workers", "Few drones")
    with changed(path) as presentation:
        presentation.slides[1]._element.set("show", "0")
        presentation.slides[0].notes_slide.notes_text_frame.text = "Say hello first. " * 300
    pages = render(path).pages
    assert [(page.number, texts(page)) for page in pages] == [
        (1, ["One", "queen"]), (2, ["Many", "workers"]), (3, ["Few", "drones"])]
    assert all((round(page.width), round(page.height)) == (960, 540) for page in pages)


def test_a_words_box_is_where_the_slide_shows_it(office, deck):
    rendered = render(deck("Honey"))
    (word,) = rendered.pages[0].words
    assert (word.left, word.top) == pytest.approx((72 + 7.2, 144 + 3.6), abs=3)  # the box and its inset
    image = rendered.pixels(1).convert("L")
    assert image.size == (960, 540)
    ink = image.point(lambda value: 255 * (value < 200)).getbbox()
    assert word.left - 1 <= ink[0] < ink[2] <= word.right + 1
    assert word.top - 1 <= ink[1] < ink[3] <= word.bottom + 1


def test_calibri_is_measured_as_carlito_which_is_as_wide_and_not_as_what_is_at_hand(office, deck):
    def width(font):
        (word,) = render(deck("Pollination", font=font, name=f"{font}.pptx")).pages[0].words
        return word.right - word.left

    calibri = width("Calibri")
    assert calibri == pytest.approx(width("Carlito"), abs=0.01)
    assert calibri < 0.9 * width("DejaVu Sans")


def test_a_word_over_the_edge_of_the_slide_reaches_over_it(office, deck):
    path = deck("Overflowing")
    with changed(path) as presentation:
        presentation.slides[0].shapes[0].left = Inches(12.5)
    page = render(path).pages[0]
    assert max(word.right for word in page.words) > page.width


def test_words_keep_characters_that_a_markup_would_not(office, deck):
    text = 'a<b & "c" &lt;/word> </page> \N{HONEYBEE} Größe 蜂蜜 \u200f\u2028 ]]>'
    assert "".join(texts(render(deck(text)).pages[0])).startswith('a<b&"c"&lt;/word></page>')


def test_pixels_show_the_colour_behind_a_word_at_any_scale(office, deck):
    path = deck("Honey", "Wax")
    with changed(path) as presentation:
        fill = presentation.slides[1].background.fill
        fill.solid()
        fill.fore_color.rgb = RGBColor(0x20, 0x40, 0x80)
    rendered = render(path)
    assert rendered.pixels(2).getpixel((500, 500)) == (0x20, 0x40, 0x80)
    assert rendered.pixels(1).getpixel((500, 500)) == (255, 255, 255)
    assert rendered.pixels(2, scale=2).size == (1920, 1080)
    with Image.open(io.BytesIO(rendered.picture(2, size=640))) as picture:
        assert (picture.format, picture.size) == ("PNG", (640, 360))
    with pytest.raises(NotRendered, match="no slide 3"):
        rendered.picture(3)


def test_a_hyperlink_looks_like_one_although_it_leads_nowhere(office, deck):
    plain, linked = deck("Honey", name="plain.pptx"), deck("Honey", name="linked.pptx")
    with changed(linked) as presentation:
        presentation.slides[0].shapes[0].text_frame.paragraphs[0].runs[0].hyperlink.address = "https://example.org/"
    rendered = render(linked)
    assert b"https://example.org" not in rendered.pdf
    (blue,) = {pixel for _, pixel in rendered.pixels(1).getcolors(1 << 20) if pixel == (0, 0, 255)}
    assert blue not in {pixel for _, pixel in render(plain).pixels(1).getcolors(1 << 20)}


# --- what is kept ---


def counted(monkeypatch) -> list[int]:
    """How many conversions ran at once, as each of them started."""
    started: list[int] = []
    running = 0
    lock = threading.Lock()
    real = libreoffice.to_pdf

    def counting(*arguments):
        nonlocal running
        with lock:
            running += 1
            started.append(running)
        try:
            return real(*arguments)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(libreoffice, "to_pdf", counting)
    return started


def test_equal_bytes_are_rendered_once_under_any_name(office, deck, tmp_path, monkeypatch):
    started = counted(monkeypatch)
    first = render(deck("Honey"))
    assert render(shutil.copy(tmp_path / "deck.pptx", tmp_path / "copy.pptx")) == first
    assert len(started) == 1
    assert texts(render(deck("Wax")).pages[0]) == ["Wax"]
    assert len(started) == 2


def test_a_deck_is_rendered_again_when_libreoffice_or_the_fonts_changed(office, deck, monkeypatch):
    started = counted(monkeypatch)
    path = deck("Honey")
    render(path)
    monkeypatch.setattr(libreoffice, "_fonts", lambda real=libreoffice._fonts: real() + "A new font")
    render(path)
    assert len(started) == 2


def test_the_oldest_renderings_go_and_one_in_use_stays(office, deck, home, monkeypatch):
    monkeypatch.setattr(rendering, "_MOST_DECKS", 2)
    started = counted(monkeypatch)
    first, second, third = (deck(text, name=f"{text}.pptx") for text in ("One", "Two", "Three"))
    for path in (first, second, first, third, first):
        render(path)
    assert len(started) == 3
    assert len([*(home / "render" / "decks").iterdir()]) == 2
    render(second)
    assert len(started) == 4


@pytest.mark.slow
def test_forty_checks_at_once_do_not_collide(office, deck, home, monkeypatch):
    decks = {text: deck(text, name=f"{text}.pptx") for text in (f"Bee{number}" for number in range(8))}
    started = counted(monkeypatch)
    with ThreadPoolExecutor(40) as pool:
        rendered = [(text, pool.submit(render, path)) for _ in range(5) for text, path in decks.items()]
        assert all(texts(future.result().pages[0]) == [text] for text, future in rendered)
    assert max(started) <= libreoffice.SLOTS
    assert len(started) <= 8 * libreoffice.SLOTS
    assert len([*(home / "render" / "decks").iterdir()]) == 8


@pytest.mark.slow
def test_processes_share_the_slots_and_the_cache(office, deck, home):
    paths = [str(deck(f"Bee{number}", name=f"{number}.pptx")) for number in range(4)]
    every = [in_a_process("""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(10) as pool:
            pages = [each.pages[0] for each in pool.map(lambda path: render(Path(path)), sys.argv[1:] * 3)]
        print(*(word.text for page in pages for word in page.words))
        """, *paths) for _ in range(3)]
    for process in every:
        assert process.communicate(timeout=120)[0].split() == ["Bee0", "Bee1", "Bee2", "Bee3"] * 3
    assert len([*(home / "render" / "decks").iterdir()]) == 4


def in_a_process(code: str, *arguments: str) -> subprocess.Popen:
    start = """
        import sys
        from pathlib import Path
        from autorl.content import load_pack
        load_pack("slides")
        from autorl_tools.slides import libreoffice
        from autorl_tools.slides.render import render
        """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(code), *arguments],
                            stdout=subprocess.PIPE, text=True)


# --- what goes wrong ---


def test_a_machine_without_libreoffice_says_what_to_install(deck, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotRendered, match=r"no soffice, .*apt-get install .*libreoffice-impress-nogui poppler-utils"):
        render(deck("Honey"))


def test_a_deck_in_japanese_is_not_shown_as_boxes(office, deck, monkeypatch):
    needs.require(not libreoffice.lacking(), "a font for Japanese", "apt-get install fonts-noto-cjk")
    japanese, english = deck("\u8702\u871c", name="japanese.pptx"), deck("Honey")
    assert texts(render(japanese).pages[0]) == ["\u8702\u871c"]
    monkeypatch.setattr(libreoffice, "_fonts", lambda: "Carlito\nLiberation Sans")
    with pytest.raises(NotRendered, match=r"no Noto Sans CJK.*apt-get install fonts-noto-cjk"):
        render(japanese)
    assert texts(render(english).pages[0]) == ["Honey"]


def test_what_is_no_deck_never_gets_to_libreoffice(office, tmp_path, monkeypatch):
    started = counted(monkeypatch)
    page = tmp_path / "page.pptx"
    page.write_text("<html><img src='http://127.0.0.1/'></html>")
    with pytest.raises(BrokenDeck):
        render(page)
    assert not started


def test_a_deck_that_libreoffice_cannot_load_gives_one_line(office, tmp_path):
    with libreoffice.slot(tmp_path) as folder, pytest.raises(NotRendered, match=r"cannot load the deck \(Error: .+\)"):
        libreoffice.to_pdf(an_empty_archive(), folder)


def an_empty_archive() -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    return file.getvalue()


def test_a_slide_larger_than_the_format_allows_is_not_drawn(office, deck):
    path = deck("Honey")
    with changed(path) as presentation:
        presentation.part._element.sldSz.set("cx", "900000000")
    with pytest.raises(NotRendered, match=r"slide 1 measures 14173\S* by \S+ points"):
        render(path)


def test_memory_is_bounded_and_a_crash_gives_one_line(office, deck, monkeypatch):
    assert "-d 2000000" in libreoffice.LIMITS
    monkeypatch.setattr(libreoffice, "LIMITS", libreoffice.LIMITS.replace("-d 2000000", "-d 20000"))
    with pytest.raises(NotRendered, match=r"soffice failed on the deck, with status \d+ \(.+\)\. Make it again$"):
        render(deck("Honey"))


def test_a_conversion_that_takes_too_long_is_ended_with_all_it_started(office, deck, home, monkeypatch):
    with monkeypatch.context() as short:
        short.setattr(libreoffice, "TIMEOUT", 0.3)
        with pytest.raises(NotRendered, match=r"did not finish with the deck within 0\.3 s"):
            render(deck("Honey"))
    assert not working_in(home)
    assert texts(render(deck("Honey")).pages[0]) == ["Honey"]


def test_a_caller_killed_in_the_middle_leaves_nothing_in_the_way(office, deck, home, monkeypatch):
    monkeypatch.setattr(libreoffice, "SLOTS", 1)
    path = deck("Honey")
    process = in_a_process("libreoffice.SLOTS = 1; render(Path(sys.argv[1]))", str(path))
    while not working_in(home):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not [*(home / "render" / "decks").iterdir()]
    assert texts(render(path).pages[0]) == ["Honey"]
    while working_in(home):  # the one that was left alone ends by itself
        time.sleep(0.01)
    render(deck("Wax"))
    assert not [*(home / "render" / "slot-0").iterdir()]


def working_in(folder: Path) -> list[int]:
    """Ids of the LibreOffices whose profile is below `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if b"soffice.bin" in arguments and f"UserInstallation={folder.as_uri()}/".encode() in arguments:
            found.append(int(process.name))
    return found


# --- what a hostile deck cannot do ---


@pytest.fixture
def server():
    """A picture server on loopback, which knows what it was asked for."""
    asked: list[str] = []
    picture = red_square()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(picture)

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()


def red_square() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (50, 50), "red").save(file, "PNG")
    return file.getvalue()


def link(path: Path, address: str) -> None:
    """Link a picture, the background and an embedded object of the first slide to `address`."""
    with changed(path) as presentation:
        slide = presentation.slides[0]
        rid = slide.part.relate_to(address, IMAGE, is_external=True)
        picture = slide.shapes.add_picture(io.BytesIO(red_square()), Inches(1), Inches(4))
        blip = picture._element.find(".//" + qn("a:blip"))
        del blip.attrib[qn("r:embed")]
        blip.set(qn("r:link"), rid)
        slide._element.cSld.insert(0, parse_xml(
            f'<p:bg {nsdecls("p", "a", "r")}><p:bgPr><a:blipFill><a:blip r:link="{rid}"/><a:stretch><a:fillRect/>'
            "</a:stretch></a:blipFill><a:effectLst/></p:bgPr></p:bg>"))
        frame = slide.shapes.add_ole_object(io.BytesIO(b"book"), "Excel.Sheet.12", Inches(5), Inches(4))
        (thing,) = frame._element.iter(qn("p:oleObj"))
        thing.set(qn("r:id"), slide.part.relate_to(address, IMAGE.replace("image", "oleObject"), is_external=True))
        thing.replace(thing.find(qn("p:embed")), parse_xml(f'<p:link {nsdecls("p")} updateAutomatic="1"/>'))


def red(rendered, slide: int = 1) -> int:
    return sum(count for count, pixel in rendered.pixels(slide).getcolors(1 << 20) if pixel == (255, 0, 0))


@pytest.mark.parametrize("by", ["cleaning", "settings", "no network", "nothing"])
def test_linked_content_is_never_fetched(office, deck, server, monkeypatch, by):
    """Each of the three ways alone would do; with none of them the deck does fetch."""
    address, asked = server
    path = deck("Linked")
    link(path, f"{address}/picture.png")
    if by != "cleaning":
        monkeypatch.setattr(libreoffice, "_unlinked", lambda deck: deck)
    if by != "settings":
        monkeypatch.setattr(libreoffice, "_SETTINGS", {})
    if by == "no network":
        needs.require(bool(libreoffice._unshared()), "user namespaces", "allow unshare --map-root-user --net")
    else:
        monkeypatch.setattr(libreoffice, "_unshared", lambda: ())
    rendered = render(path)
    assert "Linked" in texts(rendered.pages[0])
    assert bool(asked) == bool(red(rendered)) == (by == "nothing")


@pytest.mark.parametrize("cleaned", [True, False])
def test_a_deck_shows_no_picture_that_lies_on_this_machine(office, deck, tmp_path, monkeypatch, cleaned):
    (tmp_path / "secret.png").write_bytes(red_square())
    secret = (tmp_path / "secret.png").as_uri()
    path = deck("Linked", "Drawn")
    link(path, secret)
    with changed(path) as presentation:
        package, slide = presentation.part.package, presentation.slides[1]
        svg = f'<svg {SVG} width="99" height="99"><image xlink:href="{secret}" width="99" height="99"/></svg>'
        part = Part(PackURI("/ppt/media/drawing.svg"), "image/svg+xml", package, svg.encode())
        picture = slide.shapes.add_picture(io.BytesIO(red_square()), Inches(1), Inches(4))
        picture._element.find(".//" + qn("a:blip")).set(qn("r:embed"), slide.part.relate_to(part, IMAGE))
    if not cleaned:
        monkeypatch.setattr(libreoffice, "_unlinked", lambda deck: deck)
    rendered = render(path)
    assert [red(rendered, slide) > 0 for slide in (1, 2)] == [not cleaned] * 2


def test_keys_in_the_environment_do_not_reach_libreoffice(office, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "soffice").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "soffice").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said = libreoffice.bounded(["soffice"], tmp_path).decode()
    assert "HOME=" in said
    assert "sk-secret" not in said
