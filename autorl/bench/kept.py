"""Measurements worth keeping: one file of figures a name, `eval/results/NAME.json`.

    {"name", "command", "commit", "when", "machine": {"cpus", "memory_gb", "gpu", "python"},
     "figures": {FIGURE: {"value", "unit", "interval", "n", "goal", "baseline", "command", "commit", "when"}}}

What does not apply is left out. `interval` is [low, high] at 95 %; `n` is what `value` was made from; `baseline` is
what it was measured against, in the same unit; a figure that falls short of its goal may say why in `reason`.
`goal` is text: a comparison and a number with one space between them, `"<= 1.0"` or `">= 0.9"`; `meets(value, goal)`
reads it. `commit` ends in `+` if there were changes on top of it. Several scripts may feed one file: each figure names
the command, commit and time it came from, and the file itself the last one that wrote to it.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autorl import content
from autorl.errors import UsageError


def keep(name: str, figures: Mapping[str, Mapping[str, Any]], command: str, folder: Path) -> Path:
    """Put `figures` into FOLDER/NAME.json, beside those that are there, and return the file.

    command: what makes them again, from the root of the repository; fields of a figure that are None are left out, and
    one whose value is None is taken out, as is the `reason` of one that reaches its goal.
    Raises ValueError for a goal that cannot be read.
    """
    path = folder / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    made = {"command": command, "commit": commit(folder), "when": datetime.now(UTC).isoformat(timespec="seconds")}
    kept = before.get("figures", {})
    for figure, fields in figures.items():
        kept.pop(figure, None)
        if fields["value"] is None:
            continue
        if fields.get("goal") is not None and meets(fields["value"], fields["goal"]):
            fields = {**fields, "reason": None}
        kept[figure] = {key: _rounded(value) for key, value in {**fields, **made}.items() if value is not None}
    whole = {"name": name, **made, "machine": machine(), "figures": dict(sorted(kept.items()))}
    text = json.dumps({key: value for key, value in whole.items() if value is not None}, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def results() -> list[dict[str, Any]]:
    """All that is kept, one value a file; a project's own files win over built-in ones of the same name.

    Raises UsageError for a file that is not of this form.
    """
    found = {path.stem: path for folder in reversed(content.folders("eval"))
             for path in (folder / "results").glob("*.json")}
    return [_read(path) for _, path in sorted(found.items())]


def meets(value: float, goal: str) -> bool:
    """Whether `value` reaches `goal`, such as `"<= 1.0"`. Raises ValueError for a goal of another form."""
    comparison, _, bound = goal.partition(" ")
    if comparison == "<=":
        return value <= float(bound)
    if comparison == ">=":
        return value >= float(bound)
    raise ValueError(f"the goal {goal!r} cannot be read; write '<= 1.0' or '>= 0.9'")


def show(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as lines of text, each beside its goal."""
    lines = []
    for name, figure in figures.items():
        if figure["value"] is None:
            lines.append(f"{name:28} none: there was nothing to make it of, and it is not kept")
            continue
        low, high = figure.get("interval") or (None, None)
        interval = "" if low is None else f" [{low:.3g}, {high:.3g}]"
        goal = figure.get("goal")
        verdict = "" if goal is None else f"  goal {goal}: {'met' if meets(figure['value'], goal) else 'NOT MET'}"
        lines.append(f"{name:28} {figure['value']:.3g}{interval} {figure.get('unit', '')}{verdict}")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the measurement ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {"cpus": os.cpu_count(), "memory_gb": round(memory, 1), "gpu": _output(Path(), "nvidia-smi",
             "--query-gpu=name", "--format=csv,noheader"), "python": platform.python_version()}
    return {key: value for key, value in found.items() if value}


def commit(where: Path) -> str | None:
    """The commit that was measured, None outside a repository."""
    here = _output(where, "git", "rev-parse", "--short=12", "HEAD")
    changed = _output(where, "git", "status", "--porcelain", "--", ":/", ":(exclude,top)eval/results")
    return f"{here}+" if here and changed else here


def _read(path: Path) -> dict[str, Any]:
    try:
        whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for figure in whole["figures"].values():
            meets(figure["value"], figure.get("goal") or "<= 0")
        return whole
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} holds no kept results: {error!r}", "Mend it, or move it elsewhere") from error


def _rounded(value: Any) -> Any:
    """Four significant digits: no measurement here knows more."""
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _output(where: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=where)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None
