"""The database behind the store: what SQLite and PostgreSQL have in common, and migrations that run by themselves."""

import re
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from math import log
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autorl.errors import StoreUnavailable, UnreadableRow
from autorl.replay.inserting import insert_rows
from autorl.replay.schema import HEAD, embeddings, metadata, tasks

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 30.0
"""Seconds to wait for another's write, and for a server that went away."""
COMMON = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "in", "is", "it", "its", "of", "on", "or",
    "s", "t", "that", "the", "this", "to", "was", "with",
])
"""Words that a search leaves out unless there are no others."""
LONGEST = 2_000
"""Characters of a text whose words are looked at."""
MORE = 5
"""How many more tasks than wanted are found by their rare words, before the common ones are looked at."""
KNOWN = ("0001", "0002", "0003", "0004")
"""Every migration there has been, oldest first."""
INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
LAST_TASK = sa.select(sa.func.max(tasks.c.number))
_MIGRATING = threading.Lock()
"""Alembic does one migration at a time in a process."""
_WORDS = re.compile(r"\w+").findall
T = TypeVar("T")


class Database(ABC):
    """Connections to one database, and the few things that each kind of database does in its own way.

    where: the file, or the URL without its password
    artifacts: the folder of the files that runs made
    """

    where: Path | str
    artifacts: Path

    @abstractmethod
    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A consistent view of the store. Raises StoreUnavailable."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that is kept when the block ends and undone when it raises. Raises StoreUnavailable."""

    def __init__(self) -> None:
        self._view = threading.local()

    def read(self, question: Callable[[sa.Connection], T]) -> T:
        """The answer to `question`, which may be asked again when the connection breaks."""
        held: sa.Connection | None = getattr(self._view, "connection", None)
        with self._sound_rows(), nullcontext(held) if held else self.reading() as connection:
            return question(connection)

    def view(self, questions: Callable[[], T]) -> T:
        """What `questions` gives; all that it reads is of one moment, and goes over one connection.

        It may be asked again when the connection breaks.
        """
        with self.reading() as connection:
            self._view.connection = connection
            try:
                return questions()
            finally:
                self._view.connection = None

    def rows(self, connection: sa.Connection, query: sa.Select[Any], **named: Any) -> Sequence[Any]:
        """The rows of a query that is asked at every recall, as tuples of what the database holds."""
        return connection.execute(query, named).all()

    def rows_of(self, connection: sa.Connection, queries: Sequence[sa.Select[Any]],
                **named: Any) -> list[Sequence[Any]]:
        """What `rows` gives for each of these queries."""
        return [self.rows(connection, query, **named) for query in queries]

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` in a transaction. It may be done again, so what it did before must do no harm then."""
        with self.writing() as connection:
            return work(connection)

    @abstractmethod
    def by_words(self, connection: sa.Connection, text: str, limit: int) -> list[tuple[str, float]]:
        """Ids of tasks that share telling words with `text`, best first, with a score (higher is better).

        A word that stands in very many tasks tells little and costs the most, so only rarer ones are searched by; the
        others count among what these find (`weighed`). Where all are common, the newest tasks that hold some of them
        together come into question.
        """

    def add_vectors(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        """Add rows of `embeddings`."""
        insert_rows(connection, embeddings, rows)

    def index_vectors(self, model: str, dimensions: int) -> None:  # noqa: B027  # only a server has an index of its own
        """Have an index over the vectors of `model`, once there are enough of them, where the database has such."""

    def nearest(self, connection: sa.Connection, model: str, vector: bytes,
                limit: int) -> list[tuple[str, bytes]] | None:
        """The tasks whose vectors are nearest to `vector`, each with its own; None if the database cannot tell."""
        return None

    @abstractmethod
    def begins(self, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
        """That `column` begins with `text`, as an index can answer it."""

    @abstractmethod
    def check(self) -> list[str]:
        """What is wrong with what lies on the disk; empty when it is sound."""

    @abstractmethod
    def notes(self) -> list[tuple[str, str]]:
        """What is worth knowing of the place, each with what to do."""

    @abstractmethod
    def compact(self) -> None:
        """Give back the room of what was deleted, and bring indexes and statistics up to date."""

    @abstractmethod
    def size(self) -> int:
        """Bytes on the disk."""

    @abstractmethod
    def close(self) -> None: ...

    def take_turn(self, connection: sa.Connection, what: str, *,  # noqa: B027  # one writer has it already
                  shared: bool = False) -> None:
        """Wait until no other transaction has the turn named `what`; held to the end of this one.

        shared: together with others who ask for it so
        """

    # Migrations.

    @abstractmethod
    def _columns(self, connection: sa.Connection) -> dict[str, set[str]]:
        """The columns of each table."""

    def _migrate(self) -> None:
        with self.reading() as connection:
            revision = self._revision(connection)
        if revision == HEAD:
            return
        if revision is not None and revision not in KNOWN:
            raise StoreUnavailable(f"the replay store {self.where} was made by a newer autorl (its version is "
                                   f"'{revision}', this autorl knows up to '{HEAD}')", "Upgrade: pip install -U "
                                   "autorl-agent, or name another store: AUTORL_STORE=FILE")
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        with _MIGRATING, self.writing() as connection:
            self._make_room(connection)
            if self._revision(connection) != HEAD:  # another process may have been first
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def _make_room(self, connection: sa.Connection) -> None:  # noqa: B027  # a file is there, and locked
        """Let no other process migrate meanwhile, and have a place for the tables."""

    def _revision(self, connection: sa.Connection) -> str | None:
        """The migration the store is at; None for a new one."""
        found = self._columns(connection)
        if not found:
            return None
        if "alembic_version" not in found:
            raise StoreUnavailable(f"{self.where} is a database of another program (it holds '{min(found)}')",
                                   "Name another store: AUTORL_STORE=FILE")
        versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        if len(versions) == 1 and versions[0] != HEAD:
            return str(versions[0])
        expected = {table.name: set(table.columns.keys()) for table in metadata.tables.values()}
        lacking = [f"{table}.{column}" if table in found else table for table, columns in expected.items()
                   for column in sorted(columns - found.get(table, set()))]
        if lacking or len(versions) != 1:
            says = f"it says version {' and '.join(map(str, versions)) or 'nothing'}"
            raise StoreUnavailable(
                f"the replay store {self.where} is half migrated: {says}"
                + (f" and lacks {', '.join(dict.fromkeys(lacking))}" if lacking else ""),
                "Put its last backup back, or rescue what can be read: autorl replay salvage FILE NEW")
        return HEAD

    @contextmanager
    def _sound_rows(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # from the types that every row must fit
            raise UnreadableRow(
                f"the replay store {self.where} holds a row that cannot be read: {' '.join(str(error).split())[:300]}",
                "Did another program change it? Take its run out of recall (autorl replay revoke RUN), or put the last "
                "backup back") from error


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, which both databases spell alike and SQLAlchemy does not."""
    return INSERTS[connection.dialect.name](table)


def weight(holding: int, tasks: int) -> float:
    """What a word weighs that `holding` of so many tasks hold: more, the fewer do.

    A multiple of 2**-20, so that a sum of them is the same to the last bit, in whatever order they are added.
    """
    return round(log(1 + tasks / (holding + 0.5)) * 2**20) / 2**20


def heaviest(holding: Sequence["np.ndarray[Any, Any]"], weights: Sequence[float], count: int) -> dict[int, float]:
    """The `count` tasks that share the most, best first and of equals the newest: numbers, with the sum of the weights.

    holding: the numbers of the tasks that hold a word, for each word; weights: what each word weighs
    """
    import numpy as np

    numbers, places = np.unique(np.concatenate(holding), return_inverse=True)
    scores = np.bincount(places, np.repeat(weights, [len(each) for each in holding]))
    best = np.lexsort((-numbers, -scores))[:count]
    return dict(zip(numbers[best].tolist(), scores[best].tolist(), strict=True))


def weighed(found: Sequence[tuple[str, float, str]], common: Collection[str], limit: int) -> list[tuple[str, float]]:
    """The best `limit` of tasks, with a score, from (id, what the rare words that it shares weigh, text) of some more.

    Of the `common` words those weigh more that fewer of these tasks hold.
    """
    wanted = set(common)
    shared = [wanted.intersection(_WORDS(text.lower()[:LONGEST])) for _, _, text in found]
    holding = Counter(chain.from_iterable(shared))
    weights = {word: log(1 + (len(found) + 1) / (count + 0.5)) for word, count in holding.items()}
    scored = [(task, round(weight + sum([weights[word] for word in words]), 6))  # the same, in whatever order they come
              for (task, weight, _), words in zip(found, shared, strict=True)]
    return sorted(scored, key=itemgetter(1), reverse=True)[:limit]


def telling_words(text: str) -> list[str]:
    """The words of `text` to search for, at most 64: those that stand in every text only if there are no others."""
    words = list(dict.fromkeys(_WORDS(text.lower()[:LONGEST])))
    return ([word for word in words if word not in COMMON] or words)[:64]
