"""A script that the model writes in one go, run in the sandbox."""

import io
import re
import signal
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from autorl import sandbox, settings
from autorl.errors import ToolError
from autorl.registry import Answer, Pack, RunContext, tool

LIMITS = sandbox.SandboxLimits(seconds=45, cpu_seconds=30)
_LONGEST = 20_000
_SHOWN = 1_200  # characters of each of its output and its error; both, and the files, are below what a policy reads
_FILES_SHOWN = 15

_CONFINED = ("A script has no network, no arguments and no input; it starts no process, thread or program, makes no "
             "links and changes no modes (shutil.copyfile copies); it sees its own folder, by relative names")
# What the last line of an error tells about the limit behind it.
_HINTS = (
    (r"MemoryError", f"A script may use {LIMITS.memory_mb} MB of memory: make less at a time"),
    (r"\[Errno 27\]", f"A file may have {LIMITS.file_mb} MB"),
    (r"\[Errno (1|13|30|-2|-3)\]|\[Errno 2\].*: '/|new thread", _CONFINED),
    (r"ModuleNotFoundError", "It can import the standard library, pptx, lxml, PIL and numpy"),
)


@tool(timeout=60)
def python_script(
    code: Annotated[str, Field(min_length=1, max_length=_LONGEST)], context: RunContext,
) -> Answer:
    """Run a Python script that makes files with python-pptx.

    code: the whole program. It starts in the workspace, such as prs.save("deck.pptx"), and has no network
    """
    workspace = context.workspace
    workspace.settle()
    try:
        outcome = sandbox.run_python(code, workspace.root, limits=LIMITS, readable=workspace.readable,
                                     unsandboxed=settings.resolve().unsandboxed)
    except OSError as error:
        raise ToolError(f"the script could not be run: {error}") from error
    finally:
        workspace.documents.clear()
    text = "\n".join(line for line in _told(code, outcome) if line)
    if outcome.code or outcome.limit:
        raise ToolError(text)
    return Answer(text, {"files": outcome.files, "seconds": outcome.seconds, "layers": outcome.layers.held})


def _told(code: str, outcome: sandbox.Outcome) -> list[str]:
    error = outcome.stderr.rstrip()
    files = [f"{name} ({size} bytes)" for name, size in sorted(outcome.files.items())]
    last = error.rpartition("\n")[2]
    missing = ", ".join(outcome.layers.missing)
    return [
        _ending(code, outcome),
        _end(error, "Its errors" if outcome.code else "Its warnings"),
        _end(outcome.stdout.rstrip(), "It printed"),
        _listed("It made or changed", files) or "It made and changed no file.",
        f"All that it made was removed ({outcome.undone} files and folders)." if outcome.undone else "",
        _listed("Removed, for it is no file, leads out, or has a name that is no text", outcome.removed),
        "" if outcome.layers.enough else f"It ran unconfined, without {missing}.",
        next((f"{hint}." for pattern, hint in _HINTS if outcome.code and re.search(pattern, last)), ""),
    ]


def _ending(code: str, outcome: sandbox.Outcome) -> str:
    """How it ended, and where: the last of its own lines in the traceback."""
    if outcome.limit:
        return f"the script was ended: {outcome.limit}. Make it do less"
    if outcome.code < 0:
        return f"the script was ended by signal {-outcome.code} ({signal.strsignal(-outcome.code)})"
    if not outcome.code:
        return f"The script ran to its end in {outcome.seconds:.1f} s."
    numbers = re.findall(r'File "script.py", line (\d+)', outcome.stderr)
    lines = list(io.StringIO(code, newline=None))
    if not numbers or int(numbers[-1]) > len(lines):
        return f"the script ended with exit code {outcome.code}"
    return f"the script failed in line {numbers[-1]}: {lines[int(numbers[-1]) - 1].strip()[:200]}"


def _listed(name: str, items: Sequence[str]) -> str:
    more = f" and {len(items) - _FILES_SHOWN} more" if len(items) > _FILES_SHOWN else ""
    return f"{name}: {', '.join(items[:_FILES_SHOWN])}{more}." if items else ""


def _end(text: str, name: str) -> str:
    omitted = max(len(text) - _SHOWN, 0)
    cut = f"[... {omitted} characters omitted ...] " if omitted else ""
    return f"{name}:\n{cut}{text[omitted:]}" if text else ""


pack = Pack(tools=[python_script])
