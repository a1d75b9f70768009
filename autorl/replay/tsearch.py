"""Search by words in PostgreSQL, which knows of no word how many tasks hold it before it has read them all."""

from collections.abc import Callable, Sequence
from math import log
from typing import Any, NamedTuple

import sqlalchemy as sa

from autorl.replay import database

Ask = Callable[[sa.Connection, str, dict[str, Any]], Sequence[Any]]
_STRETCHES, _SAMPLE = 8, 1_024
"""A sample of tasks says how common a word is: so many stretches of so many tasks each."""
_MANY, _ROOM = 300, 600
"""Tasks, about, that a word which is searched by may stand in, and that a search looks at, at most."""
_REMEMBERED = 20_000
"""Words whose stems are kept."""


class Held(NamedTuple):
    """A word, how it is searched for, and about how many tasks hold it."""

    text: str
    query: str
    tasks: int


class Words:
    """The words of the tasks in one database. ask: gives the rows of a statement with its parameters"""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._last = 0  # the number of the last task, when words were last searched
        self._stems: dict[str, list[str]] = {}  # of each word
        self._sampled: tuple[int, float, dict[str, int]] = (0, 1.0, {})  # tasks, how many each stands for, by stem

    def nearest(self, connection: sa.Connection, text: str, limit: int) -> list[tuple[str, float]]:
        """See `Database.by_words`."""
        held = self.held(connection, database.telling_words(text))
        rare, room, count = 0, _ROOM, limit + database.MORE
        while rare < len(held) and held[rare].tasks <= min(_MANY, room):
            room -= held[rare].tasks
            rare += 1
        if rare:
            found = self._ask(connection, _SHARING, {
                "words": [word.query for word in held[:rare]], "limit": count,
                "weights": [log(1 + self._last / (word.tasks + 0.5)) for word in held[:rare]]})
        else:
            together = " & ".join(word.query for word in held[:3])
            found = self._ask(connection, _TOGETHER, {"words": together, "limit": count}) if held else []
        self._last = max([self._last, *(row[3] for row in found[:1])])
        return database.weighed([row[:3] for row in found], {word.text for word in held[rare:]}, limit)

    def held(self, connection: sa.Connection, words: list[str]) -> list[Held]:
        """Each of `words` that says anything, the rarest first."""
        stems = self._stems = self._stems if len(self._stems) < _REMEMBERED else {}
        if new := [word for word in words if word not in stems or not self._last]:
            rows = self._ask(connection, _STEMS, {"words": new})
            self._last = rows[0][0]
            stems.update((word, found) for _, word, found in rows)
        if self._last > 1.5 * self._sampled[0]:
            self._sampled = self._sample(connection, self._last)
        _, share, found = self._sampled
        held = [Held(word, " & ".join(f"'{stem}'" for stem in stems[word]),
                     min(int((found.get(stem, 0) + 0.5) * share) for stem in stems[word]))
                for word in words if stems[word]]
        return sorted(held, key=lambda word: (word.tasks, -len(word.text)))

    def _sample(self, connection: sa.Connection, last: int) -> tuple[int, float, dict[str, int]]:
        size = min(_SAMPLE, -(-last // _STRETCHES))
        starts = (last * n // _STRETCHES + 1 for n in range(_STRETCHES))
        within = " OR ".join(f"number BETWEEN {start} AND {start + size - 1}" for start in starts)
        rows = self._ask(connection, _COUNTED, {"some": f"SELECT words FROM tasks WHERE {within}"})
        return last, max(1.0, last / (size * _STRETCHES)), dict(rows)


_STEMS = ("SELECT (SELECT coalesce(max(number), 0) FROM tasks), word, "
          "tsvector_to_array(to_tsvector('autorl_words', word)) FROM unnest(%(words)s::text[]) AS word")
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
