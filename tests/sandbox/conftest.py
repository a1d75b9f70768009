"""The sandbox with all its layers, and with those alone that must hold by themselves."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autorl import sandbox
from autorl.sandbox import Outcome, SandboxLimits, run_python
from tests import needs

MODES = {"every layer": sandbox.LAYERS, "no namespaces": ("landlock", "seccomp", "limits"),
         "no Landlock": ("namespaces", "private root", "seccomp", "limits")}
OPEN = ("limits",)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each set of layers that must hold by itself, in force for one test."""
    require(request.param)
    monkeypatch.setattr(sandbox, "LAYERS", MODES[request.param])
    return request.param


def require(mode: str) -> None:
    needs.require(set(MODES[mode]) <= set(sandbox.layers().held), f"sandbox of '{mode}'",
                  "Linux 6.2 or later, where user namespaces are allowed (`autorl doctor` names what is refused)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def in_the_open(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> Outcome:
    """Run `code` as on a machine that has nothing to confine it."""
    monkeypatch.setattr(sandbox, "LAYERS", OPEN)
    return run_python(code, folder, unsandboxed=True, limits=SandboxLimits(**limits))


@contextlib.contextmanager
def orphans() -> Iterator[set[int]]:
    """The processes that outlive what started them in this block come to this process, and into this set."""
    libc, before, left = ctypes.CDLL(None), children(os.getpid()), set[int]()
    libc.prctl(36, 1, 0, 0, 0)
    try:
        yield left
        left |= children(os.getpid()) - before
    finally:
        libc.prctl(36, 0, 0, 0, 0)
        for each in left:
            os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)


def children(of: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == of:
                found.add(int(path.parent.name))
    return found
