"""PPTC's functions: which there are, and what each asks of whoever carries it out."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from .sessions import Call

COLOURS = {  # CSS Color Module Level 4, 6.1, where it knows the name
    "black": "000000", "white": "FFFFFF", "blue": "0000FF", "light blue": "ADD8E6", "dark blue": "00008B",
    "green": "008000", "light green": "90EE90", "dark green": "006400", "red": "FF0000", "dark red": "8B0000",
    "yellow": "FFFF00", "light yellow": "FFFFE0", "orange": "FFA500", "dark orange": "FF8C00", "purple": "800080",
    "pink": "FFC0CB"}
SHAPES = {"rectangle": "rect", "rounded_rectangle": "roundRect", "right_arrow": "rightArrow", "triangle": "triangle",
          "circle": "ellipse", "star": "star5", "cloud": "cloud", "callout": "wedgeRoundRectCallout"}
"""Names of shapes, and what files call them."""


BESIDE = ("set_left", "set_right", "set_top", "set_bottom")
"""What puts one object beside another."""


def hexadecimal(colour: str) -> str:
    """RRGGBB of a colour's name. Raises ValueError for one that PPTC does not know."""
    if colour not in COLOURS:
        raise ValueError(f"PPTC knows no colour '{colour}'")
    return COLOURS[colour]


class Box(NamedTuple):
    """Where an object stands, in any unit."""

    left: float
    top: float
    width: float
    height: float

    def shared(self, other: "Box") -> float:
        """The area that both cover."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return max(across, 0) * max(down, 0)


class Nothing(Exception):
    """A call asks for something that is not there, so that it changes nothing."""


class Side(Protocol):
    """Who carries calls out: the reference, or our tools. Indices count from 0; what was put in or chosen last is
    what the others change."""

    def create_slide(self) -> None: ...
    def go_to(self, index: int) -> None: ...
    def step(self, by: int) -> None: ...
    def background(self, colour: str) -> None: ...
    def note(self, text: str) -> None: ...
    def choose(self, kind: str, index: int = 0) -> None: ...
    def choose_cell(self, row: int, column: int) -> None: ...
    def write(self, text: str) -> None: ...
    def bullet(self, text: str) -> None: ...
    def delete_text(self) -> None: ...
    def look(self, **looks: Any) -> None: ...
    def add_textbox(self) -> None: ...
    def add_shape(self, kind: str) -> None: ...
    def add_picture(self, name: str) -> None: ...
    def add_table(self, rows: int, columns: int) -> None: ...
    def add_row(self, cells: Sequence[str]) -> None: ...
    def add_chart(self, kind: str, values: Sequence[float], names: Sequence[str]) -> None: ...
    def chart_title(self, title: str) -> None: ...
    def fill(self, colour: str) -> None: ...
    def align(self, *sides: str) -> None: ...
    def beside(self, side: str, kind: str, other: str) -> None: ...
    def size(self, width: float | None = None, height: float | None = None) -> None: ...
    def rotate(self, degrees: float) -> None: ...


class Function(NamedTuple):
    """group: what kind of thing it changes, for the report; do: what it asks of a `Side`, with its own arguments"""

    group: str
    do: Callable[..., None]


def _shape(kind: str) -> Function:
    return Function("shape", lambda on: on.add_shape(kind))


def _look(**looks: Any) -> Function:
    return Function("look", lambda on: on.look(**looks))


def _align(*sides: str) -> Function:
    return Function("place", lambda on: on.align(*sides))


def _beside(side: str) -> Function:
    return Function("place", lambda on, one, other: on.beside(side, one, other))


def _chart(kind: str) -> Function:
    return Function("chart", lambda on, values, names: on.add_chart(kind, values, names))


FUNCTIONS: dict[str, Function] = {
    "create_slide": Function("slide", lambda on: on.create_slide()),
    "move_to_slide": Function("slide", lambda on, index: on.go_to(index)),
    "move_to_next_slide": Function("slide", lambda on: on.step(1)),
    "move_to_previous_slide": Function("slide", lambda on: on.step(-1)),
    "set_background_color": Function("background", lambda on, colour: on.background(hexadecimal(colour))),
    "insert_note": Function("note", lambda on, text: on.note(text)),
    "choose_title": Function("choice", lambda on: on.choose("title")),
    "choose_content": Function("choice", lambda on: on.choose("content")),
    "choose_textbox": Function("choice", lambda on, index=0: on.choose("textbox", index)),
    "choose_picture": Function("choice", lambda on, index=0: on.choose("picture", index)),
    "choose_chart": Function("choice", lambda on: on.choose("chart")),
    "choose_table": Function("choice", lambda on: on.choose("table")),
    "choose_shape": Function("choice", lambda on, name: on.choose(name)),
    "choose_table_cell": Function("choice", lambda on, row, column: on.choose_cell(row, column)),
    "insert_text": Function("text", lambda on, text: on.write(text)),
    "insert_bullet_point": Function("text", lambda on, text: on.bullet(text)),
    "delete_text": Function("text", lambda on: on.delete_text()),
    "insert_textbox": Function("text", lambda on: on.add_textbox()),
    "set_font_size": Function("look", lambda on, size: on.look(size=size)),
    "set_font_color": Function("look", lambda on, colour: on.look(colour=hexadecimal(colour))),
    "set_font_style": Function("look", lambda on, font: on.look(font=font)),
    "set_line_space": Function("look", lambda on, lines: on.look(line_spacing=lines)),
    "set_font_bold": _look(bold=True),
    "set_font_italic": _look(italic=True),
    "set_font_underline": _look(underline=True),
    "text_align_left": _look(align="left"),
    "text_align_center": _look(align="center"),
    "text_align_right": _look(align="right"),
    **{f"insert_{kind}": _shape(kind) for kind in SHAPES},
    "insert_picture": Function("picture", lambda on, name: on.add_picture(name)),
    "insert_table": Function("table", lambda on, rows, columns: on.add_table(rows, columns)),
    "insert_table_row": Function("table", lambda on, cells: on.add_row(list(map(str, cells)))),
    "insert_bar_chart": _chart("column"),  # PPTC's own stands upright
    "insert_line_chart": _chart("line"),
    "insert_pie_chart": _chart("pie"),
    "set_chart_title": Function("chart", lambda on, title: on.chart_title(title)),
    "set_fill_color": Function("fill", lambda on, colour: on.fill(hexadecimal(colour))),
    "set_width": Function("size", lambda on, width: on.size(width=width)),
    "set_height": Function("size", lambda on, height: on.size(height=height)),
    "rotate_element": Function("size", lambda on, degrees: on.rotate(degrees)),
    **{f"align_slide_{side}": _align(side) for side in ("left", "right", "top", "bottom")},
    "align_slide_center": _align("center", "middle"),
    **{f"align_{down}_{across}_corner": _align(across, down)
       for down in ("top", "bottom") for across in ("left", "right")},
    **{name: _beside(name.removeprefix("set_")) for name in BESIDE},
}


def carry_out(call: Call, side: Side) -> None:
    """Let `side` do what `call` asks for. Raises what `side` raises, and ValueError for a call that PPTC has not."""
    function = FUNCTIONS.get(call.name)
    if function is None:
        raise ValueError(f"PPTC has no function '{call.name}'")
    try:
        inspect.signature(function.do).bind(side, *call.arguments)
    except TypeError as error:
        raise ValueError(f"{call} does not take these arguments: {error}") from error
    function.do(side, *call.arguments)


def beside(box: Box, other: Box, side: str, slide: tuple[float, float], gap: float) -> tuple[float, float]:
    """Left and top of `box` next to `other`, as far as the slide (width, height) goes."""
    across, down = other.left + (other.width - box.width) / 2, other.top + (other.height - box.height) / 2
    left = {"left": other.left - gap - box.width, "right": other.left + other.width + gap}.get(side, across)
    top = {"top": other.top - gap - box.height, "bottom": other.top + other.height + gap}.get(side, down)
    return min(max(left, 0), slide[0] - box.width), min(max(top, 0), slide[1] - box.height)
