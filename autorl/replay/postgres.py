"""A store in PostgreSQL: a small pool of connections, which are made anew when the server went away and came back."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect

from autorl import settings
from autorl.errors import MissingExtra, StoreUnavailable, UsageError
from autorl.replay import database
from autorl.replay.database import Database

T = TypeVar("T")
SCHEMA = "autorl"
"""The tables stand in a schema of their own, so that one database can serve other programs too."""
PASSING = ("08", "57P", "40001", "40P01", "53300")
"""Beginnings of error codes that another attempt may not meet: no connection, shut down, conflict, too many."""
INDEX_FROM = 1_000
"""Vectors from which an index is faster than looking at each."""
LONGEST_INDEXED = 4_000
"""Dimensions that an index of pgvector takes, at half precision."""
_STRETCHES, _SAMPLE = 8, 256
_MANY = 1_000
"""Tasks that a search by words ranks, about, at most."""
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")


class Postgres(Database):
    """Connections to one PostgreSQL database.

    url: `postgresql+psycopg://USER@HOST/DATABASE`; `?schema=NAME` keeps several stores in one database
    meaning: whether pgvector is there, so that `embeddings.meaning` holds each vector for its index
    """

    def __init__(self, url: sa.URL) -> None:
        super().__init__()
        self.where = url.render_as_string(hide_password=True)
        self.artifacts = settings.home() / "artifacts"
        self.schema = str(url.query.get("schema", SCHEMA))
        if not _NAME.fullmatch(self.schema):
            raise UsageError(f"the schema '{self.schema}' is no plain name", "Use small letters, digits and _")
        url = url.set(drivername="postgresql+psycopg").difference_update_query(["schema"])
        try:
            self._engine = sa.create_engine(
                url, pool_size=8, max_overflow=8, pool_timeout=database.PATIENCE, pool_use_lifo=True,
                connect_args={"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5,
                              "keepalives_count": 3, "application_name": "autorl"})
        except ImportError as error:
            raise MissingExtra(f"the store {self.where} needs psycopg, which is not installed",
                               "pip install 'autorl-agent[postgres]'") from error

        @sa.event.listens_for(self._engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            connection.execute(f"SET search_path TO {self.schema}, public")
            connection.execute(f"SET lock_timeout TO {int(database.PATIENCE * 1000)}")
            # Its default is that of a turning disk, and makes it read whole tables where an index is at hand.
            connection.execute("SET random_page_cost TO 1.1")
            connection.commit()

        self._views = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._closed = False
        self._sampled: tuple[int, float, dict[str, int]] = (0, 1.0, {})  # tasks, how many each stands for, by stem
        self._again(self._migrate, _starts)
        self.meaning = self._prepare_meaning()

    def close(self) -> None:
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self._errors(), self._views.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        if self._closed:
            raise StoreUnavailable(f"the replay store {self.where} was closed")
        with self._errors(), self._engine.begin() as connection:
            yield connection

    def read(self, question: Callable[[sa.Connection], T]) -> T:
        if getattr(self._view, "connection", None):
            return super().read(question)  # the whole view is asked again
        return self._again(lambda: super(Postgres, self).read(question))

    def view(self, questions: Callable[[], T]) -> T:
        return self._again(lambda: super(Postgres, self).view(questions))

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        return self._again(lambda: super(Postgres, self).write(work))

    def rows(self, connection: sa.Connection, query: sa.Select[Any], **named: Any) -> Sequence[Any]:
        """A list goes over as one array, so that the text stays the same and the server plans it once."""
        text, constants = _written_once(query)
        return connection.exec_driver_sql(text, {**constants, **named}).all()

    def by_words(self, connection: sa.Connection, text: str, limit: int) -> list[tuple[str, float]]:
        held = self._held(connection, database.telling_words(text))
        words, rare, room = sorted(held, key=lambda word: (held[word], -len(word))), [], _MANY
        for word in words:
            room -= held[word]
            if room < 0:
                break
            rare.append(word)
        if rare:
            return self._any_of(connection, rare, limit)
        return self._all_of(connection, words[:3], limit) if words else []

    def _held(self, connection: sa.Connection, words: list[str]) -> dict[str, int]:
        """About how many tasks hold each of `words`."""
        # An index of words cannot tell how many there are without reading all of them: a sample of tasks can.
        last = connection.scalar(database.LAST_TASK) or 0
        if last > 1.5 * self._sampled[0]:
            size = min(_SAMPLE, -(-last // _STRETCHES))
            starts = (last * n // _STRETCHES + 1 for n in range(_STRETCHES))
            within = " OR ".join(f"number BETWEEN {start} AND {start + size - 1}" for start in starts)
            rows = connection.execute(sa.text("SELECT word, ndoc FROM ts_stat(:some)"),
                                      {"some": f"SELECT words FROM tasks WHERE {within}"})
            self._sampled = last, max(1.0, last / (size * _STRETCHES)), dict(rows.all())
        _, share, found = self._sampled
        stems = connection.execute(sa.text(
            "SELECT word, tsvector_to_array(to_tsvector('autorl_words', word)) "
            "FROM unnest(CAST(:words AS text[])) AS word"
        ), {"words": words})
        return {word: max((int((found.get(stem, 0) + 0.5) * share) for stem in parts), default=0)
                for word, parts in stems}

    def _any_of(self, connection: sa.Connection, words: list[str], limit: int) -> list[tuple[str, float]]:
        rows = connection.execute(sa.text(
            "SELECT id, ts_rank(words, query) AS score FROM (SELECT id, words, query FROM tasks, "
            "to_tsquery('autorl_words', :words) AS query WHERE words @@ query LIMIT :most) "
            "ORDER BY score DESC LIMIT :limit"
        ), {"words": " | ".join(f"'{word}'" for word in words), "most": 5 * _MANY, "limit": limit})
        return [(task, float(score)) for task, score in rows]

    def _all_of(self, connection: sa.Connection, words: list[str], limit: int) -> list[tuple[str, float]]:
        rows = connection.execute(sa.text(
            "SELECT id FROM tasks WHERE words @@ to_tsquery('autorl_words', :words) ORDER BY number DESC LIMIT :limit"
        ), {"words": " & ".join(f"'{word}'" for word in words), "limit": limit})
        return [(task, 1.0) for (task,) in rows]

    def index_vectors(self, model: str, dimensions: int) -> None:
        if not self.meaning or dimensions > LONGEST_INDEXED:
            return
        name = f"meaning_{hashlib.sha256(model.encode()).hexdigest()[:12]}"
        with self.reading() as connection:
            there, last = connection.execute(sa.text(
                "SELECT to_regclass(:name) IS NOT NULL, (SELECT max(number) FROM embeddings WHERE model = :model)"
            ), {"name": name, "model": model}).one()
        if there or (last or 0) < INDEX_FROM:
            return
        with self.writing() as connection:
            self.take_turn(connection, name)
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
            connection.exec_driver_sql(
                f"CREATE INDEX IF NOT EXISTS {name} ON embeddings USING hnsw "
                f"((meaning::halfvec({dimensions})) halfvec_ip_ops) WHERE model = '{model}'")

    def nearest(self, connection: sa.Connection, model: str, vector: bytes,
                limit: int) -> list[tuple[str, bytes]] | None:
        if not self.meaning:
            return None
        # The index looks at twice as many as it gives: so it finds more of the nearest.
        connection.execute(sa.text("SELECT set_config('hnsw.ef_search', :n, true)"), {"n": str(min(2 * limit, 1000))})
        kind = f"halfvec({len(vector) // 4})"
        rows = connection.execute(sa.text(
            f"SELECT task, vector FROM embeddings WHERE model = '{model}' "  # as the planner must see it for the index
            f"ORDER BY meaning::{kind} <#> CAST(:wanted AS {kind}) LIMIT :limit"
        ), {"wanted": _written(vector), "limit": limit})
        return [(task, bytes(found)) for task, found in rows]

    def add_vectors(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        if not self.meaning:
            super().add_vectors(connection, rows)
            return
        connection.execute(sa.text(
            "INSERT INTO embeddings (model, number, task, vector, meaning) VALUES (:model, :number, :task, :vector, "
            "CAST(:meaning AS vector))"
        ), [{**row, "meaning": _written(row["vector"])} for row in rows])

    def begins(self, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
        return sa.and_(column.op("~>=~", is_comparison=True)(text),
                       column.op("~<~", is_comparison=True)(text + "\U0010ffff"))

    def check(self) -> list[str]:
        """What an unfinished or invalid index, and rows that refer to nothing, tell; the server checks its pages."""
        return self.read(lambda connection: [
            f"the index {name} is not valid: REINDEX INDEX {name}" for name in connection.execute(sa.text(
                "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid "
                "AND c.relnamespace = to_regnamespace(:schema)"), {"schema": self.schema}).scalars()])

    def notes(self) -> list[tuple[str, str]]:
        if self.meaning:
            return []
        return [("the server has no pgvector, or does not let this user make it",
                 "Recall works without. With it: CREATE EXTENSION vector, as an administrator")]

    def compact(self) -> None:
        with self._errors(), self._engine.connect() as connection:
            bare = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in bare.execute(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :schema"),
                                      {"schema": self.schema}).scalars().all():
                bare.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")

    def size(self) -> int:
        return int(self.read(lambda connection: connection.scalar(sa.text(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = to_regnamespace(:schema)"), {"schema": self.schema})) or 0)

    def take_turn(self, connection: sa.Connection, what: str) -> None:
        digest = hashlib.sha256(f"autorl {self.schema} {what}".encode()).digest()
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(int.from_bytes(digest[:8], signed=True))))

    def _make_room(self, connection: sa.Connection) -> None:
        self.take_turn(connection, "migration")
        there = connection.scalar(sa.text("SELECT to_regnamespace(:schema)"), {"schema": self.schema})
        if there is None:  # to ask for one that is there needs the right to make it
            connection.exec_driver_sql(f"CREATE SCHEMA {self.schema}")

    def _columns(self, connection: sa.Connection) -> dict[str, set[str]]:
        rows = connection.execute(sa.text(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(:schema) AND a.attnum > 0 "
            "AND NOT a.attisdropped"), {"schema": self.schema})
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
        return found

    def _prepare_meaning(self) -> bool:
        """Have a column for pgvector, if the server has the extension or lets this user make it."""
        with self.reading() as connection:
            there, can = connection.execute(sa.text(
                "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('embeddings') "
                "AND attname = 'meaning'), EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')")).one()
        if there or not can:
            return bool(there)
        try:
            with self.writing() as connection:
                self.take_turn(connection, "meaning")
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
                connection.exec_driver_sql("ALTER TABLE embeddings ADD COLUMN IF NOT EXISTS meaning vector")
                for table in ("embeddings", "embedding_blocks", "embedders"):  # they are made again, with the column
                    connection.exec_driver_sql(f"DELETE FROM {table}")
        except StoreUnavailable:
            return False  # not this user's to make; `autorl doctor` says so
        return True

    def _again(self, attempt: Callable[[], T], passes: "Callable[[BaseException | None], bool] | None" = None) -> T:
        """What `attempt` gives; it is repeated while the server is away, for `PATIENCE` seconds."""
        deadline = time.monotonic() + database.PATIENCE
        wait = 0.01
        while True:
            try:
                return attempt()
            except StoreUnavailable as error:
                if self._closed or not (passes or _passes)(error.__cause__):
                    raise
                if time.monotonic() + wait > deadline:
                    error.remedy = ("Start the server again. What was acknowledged is kept, and a run goes on with "
                                    "autorl solve --resume RUN")
                    raise StoreUnavailable(f"{error.what}; it did not come back for {database.PATIENCE:g} s",
                                           error.remedy) from error.__cause__
            time.sleep(wait)
            wait = min(wait * 2, 0.5)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise StoreUnavailable(f"the replay store {self.where} gave no connection for {database.PATIENCE:g} s",
                                   "Use fewer threads, or look for what holds its locks") from error
        except sa.exc.DBAPIError as error:
            what = " ".join(str(error.orig).split())[:500]
            state = getattr(error.orig, "sqlstate", None) or ""
            remedy = "Is the server up, and the URL right? AUTORL_STORE=postgresql+psycopg://USER@HOST/DATABASE"
            if state.startswith("53"):
                remedy = "Give the server room or connections. What was acknowledged is kept; the run can be resumed"
            elif state == "42501":
                remedy = f"Let the user make tables: GRANT CREATE ON DATABASE ..., or make its schema {self.schema}"
            elif state == "55P03":
                remedy = f"Another transaction has held its locks for {database.PATIENCE:g} s: end it, and try again"
            elif state:
                remedy = "autorl doctor checks the store"
            raise StoreUnavailable(f"the replay store {self.where} failed: {what}", remedy) from error


def _written(vector: bytes) -> str:
    """A vector as pgvector reads it."""
    import numpy as np

    return str(np.frombuffer(vector, dtype="<f4").tolist())


@cache
def _written_once(query: sa.Select[Any]) -> tuple[str, dict[str, Any]]:
    """A query as SQL with named parameters, and the constants among them."""
    compiled = query.compile(dialect=psycopg_dialect())  # type: ignore[no-untyped-call]
    text = re.sub(r"IN \(__\[POSTCOMPILE_(\w+)\]\)", r"= ANY(%(\1)s)", str(compiled))
    return text, dict(compiled.params)


def _starts(error: BaseException | None) -> bool:
    """Whether a server is there, and starts up or recovers from a crash."""
    return isinstance(error, sa.exc.OperationalError) and "the database system is" in str(error.orig)


def _passes(error: BaseException | None) -> bool:
    """Whether another attempt may do better."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # from the driver: no server, or one that hung up
        return isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)) or error.connection_invalidated
    return str(state).startswith(PASSING)
