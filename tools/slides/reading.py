"""Reads decks into the values of `values.py`, with sizes and colours as a viewer resolves them."""

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from pptx.util import Emu

from .inherit import Surroundings, Type, ancestors, own_properties
from .objects import slide_id
from .opening import BrokenDeck, broken, open_presentation
from .values import FURNITURE, INSETS, TITLES, Box, Cell, Chart, DeckContent, Paragraph, Series, Shape, Slide
from .wording import clean

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_NESTED = 8
_LOOKED_AT = 25_000_000
_EVEN = 8
_REMEMBERED = 10_000


def read_deck(path: Path) -> DeckContent:
    """The content of the deck at `path`. Raises BrokenDeck if it cannot be opened or read."""
    try:
        return DeckContent(path.name, read_slides(open_presentation(path)), path)
    except BrokenDeck:
        raise
    except Exception as error:  # parts are parsed when they are first touched
        raise broken(path, error) from error


def read_slides(presentation: Any) -> tuple[Slide, ...]:
    """The slides of an open presentation as values."""
    themes: dict[str, Any] = {}
    return tuple(read_slide(number, slide, themes) for number, slide in enumerate(presentation.slides, start=1))


def read_slide(number: int, slide: Any, themes: dict[str, Any] | None = None) -> Slide:
    """One slide as a value. themes: parsed themes, shared by the slides of a deck"""
    around = Surroundings(slide, themes if themes is not None else {})
    presentation = slide.part.package.presentation_part.presentation
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    id = slide_id(slide)
    return Slide(
        number=number, id=id, layout=slide.slide_layout.name,
        width=_points(presentation.slide_width), height=_points(presentation.slide_height),
        shapes=tuple(_shapes(id, slide.shapes, around)), backdrop=tuple(_backdrop(slide, around)),
        background=around.background, notes=clean(notes.text or "") if notes is not None else "",
        hidden=slide.element.get("show") == "0", flaws=tuple(_flaws(id, slide)))


def _backdrop(slide: Any, around: Surroundings) -> Iterator[Shape]:
    """What layout and master draw behind a slide, placeholders apart."""
    layout = slide.slide_layout
    holders = [layout.slide_master] if layout.element.get("showMasterSp") != "0" else []
    for holder in (*holders, layout) if slide.element.get("showMasterSp") != "0" else ():
        yield from (_shape("", shape, around, _placed(shape, None), False)
                    for shape in holder.shapes if not shape.is_placeholder and not hasattr(shape, "shapes"))


def _flaws(id: str, slide: Any) -> Iterator[tuple[str, str]]:
    """What viewers repair, refuse or leave out: ids used twice, references that lead nowhere."""
    seen: set[str] = set()
    for named in slide.element.iterfind(".//{*}cNvPr"):
        number = named.get("id", "")
        if number in seen:
            yield f"two objects have the id {number}", f"{id}.{number}"
        seen.add(number)
        owner = named.getparent().getparent()
        gone = [value for element in owner.iter() for name, value in element.attrib.items()
                if name.startswith(_R) and value and value not in slide.part.rels]
        if gone and owner.tag != f"{_P}spTree":
            yield f"'{named.get('name')}' refers to a part that is not there ({gone[0]})", f"{id}.{number}"


def _shapes(slide: str, shapes: Any, around: Surroundings, outer: "Place | None" = None, depth: int = 0
            ) -> Iterator[Shape]:
    """The shapes of the slide with that id, groups opened."""
    for shape in shapes:
        place = _placed(shape, outer)
        if hasattr(shape, "shapes") and depth < _NESTED:
            yield from _shapes(slide, shape.shapes, around, _inner(shape, place), depth + 1)
        else:
            yield _shape(slide, shape, around, place, depth > 0)


def _shape(slide: str, shape: Any, around: Surroundings, box: Box, grouped: bool) -> Shape:
    kind = shape.placeholder_format.type if shape.is_placeholder else None
    named = shape.element.find(".//{*}cNvPr")
    turned = float(getattr(shape, "rotation", 0) or 0)
    common: dict[str, Any] = {
        "id": f"{slide}.{shape.shape_id}", "name": shape.name, "box": box, "placeholder": kind,
        "alt": named.get("descr"), "hidden": named.get("hidden") in ("1", "true"), "grouped": grouped, "turned": turned,
        "link": _link(around.slide, shape)}
    if getattr(shape, "has_table", False):
        return Shape(kind="table", rows=_rows(shape, around, box), **common)
    if getattr(shape, "has_chart", False):
        return Shape(kind="chart", chart=_chart(shape), **common)
    if shape.element.tag == f"{_P}pic":
        return Shape(kind="picture", fill=None, stretch=_stretch(shape, box), plain=_plain(shape), **common)
    if shape.element.tag == f"{_P}cxnSp":
        return Shape(kind="line", **common)
    if not shape.has_text_frame:
        return Shape(kind="other", **common)
    body = shape.element.find(f"{_P}txBody")
    frame = body.find(f"{_A}bodyPr") if body is not None else None
    above = (twin.element.find(f"{_P}txBody/{_A}bodyPr") for twin in ancestors(shape))
    frames = [each for each in (frame, *above) if each is not None]
    fill = around.fill(shape.element.find(f"{_P}spPr"))
    if fill is None and shape.element.find(f"{_P}spPr/{_A}blipFill") is None:
        reference = shape.element.find(f"{_P}style/{_A}fillRef")
        styled = around.colour(reference) if reference is not None and reference.get("idx") != "0" else None
        fill = (styled,) if styled else ()
    places = around.styles(shape)
    return Shape(
        kind="title" if kind in TITLES else "furniture" if kind in FURNITURE else "text",
        paragraphs=_paragraphs(body, places, around.typer(shape, places)), fill=fill,
        insets=tuple(_inset(frames, name, usual)  # type: ignore[arg-type]
                     for name, usual in zip(("lIns", "tIns", "rIns", "bIns"), INSETS, strict=True)),
        wraps=_first(frames, "wrap", "square") != "none", anchor=_first(frames, "anchor", "t"),
        grows=frame is not None and frame.find(f"{_A}spAutoFit") is not None, **common)


def _paragraphs(body: Any, places: Callable[[Any], list[Any]], type_of: Callable[[Any, Any], Type]
                ) -> tuple[Paragraph, ...]:
    found = []
    for paragraph in body.iterfind(f"{_A}p") if body is not None else ():
        runs = [(_text_of(run), type_of(paragraph, run)) for run in paragraph
                if run.tag in (f"{_A}r", f"{_A}fld", f"{_A}br")]
        chain = places(paragraph)
        size = max((kind.size for text, kind in runs if text), default=0.0) or type_of(paragraph, None).size
        found.append(Paragraph(
            "".join(text for text, _ in runs), tuple(runs), int(_first(chain[:1], "lvl", "0")),
            before=_space(chain, "spcBef", size), after=_space(chain, "spcAft", size), spacing=_line_spacing(chain),
            indent=_points(int(_first(chain, "marL", "0"))), align=_first(chain, "algn", "l")))
    return tuple(found)


def _text_of(run: Any) -> str:
    if run.tag == f"{_A}br":
        return "\n"
    text = run.find(f"{_A}t")
    return (text.text or "") if text is not None else ""


def _space(places: list[Any], name: str, size: float) -> float:
    """Points above or below a paragraph."""
    holder = next((h for place in places if (h := place.find(f"{_A}{name}")) is not None and len(h)), None)
    if holder is None:
        return 0.0
    value = int(holder[0].get("val", "0").rstrip("%"))
    return value / 100 if holder[0].tag == f"{_A}spcPts" else value / 100_000 * size


def _line_spacing(places: list[Any]) -> float:
    holder = next((h for place in places if (h := place.find(f"{_A}lnSpc/{_A}spcPct")) is not None), None)
    return int(holder.get("val", "100000").rstrip("%")) / 100_000 if holder is not None else 1.0


def _first(places: list[Any], name: str, usual: str) -> str:
    return next((place.get(name) for place in places if place.get(name) is not None), usual)


def _inset(frames: list[Any], name: str, usual: float) -> float:
    value = _first(frames, name, "")
    return _points(int(value)) if value.lstrip("-").isdigit() else usual


Place = Callable[[Box], Box]


def _placed(shape: Any, outer: Place | None) -> Box:
    """Where `shape` stands on the slide; a shape without a place stands nowhere."""
    left, top, width, height = (_points(value or 0) for value in (shape.left, shape.top, shape.width, shape.height))
    box = Box(left, top, left + width, top + height)
    return outer(box) if outer else box


def _inner(group: Any, place: Box) -> Place:
    """Maps a box inside a group to the slide, by the group's own system of coordinates."""
    xfrm = group.element.find(f"{_P}grpSpPr/{_A}xfrm")
    offset = xfrm.find(f"{_A}chOff") if xfrm is not None else None
    extent = xfrm.find(f"{_A}chExt") if xfrm is not None else None
    if offset is None or extent is None:
        return lambda box: box
    left, top = _points(int(offset.get("x"))), _points(int(offset.get("y")))
    wide, high = _points(int(extent.get("cx"))), _points(int(extent.get("cy")))
    across = place.width / wide if wide else 1.0
    down = place.height / high if high else 1.0
    return lambda box: Box(
        place.left + (box.left - left) * across, place.top + (box.top - top) * down,
        place.left + (box.right - left) * across, place.top + (box.bottom - top) * down)


def _rows(shape: Any, around: Surroundings, box: Box) -> tuple[tuple[Cell, ...], ...]:
    table = shape.table
    named = shape.element.find(f".//{_A}tableStyleId")
    style = around.table_style(named.text if named is not None else "")
    rows = []
    top = box.top
    for number, row in enumerate(table.rows):
        left, height = box.left, _points(row.height or 0)
        cells = []
        for column, cell in zip(table.columns, row.cells, strict=False):
            wide = _points(column.width or 0)
            fill, colour = _cell_style(around, style, table, number)
            own = around.fill(cell._tc.find(f"{_A}tcPr"))
            text = _paragraphs(cell._tc.find(f"{_A}txBody"), _own_place, partial(_cell_type, around, colour))
            cells.append(Cell(text, own if own is not None else fill, Box(left, top, left + wide, top + height)))
            left += wide
        rows.append(tuple(cells))
        top += height
    return tuple(rows)


def _cell_style(around: Surroundings, style: Any, table: Any, row: int) -> tuple[tuple[str, ...] | None, str | None]:
    """Fill and text colour that a table's style gives to the cells of a row; None for what it does not say."""
    if style is None:
        return None, None
    band = table.horz_banding and row % 2 == int(bool(table.first_row))
    parts = ["firstRow"] if row == 0 and table.first_row else ["band1H"] if band else []
    fill: tuple[str, ...] | None = None
    colour: str | None = None
    for name in (*parts, "wholeTbl"):
        part = style.find(f"{_A}{name}")
        if part is not None:
            fill = fill if fill is not None else around.fill(part.find(f"{_A}tcStyle/{_A}fill"))
            colour = colour or around.colour(part.find(f"{_A}tcTxStyle"))
    return fill, colour


def _own_place(paragraph: Any) -> list[Any]:
    own = paragraph.find(f"{_A}pPr")
    return [own] if own is not None else []


def _cell_type(around: Surroundings, colour: str | None, paragraph: Any, run: Any) -> Type:
    return around.type(own_properties(paragraph, run), styled=colour)


def _chart(shape: Any) -> Chart:
    try:
        chart = shape.chart
        labels: list[str] = []
        series: list[Series] = []
        for plot in chart.plots:
            labels = labels or [str(label) for label in plot.categories]
            series += [Series(each.name or "", tuple(each.values)) for each in plot.series]
        types = chart._chartSpace.iter(f"{_A}defRPr", f"{_A}rPr")
        sizes = [int(each.get("sz")) / 100 for each in types if each.get("sz")]
        return Chart(_chart_kind(chart), tuple(labels), tuple(series), min(sizes, default=None))
    except (KeyError, ValueError, AttributeError, NotImplementedError):  # a kind that python-pptx does not know
        return Chart("unknown", (), ())


def _chart_kind(chart: Any) -> str:
    try:
        return str(chart.chart_type.name)
    except (ValueError, NotImplementedError):
        return "unknown"


def _stretch(shape: Any, box: Box) -> float:
    """1 where a picture keeps its proportions, or where they cannot be told (SVG, a linked file)."""
    try:
        wide, high = shape.image.size
        wide *= 1 - shape.crop_left - shape.crop_right
        high *= 1 - shape.crop_top - shape.crop_bottom
        return (box.width / box.height) / (wide / high)
    except Exception:  # whatever is wrong with the picture is not about its proportions
        return 1.0


def _plain(shape: Any) -> bool:
    """Whether a picture is of one colour; one that cannot be opened, or is too large to look at, is not."""
    try:
        name = shape.image.sha1
        if name not in _PLAIN:
            if len(_PLAIN) >= _REMEMBERED:
                _PLAIN.clear()
            _PLAIN[name] = _one_colour(shape.image.blob)
        return _PLAIN[name]
    except Exception:  # what is wrong with a picture is told elsewhere
        return False


_PLAIN: dict[str, bool] = {}  # by the hash of the picture: looking at one takes longer than all else on its slide


def _one_colour(data: bytes) -> bool:
    with Image.open(BytesIO(data)) as image:
        if image.width * image.height > _LOOKED_AT:
            return False
        extremes = image.convert("RGB").getextrema()
    return all(high - low <= _EVEN for low, high in extremes)


def _link(slide: Any, shape: Any) -> str:
    click = shape.element.find(".//{*}cNvPr/{*}hlinkClick")
    rid = click.get(f"{_R}id") if click is not None else None
    relation = slide.part.rels.get(rid) if rid else None
    return str(relation.target_ref) if relation is not None else ""


def _points(length: int) -> float:
    return Emu(length) / 12_700

