"""What an exact search would have found, to hold recall against it."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import sqlalchemy as sa

from autorl.replay.database import COMMON
from autorl.replay.schema import embeddings
from autorl.replay.search import WIDTHS, Search
from autorl.replay.store import ReplayStore
from autorl.types import Task
from store.runs import Query

TOP = 5
_STRIDE = 50_000


class Exact:
    """A store whose searches leave nothing out: the cosine of every vector, the rank of every task that has a word."""

    def __init__(self, store: ReplayStore) -> None:
        self._store = store
        query = sa.select(embeddings.c.task, embeddings.c.vector).where(embeddings.c.model == store.embedder.name)
        rows = store._database.read(lambda connection: connection.execute(query).all())
        self.tasks = [task for task, _ in rows]
        self.vectors = np.frombuffer(b"".join(vector for _, vector in rows), dtype="<f4").reshape(len(rows), -1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def by_meaning(self, wanted: Any, *, limit: int) -> list[tuple[str, float, bytes]]:
        cosines = np.concatenate([self.vectors[start : start + _STRIDE] @ wanted
                                  for start in range(0, len(self.vectors), _STRIDE)])
        best = np.argsort(-cosines, kind="stable")[:limit]
        return [(self.tasks[n], float(cosines[n]), self.vectors[n].tobytes()) for n in best]

    def by_words(self, text: str, *, limit: int) -> list[tuple[str, float]]:
        words = list(dict.fromkeys(re.findall(r"\w+", text.lower())))
        words = [word for word in words if word not in COMMON] or words
        found = self._store._database.read(lambda connection: connection.execute(sa.text(
            "SELECT tasks.id, -task_words.rank FROM task_words JOIN tasks ON tasks.number = task_words.rowid "
            "WHERE task_words MATCH :query ORDER BY task_words.rank LIMIT :limit"
        ), {"query": " OR ".join(f'"{word}"' for word in words), "limit": limit}).all())
        return [(task, float(score)) for task, score in found]


def recall_of_meaning(store: ReplayStore, exact: Exact, queries: Sequence[Query]) -> float:
    """The share of the nearest `TOP` tasks that the store finds, on average. Equally near ones stand for each other."""
    shares = []
    for query in queries:
        (wanted,) = store.embedder.embed([query.text])
        if wanted.any():
            best = exact.by_meaning(wanted, limit=TOP)
            found = store.by_meaning(wanted, limit=WIDTHS[0])
            shares.append(sum(cosine >= best[-1][1] - 1e-6 for _, cosine, _ in found[:TOP]) / len(best))
    return sum(shares) / len(shares)


def recall_of_all(store: ReplayStore, exact: Exact, queries: Sequence[Query]) -> float:
    """The share of the first `TOP` candidates of the fused and filtered search that are the same with exact lists."""
    shares = []
    for query in queries:
        task = Task(text=query.text)
        wanted, found = ([candidate.task for candidate in islice(
            Search(where, task, query.tools, "verified+useful").candidates(), TOP)]  # type: ignore[arg-type]
            for where in (exact, store))
        if wanted:
            shares.append(len(set(wanted) & set(found)) / len(wanted))
    return sum(shares) / len(shares)
