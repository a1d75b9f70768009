"""What every command does the same way: print for people, or one JSON value for programs."""

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from autorl.errors import AutorlError
    from autorl.replay.store import ReplayStore
    from autorl.types import Check

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout, and nothing else there.")]
Format = Annotated[str | None, typer.Option(help="react, act, structured or native. [default: what the policy learned, "
                                                 "or react]", show_default=False)]
Store = Annotated[str | None, typer.Option("--store", help="Replay store: a file or a database URL.")]


@cache
def console() -> "Console":
    """Where people read: stdout, coloured only if it is a terminal and NO_COLOR is not set."""
    from rich.console import Console

    # A pipe gets lines as they are: no wrapping at 80 columns of what another program reads.
    width = None if sys.stdout.isatty() else 10_000
    return Console(highlight=False, soft_wrap=True, width=width, emoji=False)


def say(text: str = "", style: str = "") -> None:
    """A line for people; `text` is printed as it is."""
    console().print(_writable(text), style=style or None, markup=False)


def on_one_line() -> "Callable[[str], None] | None":
    """Tells what is being done, on a line that changes and is wiped in the end; None where nobody looks."""
    if not sys.stderr.isatty():
        return None
    return lambda told: print(f"\r{told}\033[K\r", end="", file=sys.stderr, flush=True)


def give(value: Any) -> None:
    """The one JSON value of a command."""
    print(_writable(json.dumps(value, ensure_ascii=False, default=str)), flush=True)


def _writable(text: str) -> str:
    """Without lone surrogates, which stand for bytes of the command line that are no text, and which no pipe takes."""
    return text.encode("utf-8", "replace").decode()


def fail(error: "AutorlError", *, as_json: bool) -> None:
    """Say what went wrong: on stderr for people, on stdout as JSON for programs."""
    if as_json:
        give({"error": error.what, "kind": type(error).__name__, "remedy": error.remedy})
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


def open_store(where: str | None) -> "ReplayStore":
    """The store that the settings name."""
    from autorl.replay import embed
    from autorl.replay.store import ReplayStore
    from autorl.settings import resolve

    chosen = resolve({"store": where})
    return ReplayStore(chosen.store, embedder=embed.load(chosen.embedder, chosen.embedder_url))


def say_checks(checks: "Sequence[Check]") -> None:
    """What a verifier looked at: each check that has something to tell on a line, the others by name."""
    for check in checks:
        if not check.passed or check.found:
            remedy = f" -> {check.remedy}" if check.remedy and not check.passed else ""
            say(f"  {'ok ' if check.passed else 'no '} {check.name}: {check.found or 'failed'}{remedy}")
    quiet = [check.name for check in checks if check.passed and not check.found]
    if quiet:
        say(f"  ok  {', '.join(quiet)}", style="dim")
