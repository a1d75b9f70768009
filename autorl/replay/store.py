"""The replay store: runs, step by step, with what was said of them. SQLite by default."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from autorl.errors import UnknownName, UsageError
from autorl.journal import Journal
from autorl.replay import database, owner, queries
from autorl.replay.redact import redacted_json, redactor, within
from autorl.replay.schema import artifacts, embeddings, injections, runs, tasks, trust_changes
from autorl.replay.schema import verdicts as verdict_rows
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
)
from autorl.verify.checks import by_person


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


@dataclass(frozen=True)
class Candidate:
    """A run that may be recalled: `wins` of the `shown` runs that were shown it passed."""

    run: str
    task: str
    text: str
    tools: frozenset[str]
    score: float
    steps: int
    wins: int
    shown: int


class ReplayStore(Journal):
    """Keeps every run; each call returns when what it wrote survives the death of this process.

    where: a file, or a URL `sqlite:///FILE`; AUTORL_HOME/replay.db when None. It is made if it is not there.
    Safe to share between threads; several processes may use one store.
    Raises StoreUnavailable, with what to do, if it cannot be opened.
    """

    def __init__(self, where: str | Path | None = None) -> None:
        self._database = database.Database(where)
        self._redact = redactor()
        self._reap()

    @property
    def where(self) -> Path:
        """The file of the store."""
        return self._database.path

    def close(self) -> None:
        self._database.close()

    # What a run writes down (see Journal).

    def began(self, trajectory: Trajectory) -> None:
        task: Task = within(trajectory.task, self._redact)
        with self._database.writing() as connection:
            kept = connection.scalar(sa.select(tasks.c.text).where(tasks.c.id == task.id))
            if kept is None:
                connection.execute(tasks.insert(), {"id": task.id, "body": task.model_dump_json(), "text": task.text})
            elif kept != task.text:
                raise UsageError(f"the task id '{task.id}' is taken by another task: '{kept[:80]}'",
                                 "Give the task an id of its own, or none")
            row = {
                "id": trajectory.id, "task": task.id, "status": Status.RUNNING, "reason": "", "answer": "",
                "trust": "trusted", "tools": "[]", "provenance": self._json(trajectory.provenance),
                "owner": owner.this(), "started": trajectory.started.isoformat(), "seconds": trajectory.seconds,
            }
            held = connection.execute(sa.select(runs.c.status, runs.c.owner).where(runs.c.id == trajectory.id)).first()
            if held and held.status == Status.RUNNING and owner.alive(held.owner):
                raise UsageError(f"the run {trajectory.id} is going on already, in process {held.owner}")
            again = {"status": Status.RUNNING, "reason": "", "owner": row["owner"]}
            connection.execute(insert(runs).values(row).on_conflict_do_update(index_elements=["id"], set_=again))
            if trajectory.recalled:
                connection.execute(insert(injections).on_conflict_do_nothing(), [
                    {"run": trajectory.id, "rank": r.rank, "exemplar": r.run, "origin": r.origin, "score": r.score}
                    for r in trajectory.recalled
                ])

    def decided(self, run: str, step: Step) -> None:
        body = self._json(step.model_copy(update={"observation": None}))
        with self._database.writing() as connection:
            connection.execute(queries.ADD_STEP, {"run": run, "step": step.index, "body": body})

    def observed(self, run: str, index: int, observation: Observation) -> None:
        with self._database.writing() as connection:
            connection.execute(queries.ADD_OBSERVATION, {"run": run, "step": index, "body": self._json(observation)})

    def ended(self, trajectory: Trajectory) -> None:
        called = sorted({action.name for action in trajectory.actions})
        with self._database.writing() as connection:
            connection.execute(runs.update().where(runs.c.id == trajectory.id), {
                "status": trajectory.status, "reason": self._redact(trajectory.reason),
                "answer": self._redact(trajectory.answer), "tools": json.dumps(called), "seconds": trajectory.seconds,
            })
            connection.execute(artifacts.delete().where(artifacts.c.run == trajectory.id))
            if trajectory.artifacts:
                connection.execute(insert(artifacts).on_conflict_do_nothing(), [
                    {"run": trajectory.id, **within(artifact, self._redact).model_dump()}
                    for artifact in trajectory.artifacts
                ])
            if trajectory.tainted:
                self._change_trust(connection, trajectory.id, "quarantined", "it read what came from outside", "autorl")

    def judged(self, run: str, verdict: Verdict) -> None:
        with self._database.writing() as connection:
            connection.execute(verdict_rows.insert(), {
                "run": run, "verifier": verdict.verifier, "passed": verdict.passed, "score": verdict.score,
                "body": self._json(verdict), "created": _now(),
            })

    # What a person says of a run.

    def feedback(self, run: str, passed: bool, why: str = "") -> Verdict:
        """Record a person's verdict on `run` (an id, or its beginning). Raises UnknownName, UsageError."""
        summary = self.summary(run)
        if summary.status is not Status.FINISHED and passed:
            raise UsageError(f"the run {summary.id} is '{summary.status}', and only a finished one can be a success",
                             f"Finish it: autorl solve --resume {summary.id}")
        verdict = by_person(passed, why)
        self.judged(summary.id, verdict)
        return verdict

    def trust(self, run: str, trust: Trust, why: str, who: str = "person") -> None:
        """Set whether `run` may be recalled and trained on, and record why. Raises UnknownName."""
        found = self.summary(run).id
        with self._database.writing() as connection:
            self._change_trust(connection, found, trust, why, who)

    # Reading.

    def get(self, run: str) -> Trajectory:
        """The whole trajectory of `run` (an id, or its beginning). Raises UnknownName."""
        with self._database.reading() as connection:
            row = connection.execute(queries.RUN, {"run": run}).mappings().one_or_none()
            found = run if row else self.summary(run).id
            named = {"run": found}
            row = row or connection.execute(queries.RUN, named).mappings().one()
            taken = connection.execute(queries.STEPS, named).all()
            shown = connection.execute(queries.INJECTIONS, named).mappings().all()
            made = connection.execute(queries.ARTIFACTS, named).mappings().all()
            verdict = connection.scalar(queries.VERDICT, named)
            return Trajectory(
                id=found, task=Task.model_validate_json(row["task_body"]), status=Status(row["status"]),
                reason=row["reason"], answer=row["answer"],
                steps=tuple(_step(step, observation) for step, observation in taken),
                recalled=tuple(Recalled(run=r["exemplar"], rank=r["rank"], score=r["score"], origin=r["origin"])
                               for r in shown),
                artifacts=tuple(Artifact(path=a["path"], sha256=a["sha256"], bytes=a["bytes"]) for a in made),
                verdict=Verdict.model_validate_json(verdict) if verdict else None,
                provenance=Provenance.model_validate_json(row["provenance"]),
                started=datetime.fromisoformat(row["started"]), seconds=row["seconds"],
            )

    def summary(self, run: str) -> Summary:
        """One run on one line, by its id or an unambiguous beginning of it. Raises UnknownName, UsageError."""
        found = self._summaries(runs.c.id.startswith(run, autoescape=True) if run else sa.false(), limit=2)
        exact = [summary for summary in found if summary.id == run]
        if len(found) > 1 and not exact:
            raise UsageError(f"'{run}' begins several runs: {found[0].id}, {found[1].id}", "Write more of it")
        if not found:
            raise UnknownName("run", run, [summary.id for summary in self.newest(limit=100)])
        return (exact or found)[0]

    def newest(self, *, limit: int = 20, passed: bool | None = None) -> list[Summary]:
        """The newest runs first; those that passed (or did not), by their newest verdict, when asked."""
        return self._summaries(sa.true() if passed is None else queries.NEWEST.c.passed.is_(passed), limit=limit)

    def search(self, words: str, *, limit: int = 20) -> list[Summary]:
        """Runs of the tasks that share words with `words`, best match first."""
        order = {task: rank for rank, (task, _) in enumerate(self.by_words(words, limit=200))}
        found = self._summaries(runs.c.task.in_(list(order)), limit=1000)
        with self._database.reading() as connection:
            of_task = dict(connection.execute(
                sa.select(runs.c.id, runs.c.task).where(runs.c.id.in_([s.id for s in found]))
            ).all())
        return sorted(found, key=lambda summary: order[of_task[summary.id]])[:limit]

    def by_words(self, text: str, *, limit: int) -> list[tuple[str, float]]:
        """Ids of tasks that share words with `text`, best first, with their BM25 score (higher is better)."""
        query = database.words_query(text)
        if not query:
            return []
        with self._database.reading() as connection:
            rows = connection.execute(sa.text(
                "SELECT tasks.id, -task_words.rank FROM task_words JOIN tasks ON tasks.number = task_words.rowid "
                "WHERE task_words MATCH :query ORDER BY task_words.rank LIMIT :limit"
            ), {"query": query, "limit": limit})
            return [(task, float(score)) for task, score in rows]

    def candidates(self) -> list[Candidate]:
        """The best run of each task that is finished, passed and trusted."""
        best: dict[str, Candidate] = {}
        with self._database.reading() as connection:
            for run, task, text, tools, score, count, wins, shown in connection.execute(queries.CANDIDATES):
                new = Candidate(run, task, text, frozenset(json.loads(tools)), score, count, wins, shown)
                old = best.get(task)
                if old is None or (new.score, -new.steps, new.run) > (old.score, -old.steps, old.run):
                    best[task] = new
        return list(best.values())

    def vectors(self, wanted: Sequence[str], model: str) -> dict[str, bytes]:
        """The embeddings by `model` of these tasks, as far as there are any."""
        found: dict[str, bytes] = {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), 500):
                query = sa.select(embeddings.c.task, embeddings.c.vector).where(
                    embeddings.c.model == model, embeddings.c.task.in_(wanted[start : start + 500]))
                found.update(connection.execute(query).all())
        return found

    def keep_vectors(self, vectors: Iterable[tuple[str, bytes]], model: str) -> None:
        """Keep embeddings of tasks."""
        rows = [{"task": task, "model": model, "vector": vector} for task, vector in vectors]
        if rows:
            with self._database.writing() as connection:
                connection.execute(insert(embeddings).on_conflict_do_nothing(), rows)

    def reopen(self, run: str) -> Trajectory:
        """A run that may go on, as it was left. Raises UnknownName, or UsageError if it finished or is running."""
        trajectory = self.get(run)
        with self._database.reading() as connection:
            process = connection.scalar(sa.select(runs.c.owner).where(runs.c.id == trajectory.id)) or ""
        if trajectory.status is Status.RUNNING:
            if owner.alive(process):
                raise UsageError(f"the run {trajectory.id} is still going on in process {process}")
        elif Status.RUNNING not in TRANSITIONS[trajectory.status]:
            raise UsageError(f"the run {trajectory.id} is {trajectory.status} and cannot go on",
                             "Start a new one: autorl solve")
        return trajectory.model_copy(update={"status": Status.RUNNING, "reason": ""})

    def counts(self) -> dict[str, int]:
        """How many runs there are by status, and how many passed."""
        with self._database.reading() as connection:
            counted = connection.execute(sa.select(runs.c.status, sa.func.count()).group_by(runs.c.status))
            result = {str(status): count for status, count in counted}
            result["passed"] = connection.scalar(
                sa.select(sa.func.count()).select_from(queries.NEWEST).where(queries.NEWEST.c.passed.is_(True))) or 0
        return result

    def check(self) -> list[str]:
        """What is wrong with the store, as SQLite's own integrity check sees it; empty when it is sound."""
        return self._database.check()

    def _summaries(self, where: sa.ColumnElement[bool], *, limit: int) -> list[Summary]:
        query = queries.SUMMARIES.where(where).limit(limit)
        with self._database.reading() as connection:
            return [
                Summary(run, text, Status(status), trust, passed, score, count,
                        json.loads(provenance).get("source", ""), datetime.fromisoformat(started))
                for run, text, status, trust, passed, score, count, provenance, started in connection.execute(query)
            ]

    def _change_trust(self, connection: sa.Connection, run: str, trust: Trust, why: str, who: str) -> None:
        connection.execute(runs.update().where(runs.c.id == run), {"trust": trust})
        connection.execute(trust_changes.insert(), {
            "run": run, "trust": trust, "why": self._redact(why), "who": who, "created": _now()})

    def _reap(self) -> None:
        """End as failed what a process of this machine left running when it died."""
        with self._database.reading() as connection:
            going = connection.execute(sa.select(runs.c.id, runs.c.owner).where(runs.c.status == Status.RUNNING)).all()
        dead = [run for run, process in going if not owner.alive(process)]
        if dead:
            with self._database.writing() as connection:
                connection.execute(
                    runs.update().where(runs.c.id.in_(dead), runs.c.status == Status.RUNNING),
                    {"status": Status.FAILED, "reason": "its process ended before the run did"})

    def _json(self, value: Step | Observation | Provenance | Verdict) -> str:
        return redacted_json(value, self._redact)


def _step(body: str, observation: str | None) -> Step:
    step = Step.model_validate_json(body)
    if observation is None:
        return step
    return step.model_copy(update={"observation": Observation.model_validate_json(observation)})


def _now() -> str:
    return datetime.now(UTC).isoformat()
