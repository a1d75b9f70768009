"""The replay store: runs, step by step, with what was said of them. SQLite by default, or PostgreSQL."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from autorl.errors import StoreUnavailable, UsageError
from autorl.journal import Journal
from autorl.replay import bulk, embed, files, lineage, owner, standing, upkeep
from autorl.replay.database import Database, insert
from autorl.replay.embed import Embedder
from autorl.replay.inserting import IF_NEW, insert_rows
from autorl.replay.opening import open_database
from autorl.replay.reading import Candidate, Reader, Summary
from autorl.replay.redact import redactor
from autorl.replay.rows import Rows, now
from autorl.replay.schema import (
    artifacts,
    injections,
    observations,
    runs,
    steps,
    tasks,
)
from autorl.replay.upkeep import Pruning
from autorl.replay.vectors import Vectors
from autorl.types import Observation, Status, Step, Trajectory, Trust, Verdict
from autorl.verify.checks import by_person

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
__all__ = ["Candidate", "ReplayStore", "Summary"]


class ReplayStore(Reader, Journal):
    """Keeps every run; each call returns when what it wrote survives the death of this process.

    where: a file, `sqlite:///FILE` or `postgresql+psycopg://USER@HOST/DATABASE`; AUTORL_HOME/replay.db when None.
        It is made if it is not there.
    embedder: what tells which tasks are alike in meaning (`embed.load`); the embedded model when None
    Safe to share between threads; several processes may use one store. While a PostgreSQL server is away, calls
    wait for it for half a minute.
    Raises StoreUnavailable, with what to do, if it cannot be opened; MissingExtra.
    """

    def __init__(self, where: str | Path | None = None, *, embedder: Embedder | None = None) -> None:
        self._database = open_database(where)
        self._rows = Rows(redactor())
        self.embedder = embedder or embed.load()
        self._vectors = Vectors(self._database, self.embedder)
        self.reap()

    @property
    def where(self) -> Path | str:
        """The file of the store, or its URL without the password."""
        return self._database.where

    def close(self) -> None:
        self._vectors.close()
        self._database.close()

    def by_meaning(self, wanted: "np.ndarray[Any, Any]", *, limit: int) -> list[tuple[str, float, bytes]]:
        """The tasks nearest to `wanted` (a vector by `embedder`), best first: (id, cosine, vector).

        Nearly all of the nearest are found, of the tasks that have a vector (see `ready`).
        """
        return self._vectors.nearest(wanted, limit)

    @property
    def unreadable(self) -> int:
        """How many vectors were met that cannot be read: of their tasks, recall knows the words alone."""
        return self._vectors.unreadable

    def ready(self) -> int:
        """Make the vectors that are lacking if they are few, else have them made in the background.

        Returns how many tasks are without one still. Raises ModelUnavailable if the embedder cannot be reached.
        """
        return self._vectors.ready()

    def lacking(self) -> int:
        """How many tasks are without a vector."""
        return self._vectors.lacking()

    def view(self, questions: Callable[[], T]) -> T:
        """What `questions` gives; all that it asks of the store, in this thread, is answered as of one moment."""
        return self._database.view(questions)

    def embed_all(self) -> None:
        """Make every vector that is lacking, here and now. Raises ModelUnavailable."""
        self._vectors.catch_up()

    # What a run writes down (see Journal). Each may be done twice, when a server broke off before it answered.

    def began(self, trajectory: Trajectory) -> None:
        task = self._rows.task(trajectory.task)
        row = self._rows.run(trajectory)
        claimed = False

        def work(connection: sa.Connection) -> None:
            nonlocal claimed
            _have_task(self._database, connection, task)
            if insert_rows(connection, runs, [row], IF_NEW) == 0:
                held = connection.execute(sa.select(runs.c.status, runs.c.owner, runs.c.task, runs.c.started)
                                          .where(runs.c.id == row["id"]).with_for_update()).one()
                if (held.task, held.started) != (row["task"], row["started"]):
                    raise UsageError(f"the id {row['id']} is that of another run", "Give the new run an id of its own")
                ours = claimed and held.owner == row["owner"]
                if held.status == Status.RUNNING and not ours and owner.busy(held.owner, row["id"]):
                    raise UsageError(f"the run {row['id']} is going on already, in process {held.owner}")
                again = {"status": Status.RUNNING.value, "reason": "", "owner": row["owner"]}
                connection.execute(runs.update().where(runs.c.id == row["id"]), again)
            claimed = True
            if trajectory.recalled:
                shown = self._rows.injections(trajectory)
                insert_rows(connection, injections, shown, IF_NEW)

        self._database.write(work)
        owner.going.add(row["id"])

    def decided(self, run: str, step: Step) -> None:
        self._add(steps, run, step.index, self._rows.json(step.model_copy(update={"observation": None})))

    def observed(self, run: str, index: int, observation: Observation) -> None:
        self._add(observations, run, index, self._rows.json(observation))

    def ended(self, trajectory: Trajectory) -> None:
        """Keep how a run ended, and what it made. Raises StoreUnavailable if it was ended otherwise in the meantime."""
        owner.going.discard(trajectory.id)  # also when it cannot be kept: then it may be resumed here
        end = self._rows.end(trajectory)
        made = self._rows.artifacts(trajectory)
        change = self._rows.trust_change(trajectory.id, "quarantined", "it read what came from outside", "autorl")

        def work(connection: sa.Connection) -> None:
            ending = runs.update().where(runs.c.id == trajectory.id, runs.c.status.in_([Status.RUNNING, end["status"]]))
            ended = connection.execute(ending.returning(runs.c.passed), end).one_or_none()
            if ended is None:
                raise StoreUnavailable(f"the run {trajectory.id} was ended while it was going on here",
                                       "Its process was taken for dead; autorl replay show tells what stands")
            connection.execute(artifacts.delete().where(artifacts.c.run == trajectory.id))
            if made:
                connection.execute(insert(connection, artifacts).on_conflict_do_nothing(), made)
            if trajectory.tainted:
                standing.change_trust(self._database, connection, change)
            if ended.passed:  # somebody judged it before it ended
                standing.settle(self._database, connection, [trajectory.id])

        self._database.write(work)

    def judged(self, run: str, verdict: Verdict) -> None:
        row = self._rows.verdict(run, verdict)
        self._database.write(lambda connection: standing.judge(self._database, connection, row))

    def keep_files(self, trajectory: Trajectory, workspace: Path) -> None:
        """Keep what a run made beside the store, once for each content. Raises StoreUnavailable."""
        for artifact in trajectory.artifacts:
            files.keep(self._database.artifacts, workspace / artifact.path, artifact)

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
        change = self._rows.trust_change(self.summary(run).id, trust, why, who)
        return self._database.write(lambda connection: standing.change_trust(self._database, connection, change))

    def cap(self, source: str, most: int | None) -> None:
        """Let at most `most` runs of a source be recalled and trained on; None for any number."""
        self._database.write(lambda connection: standing.set_cap(
            self._database, connection, self._rows.clean(source), most))

    # What imports, training and recall add.

    def add(self, trajectories: Sequence[Trajectory], *, trust: Trust = "trusted", why: str = "") -> list[str]:
        """Keep whole runs in one transaction, far faster than step by step; returns the ids of those that were new.

        trust: what they start with, for `why`; what read from outside starts quarantined in any case
        Raises UsageError, and keeps none, if an id is that of another run or task.
        """
        return bulk.add(self._database, self._rows, trajectories, trust, why)

    def keep_policy(self, policy: str, *, base: str, trained_on: Iterable[str], adapter: str | None = None,
                    parent: str | None = None, dataset: str = "", gate: str | None = None) -> None:
        """Keep a policy, and which runs of this store it was trained on. One that is there gets what is new."""
        row = {"id": policy, "base": base, "adapter": adapter, "parent": parent, "dataset": dataset, "gate": gate,
               "created": now()}
        lineage.keep(self._database, row, trained_on)

    def policies(self) -> list[lineage.Kept]:
        """Every policy that was kept, the oldest first."""
        return lineage.all_kept(self._database)

    def judge_policy(self, policy: str, gate: str) -> None:
        """Keep what the gate said of `policy`, as JSON. Raises UnknownName."""
        lineage.judged(self._database, policy, self._rows.clean(gate))

    def promoted(self, base: str) -> str | None:
        """The policy that stands for the model `base`; None where that stands for itself."""
        return lineage.standing(lineage.history(self._database, base))

    def promotions(self, base: str) -> list[lineage.Promotion]:
        """How it came to that, the oldest first."""
        return lineage.history(self._database, base)

    def promote(self, base: str, policy: str | None, *, why: str, who: str) -> None:
        """Make `policy` stand for `base`, or the bare `base` for itself if it is None. Raises UsageError."""
        lineage.promote(self._database, base, policy, self._rows.clean(why), self._rows.clean(who))

    def roll_back(self, base: str, *, why: str, who: str) -> str | None:
        """Go back to what stood for `base` before, and return it. Raises UsageError if there is nothing to go back to.
        """
        return lineage.roll_back(self._database, base, self._rows.clean(why), self._rows.clean(who))

    def delete_policy(self, policy: str) -> None:
        """Note that the files of `policy` are deleted; what it came from stays. Raises UsageError if it is promoted."""
        lineage.delete(self._database, policy)

    # Upkeep.

    def stats(self) -> dict[str, Any]:
        """What is in the store, in numbers."""
        return upkeep.stats(self._database)

    def prunable(self, older: timedelta, *, unverified: bool = False) -> Pruning:
        """The runs that `prune` may empty: ended more than `older` ago, and no example as they stand."""
        return upkeep.prunable(self._database, older, unverified=unverified)

    def prune(self, what: Pruning) -> Pruning:
        """Delete the steps and files of these runs for good; their outcomes stay, for the statistics."""
        return upkeep.prune(self._database, what)

    def compact(self) -> tuple[int, int]:
        """Give back the room of what was deleted, and bring every index up to date.

        Vectors that cannot be read are made again. Returns the bytes on the disk before and after.
        Raises ModelUnavailable.
        """
        self._vectors.mend()
        self.embed_all()
        before = self._database.size()
        self._database.compact()
        return before, self._database.size()

    def check(self) -> list[str]:
        return [*super().check(), *self._vectors.check()]

    def check_files(self) -> list[str]:
        """What is missing or changed of the files that runs made; empty when they are sound."""
        return upkeep.check_files(self._database)

    def _add(self, table: sa.Table, run: str, index: int, body: str) -> None:
        """Add a row of a step, which may be there already if it says the same."""
        row = {"run": run, "step": index, "body": body}

        def work(connection: sa.Connection) -> None:
            if insert_rows(connection, table, [row], IF_NEW) == 0:
                kept = sa.select(table.c.body).where(table.c.run == run, table.c.step == index)
                if connection.scalar(kept) != body:
                    raise StoreUnavailable(f"step {index} of the run {run} is kept already, and says something else",
                                           "Steps are only ever added: start a new run")

        self._database.write(work)

    def reap(self) -> None:
        """End as failed what a process of this machine left running when it died."""
        query = sa.select(runs.c.id, runs.c.owner).where(runs.c.status == Status.RUNNING.value)
        going = self._database.read(lambda connection: connection.execute(query).all())
        dead = [{"dead": run, "process": process} for run, process in going if not owner.alive(process)]
        if dead:
            left = runs.update().where(runs.c.id == sa.bindparam("dead"), runs.c.owner == sa.bindparam("process"),
                                       runs.c.status == Status.RUNNING.value)
            self._database.write(lambda connection: connection.execute(left.values(
                status=Status.FAILED.value, reason="its process ended before the run did"), dead))


_TASK = sa.select(tasks.c.text).where(tasks.c.id == sa.bindparam("id"))


def _have_task(database: Database, connection: sa.Connection, row: dict[str, Any]) -> None:
    """Keep the task if it is new. Raises UsageError if another one has its id."""
    named = {"id": row["id"]}
    kept = connection.scalar(_TASK, named)
    if kept is None:
        database.take_turn(connection, "tasks")  # so that tasks become visible in the order of their numbers
        if insert_rows(connection, tasks, [row], IF_NEW):
            return
        kept = connection.scalar(_TASK, named)
    if kept != row["text"]:
        raise UsageError(f"the task id '{row['id']}' is taken by another task: '{str(kept)[:80]}'",
                         "Give the task an id of its own, or none")
