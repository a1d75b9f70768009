"""Whether a saved .pptx is sound: walked as an archive, without python-pptx."""

import posixpath
import zipfile
from collections import Counter
from pathlib import Path

from lxml import etree

R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
SLIDE = "application/vnd.openxmlformats-officedocument.presentationml.slide+xml"


def relationships(parts, name):
    """rId -> target's name; None for an external one."""
    folder, base = posixpath.split(name)
    rels = posixpath.join(folder, "_rels", f"{base}.rels")
    if rels not in parts:
        return {}
    found = {}
    for rel in etree.fromstring(parts[rels]):
        target = rel.get("Target")
        found[rel.get("Id")] = None if rel.get("TargetMode") == "External" else (
            target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target)))
    return found


def faults(path: Path) -> list[str]:
    """What is wrong with the file at `path`; nothing, if it is sound."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        parts = {name: archive.read(name) for name in names}
    found = [f"two parts {name}" for name, count in Counter(n.lower() for n in names).items() if count > 1]
    types = etree.fromstring(parts["[Content_Types].xml"])
    defaults = {e.get("Extension").lower() for e in types.iter("{*}Default")}
    overrides = {e.get("PartName").lstrip("/"): e.get("ContentType") for e in types.iter("{*}Override")}
    found += [f"a type for {name}, which is not there" for name in overrides if name not in parts]
    content = [name for name in names if name != "[Content_Types].xml" and not name.endswith(".rels")]
    found += [f"no type for {name}" for name in content
              if name not in overrides and name.rpartition(".")[2].lower() not in defaults]
    reached, waiting = set(), [""]
    while waiting:
        name = waiting.pop()
        rels = relationships(parts, name)
        for id, target in rels.items():
            if target is not None and target not in parts:
                found.append(f"{id} of {name or 'the package'} leads to {target}, which is not there")
            elif target is not None and target not in reached:
                reached.add(target)
                waiting.append(target)
        if name.endswith(".xml") and not name.startswith("docProps"):
            tree = etree.fromstring(parts[name])
            used = {value for e in tree.iter() for key, value in e.attrib.items() if key.startswith(R) and value}
            found += [f"{name} refers to {id}, which is no relationship" for id in used - rels.keys()]
    found += [f"nothing leads to {name}" for name in content if name not in reached]
    return found + _of_slides(parts, overrides)


def _of_slides(parts, overrides):
    presentation = etree.fromstring(parts["ppt/presentation.xml"])
    rels = relationships(parts, "ppt/presentation.xml")
    entries = list(presentation.iterfind("{*}sldIdLst/{*}sldId"))
    listed = [rels[entry.get(f"{R}id")] for entry in entries]
    ids = [entry.get("id") for entry in entries]
    found = [f"slide {name} is not listed" for name, kind in overrides.items() if kind == SLIDE and name not in listed]
    found += [f"{what} twice: {each}" for what, all in (("entry", ids), ("slide", listed))
              for each, count in Counter(all).items() if count > 1]
    in_sections = [e.get("id") for e in presentation.iterfind("{*}extLst//{*}sectionLst//{*}sldId")]
    if in_sections and in_sections != ids:
        found.append(f"sections list {in_sections}, the deck {ids}")
    notes = Counter()
    for name in listed:
        shapes = Counter(e.get("id") for e in etree.fromstring(parts[name]).iter("{*}cNvPr"))
        found += [f"{name} has the id {id} {count} times" for id, count in shapes.items() if count > 1]
        for target in relationships(parts, name).values():
            if target and "notesSlide" in target:
                notes[target] += 1
                if name not in relationships(parts, target).values():
                    found.append(f"{target} does not lead back to {name}")
    return found + [f"{count} slides share {name}" for name, count in notes.items() if count > 1]
