"""Search by words in PostgreSQL: of few tasks in memory, of many by the server.

The server reads all tasks that hold a word before it knows how many they are, so of many tasks a sample tells it.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from autorl.replay import database

if TYPE_CHECKING:
    import numpy as np

Question = tuple[str, dict[str, Any]]
Ask = Callable[[sa.Connection, Sequence[Question]], list[Sequence[Any]]]
Found = Sequence[tuple[str, float, str]]
"""Tasks, the best first: id, weight of the rare words that it shares, text."""
FEW = 20_000
"""Tasks whose words are kept in memory, at most: with ten stems and a hundred letters a task, 12 MB."""
_STRETCHES, _SAMPLE = 8, 1_024
"""A sample of tasks says how common a word is: so many stretches of so many tasks each."""
_MANY, _ROOM = 300, 600
"""Tasks, about, that a word which is searched by may stand in, and that a search looks at, at most."""
_REMEMBERED = 20_000
"""Words whose stems are kept."""


class Word(NamedTuple):
    """A word, the stems that a task with it holds, and about how many tasks do."""

    text: str
    stems: list[str]
    tasks: int

    @property
    def query(self) -> str:
        return " & ".join(f"'{stem}'" for stem in self.stems)


class Words:
    """The words of the tasks in one database. ask: gives the rows of each of some statements, in one trip"""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._stems: dict[str, list[str]] = {}  # of each word
        self._tasks: InMemory | OnServer | None = None

    def nearest(self, connection: sa.Connection, text: str, limit: int) -> list[tuple[str, float]]:
        """See `Database.by_words`."""
        tasks, words = self.met(connection, database.telling_words(text))
        rare, room, count = 0, _ROOM, limit + database.MORE
        while rare < len(words) and words[rare].tasks <= min(_MANY, room):
            room -= words[rare].tasks
            rare += 1
        if rare:
            weights = [database.weight(word.tasks, tasks.last) for word in words[:rare]]
            found = tasks.sharing(connection, words[:rare], weights, count)
        else:
            found = tasks.together(connection, words[:3], count) if words else []
        return database.weighed(found, {word.text for word in words[rare:]}, limit)

    def met(self, connection: sa.Connection, words: Sequence[str]) -> "tuple[InMemory | OnServer, list[Word]]":
        """Where to look for tasks, and each of `words` that says anything, the rarest first."""
        if self._tasks is None:
            ((last,),) = self._ask(connection, [(_LAST, {})])[0]
            self._tasks = InMemory() if last <= FEW else OnServer(self._ask, last)
        tasks, known = self._tasks, self._stems if len(self._stems) < _REMEMBERED else {}
        new = [word for word in words if word not in known]
        asked = [*tasks.asks(), *([(_STEMS, {"words": new})] if new else [])]
        answers = self._ask(connection, asked) if asked else []
        known.update(answers.pop() if new else [])
        self._stems = known
        for rows in answers:
            tasks.take(rows)
        if isinstance(tasks, InMemory) and tasks.last > FEW:
            self._tasks = OnServer(self._ask, tasks.last)
            return self.met(connection, words)
        met = [Word(word, known[word], min(map(tasks.holding, known[word]))) for word in words if known[word]]
        return tasks, sorted(met, key=lambda word: (word.tasks, -len(word.text)))


class InMemory:
    """Every task up to the number `last`, by its stems. Tasks are only ever added, and seen in their numbers' order."""

    def __init__(self) -> None:
        self.last = 0
        self._told: dict[int, tuple[str, str]] = {}  # id and text
        self._numbers: dict[str, list[int]] = defaultdict(list)  # of the tasks with a stem
        self._lock = threading.Lock()

    def asks(self) -> list[Question]:
        return [(_ADDED, {"last": self.last})]

    def take(self, rows: Sequence[Any]) -> None:
        with self._lock:
            for number, task, text, stems in rows:
                if number > self.last:  # else another thread was first
                    self._told[number] = task, text
                    for stem in stems.split():
                        self._numbers[stem].append(number)
                    self.last = number

    def holding(self, stem: str) -> int:
        return len(self._numbers.get(stem, ()))

    def sharing(self, _: sa.Connection, words: Sequence[Word], weights: Sequence[float], count: int) -> Found:
        best = database.heaviest([self._with(word.stems) for word in words], weights, count)
        return [(task, weight, text) for number, weight in best.items() for task, text in [self._told[number]]]

    def together(self, _: sa.Connection, words: Sequence[Word], count: int) -> Found:
        numbers = self._with([stem for word in words for stem in word.stems])
        return [(task, 0.0, text) for number in numbers[::-1][:count].tolist() for task, text in [self._told[number]]]

    def _with(self, stems: Sequence[str]) -> "np.ndarray[Any, Any]":
        """Numbers of the tasks that hold all of them, oldest first."""
        import numpy as np

        return reduce(np.intersect1d, [np.array(self._numbers.get(stem, ()), "i8") for stem in stems])


class OnServer:
    """The tasks of a large store. last: the number of the newest one, about"""

    def __init__(self, ask: Ask, last: int) -> None:
        self._ask = ask
        self.last = last
        self._sampled: tuple[int, float, dict[str, int]] = (0, 1.0, {})  # tasks, how many each stands for, by stem

    def asks(self) -> list[Question]:
        if self.last <= 1.5 * self._sampled[0]:
            return []
        starts = (self.last * n // _STRETCHES + 1 for n in range(_STRETCHES))
        within = " OR ".join(f"number BETWEEN {start} AND {start + self._size - 1}" for start in starts)
        return [(_COUNTED, {"some": f"SELECT words FROM tasks WHERE {within}"})]

    def take(self, rows: Sequence[Any]) -> None:
        self._sampled = self.last, max(1.0, self.last / (self._size * _STRETCHES)), dict(rows)

    def holding(self, stem: str) -> int:
        _, share, found = self._sampled
        return int((found.get(stem, 0) + 0.5) * share)

    def sharing(self, connection: sa.Connection, words: Sequence[Word], weights: Sequence[float], count: int) -> Found:
        return self._found(connection, _SHARING, {
            "words": [word.query for word in words], "weights": weights, "limit": count})

    def together(self, connection: sa.Connection, words: Sequence[Word], count: int) -> Found:
        return self._found(connection, _TOGETHER, {"words": " & ".join(word.query for word in words), "limit": count})

    def _found(self, connection: sa.Connection, text: str, named: dict[str, Any]) -> Found:
        (rows,) = self._ask(connection, [(text, named)])
        self.last = max([self.last, *(row[3] for row in rows[:1])])
        return [row[:3] for row in rows]

    @property
    def _size(self) -> int:
        return min(_SAMPLE, -(-self.last // _STRETCHES))


_LAST = "SELECT coalesce(max(number), 0) FROM tasks"
_ADDED = ("SELECT number, id, left(text, 2000), array_to_string(tsvector_to_array(words), ' ') FROM tasks "
          "WHERE number > %(last)s ORDER BY number")
_STEMS = "SELECT word, tsvector_to_array(to_tsvector('autorl_words', word)) FROM unnest(%(words)s::text[]) AS word"
_COUNTED = "SELECT word, ndoc FROM ts_stat(%(some)s)"
_SHARING = """
SELECT id, score, left(text, 2000), (SELECT max(number) FROM tasks) FROM (
    SELECT number, sum(weight) AS score
    FROM unnest(%(words)s::text[], %(weights)s::float8[]) AS telling (word, weight)
    CROSS JOIN LATERAL (SELECT number FROM tasks WHERE words @@ telling.word::tsquery) AS holding
    GROUP BY number ORDER BY score DESC, number DESC LIMIT %(limit)s
) AS best JOIN tasks USING (number) ORDER BY score DESC, number DESC
"""
_TOGETHER = ("SELECT id, 0::float8, left(text, 2000), (SELECT max(number) FROM tasks) FROM tasks "
             "WHERE words @@ %(words)s::tsquery ORDER BY number DESC LIMIT %(limit)s")
