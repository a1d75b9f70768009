"""Looking over a .pptx as an archive, before anything of it is parsed or trusted."""

import copy
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from lxml import etree

from autorl.errors import ToolError

_MB = 1024 * 1024
_LARGEST = 200 * _MB
_LARGEST_XML = 64 * _MB
_MOST_PARTS = 20_000
_RATIO = 100
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
"""For XML that anyone may have written."""
_CHUNK = 64 * 1024
# Measured with lxml 6.1: what a parsed tree takes for an element or text (125 B) and for an attribute (240 B), and
# what python-pptx makes of a relationship.
_PER_TAG, _PER_ATTRIBUTE, _PER_RELATIONSHIP = 125, 240, 1_000
_HEAVIEST = 256 * _MB
_ENCODINGS = ("utf-8", "us-ascii", "ascii", "iso-8859-1", "windows-1252")
_ENCODING = re.compile(rb"""^<\?xml[^>]*\sencoding\s*=\s*["']([^"']*)""")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0", b"Lo\xa7\x94")  # UTF-16, UTF-32 and EBCDIC, as parsers detect them


class BrokenDeck(ToolError):
    """A file that calls itself a .pptx cannot be opened, or had better not be."""


def look_over(path: Path) -> None:
    """Refuse an archive that would fill the memory, or whose parts are not what they say.

    Sizes are counted while unpacking piece by piece, since a directory may lie; what is parsed is weighed by its tags
    and attributes, since those fill the memory. Raises BrokenDeck.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise BrokenDeck(f"'{path.name}' is encrypted or in the format of before 2007", "Save it as .pptx, unprotected")
    if not start.startswith(b"PK"):
        raise BrokenDeck(f"'{path.name}' is not a .pptx (it is no zip archive)", "Make it again")
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if "[Content_Types].xml" not in archive.namelist():
            raise BrokenDeck(f"'{path.name}' is a zip archive, but no presentation", "Make it again")
        _look_at_sizes(path, parts)
        _look_at_names(path, parts)
        weight = 0
        for part in parts:
            weight += _weight(path, archive, part)
            if weight > _HEAVIEST:
                raise BrokenDeck(f"'{path.name}' holds more tags and attributes than fit into {_HEAVIEST // _MB} MB",
                                 "Split it into smaller decks")
        _look_at_types(path, archive)


def _look_at_sizes(path: Path, parts: list[zipfile.ZipInfo]) -> None:
    size = sum(part.file_size for part in parts)
    xml = sum(part.file_size for part in parts if _is_xml(part))
    ratio = size / max(path.stat().st_size, 1)
    if max(size, path.stat().st_size) > _LARGEST or xml > _LARGEST_XML or ratio > _RATIO or len(parts) > _MOST_PARTS:
        unpacked = f"{size / _MB:.0f} MB in {len(parts)} parts, {ratio:.0f} times its size"
        raise BrokenDeck(f"'{path.name}' unpacks to {unpacked}",
                         f"Decks of up to {_LARGEST // _MB} MB and {_RATIO} times their size are opened")


def _look_at_names(path: Path, parts: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for part in parts:
        name = part.orig_filename
        if part.flag_bits & 1:
            raise BrokenDeck(f"'{path.name}' is encrypted", "Save it unprotected")
        if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BrokenDeck(f"'{path.name}' is packed in a way that no .pptx is", "Save it again in PowerPoint")
        steps = name.removesuffix("/").split("/")
        if "\\" in name or "\0" in name or PureWindowsPath(name).drive or not {"", ".", ".."}.isdisjoint(steps):
            raise BrokenDeck(f"'{path.name}' has a part named {name[:60]!r}, which leads elsewhere",
                             "Save it again in PowerPoint")
        if name.lower() in seen:  # names of parts are compared without case (ECMA-376 part 2, 6.2.2.3)
            raise BrokenDeck(f"'{path.name}' has two parts named {name[:60]!r}", "Save it again in PowerPoint")
        seen.add(name.lower())


def _look_at_types(path: Path, archive: zipfile.ZipFile) -> None:
    """What is going to be parsed has to be named as XML, since only that was looked at as such."""
    for entry in etree.fromstring(archive.read("[Content_Types].xml"), PARSER):
        kind, name = entry.get("ContentType", ""), entry.get("PartName") or f".{entry.get('Extension')}"
        parsed = kind.startswith("application/vnd.") and kind.endswith("+xml")
        if parsed and not name.lower().endswith((".xml", ".rels")):
            raise BrokenDeck(f"'{path.name}' passes off {name[:60]!r} as XML", "Save it again in PowerPoint")


def _weight(path: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> int:
    """What the parsed part will take in bytes; 0 for one that is no XML."""
    size = weight = 0
    xml, tail = None, b""
    for chunk in _unpacked(archive, part):
        if xml is None and not chunk.isspace():
            xml = _begins_as_xml(path, part, chunk)
        size += len(chunk)
        if size > part.file_size:
            break
        if xml:
            relationship = part.filename.lower().endswith(".rels")
            weight += len(chunk) + chunk.count(b"<") * (_PER_RELATIONSHIP if relationship else _PER_TAG)
            weight += chunk.count(b"=") * _PER_ATTRIBUTE
            if b"<!DOCTYPE" in tail + chunk and not part.filename.lower().endswith(".svg"):  # a picture is not parsed
                raise BrokenDeck(f"'{path.name}' declares entities of its own in {part.filename[:60]!r}",
                                 "Save it again in PowerPoint")
            tail = chunk[-8:]
    if size != part.file_size:
        raise BrokenDeck(f"'{path.name}' lies about the size of {part.filename[:60]!r}", "Make it again")
    return weight


def _unpacked(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """What the part really holds, whatever the directory says of its size."""
    open_ended = copy.copy(part)
    open_ended.file_size = _LARGEST + 1
    open_ended.CRC = None  # type: ignore[assignment]
    with archive.open(open_ended) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _begins_as_xml(path: Path, part: zipfile.ZipInfo, chunk: bytes) -> bool:
    """Whether a parser would take the part for XML. Raises BrokenDeck where its bytes are not its characters."""
    head = chunk.removeprefix(b"\xef\xbb\xbf").lstrip()
    declared = _ENCODING.match(head[:300])
    if declared and declared[1].lower().decode("ascii", "replace") not in _ENCODINGS:
        raise BrokenDeck(f"'{path.name}' has XML in the encoding {declared[1][:20].decode('ascii', 'replace')!r}",
                         "Save it again in PowerPoint")
    if _is_xml(part) and chunk.startswith(_WIDE):
        raise BrokenDeck(f"'{path.name}' has XML that is not in UTF-8", "Save it again in PowerPoint")
    return head.startswith(b"<")


def _is_xml(part: zipfile.ZipInfo) -> bool:
    return part.filename.lower().endswith((".xml", ".rels"))
