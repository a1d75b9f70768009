"""Looking after a store: what is in it, what of it may go, and whether its files are sound."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from autorl.replay import files
from autorl.replay.database import Database
from autorl.replay.rows import now
from autorl.replay.schema import (
    artifacts,
    embeddings,
    observations,
    policies,
    policy_runs,
    recallable,
    records,
    runs,
    sources,
    steps,
    tasks,
)
from autorl.replay.standing import CAP, ELIGIBLE, HERE
from autorl.types import Artifact, Status

_SOME = 500
_kinds = (runs.c.status, runs.c.trust, runs.c.passed, runs.c.source, runs.c.model)
_KINDS = sa.select(*_kinds, sa.func.count().label("runs"), sa.func.sum(runs.c.length).label("steps"),
                   sa.func.count(runs.c.pruned).label("pruned")).group_by(*_kinds)
"""All in one look at the runs, of which there may be more than any cache holds."""


@dataclass(frozen=True)
class Pruning:
    """What `prune` deletes, or would delete: the steps and files of `runs`, of `steps` steps; unused files, bytes."""

    runs: tuple[str, ...]
    steps: int
    files: int = 0
    bytes: int = 0


def prunable(database: Database, older: timedelta, *, unverified: bool = False) -> Pruning:
    """The runs whose steps may go: they ended more than `older` ago and can never be an example as they stand.

    unverified: also those that finished and that nobody has judged
    Runs that a policy was trained on stay.
    """
    before = (datetime.now(UTC) - older).isoformat()
    useless = sa.or_(runs.c.status != Status.FINISHED.value, runs.c.passed.is_(False), runs.c.trust == "revoked",
                     *([runs.c.passed.is_(None)] if unverified else []))
    query = sa.select(runs.c.id, runs.c.length).where(
        runs.c.status != Status.RUNNING.value, useless, runs.c.pruned.is_(None), runs.c.started < before,
        ~sa.exists().where(policy_runs.c.run == runs.c.id)).order_by(runs.c.started)
    found = database.read(lambda connection: connection.execute(query).all())
    return Pruning(tuple(row.id for row in found), sum(row.length for row in found))


def prune(database: Database, what: Pruning) -> Pruning:
    """Delete the steps and the files of these runs, as far as they are still of no use; returns what was deleted.

    Their rows stay, with verdict and outcome, for the statistics.
    """
    gone: list[str] = []
    deleted = 0
    for start in range(0, len(what.runs), _SOME):
        some = what.runs[start : start + _SOME]

        def work(connection: sa.Connection, some: Sequence[str] = some) -> tuple[Sequence[str], int]:
            # Since they were looked at, one may have been judged anew, or resumed.
            still = sa.select(runs.c.id).where(
                runs.c.id.in_(some), runs.c.status != Status.RUNNING.value, sa.not_(ELIGIBLE)).with_for_update()
            out = connection.execute(still).scalars().all()
            count = connection.execute(steps.delete().where(steps.c.run.in_(out))).rowcount
            for table in (observations, artifacts):
                connection.execute(table.delete().where(table.c.run.in_(out)))
            connection.execute(runs.update().where(runs.c.id.in_(out)), {"pruned": now()})
            return out, count

        out, count = database.write(work)
        gone += out
        deleted += count
    used = database.read(lambda connection: set(connection.execute(sa.select(artifacts.c.sha256)).scalars()))
    freed, size = files.drop_unused(database.artifacts, used)
    return Pruning(tuple(gone), deleted, freed, size)


def stats(database: Database) -> dict[str, Any]:
    """What is in the store, in numbers."""
    def question(connection: sa.Connection) -> dict[str, Any]:
        found = connection.execute(_KINDS).mappings().all()
        passed = [row for row in found if row["passed"]]

        def runs_by(name: str, some: Sequence[Any] = found) -> dict[str, int]:
            counted: Counter[str] = Counter()
            for row in some:
                counted[row[name]] += row["runs"]
            return dict(sorted(counted.items()))

        def by(column: sa.Column[Any]) -> dict[str, int]:
            rows = connection.execute(sa.select(column, sa.func.count()).group_by(column).order_by(column))
            return {str(name): count for name, count in rows}

        def number(what: sa.Select[Any]) -> int:
            return int(connection.scalar(what) or 0)

        count = sa.func.count()
        caps = dict(connection.execute(sa.select(sources.c.name, sources.c.cap)).all())
        passing, entering = runs_by("source", passed), by(recallable.c.source)
        distinct = sa.select(artifacts.c.sha256, sa.func.max(artifacts.c.bytes).label("bytes")).group_by(
            artifacts.c.sha256).subquery()
        return {
            "tasks": number(sa.select(count).select_from(tasks)),
            "runs": runs_by("status"),
            "trust": runs_by("trust"),
            "passed": sum(row["runs"] for row in passed),
            "not_passed": sum(row["runs"] for row in found if row["passed"] is False),
            "recallable": sum(entering.values()),
            "pruned": sum(row["pruned"] for row in found),
            "steps": sum(row["steps"] for row in found),
            "sources": {
                name: {"runs": total, "passed": passing.get(name, 0), "recallable": entering.get(name, 0),
                       "cap": caps.get(name, None if name == HERE else CAP)}
                for name, total in runs_by("source").items()},
            "models": runs_by("model"),
            "embeddings": by(embeddings.c.model),
            "exemplars_shown": number(sa.select(count).select_from(records)),
            "policies": number(sa.select(count).select_from(policies)),
            "files": {"named": number(sa.select(count).select_from(artifacts)),
                      "kept": number(sa.select(count).select_from(distinct)),
                      "bytes": number(sa.select(sa.func.sum(distinct.c.bytes)))},
        }

    return {**database.read(question), "bytes": database.size()}


def check_files(database: Database) -> list[str]:
    """What is wrong with the files that runs made, each content once, as in `RUN: FILE: it is missing`."""
    query = sa.select(artifacts).order_by(artifacts.c.run, artifacts.c.path)
    told: dict[str, str] = {}
    for row in database.read(lambda connection: connection.execute(query).mappings().all()):
        artifact = Artifact(path=row["path"], sha256=row["sha256"], bytes=row["bytes"])
        if told.get(artifact.sha256) != "":  # one run of several may still have it
            problem = files.problem(database.artifacts, row["run"], artifact)
            told[artifact.sha256] = problem and f"{row['run']}: {artifact.path}: {problem}"
    return [problem for problem in told.values() if problem]
