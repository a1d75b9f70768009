"""What can be asked of the store."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from autorl.errors import UnknownName, UsageError
from autorl.replay import files, owner, queries
from autorl.replay.database import Database
from autorl.replay.schema import policy_runs, recallable, records, runs, trust_changes
from autorl.types import (
    TRANSITIONS,
    Artifact,
    Observation,
    Provenance,
    Recalled,
    Status,
    Step,
    Task,
    Trajectory,
    Trust,
    Verdict,
    clean_text,
)

if TYPE_CHECKING:
    from autorl.replay.batches import Kept


@dataclass(frozen=True)
class Summary:
    """A run on one line."""

    id: str
    task: str
    status: Status
    trust: Trust
    passed: bool | None
    score: float | None
    steps: int
    source: str
    started: datetime


class Candidate(NamedTuple):
    """A run that may be recalled.

    wins: of the `shown` judged runs that were shown it, those that passed; expected: how many of them their tasks had
    let expect without it; strict: how many of them a strict verifier judged
    """

    run: str
    task: str
    text: str
    tools: frozenset[str]
    score: float
    steps: int
    wins: int
    shown: int
    expected: float
    strict: int
    source: str


class Record(NamedTuple):
    """What came of the judged runs that were shown an exemplar (see `Candidate`)."""

    wins: int
    shown: int
    expected: float
    strict: int


@dataclass(frozen=True)
class Failure:
    """That a run did not do what was asked: how it ended, and the checks that did not pass, by name."""

    status: Status
    checks: tuple[str, ...]


@dataclass(frozen=True)
class TrustChange:
    """That `who` set a run's trust, when and why."""

    trust: Trust
    why: str
    who: str
    created: datetime


class Reader:
    """The questions; a store is one that also writes."""

    _database: Database
    _toolsets: Sequence[tuple[int, str]] = []
    """Numbers and names, as last seen."""

    def get(self, run: str) -> Trajectory:
        """The whole trajectory of `run` (an id, or its beginning). Raises UnknownName."""
        name = clean_text(run)
        found = self._database.read(lambda connection: self._whole(connection, [name]))
        if name not in found:
            name = self.summary(run).id
            found = self._database.read(lambda connection: self._whole(connection, [name]))
        return found[name]

    def get_all(self, wanted: Sequence[str]) -> dict[str, Trajectory]:
        """The trajectories of these runs (whole ids), as far as they are there and can be read; asked for at once."""
        return self._database.read(lambda connection: self._whole(connection, wanted, sound_only=True))

    def summary(self, run: str) -> Summary:
        """One run on one line, by its id or an unambiguous beginning of it. Raises UnknownName, UsageError."""
        run = clean_text(run)
        exact = self._summaries(runs.c.id == run, limit=1)
        if exact:
            return exact[0]
        found = self._summaries(self._database.begins(runs.c.id, run) if run else sa.false(), limit=2)
        if len(found) > 1:
            raise UsageError(f"'{run}' begins several runs: {found[0].id}, {found[1].id}", "Write more of it")
        if not found:
            raise UnknownName("run", run, [summary.id for summary in self.newest(limit=100)])
        return found[0]

    def each(self, *, good: bool = False) -> "Iterator[Kept]":
        """Every run that has ended with all that is known of it, by id, a batch at a time.

        good: only what may be recalled and trained on, and was not pruned
        What is added meanwhile may or may not come.
        """
        from autorl.replay import batches  # which builds on this file

        return batches.each(self._database, good=good)

    def newest(self, *, limit: int = 20, passed: bool | None = None) -> list[Summary]:
        """The newest runs first; those that passed (or did not), by their newest verdict, when asked."""
        return self._summaries(sa.true() if passed is None else runs.c.passed.is_(passed), limit=limit)

    def search(self, words: str, *, limit: int = 20) -> list[Summary]:
        """Runs of the tasks that share words with `words`, best match first."""
        order = {task: rank for rank, (task, _) in enumerate(self.by_words(words, limit=200))}
        query = sa.select(runs.c.id, runs.c.task).where(runs.c.task.in_(list(order))).limit(1000)
        of_task = dict(self._database.read(lambda connection: connection.execute(query).all()))
        found = self._summaries(runs.c.id.in_(list(of_task)), limit=1000)
        return sorted(found, key=lambda summary: order[of_task[summary.id]])[:limit]

    def by_words(self, text: str, *, limit: int) -> list[tuple[str, float]]:
        """Ids of tasks that share words with `text`, best first, with a score (higher is better)."""
        return self._database.read(lambda connection: self._database.by_words(connection, text, limit))

    def candidates(self) -> list[Candidate]:
        """The best run of each task that finished, passed, is trusted and within the cap of its source."""
        best: dict[str, Candidate] = {}
        for row in self._database.read(lambda connection: connection.execute(queries.CANDIDATES).all()):
            best.setdefault(row[1], _candidate(row))
        return list(best.values())

    def best(self, wanted: Sequence[str], tools: Collection[str]) -> list[Candidate]:
        """For each of these tasks the best run that may be recalled and called no tool but `tools`."""
        def question(connection: sa.Connection) -> list[Candidate]:
            return [_candidate(row) for some in _pieces(wanted) for row in self._of_tools(
                connection, queries.BEST, tools, tasks=some)]

        return self._database.read(question)

    def all_ended(self, wanted: Sequence[str], tools: Collection[str]) -> list[Candidate]:
        """Every run of these tasks that came to an end, was not revoked and called no tool but `tools`; newest first.

        Nobody need have verified or trusted it: it is what honest experiments compare recall with.
        """
        def question(connection: sa.Connection) -> list[Candidate]:
            return [_candidate(row) for some in _pieces(wanted)
                    for row in connection.execute(queries.CAME_TO_AN_END, {"tasks": some})]

        return [candidate for candidate in self._database.read(question) if candidate.tools <= set(tools)]

    def some(self, tools: Collection[str], *, limit: int, below: float = 1.0) -> list[Candidate]:
        """Runs that may be recalled and called no tool but `tools`, whatever their task; the newest first.

        below: a place in 0..1 among all that may be recalled, from the oldest to the newest, to begin at
        """
        def question(connection: sa.Connection) -> list[Candidate]:
            last = connection.scalar(sa.select(sa.func.max(recallable.c.number))) or 0
            return [_candidate(row) for row in self._of_tools(
                connection, queries.SOME, tools, last=int(below * last) + 1, limit=limit)]

        return self._database.read(question)

    def attempts(self, wanted: Sequence[str], model: str) -> dict[str, tuple[int, int]]:
        """How often `model` came to an end on each of these tasks, and how often it passed."""
        def question(connection: sa.Connection) -> dict[str, tuple[int, int]]:
            return {row[0]: (row[1], row[2]) for some in _pieces(wanted) for row in connection.execute(
                queries.ATTEMPTS, {"tasks": some, "model": model})}

        return self._database.read(question)

    def failures(self, wanted: Sequence[str], *, limit: int) -> tuple[list[Failure], int]:
        """The newest runs of these tasks, made here and trusted, that failed, and how many such runs were looked at."""
        def question(connection: sa.Connection) -> tuple[list[Failure], int]:
            rows = connection.execute(queries.OUTCOMES, {"tasks": list(wanted), "limit": limit}).all()
            return [_failure(status, body) for status, passed, body in rows if not passed], len(rows)

        return self._database.read(question)

    def failed(self, task: str, *, limit: int = 32) -> list[Trajectory]:
        """The runs of a task, made here and trusted, that got stuck or ran out of steps, the newest first."""
        query = sa.select(runs.c.id).where(
            runs.c.task == task, runs.c.status.in_([Status.STUCK.value, Status.OUT_OF_STEPS.value]),
            runs.c.source == "local", runs.c.trust == "trusted",
        ).order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit)
        names = self._database.read(lambda connection: connection.execute(query).scalars().all())
        found = self.get_all(names)
        return [found[name] for name in names if name in found]

    def record(self, exemplar: str) -> Record:
        """What came of the runs that were shown `exemplar`."""
        query = sa.select(records.c.wins, records.c.shown, records.c.expected, records.c.strict).where(
            records.c.exemplar == exemplar)
        found = self._database.read(lambda connection: connection.execute(query).one_or_none())
        return Record(*found) if found else Record(0, 0, 0.0, 0)

    def trust_changes(self, run: str) -> list[TrustChange]:
        """How the trust in `run` (its whole id) changed, oldest first."""
        columns = (trust_changes.c.trust, trust_changes.c.why, trust_changes.c.who, trust_changes.c.created)
        query = sa.select(*columns).where(trust_changes.c.run == run).order_by(trust_changes.c.id)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [TrustChange(trust, why, who, datetime.fromisoformat(created)) for trust, why, who, created in rows]

    def pruned(self, run: str) -> datetime | None:
        """When the steps of `run` (its whole id) were deleted; None if they are there."""
        query = sa.select(runs.c.pruned).where(runs.c.id == run)
        found = self._database.read(lambda connection: connection.scalar(query))
        return datetime.fromisoformat(found) if found else None

    def policies_of(self, run: str) -> list[str]:
        """The policies that were trained on `run` (its whole id)."""
        query = sa.select(policy_runs.c.policy).where(policy_runs.c.run == run).order_by(policy_runs.c.policy)
        return list(self._database.read(lambda connection: connection.execute(query).scalars().all()))

    def vectors(self, wanted: Sequence[str], model: str) -> dict[str, bytes]:
        """The embeddings by `model` of these tasks, as far as there are any."""
        def question(connection: sa.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for some in _pieces(wanted):
                found.update(self._database.rows(connection, queries.VECTORS, model=model, tasks=some))
            return found

        return self._database.read(question)

    def file(self, run: str, artifact: Artifact) -> Path | None:
        """Where what `run` (its whole id) made lies, beside the store or still in its workspace; None if it is gone."""
        return files.find(self._database.artifacts, run, artifact)

    def reopen(self, run: str) -> Trajectory:
        """A run that may go on, as it was left. Raises UnknownName, or UsageError if it finished or is running."""
        trajectory = self.get(run)
        query = sa.select(runs.c.owner, runs.c.pruned).where(runs.c.id == trajectory.id)
        process, pruned = self._database.read(lambda connection: connection.execute(query).one())
        if trajectory.status is Status.RUNNING:
            if owner.busy(process, trajectory.id):
                raise UsageError(f"the run {trajectory.id} is still going on in process {process}")
        elif Status.RUNNING not in TRANSITIONS[trajectory.status] or pruned:
            why = "its steps were pruned" if pruned else f"is {trajectory.status} and cannot go on"
            raise UsageError(f"the run {trajectory.id} {why}", "Start a new one: autorl solve")
        return trajectory.model_copy(update={"status": Status.RUNNING, "reason": ""})

    def counts(self) -> dict[str, int]:
        """How many runs there are by status, and how many passed."""
        query = sa.select(runs.c.status, runs.c.passed, sa.func.count()).group_by(runs.c.status, runs.c.passed)
        result: dict[str, int] = {}
        passing = 0
        for status, passed, count in self._database.read(lambda connection: connection.execute(query).all()):
            result[str(status)] = result.get(str(status), 0) + count
            passing += count if passed else 0
        return {**result, "passed": passing}

    def check(self) -> list[str]:
        """What is wrong with the store, as its database sees it; empty when it is sound."""
        return self._database.check()

    def notes(self) -> list[tuple[str, str]]:
        """What is worth knowing of where the store is, each with what to do."""
        return self._database.notes()

    def _of_tools(self, connection: sa.Connection, query: sa.Select[Any], tools: Collection[str],
                  **named: Any) -> Sequence[Any]:
        """The rows of `query` for the sets of tools that hold none but `tools`."""
        # Sets are only ever added, and seldom: those known are asked for, and in the same breath which is the last.
        while True:
            known = self._toolsets
            fitting = [number for number, names in known if _names(names).issubset(tools)]
            found = self._database.rows(connection, query, toolsets=fitting, **named)
            if not found or found[0][-1] != known[-1][0]:
                self._toolsets = self._database.rows(connection, queries.TOOLSETS)
                if self._toolsets != known:
                    continue
            return [row[:-1] for row in found]

    def _whole(self, connection: sa.Connection, wanted: Sequence[str], *,
               sound_only: bool = False) -> dict[str, Trajectory]:
        tables = self._database.rows_of(connection, queries.WHOLE, runs=list(wanted))
        found, taken, shown, made = (_by_run(rows) for rows in tables)
        whole = {}
        for name, (row,) in found.items():
            try:
                (about,) = _named(queries.RUNS, [row])
                whole[name] = trajectory_of(
                    about, [bodies for _, *bodies in taken[name]], _named(queries.INJECTIONS, shown[name]),
                    _named(queries.ARTIFACTS, made[name]), about["verdict"])
            except ValueError as error:
                if not sound_only:
                    raise ValueError(f"the run {name}: {error}") from error
        return whole

    def _summaries(self, where: sa.ColumnElement[bool], *, limit: int) -> list[Summary]:
        query = queries.SUMMARIES.where(where).limit(limit)
        return self._database.read(lambda connection: [
            Summary(run, text, Status(status), trust, passed, score, count, source, datetime.fromisoformat(started))
            for run, text, status, trust, passed, score, count, source, started in connection.execute(query)
        ])


def _pieces(wanted: Sequence[str]) -> Iterator[list[str]]:
    """So many at a time as a statement takes."""
    return (list(wanted[start : start + 500]) for start in range(0, len(wanted), 500))


def _failure(status: str, verdict: str | None) -> Failure:
    checks = Verdict.model_validate_json(verdict).checks if verdict else ()
    return Failure(Status(status), tuple(check.name for check in checks if not check.passed))


def _candidate(row: Any) -> Candidate:
    run, task, text, tools, *rest = row
    return Candidate(run, task, text, _names(tools), *rest)


@lru_cache(maxsize=1_000)
def _names(tools: str) -> frozenset[str]:
    """A set of tools as the store holds it."""
    return frozenset(json.loads(tools))


def _by_run(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Rows that begin with the id of a run."""
    of: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        of[row[0]].append(row)
    return of


def _named(query: sa.Select[Any], rows: Sequence[Any]) -> list[dict[str, Any]]:
    names = query.selected_columns.keys()
    return [dict(zip(names, row, strict=True)) for row in rows]


def trajectory_of(row: Any, taken: Sequence[Any], shown: Sequence[Any], made: Sequence[Any],
                  verdict: str | None) -> Trajectory:
    """A run from its rows: that of `runs` with the task's body, (step, observation) bodies, injections, artifacts.

    Raises ValueError if one does not fit its type.
    """
    return Trajectory(
        id=row["id"], task=Task.model_validate_json(row["task_body"]), status=Status(row["status"]),
        reason=row["reason"], answer=row["answer"],
        steps=tuple(_step(step, observation) for step, observation in taken),
        recalled=tuple(Recalled(run=r["exemplar"], rank=r["rank"], score=r["score"], origin=r["origin"],
                                style=r["style"]) for r in shown),
        artifacts=tuple(Artifact(path=a["path"], sha256=a["sha256"], bytes=a["bytes"]) for a in made),
        verdict=Verdict.model_validate_json(verdict) if verdict else None,
        provenance=Provenance.model_validate_json(row["provenance"]),
        started=datetime.fromisoformat(row["started"]), seconds=row["seconds"],
    )


def _step(body: str, observation: str | None) -> Step:
    step = Step.model_validate_json(body)
    if observation is None:
        return step
    return step.model_copy(update={"observation": Observation.model_validate_json(observation)})
