"""Whole runs with all that was said of them, many at a time: out of a store, and into one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from json import dumps, loads
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from autorl.replay import bulk, standing
from autorl.replay.database import Database, insert
from autorl.replay.inserting import insert_rows
from autorl.replay.reading import TrustChange, trajectory_of
from autorl.replay.rows import Rows
from autorl.replay.schema import (
    artifacts,
    injections,
    observations,
    policies,
    policy_runs,
    recallable,
    records,
    runs,
    sources,
    steps,
    tasks,
    trust_changes,
    verdicts,
)
from autorl.types import Status, Trajectory, Trust, Value, Verdict

BATCH = 50
"""Runs that are read, or written, at a time."""
ENDED = runs.c.status != Status.RUNNING.value


class Judged(Value):
    """A verdict, and when it was given."""

    verdict: Verdict
    created: datetime


class Kept(Value):
    """A run with all that the store knows of it.

    run: without a verdict; `verdicts` has them all, oldest first, as `trust_changes` has those
    policies: that were trained on it
    recallable: it may be recalled and trained on, and is within the cap of its source
    record: how those runs fared that were shown it, as the columns of `records`
    length, called: steps, and the tools called, when it ended; they outlive the steps of a pruned run
    pruned: when its steps were deleted
    """

    run: Trajectory
    trust: Trust = "trusted"
    trust_changes: tuple[TrustChange, ...] = ()
    verdicts: tuple[Judged, ...] = ()
    policies: tuple[str, ...] = ()
    recallable: bool = False
    record: dict[str, int | float] = Field(default_factory=dict)
    length: int = Field(default=0, ge=0, lt=2**31)
    called: tuple[str, ...] = ()
    pruned: datetime | None = None


def each(database: Database, *, good: bool = False) -> Iterator[Kept]:
    """See `Reader.each`."""
    which = runs.c.id.in_(sa.select(recallable.c.run)) & runs.c.pruned.is_(None) if good else ENDED
    query = sa.select(runs.c.id).where(which, runs.c.id > sa.bindparam("after")).order_by(runs.c.id).limit(BATCH)

    def batch(connection: sa.Connection, after: str) -> list[Kept]:
        return named(connection, connection.execute(query, {"after": after}).scalars().all())

    after = ""
    while found := database.read(partial(batch, after=after)):
        yield from found
        after = found[-1].run.id


def named(connection: sa.Connection, ids: Sequence[str]) -> list[Kept]:
    """Those of these runs that are there, by id."""
    def of(table: sa.Table, *order: sa.Column[Any]) -> dict[str, list[Any]]:
        query = sa.select(table).where(table.c.run.in_(ids)).order_by(*order)
        return _by_run(connection.execute(query).mappings())

    about = sa.select(runs, tasks.c.body.label("task_body")).join(tasks, tasks.c.id == runs.c.task)
    taken = sa.select(steps.c.run, steps.c.body, observations.c.body.label("seen")).outerjoin(
        observations, sa.and_(observations.c.run == steps.c.run, observations.c.step == steps.c.step))
    bodies = _by_run(connection.execute(
        taken.where(steps.c.run.in_(ids)).order_by(steps.c.run, steps.c.step)).mappings())
    shown, made = of(injections, injections.c.rank), of(artifacts, artifacts.c.path)
    said, changed = of(verdicts, verdicts.c.id), of(trust_changes, trust_changes.c.id)
    trained, entered = of(policy_runs, policy_runs.c.policy), of(recallable)
    fared = {row["exemplar"]: _record(row) for row in connection.execute(
        sa.select(records).where(records.c.exemplar.in_(ids))).mappings()}
    return [
        Kept(
            run=trajectory_of(row, [(body["body"], body["seen"]) for body in bodies[row["id"]]], shown[row["id"]],
                              made[row["id"]], None),
            trust=row["trust"],
            trust_changes=tuple(TrustChange(c["trust"], c["why"], c["who"], datetime.fromisoformat(c["created"]))
                                for c in changed[row["id"]]),
            verdicts=tuple(Judged(verdict=Verdict.model_validate_json(v["body"]),
                                  created=datetime.fromisoformat(v["created"])) for v in said[row["id"]]),
            policies=tuple(used["policy"] for used in trained[row["id"]]), recallable=bool(entered[row["id"]]),
            record=fared.get(row["id"], {}), length=row["length"],
            called=tuple(loads(row["tools"])),
            pruned=row["pruned"] and datetime.fromisoformat(row["pruned"]),
        )
        for row in connection.execute(about.where(runs.c.id.in_(ids)).order_by(runs.c.id)).mappings()
    ]


def about(database: Database) -> dict[str, Any]:
    """What the store knows beside its runs: caps of sources, policies, and records of exemplars that are no run."""
    def question(connection: sa.Connection) -> dict[str, Any]:
        a_run = sa.exists().where(runs.c.id == records.c.exemplar, ENDED)
        seeds = connection.execute(sa.select(records).where(~a_run).order_by(records.c.exemplar)).mappings()
        trained = connection.execute(sa.select(policies).order_by(policies.c.id)).mappings()
        caps = connection.execute(sa.select(sources.c.name, sources.c.cap).order_by(sources.c.name))
        return {"sources": dict(caps.all()), "policies": [dict(row) for row in trained],
                "records": {row["exemplar"]: _record(row) for row in seeds}}

    return database.read(question)


@dataclass(frozen=True)
class Added:
    """The ids of the runs that were new, and how many of them are kept from recall by the cap of their source alone."""

    new: frozenset[str]
    over_cap: int


def keep(database: Database, rows: Rows, batch: Sequence[Kept]) -> Added:
    """Keep those of these runs that are not there yet, as they are given; all or none.

    Those that are `recallable` come to be so as far as the cap of their source allows.
    Raises UsageError for an id that cannot be kept, and for a task id that is another task's.
    """
    contents = {kept.run.id: _contents(rows, kept) for kept in batch}
    told = {kept.run.id: kept for kept in batch}
    before: Added | None = None  # what an attempt kept, though the server broke off before it said so

    def work(connection: sa.Connection) -> Added:
        nonlocal before
        there = set(connection.execute(sa.select(runs.c.id).where(runs.c.id.in_(contents))).scalars())
        if before and before.new <= there:
            return before
        new = sorted(contents.keys() - there)
        bulk.have_tasks(database, connection, [rows.task(told[run].run.task) for run in new])
        for table in _ORDER:
            insert_rows(connection, table, [row for run in new for row in contents[run][table]])
        keep_records(connection, {run: told[run].record for run in new})
        standing.settle(database, connection, [run for run in new if told[run].recallable])
        out = sa.select(sa.func.count()).where(runs.c.id.in_(new), standing.ELIGIBLE,
                                               runs.c.id.not_in(sa.select(recallable.c.run)))
        before = Added(frozenset(new), connection.scalar(out) or 0)
        return before

    return database.write(work)


def keep_records(connection: sa.Connection, found: Mapping[str, Mapping[str, int | float]]) -> None:
    """Keep what is known of exemplars; of two records of one, the fuller."""
    names = [column.name for column in records.columns if column.name != "exemplar"]
    new = insert(connection, records)
    fuller = new.on_conflict_do_update(index_elements=["exemplar"], where=new.excluded.shown > records.c.shown,
                                       set_={name: new.excluded[name] for name in names})
    filled = [{"exemplar": exemplar, **{name: found[exemplar].get(name, 0) for name in names}}
              for exemplar in sorted(found) if found[exemplar]]
    if filled:
        connection.execute(fuller, filled)


_ORDER = (runs, steps, observations, verdicts, injections, artifacts, trust_changes, policy_runs)
"""Each refers to earlier ones only."""


def _contents(rows: Rows, kept: Kept) -> dict[sa.Table, list[dict[str, Any]]]:
    run = kept.run
    last = kept.verdicts[-1].verdict if kept.verdicts else None
    return {
        runs: [{**rows.run(run), **rows.end(run), "owner": "", "trust": kept.trust, "length": kept.length,
                "tools": rows.clean(dumps(kept.called)), "passed": last and last.passed, "score": last and last.score,
                "pruned": kept.pruned and kept.pruned.isoformat()}],
        steps: [{"run": run.id, "step": step.index, "body": rows.json(step.model_copy(update={"observation": None}))}
                for step in run.steps],
        observations: [{"run": run.id, "step": step.index, "body": rows.json(step.observation)}
                       for step in run.steps if step.observation],
        verdicts: [{**rows.verdict(run.id, said.verdict), "created": said.created.isoformat()}
                   for said in kept.verdicts],
        injections: rows.injections(run),
        artifacts: rows.artifacts(run),
        trust_changes: [{**rows.trust_change(run.id, change.trust, change.why, change.who),
                         "created": change.created.isoformat()} for change in kept.trust_changes],
        policy_runs: [{"policy": policy, "run": run.id} for policy in kept.policies],
    }


def _record(row: Any) -> dict[str, int | float]:
    return {name: value for name, value in row.items() if name != "exemplar"}


def _by_run(found: Any) -> dict[str, list[Any]]:
    of: dict[str, list[Any]] = defaultdict(list)
    for row in found:
        of[row["run"]].append(row)
    return of
