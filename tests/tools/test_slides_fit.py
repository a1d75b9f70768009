"""Measuring text: the rules of wrapping, and what LibreOffice makes of the same text."""

import html
import importlib
import re
import shutil
import subprocess
from itertools import cycle, islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pptx.util import Inches, Pt

from autorl.content import load_pack
from tests.needs import require

load_pack("slides")
fit = importlib.import_module("autorl_tools.slides.fit")
theme = importlib.import_module("autorl_tools.slides.theme")

TEXTS = (
    "Honey", "Bees live in a hive", "The queen lays up to two thousand eggs a day in summer and hardly any in winter",
    "Foragers bring nectar home in a stomach of their own, and pass it from mouth to mouth until it thickens",
    "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz ist ein langes Wort",
    "État-major, façade, naïveté, œuvre, garçon, déjà vu, crème brûlée and more such words",
    "Zażółć gęślą jaźń, pchnąć w tę łódź jeża lub ośm skrzyń fig",
    "Съешь же ещё этих мягких французских булок, да выпей чаю с лимоном",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία με μεγάλη προσοχή",
    "A well-known, state-of-the-art, follow-up, peer-reviewed long-term study of e-mail",
    "Revenue 2019-2024: 1,234.56 € → 9,876.54 € (+700 %), an all-time high", "WWWWWW MMMMMM WWWWW MMMM WWW MM W",
    "illilliill il li ill illi iii lll iil lli ill iiill illil", "fifth offices affluent waffle official stiff cliffs",
    "\"Quotes\", ‘single’ ones – dashes – brackets [here] and (there), and dots …",
    "ALL CAPS HEADINGS TAKE UP MORE ROOM THAN ONE WOULD THINK", "don't can't won't shouldn't it's we're they've you'll",
    "Step 1: preheat the oven to 220 °C (425 °F). Step 2: bake for 35–40 minutes",
    "10 000 km/h ± 5 × 10³ ≤ 2 ≥ 1 ≠ 0 ≈ 3", "Pneumonoultramicroscopicsilicovolcanoconiosis is an illness",
)
FACES = (("Calibri", False), ("Arial", True), ("Times New Roman", False), ("Calibri", True), ("Arial", False),
         ("Times New Roman", True), ("Courier New", False))
WIDTHS = (140, 260, 420, 700, 200, 340, 560, 850, 300)
SIZES = (14, 18, 20, 24, 28)
CASES = list(islice(zip(cycle(TEXTS), cycle(FACES), cycle(WIDTHS), cycle(SIZES), strict=False), 120))


def test_letters_have_their_own_widths():
    assert fit.width_of("WWWW") > 3 * fit.width_of("iiii")
    assert fit.width_of("A") == pytest.approx(1185 / 2048, abs=1e-6)  # of Calibri
    assert fit.width_of("A", "Arial") == pytest.approx(1366 / 2048, abs=1e-6)
    assert fit.width_of("iW→", "Courier New") == pytest.approx(3 * 1229 / 2048)
    assert fit.width_of("Honey", bold=True) > fit.width_of("Honey")


def test_fonts_of_the_same_widths_are_known_and_others_get_a_margin():
    assert fit.known("Calibri")
    assert fit.known("arial")
    assert not fit.known("Georgia")
    assert fit.width_of("Honey", "Carlito") == fit.width_of("Honey", "Calibri")
    assert fit.width_of("Honey", "Georgia") > 1.1 * fit.width_of("Honey", "Times New Roman")
    assert fit.width_of("Honey", "Fira Mono") > 1.1 * fit.width_of("Honey", "Courier New")
    assert fit.width_of("Honey", "Open Sans Serifless") > 1.1 * fit.width_of("Honey", "Arial")


def test_what_the_fonts_lack_has_a_width_as_well():
    assert fit.width_of("蜜蜂") == 2
    assert fit.width_of("🐝") == pytest.approx(1.3)
    assert fit.width_of("e\u0301") == fit.width_of("e")
    assert fit.width_of("👩\u200d🌾\ufe0f") == pytest.approx(2.6)
    assert 0.5 <= fit.width_of("ب") <= 1
    assert fit.line_height("蜜") > fit.line_height("a")


@pytest.mark.parametrize(("text", "width", "lines"), [
    ("", 100, 1), ("a a a a", 1000, 1), ("aaaa    ", 41, 1), ("one\ntwo\vthree", 1000, 3), ("a" * 16, 40, 4),
    ("bb aaaa aaaa", 65, 2), ("bb aaaa\u00a0aaaa", 65, 3), ("bb aaaa-aaaa", 72, 2), ("-aaaa", 40, 2),
    ("蜜蜂蜜蜂", 50, 2), ("蜜蜂。蜂", 50, 3), ("蜜蜂「蜂蜜蜂", 60, 3), ("abc蜜蜂", 65, 2)])
def test_text_is_wrapped_as_viewers_wrap_it(text, width, lines):
    assert fit.lines_of(text, 20, width) == lines


@given(st.text(max_size=60), st.sampled_from(SIZES), st.integers(30, 600))
def test_more_room_never_takes_more_lines(text, size, width):
    assert fit.lines_of(text, size, width + 50) <= fit.lines_of(text, size, width)


@given(st.lists(st.text(alphabet="abc def-", min_size=1, max_size=80), min_size=1, max_size=6), st.integers(60, 700),
       st.integers(30, 500))
def test_the_size_is_the_largest_that_fits(paragraphs, width, height):
    sizes = (32, 28, 24, 20, 16, 12)
    size = fit.size_for(paragraphs, (Pt(width), Pt(height)), sizes, spacing=0.3)
    heights = [fit.height_of(paragraphs, one, width, spacing=0.3) for one in sizes]
    fitting = [one for one, high in zip(sizes, heights, strict=True) if high <= height]
    assert size == (fitting[0] if fitting else sizes[-1])


def test_levels_and_spaces_count():
    plain, level = fit.Paragraph("aaaa aaaa"), fit.Paragraph("aaaa aaaa", scale=0.5, indent=30, before=1.0)
    assert fit.height_of([plain], 20, 1000) == pytest.approx(20 * fit.line_height(""))
    assert fit.height_of([plain, level], 20, 1000) == pytest.approx(20 * fit.line_height("") * 1.5 + 10)
    assert fit.lines_of("aaaa aaaa", 10, 60) == 1
    assert fit.height_of([level], 20, 60) == pytest.approx(2 * 10 * fit.line_height(""))


def rendered_lines(pdf):
    """How many lines of text each page has."""
    found = subprocess.run(["pdftotext", "-bbox-layout", str(pdf), "-"], capture_output=True, text=True, check=True)
    for page in found.stdout.split("<page ")[1:]:
        tops = sorted(float(top) for top in re.findall(r'<word xMin="[\d.]+" yMin="([\d.]+)"', html.unescape(page)))
        yield 1 + sum(after - before > 8 for before, after in pairwise(tops))


def test_libreoffice_breaks_the_same_lines(tmp_path):
    require(bool(shutil.which("soffice") and shutil.which("pdftotext")), "LibreOffice and poppler",
            "apt-get install libreoffice-impress poppler-utils")
    fonts = subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True).stdout
    require(all(font in fonts for font in ("Carlito", "Liberation Serif")), "the fonts Carlito and Liberation",
            "apt-get install fonts-crosextra-carlito fonts-liberation")
    deck = theme.blank_presentation()
    blank = next(layout for layout in deck.slide_layouts if layout.name == "Blank")
    for text, (font, bold), width, size in CASES:
        shapes = deck.slides.add_slide(blank).shapes
        frame = shapes.add_textbox(Inches(0.5), Inches(0.2), Pt(width), Inches(7)).text_frame
        frame.word_wrap, frame.margin_left, frame.margin_right = True, 0, 0
        run = frame.paragraphs[0].add_run()
        run.text, run.font.size, run.font.name, run.font.bold = text, Pt(size), font, bold
    deck.save(str(tmp_path / "deck.pptx"))
    subprocess.run(["soffice", "--headless", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--convert-to",
                    "pdf", "--outdir", str(tmp_path), str(tmp_path / "deck.pptx")], check=True, capture_output=True)
    shown = list(rendered_lines(tmp_path / "deck.pdf"))
    guessed = [fit.lines_of(text, size, width, font, bold) for text, (font, bold), width, size in CASES]
    apart = [(case, lines, guess) for case, lines, guess in zip(CASES, shown, guessed, strict=True) if lines != guess]
    assert len(apart) <= 0.03 * len(CASES), apart
    assert all(guess >= lines - 1 for _, lines, guess in apart), apart
