"""Rescues what can be read of a damaged SQLite store into a new one."""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autorl.errors import AutorlError, StoreUnavailable, UsageError
from autorl.replay import standing
from autorl.replay.reading import trajectory_of
from autorl.replay.schema import policies, policy_runs, promotions, sources, trust_changes, verdicts
from autorl.replay.store import ReplayStore
from autorl.types import Status, Trajectory, Verdict

TABLES = ("tasks", "runs", "steps", "observations", "verdicts", "injections", "artifacts", "trust_changes", "policies",
          "policy_runs", "promotions", "sources")
MISSES = 20_000
"""Attempts that may fail in one table, before the rest of it is given up."""
_TOP = 2**62


@dataclass
class Saved:
    """What was rescued; lost: runs that were not, or not whole, with the reason; gaps: unreadable places by table."""

    runs: int = 0
    steps: int = 0
    verdicts: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)


def salvage(file: Path, new: Path) -> Saved:
    """Copy every run of `file` that can be read into a new store at `new`; `file` is left as it is.

    A run that lost steps is kept up to the first of them, quarantined. What recall keeps up for itself is made anew.
    Raises UsageError if `file` is not there or `new` is; StoreUnavailable if nothing can be read.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    if new.exists():
        raise UsageError(f"{new} is there already", "Name a file that is not")
    saved = Saved()
    with tempfile.TemporaryDirectory(dir=new.resolve().parent, prefix=".salvage-") as folder:
        copy, scratch = Path(folder) / "copy.db", Path(folder) / "scratch.db"
        for suffix in ("", "-wal"):  # the file itself is never opened: that could change it
            if Path(f"{file}{suffix}").is_file():
                shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as damaged, closing(sqlite3.connect(scratch)) as readable:
            damaged.execute("PRAGMA writable_schema=ON")  # else a file that was cut off is not read at all
            damaged.row_factory = readable.row_factory = sqlite3.Row
            for table in TABLES:
                _copy(damaged, readable, table, saved)
            if not readable.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
                raise StoreUnavailable(f"nothing can be read of {file}", "Put its last backup back")
            store = ReplayStore(new)
            try:
                _fill(readable, store, saved)
            finally:
                store.close()
    return saved


def _copy(damaged: sqlite3.Connection, readable: sqlite3.Connection, table: str, saved: Saved) -> None:
    """Copy the readable rows of a table, as they are and without any constraint."""
    try:
        columns = [row["name"] for row in damaged.execute(f"PRAGMA table_info({table})")]
    except sqlite3.Error:
        columns = []
    if not columns and table in ("tasks", "runs", "steps", "observations", "verdicts", "injections", "artifacts"):
        saved.gaps[table] = 1
    readable.execute(f"CREATE TABLE {table} ({', '.join(columns or ['id', 'run'])})")
    misses: Counter[str] = Counter()
    for row in _rows(damaged, table, 0, _TOP, misses) if columns else ():
        readable.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", tuple(row)[1:])
    if misses[table]:
        saved.gaps[table] = misses[table]
    for key in ("run", "id"):
        if key in columns:
            readable.execute(f"CREATE INDEX {table}_{key} ON {table} ({key})")


def _rows(damaged: sqlite3.Connection, table: str, low: int, high: int,
          misses: "Counter[str]") -> Iterator[sqlite3.Row]:
    """The rows between two row ids, both included: from below to the first damage, from above to the last, then the
    halves of what is left between them."""
    waiting = [(low, high)]
    while waiting and misses[table] < MISSES:
        low, high = waiting.pop()
        for order in ("ASC", "DESC"):
            query = f"SELECT rowid, * FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid {order}"
            try:
                for row in damaged.execute(query, (low, high)):
                    if order == "ASC":
                        low = row[0] + 1
                    else:
                        high = row[0] - 1
                    yield row
                break
            except sqlite3.Error:
                continue
        else:
            misses[table] += 1
            if low < high:
                high = min(high, low + 10_000_000)  # no store has a gap that wide
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]


def _fill(readable: sqlite3.Connection, store: ReplayStore, saved: Saved) -> None:
    rescued: set[str] = set()
    for (run,) in readable.execute("SELECT id FROM runs ORDER BY started, id").fetchall():
        try:
            trajectory, torn = _run(readable, run)
            trust = readable.execute("SELECT trust FROM runs WHERE id = ?", (run,)).fetchone()[0]
            store.add([trajectory.model_copy(update={"verdict": None})], trust=trust, why="as it was when rescued")
        except (ValueError, KeyError, TypeError, AutorlError) as error:
            saved.lost[str(run)] = f"not rescued: {str(error).splitlines()[0]}"
            continue
        rescued.add(run)
        saved.runs += 1
        saved.steps += len(trajectory.steps)
        _history(readable, store, str(run), saved)
        if torn:
            saved.lost[str(run)] = torn
            store.trust(str(run), "quarantined", torn, "autorl")
    for table in (policies, policy_runs, promotions, sources):
        _add(store, table, [dict(row) for row in readable.execute(f"SELECT * FROM {table.name}")
                            if table is not policy_runs or row["run"] in rescued], saved)


def _run(readable: sqlite3.Connection, run: str) -> tuple[Trajectory, str]:
    """The run as far as its steps follow on each other, and what is missing of it."""
    def rows(table: str, order: str) -> list[dict[str, Any]]:
        return [dict(row) for row in readable.execute(f"SELECT * FROM {table} WHERE run = ? ORDER BY {order}", (run,))]

    about = dict(readable.execute("SELECT * FROM runs WHERE id = ?", (run,)).fetchone())
    task = readable.execute("SELECT body FROM tasks WHERE id = ?", (about["task"],)).fetchone()
    if task is None:
        raise ValueError("its task cannot be read")
    answers = {row["step"]: row["body"] for row in rows("observations", "step")}
    taken = rows("steps", "step")
    whole = [row for index, row in enumerate(taken) if row["step"] == index]
    said = about.get("length") or len(taken)
    seen = [answers.get(row["step"]) for row in whole]
    # The last action of a run that was cut off may have had no answer; that of a finished one had.
    answered = seen if about["status"] == Status.FINISHED else seen[:-1]
    holes = [index for index, answer in enumerate(answered) if answer is None]
    kept = holes[0] if holes else len(whole)
    torn = f"rescued up to step {kept} of {max(said, len(taken))}" if kept < max(said, len(taken)) else ""
    trajectory = trajectory_of({**about, "task_body": task["body"]}, list(zip((r["body"] for r in whole[:kept]),
                               seen[:kept], strict=True)), rows("injections", "rank"), rows("artifacts", "path"), None)
    return trajectory, torn


def _history(readable: sqlite3.Connection, store: ReplayStore, run: str, saved: Saved) -> None:
    """The verdicts and the changes of trust of a run, in their order and with their dates."""
    for found in readable.execute("SELECT * FROM verdicts WHERE run = ? ORDER BY id", (run,)).fetchall():
        try:
            row = {column.name: found[column.name] for column in verdicts.columns if column.name != "id"}
            verdict = Verdict.model_validate_json(row["body"])
        except (ValueError, IndexError):
            saved.lost[run] = "a verdict of it cannot be read"
            continue
        row["passed"], row["score"] = verdict.passed, verdict.score
        store._database.write(partial(standing.judge, store._database, verdict=row))
        saved.verdicts += 1
    changes = [dict(row) for row in readable.execute("SELECT * FROM trust_changes WHERE run = ? ORDER BY id", (run,))]
    for change in changes:
        change.pop("id", None)
    _add(store, trust_changes, changes, saved)


def _add(store: ReplayStore, table: Any, rows: list[dict[str, Any]], saved: Saved) -> None:
    """Add these rows, as far as this version has their columns; what it does not take counts as a gap."""
    known = [{name: value for name, value in row.items() if name in table.columns} for row in rows]
    try:
        if known:
            store._database.write(lambda connection: connection.execute(table.insert(), known))
    except StoreUnavailable:
        saved.gaps[table.name] = saved.gaps.get(table.name, 0) + len(rows)
