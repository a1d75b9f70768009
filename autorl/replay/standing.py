"""How runs stand: their verdicts, their trust, and so whether they may be recalled.

Everything here happens inside the caller's transaction, so that `recallable` and `records` are true at every moment.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from autorl.replay.database import Database, insert
from autorl.replay.inserting import IF_NEW, insert_rows
from autorl.replay.schema import (
    injections,
    policy_runs,
    recallable,
    records,
    runs,
    sources,
    toolsets,
    trust_changes,
    verdicts,
)
from autorl.types import Status, Verdict

HERE = "local"
"""The source of what was run here; it has no cap unless one is set."""
CAP = 100
"""How many runs of another source may be recalled, unless its cap is set."""
ELIGIBLE = sa.and_(runs.c.status == Status.FINISHED, runs.c.trust == "trusted", runs.c.passed.is_(True),
                   runs.c.pruned.is_(None))
_SOME = 500
_NEWEST = 200


def judge(database: Database, connection: sa.Connection, verdict: dict[str, Any]) -> None:
    """Add a verdict (a row of `verdicts`): it becomes the newest of its run. A row that is there already is left."""
    run = verdict["run"]
    before = connection.execute(_BEFORE, {"run": run}).one_or_none()
    if before and before.passed is not None:
        same = (verdicts.c[name] == verdict[name] for name in ("run", "created", "body"))
        if connection.scalar(sa.select(verdicts.c.id).where(*same)) is not None:
            return
    insert_rows(connection, verdicts, [verdict])
    passed = verdict["passed"]
    connection.execute(_SAID, {"run": run, "passed": passed, "score": verdict["score"]})
    if before is None:
        return
    shown = without(connection, [run])
    if before.passed is None:
        strict = Verdict.model_validate_json(verdict["body"]).strict
        add_records(connection, [Credit(exemplar, int(passed), 1, share, int(strict))
                                 for (_, exemplar), share in shown.items()])
    else:
        add_records(connection, [Credit(exemplar, int(passed) - int(before.passed)) for _, exemplar in shown])
    if before.passed or (passed and before.status == Status.FINISHED):
        settle(database, connection, [run])


class Credit(NamedTuple):
    """What the verdict on a run that was shown `exemplar` adds to its row of `records`."""

    exemplar: str
    wins: int
    shown: int = 0
    expected: float = 0.0
    strict: int = 0


def add_records(connection: sa.Connection, credits: Iterable[Credit]) -> None:
    """Add to what is known of each exemplar."""
    sums: dict[str, list[float]] = {}
    for exemplar, *amounts in credits:
        before = sums.get(exemplar, [0] * len(amounts))
        sums[exemplar] = [one + other for one, other in zip(before, amounts, strict=True)]
    # In one order everywhere, so that two transactions cannot wait for each other.
    rows = [dict(zip(Credit._fields, (name, *sums[name]), strict=True)) for name in sorted(sums) if any(sums[name])]
    if rows:
        new = insert(connection, records)
        connection.execute(new.on_conflict_do_update(index_elements=["exemplar"], set_={
            name: records.c[name] + new.excluded[name] for name in Credit._fields[1:]}), rows)


def without(connection: sa.Connection, judged: Sequence[str]) -> dict[tuple[str, str], float]:
    """How often the tasks of these runs pass without an exemplar that they were shown, by run and exemplar.

    Of the task's other judged runs, those that were not shown it count, the newest of them, by Laplace's rule. Guided
    runs are left out, on both sides: how they went says nothing of what they were shown.
    """
    return {
        (run, exemplar): float(share) for start in range(0, len(judged), _SOME)
        for run, exemplar, share in connection.execute(_WITHOUT, {"runs": judged[start : start + _SOME]})
    }


def change_trust(database: Database, connection: sa.Connection, change: dict[str, Any]) -> list[str]:
    """Set a run's trust and keep by whom, when and why (a row of `trust_changes`).

    Returns the policies that were trained on the run.
    """
    run = change["run"]
    connection.execute(sa.select(runs.c.id).where(runs.c.id == run).with_for_update())
    same = (trust_changes.c[name] == change[name] for name in ("run", "created", "trust"))
    if connection.scalar(sa.select(trust_changes.c.id).where(*same)) is None:
        connection.execute(runs.update().where(runs.c.id == run), {"trust": change["trust"]})
        connection.execute(trust_changes.insert(), change)
        settle(database, connection, [run])
    trained = sa.select(policy_runs.c.policy).where(policy_runs.c.run == run).order_by(policy_runs.c.policy)
    return list(connection.execute(trained).scalars())


def settle(database: Database, connection: sa.Connection, changed: Sequence[str]) -> None:
    """Make `recallable` say of these runs what is true now."""
    for start in range(0, len(changed), _SOME):
        some = changed[start : start + _SOME]
        found = connection.execute(_ELIGIBLE_OR_NOT, {"runs": some}).all()
        eligible = [row for row in found if row.eligible]
        gone = sorted(set(some) - {row.id for row in eligible})
        left = set()
        if gone:
            out = recallable.delete().where(recallable.c.run.in_(gone)).returning(recallable.c.source)
            left = {source for source in connection.execute(out).scalars()
                    if _held_cap(database, connection, source) is not None}
        for source in sorted({row.source for row in eligible}):
            _enter(database, connection, source, [row for row in eligible if row.source == source])
        for source in sorted(left):
            fill(database, connection, source)


def set_cap(database: Database, connection: sa.Connection, source: str, cap: int | None) -> None:
    """Let at most `cap` runs of `source` be recalled (None: any number). The best of them stay."""
    database.take_turn(connection, _turn(source))
    new = insert(connection, sources).values(name=source, cap=cap)
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"cap": cap}))
    if cap is not None:
        of_source = sa.select(recallable.c.run).where(recallable.c.source == source)
        best = of_source.order_by(recallable.c.score.desc(), recallable.c.number).limit(cap)
        connection.execute(recallable.delete().where(
            recallable.c.source == source, recallable.c.run.not_in(best)))
    fill(database, connection, source)


def _enter(database: Database, connection: sa.Connection, source: str, eligible: Sequence[Any]) -> None:
    """Put runs of one source into `recallable`, as far as its cap allows."""
    room = _room(database, connection, source)
    if room is not None:
        there = set(connection.execute(
            sa.select(recallable.c.run).where(recallable.c.run.in_([row.id for row in eligible]))).scalars())
        new = [row.id for row in eligible if row.id not in there]
        allowed = there | set(new[:room])
        eligible = [row for row in eligible if row.id in allowed]
    if not eligible:
        return
    numbers = _toolsets(connection, {row.tools for row in eligible})
    insert_rows(connection, recallable, [
        {"run": row.id, "task": row.task, "toolset": numbers[row.tools], "score": row.score, "steps": row.length,
         "source": source} for row in eligible],
        "ON CONFLICT (run) DO UPDATE SET score = excluded.score, steps = excluded.steps, toolset = excluded.toolset")


def fill(database: Database, connection: sa.Connection, source: str) -> None:
    """Let the best runs in that its cap has kept out, while there is room."""
    room = _room(database, connection, source)
    if room == 0:
        return
    there = sa.exists().where(recallable.c.run == runs.c.id)
    waiting = (sa.select(runs.c.id, runs.c.task, runs.c.tools, runs.c.score, runs.c.length)
               .where(runs.c.source == source, ELIGIBLE, ~there).order_by(runs.c.score.desc(), runs.c.id).limit(room)
               .with_for_update())  # another transaction may revoke one meanwhile
    _enter(database, connection, source, connection.execute(waiting).all())


def _room(database: Database, connection: sa.Connection, source: str) -> int | None:
    """How many more runs of `source` may be recalled; None for any number."""
    cap = _held_cap(database, connection, source)
    if cap is None:
        return None
    held = connection.scalar(sa.select(sa.func.count()).where(recallable.c.source == source)) or 0
    return max(0, cap - held)


def _held_cap(database: Database, connection: sa.Connection, source: str) -> int | None:
    """The cap of `source`, which no other transaction changes before this one ends.

    Where there is none, transactions do not wait for each other; where there is one, they let runs in one by one.
    """
    if _cap(connection, source) is None:
        database.take_turn(connection, _turn(source), shared=True)
        if _cap(connection, source) is None:
            return None
    database.take_turn(connection, _turn(source))
    return _cap(connection, source)


def _turn(source: str) -> str:
    return f"source {source}"


def _cap(connection: sa.Connection, source: str) -> int | None:
    found = connection.execute(_CAP, {"source": source}).one_or_none()
    return found.cap if found else None if source == HERE else CAP


def _toolsets(connection: sa.Connection, names: set[str]) -> dict[str, int]:
    """The numbers of these sets of tools, which are made where they are new."""
    wanted = {"names": sorted(names)}
    found = dict(connection.execute(_TOOLSETS, wanted).all())
    if new := sorted(names - found.keys()):
        insert_rows(connection, toolsets, [{"names": name} for name in new], IF_NEW)
        found = dict(connection.execute(_TOOLSETS, wanted).all())
    return found


# Built once: that takes longer than SQLite takes to answer them.
_BEFORE = sa.select(runs.c.passed, runs.c.status).where(runs.c.id == sa.bindparam("run")).with_for_update()
_SAID = sa.update(runs).where(runs.c.id == sa.bindparam("run")).values(
    passed=sa.bindparam("passed"), score=sa.bindparam("score"))
_CAP = sa.select(sources.c.cap).where(sources.c.name == sa.bindparam("source"))
_TOOLSETS = sa.select(toolsets.c.names, toolsets.c.number).where(
    toolsets.c.names.in_(sa.bindparam("names", expanding=True)))
_ELIGIBLE_OR_NOT = sa.select(
    runs.c.id, runs.c.task, runs.c.tools, runs.c.score, runs.c.length, runs.c.source, ELIGIBLE.label("eligible")
).where(runs.c.id.in_(sa.bindparam("runs", expanding=True)))
"""Looked at, and not asked for: SQLite would go through all that is eligible, by the index of that."""
_other, _shown = runs.alias(), injections.alias()
_GUIDED = '%"guided":true%'
"""In a provenance; within a string of it the quotes would be escaped."""
_newest = (
    sa.select(_other.c.passed).where(
        _other.c.task == runs.c.task, _other.c.id != runs.c.id, _other.c.passed.is_not(None),
        _other.c.provenance.not_like(_GUIDED),
        # By the other run: an exemplar may have been shown to very many.
        injections.c.exemplar.not_in(sa.select(_shown.c.exemplar).where(_shown.c.run == _other.c.id)))
    .order_by(_other.c.started.desc()).limit(_NEWEST).correlate(runs, injections).subquery()
)
_share = sa.select((sa.func.coalesce(sa.func.sum(sa.cast(_newest.c.passed, sa.Integer)), 0) + 1.0)
                   / (sa.func.count() + 2)).select_from(_newest).scalar_subquery()
_WITHOUT = (
    sa.select(injections.c.run, injections.c.exemplar, _share).join(runs, runs.c.id == injections.c.run)
    .where(injections.c.run.in_(sa.bindparam("runs", expanding=True)), runs.c.provenance.not_like(_GUIDED))
)
