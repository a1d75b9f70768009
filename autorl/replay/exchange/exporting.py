"""Runs out of a store, as JSON lines."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import sqlalchemy as sa

from autorl.errors import StoreUnavailable
from autorl.registry import Pack
from autorl.replay import batches, files
from autorl.replay.batches import Kept
from autorl.replay.exchange import chat, own
from autorl.replay.exchange.lines import LONGEST, PARTS, fits, write_json
from autorl.replay.exchange.tools import Tools
from autorl.replay.schema import recallable, runs
from autorl.replay.store import ReplayStore
from autorl.types import Status

Form = Literal["trl", "openai", "autorl"]


@dataclass
class Exported:
    """What an export wrote: runs, and bytes; and what it did not.

    left_out: runs by the reason; steps_left_out: steps without an action, of runs that were written as messages
    tools: where the schemas of their tools came from, by runs
    files: that were copied, missing_files: that were to be and are gone, or are not what their run made
    """

    runs: int = 0
    bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    steps_left_out: int = 0
    tools: Counter[str] = field(default_factory=Counter)
    files: int = 0
    missing_files: list[str] = field(default_factory=list)


def export(store: ReplayStore, to: IO[bytes], form: Form, *, load_pack: Callable[[str], Pack], good: bool,
           copies: Path | None = None) -> Exported:
    """Write the runs of `store` to `to`, by id, one a line, and tell what was left out and why.

    form: `trl` and `openai` are messages with tools (chat.py), for training and for other programs; `autorl` loses
        nothing (own.py), and what `import` makes of it can be an equal store
    good: only what may be recalled and trained on (finished, passed, trusted, within the cap of its source)
    copies: a folder that gets the files that the runs made, each content once
    Memory does not grow with the number of runs. Runs that are added meanwhile may or may not be among them.
    Raises StoreUnavailable if the store cannot be read, OSError if `to` cannot be written.
    """
    done = Exported(left_out=_left_out(store, good))
    tools = Tools(load_pack)

    def put(line: bytes) -> None:
        done.bytes += to.write(line) + to.write(b"\n")

    if form == "autorl":
        put(write_json(own.begin(own.Store.model_validate(batches.about(store._database)))))
    for kept in store.each(good=good):
        line = own.line(kept) if form == "autorl" else _messages(kept, form, tools, done)
        if line and not fits(line):
            done.left_out[f"longer than {LONGEST:,} bytes, or of more than {PARTS:,} parts"] += 1
        elif line:
            put(line)
            done.runs += 1
            if copies:
                _copy(store, kept, copies, done)
    if form == "autorl":
        put(write_json(own.end(done.runs)))
    done.tools = tools.told
    return done


def _messages(kept: Kept, form: Form, tools: Tools, done: Exported) -> bytes | None:
    """The line of a run as messages; None if there is nothing to tell."""
    if kept.pruned:
        done.left_out["pruned"] += 1
        return None
    written = chat.write(kept.run, openai=form == "openai")
    if len(written.messages) == 1:
        done.left_out["without an action"] += 1
        return None
    if form == "trl" and any(step.action and _wide(step.action.arguments) for step in kept.run.steps):
        # One of them and the loader of `datasets` refuses the whole file.
        done.left_out["with a whole number of more than 64 bits"] += 1
        return None
    done.steps_left_out += written.left_out
    return write_json({"messages": written.messages, "tools": tools.of(kept.run)})


def _wide(value: Any) -> bool:
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    return any(map(_wide, value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()))


def _copy(store: ReplayStore, kept: Kept, copies: Path, done: Exported) -> None:
    for artifact in kept.run.artifacts:
        found = store.file(kept.run.id, artifact)
        try:
            if found is None:
                raise StoreUnavailable("it is gone")
            files.keep(copies, found, artifact)
            done.files += 1
        except StoreUnavailable:
            done.missing_files.append(f"{kept.run.id}: {artifact.path}")


def _left_out(store: ReplayStore, good: bool) -> Counter[str]:
    """How many runs will not be exported, by the reason."""
    entered = sa.exists().where(recallable.c.run == runs.c.id)
    kinds = (runs.c.status, runs.c.passed, runs.c.trust, entered, runs.c.pruned.is_not(None))
    query = sa.select(*kinds, sa.func.count()).group_by(*kinds)
    left: Counter[str] = Counter()
    for status, passed, trust, may, pruned, count in store._database.read(lambda c: c.execute(query).all()):
        why = "still running" if status == Status.RUNNING else ""
        if good and not why:
            why = ("not finished" if status != Status.FINISHED else "not verified" if passed is None else
                   "not passed" if not passed else trust if trust != "trusted" else
                   "over the cap of their source" if not may else "pruned" if pruned else "")
        if why:
            left[why] += count
    return left
