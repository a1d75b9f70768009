"""PPTC's functions behind our own tools: each is carried out by calls of `slides:all`, by name and arguments.

What it knows of the deck it has from the tools' answers, and from what it wrote itself, as an agent would.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autorl.content import load_pack
from autorl.registry import RunContext, Toolset
from autorl.types import Action, Task
from autorl.workspace import Workspace

from .functions import Box, Nothing, beside
from .reference import picture

_KINDS = {"rounded_rectangle": "rounded rectangle", "right_arrow": "arrow right", "circle": "oval"}
_CM = 72 / 2.54  # points
_HALVES = {"right": (0.51, 0.26, 0.44, 0.67), "left": (0.05, 0.26, 0.44, 0.67),  # parts of the slide, below its title
           "top": (0.05, 0.26, 0.9, 0.33), "bottom": (0.05, 0.6, 0.9, 0.33)}
_SHAPE, _PICTURE, _GAP = 71.0, 6 * _CM, 6.0
_ID = re.compile(r"s\d+\.\d+")
_SLIDE = re.compile(r"([\d.]+) by ([\d.]+) points, background")
_OBJECT = re.compile(r"^(s\d+\.\d+) \w+ '.*' at left (-?\d+), top (-?\d+), width (\d+), height (\d+)", re.MULTILINE)
_MORE = re.compile(r"; go on with first=(\d+)")
_CELL_LOOKS = ("bold", "italic", "colour", "size", "align")


class Refused(Exception):
    """A tool did not do what it was called for, or there is none for it."""


class Target(NamedTuple):
    """An object, or a cell of a table, counted from 1. id: empty for a text box that is made with its first words"""

    id: str
    kind: str
    cell: tuple[int, int] | None = None


class Ours:
    """Tools at work on a deck, and what was done with them."""

    def __init__(self, deck: bytes, folder: Path) -> None:
        self.tools = Toolset.of(["slides:all"], load_pack)
        self.context = RunContext(Workspace(folder), Task(text="Carry out a PPTC session."))
        self.context.workspace.write("deck.pptx", deck)
        self._call("open_deck", path="deck.pptx")
        self.slide = 1
        self.chosen: Target | None = None
        self.objects: dict[int, list[Target]] = {1: self._placeholders()}
        self.said: dict[Target, str] = {}
        self.looks: dict[Target, dict[str, Any]] = {}
        self.notes: dict[int, str] = {}

    def deck(self) -> Path:
        """The file as it is now."""
        self.context.workspace.settle()
        return self.context.workspace.root / "deck.pptx"

    def _call(self, tool: str, /, **arguments: Any) -> str:
        observation = self.tools.carry_out(Action(name=tool, arguments=arguments), self.context)
        if not observation.ok:
            raise Refused(f"{tool}: {observation.text}")
        return observation.text

    # slides

    def create_slide(self) -> None:
        self._call("add_slide_by_layout", layout="Title and Content")
        self.slide, self.chosen = len(self.objects) + 1, None
        self.objects[self.slide] = self._placeholders()

    def go_to(self, index: int) -> None:
        if not 0 <= index < len(self.objects):
            raise Nothing(f"there is no slide {index}")
        self.slide, self.chosen = index + 1, None

    def step(self, by: int) -> None:
        self.go_to(self.slide - 1 + by)

    def background(self, colour: str) -> None:
        self._call("set_background", slide=self.slide, colour=colour)

    def note(self, text: str) -> None:
        notes = self.notes.get(self.slide, "") + text
        self._call("set_notes", slide=self.slide, notes=notes)
        self.notes[self.slide] = notes

    def _placeholders(self) -> list[Target]:
        title, content = self._boxes()
        return [Target(title, "title"), Target(content, "content")]

    # choosing

    def choose(self, kind: str, index: int = 0) -> None:
        """Tools take an empty placeholder away where they put something; a text box is made for the content then."""
        try:
            self.chosen = self._find(kind, index)
        except Nothing:
            if kind != "content":
                raise
            self.chosen = Target("", "content")

    def choose_cell(self, row: int, column: int) -> None:
        self.chosen = Target(self._find("table").id, "table", (row + 1, column + 1))

    def _find(self, kind: str, index: int = 0) -> Target:
        found = [target for target in self.objects[self.slide] if target.kind == kind]
        if not 0 <= index < len(found):
            raise Nothing(f"the slide has no {kind} {index}")
        return found[index]

    def _object(self) -> Target:
        if self.chosen is None or self.chosen.cell is not None:
            raise Nothing("no object is chosen")
        return self.chosen

    def _added(self, kind: str, tool: str, /, **arguments: Any) -> Target:
        answer = self._call(tool, slide=self.slide, **arguments)
        id = _ID.search(answer)
        assert id is not None, answer
        self.chosen = Target(id[0], kind)
        there = self._boxes().keys() - {id[0]}  # the tools may give it the id of what they took away for it
        self.objects[self.slide] = [each for each in self.objects[self.slide] if each.id in there] + [self.chosen]
        return self.chosen

    # text

    def _writable(self) -> Target:
        if self.chosen is None or (self.chosen.cell is None and self.chosen.kind in ("picture", "chart", "table")):
            raise Nothing("nothing with text is chosen")
        return self.chosen

    def write(self, text: str) -> None:
        self._say(self.said.get(self._writable(), "") + text)

    def bullet(self, text: str) -> None:
        said = self.said.get(self._writable())
        self._say(f"{said}\n{text}" if said else text)

    def delete_text(self) -> None:
        target = self._writable()
        if self.said.get(target):
            if target.cell is None:
                for line in filter(None, self.said[target].split("\n")):
                    self._call("replace_text", find=line, replace="", slide=self.slide)
            else:
                self._call("set_cells", object=target.id, row=target.cell[0], column=target.cell[1], values=[[""]])
            self.said[target] = ""

    def _say(self, text: str) -> None:
        target = self._writable()
        if not text:
            return
        looks = self.looks.get(target, {})
        if target.cell is not None:
            row, column = target.cell
            self._call("set_cells", object=target.id, row=row, column=column, values=[[text]])
        elif target.id:
            paragraphs = [[{"text": line or " "}] for line in text.split("\n")]
            self._call("write_text", object=target.id, paragraphs=paragraphs)
        else:
            self.looks.pop(target, None)
            target = self._added(target.kind, "add_text", text=text, place=self._place())
            self.looks[target] = looks
        self.said[target] = text
        if looks:
            self._format(target, looks)

    def look(self, **looks: Any) -> None:
        """What is set where nothing is said yet holds for what is written later."""
        target = self._writable()
        if self.said.get(target):
            self._format(target, looks)
        self.looks.setdefault(target, {}).update(looks)

    def _format(self, target: Target, looks: dict[str, Any]) -> None:
        if target.cell is None:
            self._call("format_text", object=target.id, **looks)
            return
        lacking = [name for name in looks if name not in _CELL_LOOKS]
        if lacking:
            raise Refused(f"format_cells: it has no {' and no '.join(lacking)}")
        row, column = target.cell
        self._call("format_cells", object=target.id, rows=[row], columns=[column], **looks)

    def add_textbox(self) -> None:
        self.chosen = Target("", "textbox")

    # other objects

    def _place(self, *names: str) -> dict[str, float]:
        """The half of the slide, of those named or of all, in which least stands."""
        wide, high = self._slide_size()
        halves = [Box(left * wide, top * high, width * wide, height * high)
                  for left, top, width, height in map(_HALVES.__getitem__, names or _HALVES)]
        return min(halves, key=lambda half: sum(map(half.shared, self._boxes().values())))._asdict()

    def add_shape(self, kind: str) -> None:
        wide, high = self._slide_size()
        place = {"left": (wide - _SHAPE) / 2, "top": (high - _SHAPE) / 2, "width": _SHAPE, "height": _SHAPE}
        self._added(kind, "add_shape", kind=_KINDS.get(kind, kind), place=place)

    def add_picture(self, name: str) -> None:
        words = " ".join(re.findall(r"[A-Za-z0-9]+", name))
        path = f"{words.replace(' ', '-')}.png"
        self.context.workspace.write(path, picture(name))
        wide, high = self._slide_size()
        place = {"left": 0.05 * wide, "top": 0.25 * high, "width": _PICTURE, "height": _PICTURE}
        self._added("picture", "add_picture", path=path, alt=f"A picture of {words}", place=place)

    def add_table(self, rows: int, columns: int) -> None:
        """insert_table takes a heading, a row below it, and words in it; what is too much is taken away again."""
        table = self._added("table", "insert_table", columns=["-"] + [""] * (columns - 1),
                            rows=[[""] * columns] * max(rows - 1, 1), place=self._place("bottom", "top"))
        if rows == 1:
            self._call("delete_rows", object=table.id, rows=[2])
        self._call("set_cells", object=table.id, row=1, column=1, values=[[""]])
        self.said |= {Target(table.id, "table", (row + 1, column + 1)): ""
                      for row in range(rows) for column in range(columns)}

    def add_row(self, cells: Sequence[str]) -> None:
        table = self._find("table")
        firsts = {target.cell[0]: text for target, text in self.said.items()
                  if target.id == table.id and target.cell is not None and target.cell[1] == 1}
        row = next((row for row in sorted(firsts) if not firsts[row]), len(firsts) + 1)
        if row in firsts:
            self._call("set_cells", object=table.id, row=row, column=1, values=[list(cells)])
        else:
            self._call("add_rows", object=table.id, rows=[list(cells)])
        self.said |= {Target(table.id, "table", (row, column)): text for column, text in enumerate(cells, start=1)}

    def add_chart(self, kind: str, values: Sequence[float], names: Sequence[str]) -> None:
        self._added("chart", "insert_chart", kind=kind, labels=list(names), place=self._place(),
                    series=[{"name": "Values", "values": list(values)}])

    def chart_title(self, title: str) -> None:
        if self._object().kind != "chart":
            raise Nothing("no chart is chosen")
        self._call("format_chart", object=self._object().id, title=title)

    def fill(self, colour: str) -> None:
        self._call("style_object", object=self._object().id, fill=colour)

    # geometry

    def _slide_size(self) -> tuple[float, float]:
        size = _SLIDE.search(self._call("read_slide", slide=self.slide))
        assert size is not None
        return float(size[1]), float(size[2])

    def _boxes(self) -> dict[str, Box]:
        """Where every object on the slide is, by its id, as read_slide tells it."""
        found, first = {}, "1"
        while first:
            answer = self._call("read_slide", slide=self.slide, first=int(first))
            found |= {id: Box(*map(float, box)) for id, *box in _OBJECT.findall(answer)}
            more = _MORE.search(answer)
            first = more[1] if more is not None else ""
        return found

    def align(self, *sides: str) -> None:
        for side in sides:
            self._call("align_objects", objects=[self._object().id], to=side, within="slide")

    def beside(self, side: str, kind: str, other: str) -> None:
        moved = self._find(kind).id
        try:
            anchor = self._boxes()[self._find(other).id]
        except Nothing:
            if other != "content":
                raise
            wide, high = self._slide_size()
            anchor = Box(0.05 * wide, 0.26 * high, 0.9 * wide, 0.67 * high)
        left, top = beside(self._boxes()[moved], anchor, side, self._slide_size(), _GAP)
        self._call("move_object", object=moved, place={"left": left, "top": top})

    def size(self, width: float | None = None, height: float | None = None) -> None:
        """A picture is cropped to its new proportions first: no tool distorts one. What would run off is moved back."""
        target = self._object()
        left, top, old_width, old_height = self._boxes()[target.id]
        wide, high = (width * _CM if width else old_width), (height * _CM if height else old_height)
        if target.kind == "picture":
            cut = 50 * (1 - min(wide / high, high / wide))
            across, down = (0, cut) if wide > high else (cut, 0)
            self._call("crop_picture", object=target.id, left=across, right=across, top=down, bottom=down)
        slide = self._slide_size()
        place = {"left": min(left, slide[0] - wide), "top": min(top, slide[1] - high), "width": wide, "height": high}
        self._call("move_object", object=target.id, place=place)

    def rotate(self, degrees: float) -> None:
        self._call("rotate_object", object=self._object().id, degrees=degrees)

