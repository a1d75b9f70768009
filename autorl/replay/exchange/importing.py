"""Runs into a store, from JSON lines that nobody has looked at."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from autorl.errors import AutorlError, StoreUnavailable, UsageError
from autorl.replay import batches, files, standing
from autorl.replay.batches import Kept
from autorl.replay.database import insert
from autorl.replay.exchange import chat, own, smolagents
from autorl.replay.exchange.belief import Belief, believed
from autorl.replay.exchange.forms import Form, form_of
from autorl.replay.exchange.lines import BadRow, rows
from autorl.replay.schema import policies, sources
from autorl.replay.store import ReplayStore
from autorl.types import Step, Trajectory

SHOWN = 20
"""Bad rows that are told of; all are counted."""
_ROWS, _BYTES = 200, 16 * 2**20
"""A batch is full with as many runs, or with lines of about as many bytes."""
_MISFITS = (AutorlError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What reading a row may raise that is not of the form that it seems to be of."""


@dataclass
class Imported:
    """What came of an import.

    runs: that were read: `new` ones, those `there` already, and those that were `bad` (told in `problems`, the first)
    quarantined, over_cap: of the new ones, those that are so
    forms: rows by their form; notes: what was passed over or changed, by what it is
    files: that were kept, missing_files: that the new runs name and that are nowhere
    cut_off: how the file itself says that it is not whole; empty if it does not
    """

    runs: int = 0
    new: int = 0
    there: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)
    quarantined: int = 0
    over_cap: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    files: int = 0
    missing_files: int = 0
    cut_off: str = ""


def import_runs(store: ReplayStore, stream: IO[bytes], *, source: str, form: Form | None = None,
                believe: Belief = "nothing", copies: Path | None = None,
                told: Callable[[str], None] = lambda problem: None) -> Imported:
    """Keep the runs of `stream`, a batch at a time; a row that is bad is told of by its line, and the rest is kept.

    source: where they are from, which its cap holds for; form: of all rows, each row's own when None
    believe: how much of what the file says of its runs (belief.py); `everything` for the form `autorl` alone
    copies: the folder that `export` copied their files to; told: gets every problem, as `line 7: ...`
    Runs that are there already are left alone, and so importing twice changes nothing.
    Raises UsageError for a source that cannot be; StoreUnavailable, after which what was kept stays.
    """
    if source == standing.HERE and believe != "everything":
        raise UsageError(f"the source '{source}' is that of the runs that were made here",
                         "Name another: --source NAME")
    return _Import(store, source, form, believe, copies, told).of(stream)


class _Import:
    """An import that goes on."""

    def __init__(self, store: ReplayStore, source: str, form: Form | None, believe: Belief, copies: Path | None,
                 told: Callable[[str], None]) -> None:
        self.store, self.database = store, store._database
        self.source, self.form, self.believe, self.copies, self.told = source, form, believe, copies, told
        self.done = Imported()
        self.began, self.lines = False, 0
        self.end: own.End | None = None
        self.policies: set[str] = set()
        self.sources: set[str] = set()

    def of(self, stream: IO[bytes]) -> Imported:
        waiting: list[tuple[str, Kept]] = []
        size = 0
        for where, value, length in self._values(stream):
            waiting += self._read(where, value)
            size += length
            if len(waiting) >= _ROWS or size > _BYTES:
                self._keep(waiting)
                waiting, size = [], 0
        self._keep(waiting)
        for source in sorted(self.sources):  # the caps here may leave room for more than they did there
            self.database.write(partial(standing.fill, self.database, source=source))
        if self.began and self.end is None:
            self.done.cut_off = f"its last line did not come; {self.lines} runs came before"
        elif self.end and self.end.runs > self.lines:
            self.done.cut_off = f"it says that it holds {self.end.runs} runs, and holds {self.lines}"
        return self.done

    # From rows to runs.

    def _values(self, stream: IO[bytes]) -> Iterator[tuple[str, Any, int]]:
        """Where each row stands, its value, and about how many bytes it had; a list may be one row or hold several."""
        for place, row, length in rows(stream):
            if isinstance(row, list) and row and form_of(row) is None:
                for number, item in enumerate(row, 1):
                    yield f"{place}, item {number}", item, length // len(row)
            else:
                yield place, row, length

    def _read(self, where: str, row: Any) -> list[tuple[str, Kept]]:
        notes: Counter[str] = Counter()
        self.lines += 1
        try:
            found = [*self._runs(row, notes)]
        except _MISFITS as error:
            self._bad(where, error)
            return []
        self.done.notes += notes
        self.done.runs += len(found)
        self.done.forms[str(form_of(row))] += len(found)
        return [(where, kept) for kept in found]

    def _runs(self, row: Any, notes: Counter[str]) -> Iterator[Kept]:
        """The runs that a row tells of, as far as they are believed. Raises whatever a row may lead to."""
        if isinstance(row, BadRow):
            raise row
        form = form_of(row)
        if form is None:
            raise BadRow("it is in none of the forms trl, openai, smolagents and autorl")
        if self.form not in (None, form) and not {self.form, form} <= {"trl", "openai"}:
            raise BadRow(f"it is in the form {form}, and not in {self.form}")
        if form == "autorl":
            told = own.read(row)
            if isinstance(told, Kept):
                yield from self._believed(told, notes)
            else:
                self.lines -= 1
                self._about(told, notes)
            return
        if self.believe == "everything":
            raise BadRow(f"it is in the form {form}, which does not tell how a run was kept, as autorl does")
        for run in smolagents.read(row, notes) if form == "smolagents" else [chat.read(row, notes)]:
            yield from self._believed(Kept(run=_named(run)), notes)

    def _believed(self, told: Kept, notes: Counter[str]) -> Iterator[Kept]:
        if (kept := believed(told, self.believe, self.source, notes)) is not None:
            yield kept

    def _about(self, told: own.Store | own.End, notes: Counter[str]) -> None:
        """What a file says of its store counts as far as this one has no word of its own on it."""
        if isinstance(told, own.End):
            self.end = told
            return
        self.began = True
        if self.believe != "everything":
            notes["what the file says of caps, policies and records was not believed"] += told != own.Store()
            return
        trained = [{**policy.model_dump(), "created": policy.created.isoformat(),
                    "deleted": policy.deleted and policy.deleted.isoformat()} for policy in told.policies]

        def work(connection: sa.Connection) -> set[str]:
            if trained:
                connection.execute(insert(connection, policies).on_conflict_do_nothing(), trained)
            capped = set(connection.execute(sa.select(sources.c.name)).scalars())
            for source in told.sources.keys() - capped:
                standing.set_cap(self.database, connection, source, told.sources[source])
            batches.keep_records(connection, told.records)
            return set(connection.execute(sa.select(policies.c.id)).scalars())

        self.policies = self.database.write(work)

    # From runs to the store.

    def _keep(self, waiting: Sequence[tuple[str, Kept]]) -> None:
        new = [*self._unknown(waiting)]
        try:
            self._add([kept for _, kept in new])
        except (UsageError, StoreUnavailable) as error:
            if not _of_a_row(error):
                raise
            if len(new) == 1:
                self._bad(new[0][0], error)
                return
            for one in new:  # which of them was it?
                self._keep([one])

    def _unknown(self, waiting: Sequence[tuple[str, Kept]]) -> Iterator[tuple[str, Kept]]:
        """Those that the store does not have; nothing is written over."""
        ids = [kept.run.id for _, kept in waiting]
        known = {kept.run.id: kept.run for kept in self.database.read(lambda c: batches.named(c, ids))}
        for where, kept in waiting:
            there = known.setdefault(kept.run.id, kept.run)
            if there is kept.run:
                yield where, kept
            elif self._same(there, kept.run):
                self.done.there += 1
            else:
                self._bad(where, BadRow(f"its id {kept.run.id} is that of another run, which was left as it is"))

    def _same(self, one: Trajectory, other: Trajectory) -> bool:
        """Whether both tell of one run, as far as both go: one may have been pruned, or have gone on."""
        kept = self.store._rows
        return kept.clean(one.task.text) == kept.clean(other.task.text) and all(
            kept.json(_acted(left)) == kept.json(_acted(right))
            and (not left.observation or not right.observation
                 or kept.json(left.observation) == kept.json(right.observation))
            for left, right in zip(one.steps, other.steps, strict=False))

    def _add(self, new: Sequence[Kept]) -> None:
        if not new:
            return
        for kept in new:
            if unknown := set(kept.policies) - self.policies:
                raise UsageError(f"it names the policy '{min(unknown)}', of which the file tells nothing")
        added = batches.keep(self.database, self.store._rows, new)
        self.done.new += len(added.new)
        self.done.there += len(new) - len(added.new)
        self.done.over_cap += added.over_cap
        for kept in new:
            if kept.run.id in added.new:
                self.done.quarantined += kept.trust == "quarantined"
                self.sources |= {kept.run.provenance.source} if self.believe == "everything" else set()
                self._keep_files(kept.run)

    def _keep_files(self, run: Trajectory) -> None:
        for artifact in run.artifacts:
            copy = files.place(self.copies, artifact.sha256) if self.copies else None
            if copy and copy.is_file() and copy.stat().st_size == artifact.bytes:
                try:
                    files.keep(self.database.artifacts, copy, artifact)
                    self.done.files += 1
                    continue
                except StoreUnavailable:  # it is another file
                    pass
            self.done.missing_files += self.store.file(run.id, artifact) is None

    def _bad(self, where: str, error: Exception) -> None:
        why = error.what if isinstance(error, AutorlError) else f"{type(error).__name__}: {error}"
        problem = f"{where}: {' '.join(why.split())[:500]}"
        self.done.bad += 1
        self.told(problem)
        if len(self.done.problems) < SHOWN:
            self.done.problems.append(problem)


def _named(run: Trajectory) -> Trajectory:
    """With an id made from what it is, so that it is known when it comes again. Raises BadRow."""
    digest = hashlib.sha256(run.model_dump_json(exclude={"id", "started", "provenance"}).encode()).hexdigest()
    named = Trajectory.model_validate_json(run.model_copy(update={"id": f"import-{digest[:24]}"}).model_dump_json())
    own.check(named)
    return named


def _acted(step: Step) -> Step:
    return step.model_copy(update={"observation": None})


def _of_a_row(error: AutorlError) -> bool:
    """Whether it is a row that the store will not have, rather than the store that will have none."""
    return isinstance(error, UsageError) or isinstance(error.__cause__, (sa.exc.IntegrityError, sa.exc.DataError))
