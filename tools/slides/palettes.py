"""The themes as data: colours, type, and where the marks stand. `theme.py` makes presentations of them.

Lengths are in inches on a slide of 13.333 by 7.5, type in points. Colours are named as the slide master maps them: bg1
is the ground, tx1 the text, bg2 a panel on the ground, tx2 titles; in a dark theme bg1 stands for dk1, else for lt1.
accent1 carries white text in every theme, since that is what tables and shapes put on it unasked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Box(NamedTuple):
    """A place on the slide, in inches."""

    left: float
    top: float
    width: float
    height: float


class Mark(NamedTuple):
    """A filled rectangle behind the placeholders."""

    box: Box
    colour: str


@dataclass(frozen=True)
class Cover:
    """A slide that opens a deck or a section.

    ground: the colour of the slide; title, text: their places; title_colour, text_colour, foot_colour: of the title, of
    the text below it, and of date, footer and number; size: of the title; align: of both; marks: behind them
    """

    title: Box
    text: Box
    size: int
    ground: str = "bg1"
    title_colour: str = "tx2"
    text_colour: str = "tx1"
    foot_colour: str = "tx2"
    align: Literal["l", "ctr"] = "l"
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Theme:
    """A look.

    colours: the twelve of a theme part, as RRGGBB; heading, body: fonts, all with free twins of the same widths;
    dark: light text on a dark ground; title_size, title_bold, title_colour: of titles on content slides; bullet: the
    colour of the bullets; marks: on content slides; opening, section: the two covers
    """

    name: str
    description: str
    colours: Mapping[str, str]
    opening: Cover
    section: Cover
    heading: str = "Calibri"
    body: str = "Calibri"
    dark: bool = False
    title_size: int = 32
    title_bold: bool = True
    title_colour: str = "tx2"
    bullet: str = "accent2"
    marks: tuple[Mark, ...] = field(default=())

    def slot(self, name: str) -> str:
        """The colour of the theme part that the master maps a colour's name to."""
        ground, text = ("dk", "lt") if self.dark else ("lt", "dk")
        return name.replace("bg", ground).replace("tx", text)

    def colour(self, name: str) -> str:
        """The RRGGBB that a colour's name stands for."""
        return self.colours[self.slot(name)]


def _colours(dk1: str, lt1: str, dk2: str, lt2: str, accents: str, link: str = "accent1") -> dict[str, str]:
    """The twelve colours; `link` names the accent that links look like."""
    named = {f"accent{number}": value for number, value in enumerate(accents.split(), start=1)}
    return {"dk1": dk1, "lt1": lt1, "dk2": dk2, "lt2": lt2, **named,
            "hlink": named[link], "folHlink": named["accent5"]}


_HARBOUR = Theme(
    "harbour", "navy and orange on white, calm and businesslike",
    _colours("22303C", "FFFFFF", "14344F", "EEF2F5", "1F5F8B D9692A 3A9188 B98618 7B5C9E 6C8A3C"),
    opening=Cover(Box(1.1, 1.7, 11.1, 2.1), Box(1.1, 4.3, 11.1, 1.1), 48, "tx2", "bg1", "bg1", "bg1",
                  marks=(Mark(Box(1.1, 3.98, 1.6, 0.08), "accent2"),)),
    section=Cover(Box(1.1, 1.7, 11.1, 2.1), Box(1.1, 4.3, 11.1, 1.1), 40, "bg2",
                  marks=(Mark(Box(1.1, 3.98, 1.6, 0.08), "accent2"),)),
    marks=(Mark(Box(0.75, 1.46, 1.1, 0.06), "accent2"),),
)

_MIDNIGHT = Theme(
    "midnight", "light text on near black with teal and amber, for a dim room",
    _colours("0E1621", "F4F7FA", "1B2838", "DCE6F0", "2A74B8 F2A541 3FC1B0 E5678B A98BE8 9CCB5A",
             link="accent3"),
    opening=Cover(Box(0.9, 1.3, 11.5, 2.5), Box(0.9, 4.55, 11.5, 1.1), 50,
                  marks=(Mark(Box(0, 0, 13.333, 4.1), "bg2"), Mark(Box(0, 4.1, 13.333, 0.07), "accent3"))),
    section=Cover(Box(1.4, 2.1, 10.9, 1.6), Box(1.4, 3.85, 10.9, 1.3), 40,
                  marks=(Mark(Box(0.9, 2.1, 0.12, 3.05), "accent3"),)),
    dark=True, bullet="accent3",
    marks=(Mark(Box(0, 0.45, 0.16, 0.95), "accent3"),),
)

_ALMANAC = Theme(
    "almanac", "burgundy serif headings on cream, like a printed page",
    _colours("2B2420", "FBF7EF", "6B1F24", "F1E8D8", "8A2B2F B27A22 3F6B5C 35597A 7A4E7C 7C8038"),
    opening=Cover(Box(1.4, 1.6, 10.533, 2.3), Box(1.9, 4.35, 9.533, 1.1), 54, align="ctr",
                  marks=(Mark(Box(0.75, 0.62, 11.833, 0.045), "accent1"),
                         Mark(Box(0.75, 0.73, 11.833, 0.012), "accent1"),
                         Mark(Box(6.067, 4.1, 1.2, 0.03), "accent2"),
                         Mark(Box(0.75, 6.55, 11.833, 0.012), "accent1"),
                         Mark(Box(0.75, 6.62, 11.833, 0.045), "accent1"))),
    section=Cover(Box(1.4, 1.9, 10.533, 1.9), Box(1.9, 4.25, 9.533, 1.1), 42, "tx2", "bg1", "bg1", "bg1", "ctr",
                  marks=(Mark(Box(6.067, 4.0, 1.2, 0.03), "accent2"),)),
    heading="Times New Roman", title_size=34, title_bold=False, bullet="accent1",
    marks=(Mark(Box(0.75, 1.5, 11.833, 0.018), "accent2"),),
)

_SIGNAL = Theme(
    "signal", "heavy black type and one loud red on white",
    _colours("111111", "FFFFFF", "111111", "F2F2F0", "D7261E 2457C5 0B8A6B DB7A0B 8A3AA8 5B6770"),
    opening=Cover(Box(0.75, 1.2, 11.833, 3.5), Box(0.75, 4.95, 11.833, 1.1), 60, "accent1", "bg1", "bg1", "bg1",
                  marks=(Mark(Box(0.75, 0, 1.5, 0.3), "bg1"),)),
    section=Cover(Box(0.75, 1.2, 11.833, 3.0), Box(0.75, 4.45, 11.833, 1.1), 48, "tx1", "bg1", "bg1", "bg1",
                  marks=(Mark(Box(0.75, 0, 1.5, 0.3), "accent1"),)),
    heading="Arial", body="Arial", title_size=30, title_colour="tx1", bullet="accent1",
    marks=(Mark(Box(0.75, 0, 1.5, 0.2), "accent1"),),
)

_MEADOW = Theme(
    "meadow", "titles on a deep green band, friendly and clear",
    _colours("24312B", "FFFFFF", "1F4D3A", "EFF4EC", "2E7D5B D1702A 2C7A9E AD8524 8559A5 B8455A"),
    opening=Cover(Box(5.2, 1.6, 7.4, 2.4), Box(5.2, 4.2, 7.4, 1.2), 44,
                  marks=(Mark(Box(0, 0, 4.4, 7.5), "tx2"), Mark(Box(0, 5.4, 4.4, 0.7), "accent1"),
                         Mark(Box(0, 6.1, 4.4, 0.7), "accent4"), Mark(Box(0, 6.8, 4.4, 0.7), "accent2"))),
    section=Cover(Box(1.1, 2.0, 11.1, 1.8), Box(1.1, 4.0, 11.1, 1.2), 40, "tx2", "bg1", "bg1", "bg1",
                  marks=(Mark(Box(0, 0, 0.35, 2.5), "accent1"), Mark(Box(0, 2.5, 0.35, 2.5), "accent4"),
                         Mark(Box(0, 5.0, 0.35, 2.5), "accent2"))),
    title_size=30, title_colour="bg1",
    marks=(Mark(Box(0, 0, 13.333, 1.5), "tx2"), Mark(Box(0, 1.5, 13.333, 0.07), "accent4")),
)

THEMES: dict[str, Theme] = {
    theme.name: theme for theme in (_HARBOUR, _MIDNIGHT, _ALMANAC, _SIGNAL, _MEADOW)}
DEFAULT = _HARBOUR.name
