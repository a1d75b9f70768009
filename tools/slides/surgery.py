"""Slides taken out, moved and doubled so that the file stays sound: parts, relationships, links and sections follow.

python-pptx writes whatever can be reached over relationships, so a part is gone when nothing relates to it any more.
"""

import re
from typing import Any

from lxml import etree
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.opc.package import Part, _Relationship
from pptx.opc.packuri import PackURI

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_P14 = "{http://schemas.microsoft.com/office/powerpoint/2010/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
SHARED = {RT.SLIDE_LAYOUT, RT.SLIDE_MASTER, RT.NOTES_MASTER, RT.SLIDE, RT.IMAGE, RT.VIDEO, RT.AUDIO, RT.MEDIA,
           "http://schemas.microsoft.com/office/2007/relationships/hdphoto"}
"""What two slides may hold in common: pictures and films never change, and layouts are meant to be shared."""


def delete(presentation: Any, slide: Any) -> list[Any]:
    """Take `slide` out, with its notes and all that only it used. Returns the slides whose links to it went with it."""
    entries = presentation.slides._sldIdLst
    entry = next(entry for entry in entries if entry.id == slide.slide_id)
    for in_section in presentation.element.xpath(f"./p:extLst//*[local-name()='sldId' and @id='{entry.id}']"):
        _remove(in_section)
    _remove(entry)
    touched = _forget(presentation, slide.part)
    _number(presentation)
    return [other for other in presentation.slides if other.part in touched]


def clear(presentation: Any) -> int:
    """Take every slide out, and the sections and shows that they were sorted into. Returns how many there were."""
    slides = list(presentation.slides)
    for slide in slides:
        delete(presentation, slide)
    for holder in presentation.element.xpath("./p:custShowLst | ./p:extLst/p:ext[*[local-name()='sectionLst']]"):
        _remove(holder)
    return len(slides)


def move(presentation: Any, slide: Any, to: int) -> None:
    """Make `slide` the one of that number, from 1; it joins the section of the slide before it."""
    entries = presentation.slides._sldIdLst
    entry = next(entry for entry in entries if entry.id == slide.slide_id)
    _remove(entry)
    entries.insert(to - 1, entry)
    _number(presentation)
    into_section(presentation, slide.slide_id)


def duplicate(presentation: Any, slide: Any) -> Any:
    """A second `slide` right after it. Charts, notes and embedded files are its own; comments are not taken along."""
    _number(presentation)
    part = slide.part
    twin = type(part).load(PackURI(f"/ppt/slides/slide{len(presentation.slides) + 1}.xml"), part.content_type,
                           part.package, part.blob)
    entries = presentation.slides._sldIdLst
    entries.add_sldId(presentation.part.relate_to(twin, RT.SLIDE))
    _copy_relationships(part, twin, {part: twin})
    # The mark by which merging and zooming tell slides apart, and what refers to the comments.
    for own in twin._element.xpath(".//p:ext[parent::*/parent::p:cSld or parent::*/parent::p:sld]"
                                   "[*[local-name()='creationId' or local-name()='commentRel']]"):
        _remove(own)
    move(presentation, twin.slide, 1 + next(n for n, each in enumerate(presentation.slides, 1) if each.part is part))
    return twin.slide


def into_section(presentation: Any, id: int) -> None:
    """Put the slide of that entry into the section of the slide before it, if the deck has sections."""
    lists = presentation.element.xpath("./p:extLst/p:ext/*[local-name()='sectionLst']/*/*[local-name()='sldIdLst']")
    if not lists:
        return
    listed = {entry.get("id"): entry for each in lists for entry in each}
    entry = listed.pop(str(id), None)
    if entry is None:
        entry = etree.SubElement(lists[0], f"{_P14}sldId", {"id": str(id)})
    order = [str(each.id) for each in presentation.slides._sldIdLst]
    place = order.index(str(id))
    before = next((listed[other] for other in reversed(order[:place]) if other in listed), None)
    after = next((listed[other] for other in order[place:] if other in listed), None)
    if before is not None:
        before.addnext(entry)
    elif after is not None:
        after.addprevious(entry)


def drop_unlisted(presentation: Any) -> None:
    """Let go of slides that are in the file but not in the deck; some programs leave them behind."""
    listed = {entry.rId for entry in presentation.slides._sldIdLst}
    kept = [presentation.part.related_part(name) for name in listed]
    for part in list(presentation.part.package.iter_parts()):
        if part.content_type.endswith("presentationml.slide+xml") and part not in kept:
            _forget(presentation, part)


def drop_unused(part: Any, names: set[str]) -> None:
    """Drop those of the relationships `names` that nothing in the XML of `part` refers to any more."""
    used = {value for element in part._element.iter() for name, value in element.attrib.items() if name.startswith(_R)}
    for name in names - used:
        if name in part.rels:
            part.rels.pop(name)


def copy_part(holder: Any, rel: Any) -> str:
    """Give `holder` a copy of what its relationship `rel` leads to; the name of the copy's relationship."""
    twin = _fresh(rel.target_part)
    name = holder.relate_to(twin, rel.reltype)  # from now on the package knows the copy's name
    _copy_relationships(rel.target_part, twin, {rel.target_part: twin})
    return name


def relationships_in(element: Any) -> set[str]:
    """The names of the relationships that `element` and what stands in it refer to."""
    return {value for each in element.iter() for name, value in each.attrib.items() if name.startswith(_R)}


def free_shape_id(slide: Any) -> int:
    """A number for a new object that no object of `slide` has, those in groups included."""
    return max((int(n) for n in slide.element.xpath("//p:cNvPr/@id") if n.isdigit()), default=1) + 1


def _forget(presentation: Any, gone: Any) -> set[Any]:
    """Remove every relationship to the part `gone`, and what in XML refers to it. Returns the parts that had one."""
    touched = set()
    for part in list(presentation.part.package.iter_parts()):
        names = {rel.rId for rel in part.rels.values() if not rel.is_external and rel.target_part is gone}
        if not names or part is gone:
            continue
        if hasattr(part, "_element"):
            for element in list(part._element.iter()):
                if any(name.startswith(_R) and value in names for name, value in element.attrib.items()):
                    _remove_reference(element)
        for name in names:
            part.rels.pop(name)
        touched.add(part)
    return touched


def _remove_reference(element: Any) -> None:
    """Remove a link or an entry of a list; of a picture that zooms to its slide, the whole object."""
    choice = next(element.iterancestors(f"{_MC}AlternateContent"), None)
    _remove(choice if choice is not None and choice.xpath(".//*[local-name()='sldZmObj']") else element)


def _copy_relationships(source: Any, twin: Any, twins: dict[Any, Any]) -> None:
    """Give `twin` the relationships of `source` under their names, and copies of the parts that are not shared."""
    for rel in source.rels.values():
        if rel.reltype.endswith("/comments"):
            continue
        target = rel._target
        if not rel.is_external and (target in twins or rel.reltype not in SHARED):
            target = twins.get(target) or _fresh(target)
        # The name stays, since the XML refers to it.
        twin.rels._rels[rel.rId] = _related(twin, rel, target)
        if target is not rel._target and rel._target not in twins:
            twins[rel._target] = target
            _copy_relationships(rel._target, target, twins)


def _related(part: Part, rel: _Relationship, target: Any) -> _Relationship:
    """`rel` as a relationship of `part` to `target`."""
    return _Relationship(part.partname.baseURI, rel.rId, rel.reltype, rel._target_mode, target)


def _fresh(part: Part) -> Part:
    """A copy of `part` under a name that no part of the package has; without relationships."""
    stem, ending = re.fullmatch(r"(.*?)\d*(\.[^./]*)?", str(part.partname)).groups(default="")
    name = part.package.next_partname(f"{stem.replace('%', '%%')}%d{ending.replace('%', '%%')}")
    return type(part).load(name, part.content_type, part.package, part.blob)


def _number(presentation: Any) -> None:
    """Name the parts of the slides in their order; python-pptx does so once, and then goes by their count."""
    names = [entry.rId for entry in presentation.slides._sldIdLst]
    slides = {presentation.part.related_part(name) for name in names}
    presentation.part.rename_slide_parts(names)
    for part in presentation.part.package.iter_parts():
        for rel in list(part.rels.values()):
            if rel._target in slides:  # a relationship that was saved once remembers the name that its target had
                part.rels._rels[rel.rId] = _related(part, rel, rel._target)


def _remove(element: Any) -> None:
    if element.getparent() is not None:  # gone already, where one object refers to a slide twice
        element.getparent().remove(element)
