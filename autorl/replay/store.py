"""The replay store: runs, step by step, with what was said of them. SQLite by default, or PostgreSQL."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticSerializationError

from autorl.errors import StoreUnavailable, UsageError
from autorl.journal import Journal
from autorl.replay import owner, standing
from autorl.replay.database import INSERTS, insert
from autorl.replay.opening import open_database
from autorl.replay.reading import Candidate, Reader, Summary
from autorl.replay.redact import redacted_json, redactor, within
from autorl.replay.schema import (
    artifacts,
    injections,
    observations,
    policies,
    policy_runs,
    runs,
    steps,
    tasks,
)
from autorl.types import Observation, Provenance, Status, Step, Task, Trajectory, Trust, Verdict, clean_text
from autorl.verify.checks import by_person

__all__ = ["Candidate", "ReplayStore", "Summary"]

LONGEST = 2_000_000
"""Characters of JSON that a step or an observation may have; what is longer is cut in the middle of its texts."""


class ReplayStore(Reader, Journal):
    """Keeps every run; each call returns when what it wrote survives the death of this process.

    where: a file, `sqlite:///FILE` or `postgresql+psycopg://USER@HOST/DATABASE`; AUTORL_HOME/replay.db when None.
        It is made if it is not there.
    Safe to share between threads; several processes may use one store. While a PostgreSQL server is away, calls
    wait for it for half a minute.
    Raises StoreUnavailable, with what to do, if it cannot be opened; MissingExtra.
    """

    def __init__(self, where: str | Path | None = None) -> None:
        self._database = open_database(where)
        self._redact = redactor()
        self._reap()

    @property
    def where(self) -> Path | str:
        """The file of the store, or its URL without the password."""
        return self._database.where

    def close(self) -> None:
        self._database.close()

    # What a run writes down (see Journal). Each may be done twice, when a server broke off before it answered.

    def began(self, trajectory: Trajectory) -> None:
        task: Task = within(trajectory.task, self._clean)
        row = self._run_row(trajectory)
        claimed = False

        def work(connection: sa.Connection) -> None:
            nonlocal claimed
            _have_task(connection, task)
            held = connection.execute(sa.select(runs.c.status, runs.c.owner, runs.c.task, runs.c.started)
                                      .where(runs.c.id == row["id"]).with_for_update()).first()
            if held and (held.task, held.started) != (row["task"], row["started"]):
                raise UsageError(f"the id {row['id']} is that of another run", "Give the new run an id of its own")
            ours = claimed and held and held.owner == row["owner"]
            if held and held.status == Status.RUNNING and not ours and owner.alive(held.owner):
                raise UsageError(f"the run {row['id']} is going on already, in process {held.owner}")
            again = {"status": Status.RUNNING.value, "reason": "", "owner": row["owner"]}
            connection.execute(insert(connection, runs).values(row).on_conflict_do_update(
                index_elements=["id"], set_=again))
            claimed = True
            if trajectory.recalled:
                connection.execute(insert(connection, injections).on_conflict_do_nothing(), _injections(trajectory))

        self._database.write(work)

    def decided(self, run: str, step: Step) -> None:
        self._add(steps, run, step.index, self._json(step.model_copy(update={"observation": None})))

    def observed(self, run: str, index: int, observation: Observation) -> None:
        self._add(observations, run, index, self._json(observation))

    def ended(self, trajectory: Trajectory) -> None:
        end = {**self._end(trajectory), "length": len(trajectory.steps)}
        made = self._artifacts(trajectory)
        change = self._trust_change(trajectory.id, "quarantined", "it read what came from outside", "autorl")

        def work(connection: sa.Connection) -> None:
            passed = connection.scalar(runs.update().where(runs.c.id == trajectory.id).returning(runs.c.passed), end)
            connection.execute(artifacts.delete().where(artifacts.c.run == trajectory.id))
            if made:
                connection.execute(insert(connection, artifacts).on_conflict_do_nothing(), made)
            if trajectory.tainted:
                standing.change_trust(self._database, connection, change)
            if passed:  # somebody judged it before it ended
                standing.settle(self._database, connection, [trajectory.id])

        self._database.write(work)

    def judged(self, run: str, verdict: Verdict) -> None:
        row = self._verdict_row(run, verdict)
        self._database.write(lambda connection: standing.judge(self._database, connection, row))

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

    def trust(self, run: str, trust: Trust, why: str, who: str = "person") -> list[str]:
        """Set whether `run` may be recalled and trained on, and record why, by whom and when.

        Returns the policies that were trained on it. Raises UnknownName.
        """
        change = self._trust_change(self.summary(run).id, trust, why, who)
        return self._database.write(lambda connection: standing.change_trust(self._database, connection, change))

    def cap(self, source: str, most: int | None) -> None:
        """Let at most `most` runs of a source be recalled and trained on; None for any number."""
        self._database.write(lambda connection: standing.set_cap(
            self._database, connection, self._clean(source), most))

    # What training and recall add.

    def keep_policy(self, policy: str, *, base: str, trained_on: Iterable[str], adapter: str | None = None,
                    parent: str | None = None, dataset: str = "", gate: str | None = None) -> None:
        """Keep a policy, and the runs that it was trained on. One that is kept already gets what is new."""
        row = {"id": policy, "base": base, "adapter": adapter, "parent": parent, "dataset": dataset, "gate": gate,
               "created": _now()}
        used = [{"policy": policy, "run": run} for run in trained_on]

        def work(connection: sa.Connection) -> None:
            new = {name: value for name, value in row.items() if name not in ("id", "created")}
            connection.execute(insert(connection, policies).values(row).on_conflict_do_update(
                index_elements=["id"], set_=new))
            if used:
                connection.execute(insert(connection, policy_runs).on_conflict_do_nothing(), used)

        self._database.write(work)

    def keep_vectors(self, vectors: Iterable[tuple[str, bytes]], model: str) -> None:
        """Keep embeddings of tasks."""
        rows = [{"task": task, "model": model, "vector": vector} for task, vector in vectors]
        if rows:
            self._database.write(lambda connection: self._database.add_vectors(connection, rows))

    # Rows.

    def _run_row(self, trajectory: Trajectory) -> dict[str, Any]:
        for kind, name in (("run", trajectory.id), ("task", trajectory.task.id)):
            if not 0 < len(name) <= 64 or clean_text(name) != name:
                raise UsageError(f"the {kind} id {name[:80]!r} cannot be kept", "Use 1 to 64 characters of plain text")
        provenance = within(trajectory.provenance, self._clean)
        return {
            "id": trajectory.id, "task": trajectory.task.id, "status": Status.RUNNING.value, "reason": "",
            "answer": "", "trust": "trusted", "tools": "[]", "provenance": self._json(trajectory.provenance),
            "owner": owner.this(), "started": trajectory.started.isoformat(), "seconds": trajectory.seconds,
            **{name: getattr(provenance, name) for name in ("source", "format", "model", "adapter", "tools_hash")},
        }

    def _end(self, trajectory: Trajectory) -> dict[str, Any]:
        called = sorted({action.name for action in trajectory.actions})
        return {
            "status": trajectory.status.value, "reason": self._clean(trajectory.reason),
            "answer": self._clean(trajectory.answer), "tools": self._clean(json.dumps(called)),
            "seconds": trajectory.seconds,
        }

    def _artifacts(self, trajectory: Trajectory) -> list[dict[str, Any]]:
        return [{"run": trajectory.id, **within(artifact, self._clean).model_dump()}
                for artifact in trajectory.artifacts]

    def _verdict_row(self, run: str, verdict: Verdict) -> dict[str, Any]:
        return {"run": run, "verifier": self._clean(verdict.verifier), "passed": verdict.passed,
                "score": verdict.score, "body": self._json(verdict), "created": _now()}

    def _trust_change(self, run: str, trust: Trust, why: str, who: str) -> dict[str, Any]:
        return {"run": run, "trust": trust, "why": self._clean(why), "who": self._clean(who), "created": _now()}

    def _add(self, table: sa.Table, run: str, index: int, body: str) -> None:
        """Add a row of a step, which may be there already if it says the same."""
        row = {"run": run, "step": index, "body": body}

        def work(connection: sa.Connection) -> None:
            if connection.execute(_adding(connection.dialect.name, table), row).rowcount == 0:
                kept = sa.select(table.c.body).where(table.c.run == run, table.c.step == index)
                if connection.scalar(kept) != body:
                    raise StoreUnavailable(f"step {index} of the run {run} is kept already, and says something else",
                                           "Steps are only ever added: start a new run")

        self._database.write(work)

    def _json(self, value: Step | Observation | Provenance | Verdict) -> str:
        try:
            text = redacted_json(value, self._redact)
        except PydanticSerializationError:  # a lone surrogate, which no file and no database takes
            value = within(value, clean_text)
            text = redacted_json(value, self._redact)
        longest = LONGEST
        while len(text) > LONGEST and longest > 1000:
            longest //= 2
            value = _shortened(value, longest)
            text = redacted_json(value, self._redact)
        return text

    def _clean(self, text: str) -> str:
        return clean_text(self._redact(text))

    def _reap(self) -> None:
        """End as failed what a process of this machine left running when it died."""
        query = sa.select(runs.c.id, runs.c.owner).where(runs.c.status == Status.RUNNING.value)
        going = self._database.read(lambda connection: connection.execute(query).all())
        dead = [run for run, process in going if not owner.alive(process)]
        if dead:
            self._database.write(lambda connection: connection.execute(
                runs.update().where(runs.c.id.in_(dead), runs.c.status == Status.RUNNING.value),
                {"status": Status.FAILED.value, "reason": "its process ended before the run did"}))


@cache
def _adding(dialect: str, table: sa.Table) -> Any:
    """Built once: that takes longer than SQLite takes to do it."""
    return INSERTS[dialect](table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def _have_task(connection: sa.Connection, task: Task) -> None:
    """Keep the task if it is new. Raises UsageError if another one has its id."""
    row = {"id": task.id, "body": task.model_dump_json(), "text": task.text}
    if connection.execute(_adding(connection.dialect.name, tasks), row).rowcount:
        return
    kept = connection.scalar(sa.select(tasks.c.text).where(tasks.c.id == task.id))
    if kept != task.text:
        raise UsageError(f"the task id '{task.id}' is taken by another task: '{str(kept)[:80]}'",
                         "Give the task an id of its own, or none")


def _injections(trajectory: Trajectory) -> list[dict[str, Any]]:
    return [{"run": trajectory.id, "rank": r.rank, "exemplar": r.run, "origin": r.origin, "score": r.score}
            for r in trajectory.recalled]


def _shortened(value: Any, longest: int) -> Any:
    """`value` with the middle of its longer texts left out, and said so in its place."""
    def cut(text: str) -> str:
        if len(text) <= longest:
            return text
        return f"{text[: longest // 2]}\n[... {len(text) - longest} characters were not kept ...]\n" \
               f"{text[-(longest // 2):]}"

    shorter = within(value, cut)
    if isinstance(value, Observation) and shorter.text != value.text:
        return shorter.model_copy(update={"omitted": value.omitted + len(value.text) - longest})
    return shorter


def _now() -> str:
    return datetime.now(UTC).isoformat()


