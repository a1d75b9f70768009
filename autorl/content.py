"""Finds tools/, prompts/, tasks/ and eval/: the user's project first, then what autorl brings (policies/, too)."""

import importlib
import sys
import types
from functools import cache
from pathlib import Path

from autorl.errors import UnknownName, UsageError
from autorl.registry import Pack, tools_in

CONFIG = "autorl.toml"
NAMESPACE = "autorl_tools"


@cache
def builtin() -> Path:
    """The folder that holds autorl's own five: `_content` in a wheel, the repository in a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / "_content"
    return packaged if packaged.is_dir() else here.parent


def project(start: Path | None = None) -> Path | None:
    """The nearest folder at or above `start` (the current one) with an autorl.toml, or None."""
    start = (start or Path.cwd()).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / CONFIG).is_file()), None)


def folders(kind: str) -> list[Path]:
    """Where things of a kind (`tools`, `prompts`, ...) are looked for, best first."""
    roots = [root for root in (project(), builtin()) if root]
    return list(dict.fromkeys(root / kind for root in roots if (root / kind).is_dir()))


def find(kind: str, name: str) -> Path:
    """The file `name` of a kind. Raises UnknownName with the nearest one there is."""
    for folder in folders(kind):
        path = (folder / name).resolve()
        if path.is_file() and path.is_relative_to(folder.resolve()):
            return path
    suffix = Path(name).suffix
    raise UnknownName(kind.rstrip("s"), name.removesuffix(suffix), names(kind, suffix))


def names(kind: str, suffix: str) -> list[str]:
    """Names, without the suffix, of all files of a kind."""
    found = {p.relative_to(f).with_suffix("").as_posix() for f in folders(kind) for p in f.rglob(f"*{suffix}")}
    return sorted(found)


def packs() -> list[str]:
    """Names of all tool packs: modules and packages directly under a tools/ folder."""
    entries = [entry for folder in folders("tools") for entry in folder.iterdir()]
    found = {e.stem for e in entries if e.suffix == ".py" or (e / "__init__.py").is_file()}
    return sorted(name for name in found if not name.startswith("_"))


def load_pack(name: str) -> Pack:
    """Import the tool pack `name`. Raises UnknownName, or UsageError if its module does not import."""
    if name not in packs():
        raise UnknownName("pack", name, packs())
    namespace = sys.modules.get(NAMESPACE) or types.ModuleType(NAMESPACE, "Tool packs of all tools/ folders.")
    namespace.__path__ = [str(folder) for folder in folders("tools")]
    sys.modules[NAMESPACE] = namespace
    try:
        return tools_in(importlib.import_module(f"{NAMESPACE}.{name}"))
    except UsageError:
        raise
    except ImportError as error:
        remedy = f"Install it: pip install {error.name}"
        raise UsageError(f"the pack '{name}' needs the module '{error.name}'", remedy) from error
    except Exception as error:
        raise UsageError(f"the pack '{name}' does not import: {type(error).__name__}: {error}") from error
