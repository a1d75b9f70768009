"""Opening a .pptx that anyone may have made: looked over as an archive, then as a presentation."""

import zipfile
from pathlib import Path
from typing import Any

from pptx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from pptx.package import Package

from autorl.workspace import Workspace

from .archive import BrokenDeck, look_over
from .surgery import drop_unlisted
from .wording import clean

__all__ = ["BrokenDeck", "broken", "deck_files", "open_presentation"]
_WITHOUT_MACROS = (CONTENT_TYPE.PML_PRESENTATION_MAIN, CONTENT_TYPE.PML_TEMPLATE_MAIN, CONTENT_TYPE.PML_SLIDESHOW_MAIN)


def deck_files(workspace: Workspace) -> list[Path]:
    """Every .pptx of the workspace, the most recently written last; links and lock files are left out."""
    named = (p for p in workspace.root.rglob("*") if p.suffix.lower() == ".pptx" and not p.name.startswith(("~$", ".")))
    found = [p for p in named if p.is_file() and not p.is_symlink()]
    return sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name))


def open_presentation(path: Path) -> Any:
    """The python-pptx presentation at `path`; a template or a slide show becomes one.

    Nothing that the file links to is fetched. Slides that it holds but does not list are left out. Raises BrokenDeck,
    in one line, for anything that is no presentation, carries macros, or would fill the memory.
    """
    if not path.is_file():
        raise BrokenDeck(f"there is no file '{path.name}'", "Name a .pptx that is there")
    try:
        look_over(path)
        package = Package.open(str(path))
        presentation = _main_part(path, package).presentation
        drop_unlisted(presentation)
        for slide in presentation.slides:
            _ = slide.slide_layout.slide_master, len(slide.shapes)  # what every tool goes by
        return presentation
    except BrokenDeck:
        raise
    except zipfile.BadZipFile as error:
        raise BrokenDeck(f"'{path.name}' is damaged or cut off ({clean(str(error))[:120]})", "Make it again") from error
    except Exception as error:  # python-pptx and lxml raise whatever they trip over
        raise broken(path, error) from error


def broken(path: Path, error: Exception) -> BrokenDeck:
    """What to say of a deck that trips up python-pptx or lxml."""
    reason = clean(str(error))[:120]
    return BrokenDeck(f"'{path.name}' does not open as a presentation ({type(error).__name__}: {reason})",
                      "Make it again")


def _main_part(path: Path, package: Package) -> Any:
    kinds = {part._content_type for part in package.iter_parts()}
    if any("macroEnabled" in kind or "vbaProject" in kind for kind in kinds):
        raise BrokenDeck(f"'{path.name}' carries macros", "Save it as .pptx, without them")
    for rel in list(package._rels.values()):
        # LibreOffice misspells this type in templates, and python-pptx would write a second such part beside it.
        if not rel.is_external and rel.target_part._content_type == CONTENT_TYPE.OPC_CORE_PROPERTIES:
            package._rels.pop(rel.rId)
            package.relate_to(rel.target_part, RELATIONSHIP_TYPE.CORE_PROPERTIES)
    main = package.main_document_part
    if main._content_type not in _WITHOUT_MACROS:
        kind = main._content_type.rpartition("/")[2][:80]
        raise BrokenDeck(f"'{path.name}' holds no presentation but '{clean(kind)}'", "Save it as .pptx")
    main._content_type = CONTENT_TYPE.PML_PRESENTATION_MAIN
    return main
