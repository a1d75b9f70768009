"""Makes tools/slides/font_metrics.json: how wide the letters of the fonts are that decks are set in.

    python eval/make_font_metrics.py [FILE]

Carlito and the Liberation fonts, which must be installed, were drawn to the widths of Calibri, Arial, Times New Roman
and Courier New; so what is measured of them holds for those too. Needs fontconfig (`fc-match`).
"""

import json
import struct
import subprocess
import sys
from pathlib import Path

from PIL import ImageFont

FACES = {"Carlito": (False, True), "Liberation Sans": (False, True), "Liberation Serif": (False, True),
         "Liberation Mono": (False,)}
RANGES = (  # Latin, spacing modifiers, Greek, Cyrillic, more Latin, punctuation, currency, letterlike, arrows, symbols
    (0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x2DF), (0x370, 0x3FF), (0x400, 0x4F9), (0x1E00, 0x1EFF), (0x2010, 0x205E),
    (0x2070, 0x2094), (0x20A0, 0x20BF), (0x2100, 0x215F), (0x2190, 0x21D4), (0x2200, 0x2265), (0x25A0, 0x25E6),
    (0x2605, 0x266F), (0xFB00, 0xFB06))
ABSENT = "\uffff"


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "tools/slides/font_metrics.json")
    faces, sources = {}, []
    for family, weights in FACES.items():
        for bold in weights:
            file = font_file(family, bold)
            tables = read_tables(file)
            units, line = line_height(tables)
            sources.append(f"{file.name} {struct.unpack('>i', tables['head'][4:8])[0] / 65536:.3f}")
            name = f"{family} bold" if bold else family
            faces[name] = {"line": round(line / units, 4), "widths": widths(file, units)}
    found = {"about": "advance widths in 1/2048 em of the characters from each start on, 0 where the font has none; "
                      "line: height of a line in em. Made by eval/make_font_metrics.py",
             "fonts": sources, "faces": faces}
    target.write_text(json.dumps(found, separators=(",", ":"), indent=None) + "\n", encoding="utf-8")
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB of {', '.join(sources)}")


def font_file(family: str, bold: bool) -> Path:
    """The file that fontconfig has for a family, which must be that family and no substitute."""
    pattern = f"{family}:bold" if bold else f"{family}:regular"
    found = subprocess.run(["fc-match", "-f", "%{family}|%{file}", pattern], capture_output=True, text=True, check=True)
    name, file = found.stdout.split("|")
    if name != family:
        raise SystemExit(f"{family} is not installed (fontconfig offers {name}): install it first")
    return Path(file)


def read_tables(file: Path) -> dict[str, bytes]:
    """The tables of a TrueType file by name."""
    data = file.read_bytes()
    count = struct.unpack(">H", data[4:6])[0]
    entries = (struct.unpack(">4s4xLL", data[start:start + 16]) for start in range(12, 12 + 16 * count, 16))
    return {name.decode(): data[offset:offset + length] for name, offset, length in entries}


def line_height(tables: dict[str, bytes]) -> tuple[int, int]:
    """Units per em, and ascent, descent and line gap together, in those units."""
    units = struct.unpack(">H", tables["head"][18:20])[0]
    ascent, descent, gap = struct.unpack(">hhh", tables["hhea"][4:10])
    return units, ascent - descent + gap


def widths(file: Path, units: int) -> dict[str, list[int]]:
    """Widths of every range, in 1/2048 em."""
    font = ImageFont.truetype(str(file), units, layout_engine=ImageFont.Layout.BASIC)
    small = ImageFont.truetype(str(file), 64, layout_engine=ImageFont.Layout.BASIC)
    absent = bytes(small.getmask(ABSENT))

    def width(char: str) -> int:
        if char.isprintable() and char != " " and bytes(small.getmask(char)) == absent:
            return 0
        return round(font.getlength(char) * 2048 / units)

    found = {}
    for first, last in RANGES:
        row = [width(chr(code)) for code in range(first, last + 1)]
        while row and row[-1] == 0:
            row.pop()
        if row:
            found[f"{first:x}"] = row
    return found


if __name__ == "__main__":
    main()
