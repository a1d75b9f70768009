"""Runs Python code that a model wrote: in a process of its own, under limits, without network, in one folder.

The process shuts itself in before it runs the code (`inside/`), with every layer that the machine has: namespaces
with a private root, Landlock, seccomp, limits. Any of them may be refused (in a container, by an old kernel); where
what is left does not hold files, network, processes and limits for certain, the code is not run.
"""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from autorl.errors import AutorlError, UsageError
from autorl.sandbox import leavings, process
from autorl.sandbox.inside.main import enough

LAYERS = ("namespaces", "private root", "landlock", "seccomp", "limits")
"""What is tried, in this order."""
REMEDY = ("Use Linux 6.2 or later, or allow user namespaces; to run scripts without confinement all the same, "
          "set AUTORL_UNSANDBOXED=1")
_ISOLATED = ("-I", "-S", "-u", "-X", "utf8", "-X", "no_debug_ranges")
_BOOT = "import sys; sys.path.append(sys.argv[1]); from inside.main import main; main(int(sys.argv[2]))"
_MB = 1 << 20


class SandboxUnavailable(AutorlError):
    """This machine cannot confine a script."""

    exit_code = 2


@dataclass(frozen=True)
class SandboxLimits:
    """What a script may use.

    seconds: wall clock; cpu_seconds: processor time; memory_mb: address space; output_bytes: kept of each of stdout
    and stderr, the rest is counted; file_mb: largest file; disk_mb, files: what the workspace may grow by
    """

    seconds: float = 45
    cpu_seconds: int = 30
    memory_mb: int = 1024
    output_bytes: int = 32_000
    file_mb: int = 32
    disk_mb: int = 128
    files: int = 500


@dataclass(frozen=True)
class Layers:
    """What confines a script here: name -> in which form; and what is missing: name -> why."""

    held: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether files, network, processes and limits hold for certain."""
        return enough({name: (True, how) for name, how in self.held.items()})


@dataclass(frozen=True)
class Outcome:
    """What came of a script.

    code: its exit code; -N if signal N ended it
    limit: which limit ended it, in words; "" if none did
    stdout, stderr: with their middle cut out where `omitted` bytes of both are missing
    files: new and changed files below the workspace, with their bytes
    undone: new files and folders that were removed because there were too many or too large; 0 if there were not
    removed: what it made that is no file of a workspace (a link that leads out, a device) and was removed
    """

    code: int
    limit: str
    stdout: str
    stderr: str
    omitted: int
    seconds: float
    files: dict[str, int]
    undone: int
    removed: tuple[str, ...]
    layers: Layers


def layers() -> Layers:
    """What this machine offers; tried, not guessed."""
    if os.name != "posix":
        return Layers(missing=dict.fromkeys(LAYERS, f"there is none on {sys.platform}"))
    with tempfile.TemporaryDirectory() as folder:
        return run_python("", Path(folder), unsandboxed=True).layers


def run_python(code: str, workspace: Path, *, limits: SandboxLimits = SandboxLimits(), readable: Sequence[Path] = (),
               unsandboxed: bool = False) -> Outcome:
    """Run `code` as a program that sees the packages of this Python, `workspace`, and nothing else.

    It starts in `workspace` and may write there alone; it may read `readable` folders too. It has no arguments, no
    input, no environment but a few harmless variables, no network, and it stays one process with one thread.
    unsandboxed: run it even where it cannot be confined; then with what layers there are. What it leaves is put in
    order: after an excess of files or bytes all its new files are removed. Raises SandboxUnavailable, and UsageError
    for a workspace that holds this Python's own packages.
    """
    if os.name != "posix":
        raise SandboxUnavailable(f"scripts cannot be run on {sys.platform}", "Use Linux")
    root = workspace.resolve()
    packages = _packages()
    for path in map(os.path.realpath, (*packages, os.path.dirname(__file__), sys.base_prefix)):
        if Path(path).is_relative_to(root):
            raise UsageError(f"the workspace {root} holds code that autorl runs ({path}), and a script could change it",
                             "Use a folder of its own")
    before = leavings.look(root)
    started = time.monotonic()
    plan = {"code": code, "workspace": str(root), "readable": [str(path.resolve()) for path in readable],
            "packages": packages, "limits": asdict(limits), "layers": LAYERS, "unsandboxed": unsandboxed,
            "parent": os.getpid()}
    ended = process.run(
        [sys.executable, *_ISOLATED, "-c", _BOOT, str(Path(__file__).parent)],
        json.dumps(plan).encode(), root, _environment(root), seconds=limits.seconds, output_bytes=limits.output_bytes,
        excess=lambda: leavings.excess(root, before, limits.files, limits.disk_mb * _MB))
    held = _reported(ended, unsandboxed)
    excess = leavings.excess(root, before, limits.files, limits.disk_mb * _MB)
    undone = leavings.undo(root, before) if excess else 0
    files, removed = leavings.tidy(root, before)
    return Outcome(
        code=ended.code, limit=_limit(ended, excess, limits), undone=undone, files=files, removed=tuple(removed),
        stdout=str(ended.stdout), stderr=str(ended.stderr), omitted=ended.stdout.omitted + ended.stderr.omitted,
        seconds=time.monotonic() - started, layers=held)


def _packages() -> list[str]:
    """Where this Python has its packages; the other places it looks in are projects, which may hold anything."""
    return [os.path.realpath(path) for path in sys.path
            if os.path.basename(path) in ("site-packages", "dist-packages") and os.path.isdir(path)]


def _environment(root: Path) -> dict[str, str]:
    # The script is one thread, and a library that starts more of them at its import must be told.
    quiet = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    found = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}  # Python may need it
    return {"PATH": "/usr/bin:/bin", "HOME": str(root), "TMPDIR": str(root), "LANG": "C.UTF-8", **quiet, **found}


def _reported(ended: process.Ended, unsandboxed: bool) -> Layers:
    if not ended.report.head:
        raise SandboxUnavailable(f"the process of a script ended before it was confined ({ended.stopped or ended.code})"
                                 f": {str(ended.stderr).strip()[-500:]}", "`autorl doctor` tries it without a script")
    found = json.loads(str(ended.report))
    layers = Layers({name: how for name, (held, how) in found.items() if held},
                    {name: why for name, (held, why) in found.items() if not held})
    if not (layers.enough or unsandboxed):
        missing = "; ".join(f"no {name} ({why})" for name, why in layers.missing.items())
        raise SandboxUnavailable(f"this machine cannot confine a script: {missing}", REMEDY)
    return layers


def _limit(ended: process.Ended, excess: str, limits: SandboxLimits) -> str:
    if excess or ended.stopped:
        return excess or ended.stopped
    if ended.code != -signal.SIGKILL:
        return ""
    if ended.cpu > limits.cpu_seconds - 0.5:
        return f"it computed longer than {limits.cpu_seconds} s"
    return "the system killed it, most likely for want of memory"
