"""Policies that were trained from runs: what they came from, how their gate judged them, and which one is promoted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from autorl.errors import UnknownName, UsageError
from autorl.replay.database import Database, insert
from autorl.replay.rows import now
from autorl.replay.schema import policies, policy_runs, promotions, runs

_SOME = 500


@dataclass(frozen=True)
class Kept:
    """A policy as the store knows it.

    base: the model that its adapter is for; adapter: hash of the adapter; dataset: hash of what it was trained on
    gate: the newest verdict of the gate, as JSON; None before it was asked
    runs: of this store, that it was trained on; revoked: those of them that were revoked since
    deleted: when its files were
    """

    id: str
    base: str
    adapter: str | None
    parent: str | None
    dataset: str
    gate: str | None
    created: datetime
    deleted: datetime | None
    runs: tuple[str, ...]
    revoked: tuple[str, ...]


@dataclass(frozen=True)
class Promotion:
    """That `policy` (the bare base if None) was made to stand for `base`; undoes: by going back to it."""

    base: str
    policy: str | None
    undoes: bool
    why: str
    who: str
    created: datetime


def keep(database: Database, row: dict[str, str | None], trained_on: Iterable[str]) -> None:
    """Keep a policy; one that is kept already gets what is new, and counts as there again.

    Of the runs that it was trained on, those are linked to it that are in this store.
    """
    used = list(trained_on)
    new = {name: value for name, value in row.items() if name not in ("id", "created") and value is not None}

    def work(connection: sa.Connection) -> None:
        connection.execute(insert(connection, policies).values(row).on_conflict_do_update(
            index_elements=["id"], set_={**new, "deleted": None}))
        for start in range(0, len(used), _SOME):
            there = connection.execute(sa.select(runs.c.id).where(runs.c.id.in_(used[start : start + _SOME]))).scalars()
            if linked := [{"policy": row["id"], "run": run} for run in there]:
                connection.execute(insert(connection, policy_runs).on_conflict_do_nothing(), linked)

    database.write(work)


def all_kept(database: Database) -> list[Kept]:
    """Every policy, the oldest first."""
    def question(connection: sa.Connection) -> list[Kept]:
        used: dict[str, list[Any]] = {}
        query = sa.select(policy_runs.c.policy, policy_runs.c.run, runs.c.trust).join(runs).order_by(policy_runs.c.run)
        for row in connection.execute(query):
            used.setdefault(row.policy, []).append(row)
        rows = connection.execute(sa.select(policies).order_by(policies.c.created, policies.c.id)).mappings()
        return [Kept(**{**row, "created": datetime.fromisoformat(row["created"]),
                        "deleted": row["deleted"] and datetime.fromisoformat(row["deleted"])},
                     runs=tuple(u.run for u in used.get(row["id"], ())),
                     revoked=tuple(u.run for u in used.get(row["id"], ()) if u.trust == "revoked")) for row in rows]

    return database.read(question)


def judged(database: Database, policy: str, gate: str) -> None:
    """Keep what the gate said of `policy`. Raises UnknownName."""
    change = policies.update().where(policies.c.id == policy).values(gate=gate)
    if not database.write(lambda connection: connection.execute(change).rowcount):
        raise UnknownName("policy", policy, [kept.id for kept in all_kept(database)])


def history(database: Database, base: str) -> list[Promotion]:
    """Every promotion of a policy of `base`, the oldest first."""
    return database.read(lambda connection: _history(connection, base))


def promote(database: Database, base: str, policy: str | None, why: str, who: str) -> None:
    """Make `policy` stand for `base`. Raises UsageError if it was deleted or is a policy of another model."""
    def work(connection: sa.Connection) -> None:
        database.take_turn(connection, "promotions")
        if policy is not None:
            row = connection.execute(sa.select(policies.c.base, policies.c.deleted).where(
                policies.c.id == policy)).one_or_none()
            if row is None or row.deleted or row.base != base:
                why_not = "is not there" if row is None else "was deleted" if row.deleted else f"is one of {row.base}"
                raise UsageError(f"{policy} cannot be promoted for {base}: it {why_not}",
                                 "See what there is: autorl policies list")
        if policy != _stack(_history(connection, base))[-1]:
            connection.execute(promotions.insert(), _row(base, policy, False, why, who))

    database.write(work)


def roll_back(database: Database, base: str, why: str, who: str) -> str | None:
    """Make what stood for `base` before stand for it again, and return it: a policy, or None for the bare base.

    What was deleted since is passed over. Raises UsageError if nothing was promoted.
    """
    def work(connection: sa.Connection) -> str | None:
        database.take_turn(connection, "promotions")
        *before, current = _stack(_history(connection, base))
        if current is None and not before:
            raise UsageError(f"no policy of {base} is promoted, so there is nothing to go back from")
        gone = set(connection.execute(sa.select(policies.c.id).where(policies.c.deleted.is_not(None))).scalars())
        target = next(policy for policy in reversed(before) if policy not in gone)
        connection.execute(promotions.insert(), _row(base, target, True, why, who))
        return target

    return database.write(work)


def delete(database: Database, policy: str) -> None:
    """Note that the files of `policy` are deleted. Raises UsageError if it is promoted."""
    def work(connection: sa.Connection) -> None:
        database.take_turn(connection, "promotions")
        base = connection.scalar(sa.select(policies.c.base).where(policies.c.id == policy))
        if base is not None and _stack(_history(connection, base))[-1] == policy:
            raise UsageError(f"{policy} is promoted for {base}, and a promoted policy is not deleted",
                             "Go back to the one before: autorl policies rollback, or promote another")
        connection.execute(policies.update().where(policies.c.id == policy, policies.c.deleted.is_(None)),
                           {"deleted": now()})

    database.write(work)


def standing(promoted: Sequence[Promotion]) -> str | None:
    """The policy that stands for a base with this history; None for the bare base."""
    return _stack(promoted)[-1]


def _stack(promoted: Sequence[Promotion]) -> list[str | None]:
    """What stood for a base and can be gone back to, the newest last."""
    stack: list[str | None] = [None]
    for promotion in promoted:
        if promotion.undoes:
            del stack[-1:]
            while stack and stack[-1] != promotion.policy:
                stack.pop()
            stack = stack or [promotion.policy]
        else:
            stack.append(promotion.policy)
    return stack


def _history(connection: sa.Connection, base: str) -> list[Promotion]:
    rows = connection.execute(sa.select(promotions).where(promotions.c.base == base).order_by(promotions.c.id))
    return [Promotion(row.base, row.policy, row.undoes, row.why, row.who, datetime.fromisoformat(row.created))
            for row in rows]


def _row(base: str, policy: str | None, undoes: bool, why: str, who: str) -> dict[str, str | bool | None]:
    return {"base": base, "policy": policy, "undoes": undoes, "why": why, "who": who, "created": now()}
