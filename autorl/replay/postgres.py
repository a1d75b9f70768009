"""A store in PostgreSQL: a small pool of connections, which are made anew when the server went away and came back."""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from json import dumps
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect

from autorl import settings
from autorl.errors import MissingExtra, StoreUnavailable, UsageError
from autorl.replay import database
from autorl.replay.database import Database
from autorl.replay.tsearch import Words

T = TypeVar("T")
SCHEMA = "autorl"
"""The tables stand in a schema of their own, so that one database can serve other programs too."""
REPLANNED = "0A000"
"""The error code of a prepared statement whose tables were migrated since."""
PASSING = ("08", "57P", "40001", "40P01", "53300", REPLANNED)
"""Beginnings of error codes that another attempt may not meet: no connection, shut down, conflict, too many."""
LOCKED = "55P03"
"""The error code of a lock that was not had in time."""
INDEX_FROM = 1_000_000
"""Vectors from which the server searches them, by pgvector's index. Of fewer this process finds more, and sooner; they
take up to 300 MB of its memory."""
LONGEST_INDEXED = 4_000
"""Dimensions that an index of pgvector takes, at half precision."""
LOOKED_AT = 1_000
"""Vectors that the index looks at, the most it can; of half a million it takes 600 to find 95 % of the five nearest."""
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")
# It warns a program without logging, on the terminal, of each connection that breaks; here that is raised, or mended.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


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
            connection.execute("SET jit TO off")  # no question here is so long that compiling it would pay
            connection.commit()
            self._reached = True

        self._views = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._reached = self._closed = False
        self._words = Words(self._ask_all)
        self._indexed: dict[str, bool] = {}  # by model, as it was when its vectors were first searched
        self._again(self._migrate)
        self.meaning = self._again(self._prepare_meaning)

    def close(self) -> None:
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        # Committed, not rolled back: with each rollback the driver forgets every statement that it had prepared.
        with self._errors(), self._views.begin() as connection:
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
        """A list goes over as one JSON text, so that the statement stays the same and the server plans it once."""
        return self.rows_of(connection, [query], **named)[0]

    def rows_of(self, connection: sa.Connection, queries: Sequence[sa.Select[Any]],
                **named: Any) -> list[Sequence[Any]]:
        """All go over at once, and none waits for the answer to the one before."""
        written = [_written_once(query) for query in queries]
        given = {name: dumps(value) if isinstance(value, list) else value for name, value in named.items()}
        return self._ask_all(connection, [(text, {**constants, **given}) for text, constants in written])

    def by_words(self, connection: sa.Connection, text: str, limit: int) -> list[tuple[str, float]]:
        return self._words.nearest(connection, text, limit)

    def index_vectors(self, model: str, dimensions: int) -> None:
        if not self.meaning or dimensions > LONGEST_INDEXED:
            return
        with self.reading() as connection:
            there, many = self._index(connection, model)
        if there or not many:
            return
        with self.writing() as connection:
            self.take_turn(connection, _named_for(model))
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
            connection.exec_driver_sql(
                f"CREATE INDEX IF NOT EXISTS {_named_for(model)} ON embeddings USING hnsw "
                f"((meaning::halfvec({dimensions})) halfvec_ip_ops) WHERE model = '{model}'")
        self._indexed.pop(model, None)

    def nearest(self, connection: sa.Connection, model: str, vector: bytes,
                limit: int) -> list[tuple[str, bytes]] | None:
        if model not in self._indexed:
            self._indexed[model] = self.meaning and all(self._index(connection, model))
        if not self._indexed[model]:
            return None
        kind = f"halfvec({len(vector) // 4})"
        _, found = self._ask_all(connection, [
            ("SELECT set_config('hnsw.ef_search', %(looked)s, true)", {"looked": str(LOOKED_AT)}),
            (f"SELECT task, vector FROM embeddings WHERE model = '{model}' "  # as the planner must see it for the index
             f"ORDER BY meaning::{kind} <#> CAST(%(wanted)s AS {kind}) LIMIT %(limit)s",
             {"wanted": _written(vector), "limit": limit})])
        return list(found)

    def _index(self, connection: sa.Connection, model: str) -> tuple[bool, bool]:
        """Whether there is an index over the vectors of `model`, and whether they are so many that it is of use."""
        ((there, last),) = self._ask(connection, (
            "SELECT to_regclass(%(name)s) IS NOT NULL, (SELECT max(number) FROM embeddings WHERE model = %(model)s)"
        ), {"name": _named_for(model), "model": model})
        return there, (last or 0) >= INDEX_FROM

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

    def take_turn(self, connection: sa.Connection, what: str, *, shared: bool = False) -> None:
        digest = hashlib.sha256(f"autorl {self.schema} {what}".encode()).digest()
        lock = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
        connection.execute(sa.select(lock(int.from_bytes(digest[:8], signed=True))))

    def _ask(self, connection: sa.Connection, text: str, named: dict[str, Any]) -> Sequence[Any]:
        return self._ask_all(connection, [(text, named)])[0]

    def _ask_all(self, connection: sa.Connection, asked: Sequence[tuple[str, dict[str, Any]]]) -> list[Sequence[Any]]:
        """The rows of each statement, past SQLAlchemy, which takes longer to ask than the server to answer."""
        import psycopg

        bare: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        alone = len(asked) == 1 and bare.info.transaction_status
        try:
            with nullcontext() if alone else bare.pipeline():  # BEGIN too goes over with the first question
                cursors = [bare.execute(text, named, prepare=True, binary=True) for text, named in asked]
            return [cursor.fetchall() for cursor in cursors]
        except psycopg.Error as error:
            lost = bare.closed or error.sqlstate == REPLANNED
            if lost:
                connection.invalidate(error)
                self._engine.dispose()  # the others are no better
            raise sa.exc.DBAPIError.instance(
                asked[0][0], None, error, psycopg.Error, connection_invalidated=lost) from error

    def _make_room(self, connection: sa.Connection) -> None:
        self.take_turn(connection, "migration")
        # Asked of the table: to_regnamespace may answer from before this one's turn came. And to ask for a schema that
        # is there needs the right to make it.
        there = sa.text("SELECT count(*) FROM pg_namespace WHERE nspname = :schema")
        if not connection.scalar(there, {"schema": self.schema}):
            connection.exec_driver_sql(f"CREATE SCHEMA {self.schema}")

    def _columns(self, connection: sa.Connection) -> dict[str, set[str]]:
        rows = connection.execute(sa.text(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = to_regnamespace(:schema) AND a.attnum > 0 "
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
        except StoreUnavailable as error:
            if _passes(error.__cause__) or _state(error.__cause__) == LOCKED:
                raise
            return False  # not this user's to make; `autorl doctor` says so
        return True

    def _again(self, attempt: Callable[[], T]) -> T:
        """What `attempt` gives; it is repeated while the server is away, for `PATIENCE` seconds.

        Before it was reached, only while it goes down or starts: what is not there may be a wrong URL.
        """
        deadline = time.monotonic() + database.PATIENCE
        wait = 0.01
        while True:
            try:
                return attempt()
            except StoreUnavailable as error:
                if self._closed or not (_passes if self._reached else _starts)(error.__cause__):
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
            state = _state(error) or ""
            remedy = "Is the server up, and the URL right? AUTORL_STORE=postgresql+psycopg://USER@HOST/DATABASE"
            if state.startswith("53"):
                remedy = "Give the server room or connections. What was acknowledged is kept; the run can be resumed"
            elif state == "42501":
                remedy = f"Let the user make tables: GRANT CREATE ON DATABASE ..., or make its schema {self.schema}"
            elif state == LOCKED:
                remedy = f"Another transaction has held its locks for {database.PATIENCE:g} s: end it, and try again"
            elif state:
                remedy = "autorl doctor checks the store"
            raise StoreUnavailable(f"the replay store {self.where} failed: {what}", remedy) from error


def _named_for(model: str) -> str:
    """The index over the vectors of `model`."""
    return f"meaning_{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def _written(vector: bytes) -> str:
    """A vector as pgvector reads it."""
    import numpy as np

    return str(np.frombuffer(vector, dtype="<f4").tolist())


@cache
def _written_once(query: sa.Select[Any]) -> tuple[str, dict[str, Any]]:
    """A query as SQL with named parameters, and the constants among them.

    A list is a JSON text, which the driver writes sooner than an array; and how long an array is the server sees, and
    plans anew for each that is short.
    """
    compiled = query.compile(dialect=psycopg_dialect())  # type: ignore[no-untyped-call]

    def listed(found: re.Match[str]) -> str:
        kind = "int" if isinstance(compiled.binds[found[1]].type, sa.Integer) else "text"
        return f"= ANY(ARRAY(SELECT json_array_elements_text(%({found[1]})s::json)::{kind}))"

    return re.sub(r"IN \(__\[POSTCOMPILE_(\w+)\]\)", listed, str(compiled)), dict(compiled.params)


def _starts(error: BaseException | None) -> bool:
    """Whether a server is there, and goes down, starts up or recovers from a crash."""
    return isinstance(error, sa.exc.OperationalError) and any(
        told in str(error.orig) for told in ("the database system is", "server closed the connection"))


def _state(error: BaseException | None) -> str | None:
    """The SQLSTATE of what the server refused."""
    return getattr(error.orig, "sqlstate", None) if isinstance(error, sa.exc.DBAPIError) else None


def _passes(error: BaseException | None) -> bool:
    """Whether another attempt may do better."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = _state(error)
    if state is None:  # from the driver: no server, or one that hung up
        return isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)) or error.connection_invalidated
    return str(state).startswith(PASSING)
