"""Benchmarks as they are written down: eval/NAME.toml, and the task sets that it names."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autorl import content, models, tasks
from autorl.bench import leaks, simulated_user
from autorl.bench.metrics import FIGURES
from autorl.bench.spec import Spec, Split
from autorl.errors import UnknownName, UsageError
from autorl.models.local import split as model_name
from autorl.types import Task

_OWN = ("fill", "model", "user", "sizes")
_CHOSEN_HERE = ("seed", "store", "policy", "threads")
"""Settings that no definition may set: each episode has its own, or each machine."""


def names() -> list[str]:
    """The benchmarks there are."""
    return [name for name in content.names("eval", ".toml") if "/" not in name]


def load(name: str) -> Spec:
    """The benchmark `name`.

    Raises UnknownName if there is none, and UsageError that names the file, the key, its value, and what it may be.
    """
    path = content.find("eval", f"{name}.toml")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    settings = table.get("settings", {})
    common = table.pop("common", {})
    if isinstance(settings, dict) and isinstance(common, dict):
        table["settings"] = {key: _setting(key, value, common) for key, value in settings.items()}
    try:
        spec = Spec(**{**table, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "chosen")
        given = "missing" if first["type"] == "missing" else f"{first['input']!r}, which cannot be"
        raise UsageError(f"{path}: '{where}' is {given}: {first['msg']}") from error
    check(spec, path)
    return spec


def _setting(name: str, given: Any, common: Mapping[str, Any]) -> Any:
    if not isinstance(given, dict):
        return given
    merged = {**common, **given}
    own = {key: merged.pop(key) for key in _OWN if key in merged}
    # Who recalls and names no filling fills the store itself.
    return {"fill": name, **own, "chosen": merged}


def check(spec: Spec, path: Path | str) -> None:
    """Raise UsageError, which names where it comes from, for what is well formed and cannot be run."""
    for model in (*spec.models, *(setting.model for setting in spec.settings.values() if setting.model)):
        if model_name(model)[0].partition(":")[0] not in models.PROVIDERS:
            raise UnknownName("model provider", model, models.PROVIDERS, f"(in {path})")
    for key, values in (("models", spec.models), ("seeds", spec.seeds), ("sizes", spec.sizes)):
        if len(set(values)) < len(values):
            raise UsageError(f"{path}: '{key}' names something twice: {list(values)}")
    for name, setting in spec.settings.items():
        where = f"{path}: 'settings.{name}"
        for key in _CHOSEN_HERE:
            if key in setting.chosen.model_fields_set:
                raise UsageError(f"{where}.{key}' is not for a benchmark to set", f"Remove '{key}'")
        if setting.user not in simulated_user.USERS:
            raise UnknownName("simulated user", setting.user, simulated_user.USERS, f"(in {where}.user')")
        if setting.model and len(spec.models) > 1:
            raise UsageError(f"{where}.model' stands for one model of the grid, which has {len(spec.models)}",
                             "Name one model in 'models'")
        if not set(setting.sizes) <= set(spec.sizes):
            raise UsageError(f"{where}.sizes' are {list(setting.sizes)}, and 'sizes' are {list(spec.sizes)}",
                             "Add to 'sizes' what this setting is to be asked at")
        if setting.recalls and setting.fill not in spec.settings:
            raise UnknownName("setting", setting.fill, spec.settings, f"(in {where}.fill')")
    named = [("compare", name) for pair in spec.compare for name in pair]
    for figure, wanted in spec.figures.items():
        named += [(f"figures.{figure}", name) for name in (wanted.setting, wanted.against) if name]
        if wanted.of not in FIGURES:
            raise UnknownName("metric", wanted.of, FIGURES, f"(in {path}, 'figures.{figure}.of')")
        if wanted.against and (wanted.setting, wanted.against) not in spec.contrasts():
            raise UsageError(f"{path}: 'figures.{figure}' sets '{wanted.setting}' against '{wanted.against}', and "
                             "'compare' does not", "Add the pair to 'compare'")
        if wanted.size is not None and wanted.size not in spec.sizes:
            raise UsageError(f"{path}: 'figures.{figure}.size' is {wanted.size!r}, and 'sizes' are {list(spec.sizes)}")
    for name, reported in spec.published.settings.items():
        named.append(("published.settings", name))
        for metric in reported:
            if metric not in FIGURES:
                raise UnknownName("metric", metric, FIGURES, f"(in {path}, 'published.settings.{name}')")
    for where, name in named:
        if name not in spec.settings:
            raise UnknownName("setting", name, spec.settings, f"(in {path}, '{where}')")


def read_tasks(spec: Spec, *, skip_wrong: bool = False) -> Split:
    """The tasks that a benchmark names.

    skip_wrong: leave out the lines that hold no task; they stand in `wrong`
    Raises UnknownName for a set there is none of, and UsageError for one that cannot be read or has a wrong line, for
    an id that two tasks have, and for a held-out task that is among those to learn from.
    """
    wrong: dict[str, None] = {}
    learn, held_out = (
        tuple(_each(name, skip_wrong, wrong) for name in names) for names in (spec.tasks.learn, spec.tasks.held_out))
    found = Split(learn=_all(learn), held_out=_all(held_out), wrong=tuple(wrong))
    recalls = any(setting.recalls for setting in spec.settings.values()) and any(spec.sizes)
    for key, needed, there in (("held_out", True, found.held_out), ("learn", recalls, found.learn)):
        if needed and not there:
            raise UsageError(f"there is no task in 'tasks.{key}' of {spec.name}", "Name a task set that is not empty")
    known = {task.id for task in found.held_out}
    leaks.refuse(((task.id, task.text) for task in found.learn if task.id in known or not spec.tasks.alike),
                 found.held_out)
    return found


def _each(name: str, skip_wrong: bool, wrong: dict[str, None]) -> tuple[Task, ...]:
    """The tasks of a set, or of a part of one; its wrong lines are added to `wrong`."""
    part = re.fullmatch(r"(.+?)\[(\d*):(\d*)\]", name)
    found = tasks.load(part[1] if part else name, skip_wrong=skip_wrong)
    wrong.update(dict.fromkeys(f"{found.name}, {line}" for line in found.wrong))
    start, stop = (int(number) if number else None for number in (part.groups()[1:] if part else ("", "")))
    return found.tasks[start:stop]


def _all(sets: tuple[tuple[Task, ...], ...]) -> tuple[Task, ...]:
    found: dict[str, Task] = {}
    for task in (task for one in sets for task in one):
        if found.setdefault(task.id, task) is not task:
            raise UsageError(f"two tasks of a split have the id '{task.id}'", "Rename one of them")
    return tuple(found.values())
