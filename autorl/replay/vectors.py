"""A vector for every task: made in the tasks' order, in the background where there are many, and searched."""

import threading
from collections.abc import Sequence
from functools import cache, partial
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autorl.errors import AutorlError, StoreUnavailable
from autorl.replay.database import INSERTS, LAST_TASK, Database
from autorl.replay.embed import Embedder
from autorl.replay.meaning import BLOCK, Meaning, dots, pack
from autorl.replay.schema import embedders, embedding_blocks, embeddings, tasks

if TYPE_CHECKING:
    import numpy as np

KEPT = 2**25
"""Bytes of vectors that stay in memory as they are, at most: a question less at every recall from a small store."""
AT_ONCE = 1_000
"""Lacking vectors that a recall waits for, of an embedder that is in this process."""


class Vectors:
    """The vectors that one embedder made of a store's tasks. Safe to share between threads and processes."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._unreadable: set[str] = set()  # tasks
        self._meaning: Meaning | None = None
        self._last: int | None = None  # the number of the last vector, when the store was last asked
        self._kept: dict[int, tuple[str, bytes]] = {}  # tasks and vectors by number, where they are few
        self._next = 0  # the number from which they are not kept yet
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def unreadable(self) -> int:
        """How many vectors were met so far that are not what they should be."""
        return len(self._unreadable) + (len(self._meaning.unreadable) if self._meaning else 0)

    def ready(self) -> int:
        """Make what is lacking if it is little, else go about it in the background; returns how much is lacking still.

        Raises ModelUnavailable.
        """
        lacking = self.lacking()
        at_once = AT_ONCE if self._embedder.batch * 2 >= AT_ONCE else self._embedder.batch
        if 0 < lacking <= at_once:
            self.catch_up()
            return self.lacking()
        if lacking:
            self._behind()
        return lacking

    def nearest(self, wanted: "np.ndarray[Any, Any]", limit: int) -> list[tuple[str, float, bytes]]:
        """About the `limit` tasks nearest to the vector `wanted`: (task, cosine, vector), best first."""
        import numpy as np

        if self._last is None:
            self.lacking()
        last = self._last or 0
        met = self._database.read(lambda connection: self._nearest(connection, wanted, limit, last))
        whole = [(task, vector) for task, vector in met if len(vector) == wanted.nbytes]
        matrix = np.frombuffer(b"".join(vector for _, vector in whole), dtype="<f4").reshape(len(whole), len(wanted))
        cosines = dots(matrix, wanted)
        found = [(whole[n][0], float(cosines[n]), whole[n][1]) for n in np.argsort(-cosines, kind="stable")
                 if isfinite(cosines[n])]
        if len(found) < len(met):
            self._unreadable.update({task for task, _ in met} - {task for task, _, _ in found})
        return found

    def lacking(self) -> int:
        """How many tasks have no vector yet."""
        ((last, upto, vector),) = self._database.read(
            lambda connection: self._database.rows(connection, _STATE, model=self._embedder.name))
        self._last = -1 if vector is None else vector
        return (last or 0) - (upto or 0)

    def catch_up(self) -> int:
        """Make the vectors that are lacking; returns how many still are, which is 0 unless the store was closed.

        Raises ModelUnavailable, StoreUnavailable; what was made until then is kept.
        """
        while not self._closed.is_set():
            with self._turn:
                new = self._database.read(lambda connection: connection.execute(
                    _AFTER, {"number": self._upto(connection), "limit": self._embedder.batch}).all())
                if new:
                    made = self._embedder.embed([text for _, _, text in new])
                    rows = [(task, vector.tobytes()) for (_, task, _), vector in zip(new, made, strict=True)]
                    keep(self._database, self._embedder.name, rows, new[-1].number)
            if len(new) < self._embedder.batch:
                if self._embedder.dimensions:
                    self._database.index_vectors(self._embedder.name, self._embedder.dimensions)
                return 0
        return self.lacking()

    def check(self) -> list[str]:
        """What is wrong with the vectors, and what to do."""
        named = {"model": self._embedder.name}
        torn = len(self._database.read(lambda connection: connection.execute(_TORN, named).all()))
        return [f"of the vectors, {torn} cannot be read: autorl replay compact makes them again"] if torn else []

    def mend(self) -> None:
        """Make the vectors again that are not as long as they should be. Raises ModelUnavailable."""
        model = self._embedder.name
        named = {"model": model}
        torn = self._database.read(lambda connection: connection.execute(_TORN, named).all())
        blocks = self._database.read(lambda connection: connection.execute(_TORN_BLOCKS, named).scalars().all())
        for start in range(0, len(torn), self._embedder.batch):
            some = torn[start : start + self._embedder.batch]
            made = self._embedder.embed([text for _, _, text in some])
            rows = [{**named, "number": number, "task": task, "vector": vector.tobytes()}
                    for (number, task, _), vector in zip(some, made, strict=True)]
            self._database.write(partial(_replace, self._database, rows))
        for block in sorted({*blocks, *(number // BLOCK for number, _, _ in torn)}):
            self._database.write(partial(_pack, model=model, block=block))
        self._unreadable, self._meaning, self._kept, self._next = set(), None, {}, 0

    def close(self) -> None:
        self._closed.set()
        if self._thread:
            self._thread.join()

    def _behind(self) -> None:
        """Make what is lacking in a thread; whatever ends it, the next recall starts it again."""
        def work() -> None:
            try:
                self.catch_up()
            except AutorlError:
                pass  # the next recall meets it, and tells

        with self._turn:
            if not self._closed.is_set() and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=work, name="embedding", daemon=True)
                self._thread.start()

    def _nearest(self, connection: sa.Connection, wanted: "np.ndarray[Any, Any]", limit: int,
                 last: int) -> Sequence[tuple[str, bytes]]:
        model = self._embedder.name
        found = self._database.nearest(connection, model, wanted.tobytes(), limit)
        if found is not None:
            return found
        meaning = self._meaning = self._meaning or Meaning(model, len(wanted))
        meaning.refresh(connection, last)
        numbers = [number for number in meaning.nearest(wanted, limit) if number not in meaning.unreadable]
        if last * wanted.nbytes > KEPT:
            return self._database.rows(connection, _NUMBERED, model=model, numbers=numbers)
        if last >= self._next:
            new = self._database.rows(connection, _FROM, model=model, first=self._next)
            self._kept.update((number, (task, vector)) for number, task, vector in new)
            # Not from `last` on: another thread may have seen that, and this one's view be from before.
            self._next = max([self._next, *(number + 1 for number, _, _ in new)])
        return [self._kept[number] for number in numbers if number in self._kept]

    def _upto(self, connection: sa.Connection) -> int:
        return connection.scalar(_UPTO, {"model": self._embedder.name}) or 0


def keep(database: Database, model: str, vectors: Sequence[tuple[str, bytes]], upto: int = 0) -> None:
    """Keep the vectors that `model` made of these tasks, but for those that are there.

    upto: all tasks up to this number have theirs now
    Raises StoreUnavailable for vectors of another length than before.
    """
    def work(connection: sa.Connection) -> None:
        database.take_turn(connection, f"embeddings {model}")
        dimensions = len(vectors[0][1]) // 4
        ((before, first),) = database.rows(connection, _SO_FAR, model=model)
        if before not in (None, dimensions):
            raise StoreUnavailable(f"the embedder '{model}' makes vectors of {dimensions} numbers, and the store has "
                                   f"{before} of it", "Has another model got its name? Give it one of its own")
        connection.execute(_reaching(connection.dialect.name), {"model": model, "dimensions": dimensions, "upto": upto})
        there = set(chain.from_iterable(database.rows(
            connection, _THERE, model=model, tasks=[task for task, _ in vectors])))
        new = [(task, vector) for task, vector in dict(vectors).items() if task not in there]
        if new:
            database.add_vectors(connection, [
                {"model": model, "number": first + n, "task": task, "vector": vector}
                for n, (task, vector) in enumerate(new)])
        for block in range(first // BLOCK, (first + len(new)) // BLOCK):
            _pack(connection, model, block)

    if vectors:
        database.write(work)


def _replace(database: Database, rows: list[dict[str, Any]], connection: sa.Connection) -> None:
    """Put vectors where others are."""
    database.take_turn(connection, f"embeddings {rows[0]['model']}")
    connection.execute(embeddings.delete().where(
        embeddings.c.model == rows[0]["model"], embeddings.c.number.in_([row["number"] for row in rows])))
    database.add_vectors(connection, rows)


def _pack(connection: sa.Connection, model: str, block: int) -> None:
    """Make a block of its vectors, if all of them are there."""
    import numpy as np

    within = embeddings.c.number.between(block * BLOCK, (block + 1) * BLOCK - 1)
    vectors = connection.execute(sa.select(embeddings.c.vector).where(embeddings.c.model == model, within)
                                 .order_by(embeddings.c.number)).scalars()
    kept = b"".join(vectors)
    dimensions = connection.scalar(sa.select(embedders.c.dimensions).where(embedders.c.model == model)) or 0
    connection.execute(embedding_blocks.delete().where(
        embedding_blocks.c.model == model, embedding_blocks.c.block == block))
    if len(kept) == 4 * BLOCK * dimensions:
        matrix = np.frombuffer(kept, dtype="<f4").reshape(BLOCK, dimensions)
        connection.execute(embedding_blocks.insert(), {"model": model, "block": block, "vectors": pack(matrix)})


@cache
def _reaching(dialect: str) -> Any:
    new = INSERTS[dialect](embedders)
    return new.on_conflict_do_update(index_elements=["model"], set_={
        "upto": sa.case((embedders.c.upto > new.excluded.upto, embedders.c.upto), else_=new.excluded.upto)})


_LAST = sa.select(sa.func.max(embeddings.c.number)).where(embeddings.c.model == sa.bindparam("model"))
_SO_FAR = sa.select(
    sa.select(embedders.c.dimensions).where(embedders.c.model == sa.bindparam("model")).scalar_subquery(),
    sa.func.coalesce(_LAST.scalar_subquery() + 1, 0))
_THERE = sa.select(embeddings.c.task).where(
    embeddings.c.model == sa.bindparam("model"), embeddings.c.task.in_(sa.bindparam("tasks", expanding=True)))
_NUMBERED = sa.select(embeddings.c.task, embeddings.c.vector).where(
    embeddings.c.model == sa.bindparam("model"), embeddings.c.number.in_(sa.bindparam("numbers", expanding=True)))
_FROM = sa.select(embeddings.c.number, embeddings.c.task, embeddings.c.vector).where(
    embeddings.c.model == sa.bindparam("model"), embeddings.c.number >= sa.bindparam("first"))
_UPTO = sa.select(embedders.c.upto).where(embedders.c.model == sa.bindparam("model"))
_TORN = (
    sa.select(embeddings.c.number, tasks.c.id, tasks.c.text)
    .join(tasks, tasks.c.id == embeddings.c.task).join(embedders, embedders.c.model == embeddings.c.model)
    .where(embeddings.c.model == sa.bindparam("model"),
           sa.func.length(embeddings.c.vector) != 4 * embedders.c.dimensions).order_by(embeddings.c.number)
)
_TORN_BLOCKS = sa.select(embedding_blocks.c.block).join(embedders, embedders.c.model == embedding_blocks.c.model).where(
    embedders.c.model == sa.bindparam("model"),
    sa.func.length(embedding_blocks.c.vectors) != BLOCK * (4 + embedders.c.dimensions))
_STATE = sa.select(LAST_TASK.scalar_subquery(), _UPTO.scalar_subquery(), _LAST.scalar_subquery())
_AFTER = (sa.select(tasks.c.number, tasks.c.id, tasks.c.text).where(tasks.c.number > sa.bindparam("number"))
          .order_by(tasks.c.number).limit(sa.bindparam("limit")))
