"""The SQLite file behind the store: one writer at a time, readers beside it, migrations that run by themselves."""

import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from autorl import settings
from autorl.errors import StoreUnavailable, UsageError
from autorl.replay.schema import HEAD

PATIENCE = 30.0
"""Seconds to wait for another process's write."""
COMMON = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "in", "is", "it", "its", "of", "on", "or",
    "s", "t", "that", "the", "this", "to", "was", "with",
])
"""Words that a search leaves out unless there are no others."""
KNOWN = ("0001",)
"""Every migration there has been, oldest first."""


class Database:
    """Connections to one SQLite file in WAL mode.

    SQLite before 3.51.3 can lose a write that races a checkpoint of another connection. So there is one
    writing connection a process, a lock file lets one process write (and checkpoint) at a time, and
    the readers never checkpoint.
    """

    def __init__(self, where: str | Path | None) -> None:
        self.path = _file(where)
        self._turn = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = open(f"{self.path}.lock", "ab")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise StoreUnavailable(f"the replay store {self.path} cannot be opened: {error.strerror}",
                                   "Name another place: AUTORL_STORE=FILE or AUTORL_HOME=FOLDER") from error
        self._readers = self._engine("BEGIN", checkpoint=False)
        self._writers = self._engine("BEGIN IMMEDIATE", checkpoint=True)
        self._migrate()

    def close(self) -> None:
        with self._turn:
            self._readers.dispose()
            self._writers.dispose()
            self._lock_file.close()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view of the store. Raises StoreUnavailable."""
        try:
            with self._errors(), self._readers.connect() as connection:
                yield connection
        except ValueError as error:  # from the types that every row must fit
            raise StoreUnavailable(f"the replay store {self.path} holds a row that cannot be read: {error}",
                                   "Did another program change it? autorl doctor checks the whole file") from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is kept when the block ends and undone when it raises. Raises StoreUnavailable."""
        with self._errors(), self._turn, self._locked(), self._writers.begin() as connection:
            yield connection

    def check(self) -> list[str]:
        """What SQLite's integrity check finds; empty when the file is sound."""
        with self.reading() as connection:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
        return [] if found == ["ok"] else found

    def _engine(self, begin: str, *, checkpoint: bool) -> sa.Engine:
        engine = sa.create_engine(
            f"sqlite:///{self.path}", connect_args={"timeout": PATIENCE, "check_same_thread": False},
            pool_size=1 if checkpoint else 8, max_overflow=0 if checkpoint else -1,
        )

        @sa.event.listens_for(engine, "connect")
        def connected(connection: sqlite3.Connection, _: Any) -> None:
            connection.isolation_level = None  # transactions are begun below, and not by the driver
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")
            if not checkpoint:
                connection.execute("PRAGMA wal_autocheckpoint=0")

        @sa.event.listens_for(engine, "begin")
        def began(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _migrate(self) -> None:
        with self.reading() as connection:
            revision = _revision(connection, self.path)
        if revision == HEAD:
            return
        if revision is not None and revision not in KNOWN:
            raise StoreUnavailable(f"the replay store {self.path} was made by a newer autorl (its version is "
                                   f"'{revision}', this autorl knows up to '{HEAD}')", "Upgrade: pip install -U "
                                   "autorl-agent, or name another store: AUTORL_STORE=FILE")
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        with self.writing() as connection:
            if _revision(connection, self.path) != HEAD:  # another process may have been first
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock file, so that no other process writes or checkpoints meanwhile."""
        if self._lock_file.closed:
            raise StoreUnavailable(f"the replay store {self.path} was closed")
        _acquire(self._lock_file, self.path)
        try:
            yield
        finally:
            _release(self._lock_file)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            what = str(error.orig)
            remedy = "Name another store: AUTORL_STORE=FILE"
            if "not a database" in what or "malformed" in what or "no such table" in what:
                remedy = f"The file is damaged. Move {self.path} away (with its -wal and -shm) to start a new store"
            elif "full" in what or "disk I/O" in what:
                remedy = f"Make room on the disk of {self.path}. What was acknowledged is kept; the run can be resumed"
            elif "locked" in what:
                remedy = f"Another program has held {self.path} for {PATIENCE:g} s: end it, and try again"
            raise StoreUnavailable(f"the replay store {self.path} failed: {what}", remedy) from error


def words_query(text: str) -> str:
    """Full-text query for any of the words in `text`; empty if it holds none.

    Words that stand in every text say nothing of what it is about, and cost the most to look up.
    """
    words = dict.fromkeys(re.findall(r"\w+", text.lower()[:2000]))
    telling = [word for word in words if word not in COMMON] or list(words)
    return " OR ".join(f'"{word}"' for word in telling[:64])


def _revision(connection: sa.Connection, path: Path) -> str | None:
    """The migration the store is at; None for a new file."""
    tables = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" in tables:
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if tables:
        raise StoreUnavailable(f"{path} is a database of another program (it holds '{min(tables)}')",
                               "Name another store: AUTORL_STORE=FILE")
    return None


def _file(where: str | Path | None) -> Path:
    if where is None:
        return settings.home() / "replay.db"
    text = str(where)
    if "://" in text:
        if not text.startswith("sqlite:///"):
            raise UsageError(f"the store '{text.partition('://')[0]}://...' is of a kind that is not supported",
                             "Use a file, or sqlite:///FILE")
        text = text.removeprefix("sqlite:///")
    path = Path(text).expanduser().resolve()
    if path.is_dir():
        raise UsageError(f"the store '{path}' is a folder", f"Name a file: {path / 'replay.db'}")
    return path


def _acquire(file: IO[bytes], path: Path) -> None:
    import fcntl

    deadline = time.monotonic() + PATIENCE
    wait = 0.0002
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the replay store {path} has been locked by another process for "
                                       f"{PATIENCE:g} s", "End that process, and try again") from None
            time.sleep(wait)
            wait = min(wait * 2, 0.02)


def _release(file: IO[bytes]) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)
