"""A store in one SQLite file: one writer at a time, readers beside it."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from autorl.errors import StoreUnavailable
from autorl.replay import database
from autorl.replay.database import Database

NETWORK = frozenset(["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre"])
MOUNTS = Path("/proc/mounts")
_REMEMBERED = 100_000
_HOLDING = "SELECT count(*) FROM (SELECT 1 FROM task_words WHERE task_words MATCH ? LIMIT ?)"


class SQLite(Database):
    """Connections to one SQLite file in WAL mode.

    SQLite before 3.51.3 can lose a write that races a checkpoint of another connection. So there is one
    writing connection a process, a lock file lets one process write (and checkpoint) at a time, and
    the readers never checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.where = self.path = path
        self.artifacts = path.parent / "artifacts"
        self._turn = threading.Lock()
        self._words: dict[str, tuple[int, int]] = {}  # how many tasks held a word, and how many tasks there were
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = open(f"{path}.lock", "ab")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise StoreUnavailable(f"the replay store {path} cannot be opened: {error.strerror}",
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
        with self._errors(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self._errors(), self._turn, self._locked(), self._writers.begin() as connection:
            yield connection

    def _held(self, connection: sa.Connection, words: list[str]) -> dict[str, int]:
        last = connection.scalar(database.LAST_TASK) or 0
        bare = connection.connection.driver_connection
        assert isinstance(bare, sqlite3.Connection)
        found = {}
        for word in words:
            held, then = self._words.get(word, (0, 0))
            if last > 1.5 * then and held <= database.MANY:  # tasks are only ever added: what is common stays so
                (held,) = bare.execute(_HOLDING, (f'"{word}"', database.MANY + 1)).fetchone()
                self._words = self._words if len(self._words) < _REMEMBERED else {}
                self._words[word] = held, last
            found[word] = held
        return found

    def _any_of(self, connection: sa.Connection, words: list[str], limit: int) -> list[tuple[str, float]]:
        rows = connection.exec_driver_sql(
            "SELECT tasks.id, -score FROM (SELECT rowid AS number, rank AS score FROM task_words "
            "WHERE task_words MATCH ? ORDER BY rank LIMIT ?) JOIN tasks USING (number) ORDER BY score",
            (" OR ".join(f'"{word}"' for word in words), limit))
        return [(task, float(score)) for task, score in rows]

    def _all_of(self, connection: sa.Connection, words: list[str], limit: int) -> list[tuple[str, float]]:
        rows = connection.exec_driver_sql(
            "SELECT tasks.id FROM (SELECT rowid AS number FROM task_words WHERE task_words MATCH ? "
            "ORDER BY rowid DESC LIMIT ?) JOIN tasks USING (number)",
            (" AND ".join(f'"{word}"' for word in words), limit))
        return [(task, 1.0) for (task,) in rows]

    def begins(self, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
        return column.between(text, text + "\U0010ffff")

    def check(self) -> list[str]:
        def question(connection: sa.Connection) -> list[str]:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
            found = [] if found == ["ok"] else found
            rows = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            return found + [f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there" for row in rows]

        return self.read(question)

    def notes(self) -> list[tuple[str, str]]:
        kind = _file_system(self.path)
        if kind not in NETWORK:
            return []
        return [(f"{self.path} lies on a network folder ({kind}), where SQLite's locks hold for one machine only",
                 "Let one machine use it, or move it: AUTORL_STORE=FILE, or a PostgreSQL for several")]

    def compact(self) -> None:
        with self._errors(), self._turn, self._locked(), self._writers.connect() as connection:
            bare = connection.connection.driver_connection  # VACUUM cannot run inside a transaction
            assert isinstance(bare, sqlite3.Connection)
            connection.rollback()
            for command in ("INSERT INTO task_words(task_words) VALUES ('optimize')", "VACUUM", "ANALYZE",
                            "PRAGMA wal_checkpoint(TRUNCATE)"):
                bare.execute(command).fetchall()

    def size(self) -> int:
        files = (Path(f"{self.path}{suffix}") for suffix in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _columns(self, connection: sa.Connection) -> dict[str, set[str]]:
        rows = connection.exec_driver_sql(
            "SELECT m.name, c.name FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c "
            "ON m.sql LIKE 'CREATE TABLE%' WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'")
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
        return found

    def _engine(self, begin: str, *, checkpoint: bool) -> sa.Engine:
        engine = sa.create_engine(
            f"sqlite:///{self.path}", connect_args={"timeout": database.PATIENCE, "check_same_thread": False},
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
            bare = connection.connection.driver_connection  # ten times as fast as through SQLAlchemy
            assert isinstance(bare, sqlite3.Connection)
            bare.execute(begin)

        return engine

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
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            what = str(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
            remedy = "Name another store: AUTORL_STORE=FILE"
            if "not a database" in what or "malformed" in what or "no such table" in what:
                remedy = (f"The file is damaged. Rescue what can be read: autorl replay salvage {self.path} NEW. "
                          f"Or move {self.path} away (with its -wal and -shm) to start a new store")
            elif "full" in what or "disk I/O" in what:
                remedy = f"Make room on the disk of {self.path}. What was acknowledged is kept; the run can be resumed"
            elif "readonly" in what:
                remedy = f"Let yourself write to {self.path} and its folder, or name another store: AUTORL_STORE=FILE"
            elif "locked" in what:
                remedy = (f"Another program has held {self.path} for {database.PATIENCE:g} s: end it, and try again")
            raise StoreUnavailable(f"the replay store {self.path} failed: {what}", remedy) from error


def _file_system(path: Path) -> str:
    """What kind of file system a path lies on (Linux); empty elsewhere."""
    try:
        lines = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return ""
    above = [(len(words[1]), words[2]) for words in lines if path.is_relative_to(words[1])]
    return max(above, default=(0, ""))[1]


def _acquire(file: IO[bytes], path: Path) -> None:
    import fcntl

    deadline = time.monotonic() + database.PATIENCE
    wait = 0.0002
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the replay store {path} has been locked by another process for "
                                       f"{database.PATIENCE:g} s", "End that process, and try again") from None
            time.sleep(wait)
            wait = min(wait * 2, 0.02)


def _release(file: IO[bytes]) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)
