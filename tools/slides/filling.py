"""Layouts by name, and their placeholders on a slide: filled with text, left free, or taken over from the layout."""

import copy
from collections.abc import Sequence
from typing import Any

from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls

from autorl.errors import ToolError

from . import typeset
from .surgery import free_shape_id
from .values import FURNITURE, TITLES

_KINDS = {
    PP_PLACEHOLDER.TITLE: "title", PP_PLACEHOLDER.CENTER_TITLE: "title", PP_PLACEHOLDER.VERTICAL_TITLE: "title",
    PP_PLACEHOLDER.SUBTITLE: "subtitle", PP_PLACEHOLDER.BODY: "text", PP_PLACEHOLDER.VERTICAL_BODY: "text",
    PP_PLACEHOLDER.OBJECT: "content", PP_PLACEHOLDER.VERTICAL_OBJECT: "content", PP_PLACEHOLDER.DATE: "date",
    PP_PLACEHOLDER.FOOTER: "footer", PP_PLACEHOLDER.SLIDE_NUMBER: "number", PP_PLACEHOLDER.PICTURE: "picture"}
_TEXTS = ("subtitle", "text", "content")
_NUMBER = (f'<a:fld {nsdecls("a")} id="{{C1FF6DA9-008F-8B48-92A6-B652298478BF}}" type="slidenum"><a:rPr lang="en-US"/>'
           "<a:t>‹#›</a:t></a:fld>")


def role_of(placeholder: Any) -> str:
    """What a placeholder is for, in a word: title, subtitle, text, content, picture, chart, date, footer, number ..."""
    kind = placeholder.placeholder_format.type
    return _KINDS.get(kind) or str(kind.name).lower().replace("_", " ")


def layouts_of(presentation: Any) -> list[Any]:
    """The layouts of every master."""
    return [layout for master in presentation.slide_masters for layout in master.slide_layouts]


def layout_named(presentation: Any, name: str) -> Any:
    """The layout of that name, in any case, or of that number from 1. Raises ToolError with those there are."""
    layouts = layouts_of(presentation)
    wanted = name.strip()
    named = [layout for layout in layouts if layout.name.casefold() == wanted.casefold()]
    if named:
        return named[0]
    if wanted.isdigit() and 1 <= int(wanted) <= len(layouts):
        return layouts[int(wanted) - 1]
    known = ", ".join(f"{number} '{layout.name}'" for number, layout in enumerate(layouts[:20], start=1))
    raise ToolError(f"there is no layout '{wanted}'", f"Layouts: {known}")


def layout_for_opening(presentation: Any) -> Any:
    """The layout with a centred title, best with a subtitle; else the first that has a title, or just the first."""
    layouts = layouts_of(presentation)
    if not layouts:
        raise ToolError("the template has no layout", "Take another template, or a theme")

    def worth(layout: Any) -> int:
        kinds = {shape.placeholder_format.type for shape in layout.placeholders}
        return (4 * (PP_PLACEHOLDER.CENTER_TITLE in kinds) + 2 * (PP_PLACEHOLDER.SUBTITLE in kinds)
                + bool(kinds & TITLES))

    return max(layouts, key=worth)


def describe(layout: Any) -> str:
    """The placeholders of a layout; those for text with the number that texts are given by."""
    texts = [shape.element for shape in _texts(layout.placeholders)]
    shown = [f"{texts.index(shape.element) + 1} {role_of(shape)}" if shape.element in texts else role_of(shape)
             for shape in layout.placeholders if shape.placeholder_format.type not in FURNITURE]
    return ", ".join(shown) or "no placeholders"


def count_of_texts(layout: Any) -> int:
    """How many placeholders of a layout take paragraphs; the title is none of them."""
    return len(_texts(layout.placeholders))


def add_slide(presentation: Any, layout: Any) -> tuple[Any, list[Any]]:
    """A new slide with `layout`, and its placeholders for text in the order of their numbers."""
    slide = presentation.slides.add_slide(layout)
    models = list(layout.iter_cloneable_placeholders())
    indexes = [model.placeholder_format.idx for model in models]
    for shape, model in zip(slide.shapes, models, strict=True):
        if indexes.count(model.placeholder_format.idx) > 1:  # LibreOffice numbers them all 0: none would find its place
            shape.left, shape.top, shape.width, shape.height = model.left, model.top, model.width, model.height
    return slide, _texts(slide.shapes)


def _texts(shapes: Any) -> list[Any]:
    return sorted((shape for shape in shapes if role_of(shape) in _TEXTS),
                  key=lambda shape: shape.placeholder_format.idx)


def fill(slide: Any, placeholder: Any, lines: Sequence[str]) -> None:
    """Write paragraphs into `placeholder`, a leading tab for each level, as large as its layout has it or as fits.

    Raises ToolError when they do not fit.
    """
    texts = [line.lstrip("\t") for line in lines]
    levels = [min(len(line) - len(text), 8) for line, text in zip(lines, texts, strict=True)]
    typeset.fill(placeholder.text_frame, texts, levels=levels)
    typeset.settle(slide, placeholder)


def empty(slide: Any) -> list[Any]:
    """The placeholders that hold nothing, but for date, footer and number."""
    return [shape for shape in slide.placeholders if shape.placeholder_format.type not in FURNITURE
            and shape.has_text_frame and not shape.text_frame.text]


def furniture_like(slide: Any, other: Any) -> None:
    """Show date, footer and number on `slide` as far as `other` shows them, with the same words."""
    for shape in list(other.placeholders):
        kind = shape.placeholder_format.type
        if kind in FURNITURE:
            words = copy.deepcopy(shape.element.txBody.p_lst)  # they may hold a date that keeps itself up to date
            if set_furniture(slide, kind, shape.text_frame.text):
                body = _furniture(slide, kind)[-1].element.txBody
                for old in body.p_lst:
                    body.remove(old)
                body.extend(words)


def set_furniture(slide: Any, kind: Any, text: str | None) -> bool:
    """Show date, footer or number on `slide`, as its layout has them; None takes it away.

    text: of a date or footer. Returns False where the layout has no place for it.
    """
    for shape in _furniture(slide, kind):
        shape.element.getparent().remove(shape.element)
    if text is None:
        return True
    place = next(iter(_furniture(slide.slide_layout, kind)), None)
    if place is None:
        return False
    id = free_shape_id(slide)
    # Place and type are the layout's, so nothing of them is written here.
    twin = parse_xml(f'<p:sp {nsdecls("p", "a", "r")}><p:nvSpPr><p:cNvPr id="{id}" name=""/><p:cNvSpPr><a:spLocks '
                     'noGrp="1"/></p:cNvSpPr><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:lstStyle/><a:p/>'
                     "</p:txBody></p:sp>")
    twin.nvSpPr.cNvPr.set("name", f"{role_of(place).capitalize()} Placeholder {id - 1}")
    mark = parse_xml(f"<p:ph {nsdecls('p')}/>")
    mark.attrib.update(place.element.xpath("./p:nvSpPr/p:nvPr/p:ph")[0].attrib)
    twin.nvSpPr.nvPr.append(mark)
    slide.shapes._spTree.insert_element_before(twin, "p:extLst")
    if kind == PP_PLACEHOLDER.SLIDE_NUMBER:
        twin.txBody.p_lst[0].append(parse_xml(_NUMBER))
    else:
        twin.txBody.p_lst[0].add_r().text = text
    if kind == PP_PLACEHOLDER.FOOTER:
        # As PowerPoint does it: a new slide finds it there, and LibreOffice takes the type from there.
        for holder in (slide.slide_layout, slide.slide_layout.slide_master):
            for shape in _furniture(holder, kind):
                shape.text_frame.text = text
    return True


def _furniture(holder: Any, kind: Any) -> list[Any]:
    return [shape for shape in holder.placeholders if shape.placeholder_format.type == kind]
