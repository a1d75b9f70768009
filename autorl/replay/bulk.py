"""Many whole runs at once: for imports, and for whatever was run elsewhere."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autorl.errors import UsageError
from autorl.replay import standing
from autorl.replay.database import Database
from autorl.replay.inserting import IF_NEW, insert_rows
from autorl.replay.rows import Rows
from autorl.replay.schema import artifacts, injections, observations, runs, steps, tasks, trust_changes, verdicts
from autorl.types import Trajectory, Trust

_SOME = 500
_APART = {"observation"}
"""What of a step has a row of its own."""


def add(database: Database, rows: Rows, trajectories: Sequence[Trajectory], trust: Trust, why: str) -> list[str]:
    """Keep those of `trajectories` that are not there yet, all or none; see `ReplayStore.add`."""
    made = [(trajectory, rows.run(trajectory)) for trajectory in {t.id: t for t in trajectories}.values()]
    before: list[str] = []  # what an attempt added that was kept, though the server broke off before it said so
    about = [rows.task(trajectory.task) for trajectory, _ in made]

    def work(connection: sa.Connection) -> list[str]:
        have_tasks(database, connection, about)
        there = _there(connection, runs.c.id, [row["id"] for _, row in made], runs.c.task, runs.c.started)
        for _, row in made:
            if row["id"] in there and there[row["id"]] != (row["task"], row["started"]):
                raise UsageError(f"the id {row['id']} is that of another run", "Give the new run an id of its own")
        new = [(trajectory, row) for trajectory, row in made if row["id"] not in there]
        for table, contents in _contents(rows, new, trust, why).items():
            insert_rows(connection, table, contents)
        judged = {trajectory.id: trajectory.verdict for trajectory, _ in new if trajectory.verdict}
        standing.add_records(connection, [
            standing.Credit(exemplar, int(judged[run].passed), 1, share, int(judged[run].strict))
            for (run, exemplar), share in standing.without(connection, list(judged)).items()])
        standing.settle(database, connection, [row["id"] for trajectory, row in new if trajectory.verified])
        before.extend([] if before else (row["id"] for _, row in new))
        return [row["id"] for _, row in new] or before

    return database.write(work)


def have_tasks(database: Database, connection: sa.Connection, about: list[dict[str, Any]]) -> None:
    """Keep these tasks (rows of `tasks`) as far as they are new. Raises UsageError if another one has the id of one."""
    if not about:
        return
    first = {row["id"]: row for row in reversed(about)}
    database.take_turn(connection, "tasks")  # so that tasks become visible in the order of their numbers
    new = insert_rows(connection, tasks, [first[task] for task in sorted(first)], IF_NEW)
    if new == len(about):
        return
    kept = _there(connection, tasks.c.id, list(first), tasks.c.text)
    for row in about:
        (text,) = kept[row["id"]]
        if text != row["text"]:
            raise UsageError(f"the task id '{row['id']}' is taken by another task: '{text[:80]}'",
                             "Give the task an id of its own, or none")


def _there(connection: sa.Connection, key: sa.Column[str], names: Sequence[str],
           *columns: sa.Column[Any]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for start in range(0, len(names), _SOME):
        query = sa.select(key, *columns).where(key.in_(names[start : start + _SOME]))
        found.update((row[0], tuple(row[1:])) for row in connection.execute(query))
    return found


def _contents(rows: Rows, new: Sequence[tuple[Trajectory, dict[str, Any]]], trust: Trust,
              why: str) -> dict[sa.Table, list[dict[str, Any]]]:
    """The rows of each table, in an order in which each refers to earlier ones only."""
    of: dict[sa.Table, list[dict[str, Any]]] = defaultdict(list)
    for trajectory, row in new:
        name = trajectory.id
        starts: Trust = "quarantined" if trajectory.tainted and trust == "trusted" else trust
        verdict = rows.verdict(name, trajectory.verdict) if trajectory.verdict else None
        of[runs].append({**row, **rows.end(trajectory), "owner": "", "trust": starts,
                         "passed": verdict and verdict["passed"], "score": verdict and verdict["score"]})
        for step in trajectory.steps:
            of[steps].append({"run": name, "step": step.index, "body": rows.json(step, _APART)})
            if step.observation:
                of[observations].append({"run": name, "step": step.index, "body": rows.json(step.observation)})
        of[verdicts] += [verdict] if verdict else []
        of[injections] += rows.injections(trajectory)
        of[artifacts] += rows.artifacts(trajectory)
        if starts != "trusted":
            reason = why if starts == trust else "it read what came from outside"
            of[trust_changes].append(rows.trust_change(name, starts, reason, "autorl"))
    return of
