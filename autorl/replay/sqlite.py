"""A store in one SQLite file: one writer at a time, readers beside it."""

import errno
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from json import dumps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from autorl.errors import StoreUnavailable
from autorl.replay import database
from autorl.replay.database import Database
from autorl.replay.schema import tasks

if TYPE_CHECKING:
    import numpy as np

NETWORK = frozenset(["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre"])
MOUNTS = Path("/proc/mounts")
_REMEMBERED = 100_000
_MANY = 300
"""Tasks that a word which is searched by may stand in; in a large store a thousandth of them."""
_HOLDING = ("SELECT group_concat(rowid) FROM "
            "(SELECT rowid FROM task_words WHERE task_words MATCH ? ORDER BY rowid DESC LIMIT ?)")
_NAMED = (sa.select(tasks.c.number, tasks.c.id, tasks.c.text)
          .where(tasks.c.number.in_(sa.bindparam("numbers", expanding=True))).order_by(tasks.c.number.desc()))


class SQLite(Database):
    """Connections to one SQLite file in WAL mode.

    SQLite before 3.51.3 can lose a write that races a checkpoint of another connection. So there is one
    writing connection a process, a lock file lets one process write (and checkpoint) at a time, and
    the readers never checkpoint.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.where = self.path = path
        self.artifacts = path.parent / "artifacts"
        self._turn = threading.Lock()
        self._common: dict[str, int] = {}  # words that were found to be common, when there were so many tasks
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = open(f"{path}.lock", "ab")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise StoreUnavailable(f"the replay store {path} cannot be opened: {error.strerror}",
                                   "Name another place: AUTORL_STORE=FILE or AUTORL_HOME=FOLDER"
                                   + (". To look into this one, copy it (with its -wal) to a folder of your own"
                                      if path.is_file() else "")) from error
        self._readers = self._engine("BEGIN", checkpoint=False)
        self._writers = self._engine("BEGIN IMMEDIATE", checkpoint=True)
        self._migrate()

    def close(self) -> None:
        with self._turn:
            if writer := self.__dict__.pop("_writer", None):
                writer.close()
            self._readers.dispose()
            self._writers.dispose()
            self._lock_file.close()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        # It is begun here: what goes past SQLAlchemy would begin none, and so be answered as of several moments.
        with self._errors(), self._readers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self._errors(), self._turn, self._locked(), self._writer.begin():
            yield self._writer

    @cached_property
    def _writer(self) -> sa.Connection:
        """Kept, for to take it from its pool and give it back takes as long as a write."""
        return self._writers.connect()

    def rows(self, connection: sa.Connection, query: sa.Select[Any], **named: Any) -> Sequence[Any]:
        """Past SQLAlchemy, which takes several times as long to ask as SQLite does to answer."""
        text, constants = _written(query)
        lists = {name: dumps(value) for name, value in named.items() if isinstance(value, list)}
        return _bare(connection).execute(text, {**constants, **named, **lists}).fetchall()

    def by_words(self, connection: sa.Connection, text: str, limit: int) -> list[tuple[str, float]]:
        # FTS5's own rank looks at every task that holds any of the words. Here each word is looked up by itself, which
        # stops where it turns out to be common, and counts by how few tasks hold it.
        bare, common = _bare(connection), []
        ((last,),) = self.rows(connection, database.LAST_TASK)
        most = max(_MANY, (last or 0) // 1_000)
        rare: list[np.ndarray[Any, Any]] = []
        for word in database.telling_words(text):
            if (last or 0) <= 1.5 * self._common.get(word, 0):
                common.append(word)
                continue
            holding = _holding(bare, f'"{word}"', most + 1)
            if len(holding) > most:
                common.append(word)
                self._common = self._common if len(self._common) < _REMEMBERED else {}
                self._common[word] = last
            elif len(holding):
                rare.append(holding)
        if rare:
            weights = [database.weight(len(holding), last) for holding in rare]
            found = database.heaviest(rare, weights, limit + database.MORE)
        else:
            together = " AND ".join(f'"{word}"' for word in common[:3])
            found = dict.fromkeys(_holding(bare, together, limit + database.MORE).tolist() if common else [], 0.0)
        named = self.rows(connection, _NAMED, numbers=list(found))
        return database.weighed([(task, found[number], text) for number, task, text in named], common, limit)

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
        with self._errors(), self._turn, self._locked():
            bare = _bare(self._writer)
            self._writer.rollback()  # VACUUM cannot run inside a transaction
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
            if checkpoint:
                connection.execute("PRAGMA cache_size=-65536")  # the indexes of a large store, which writes go all over
                connection.execute("PRAGMA wal_autocheckpoint=8000")  # pages: not after each batch of an import
            else:
                connection.execute("PRAGMA wal_autocheckpoint=0")

        @sa.event.listens_for(engine, "begin")
        def began(connection: sa.Connection) -> None:
            _bare(connection).execute(begin)

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


def _bare(connection: sa.Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    bare = connection.connection.driver_connection
    assert isinstance(bare, sqlite3.Connection)
    return bare


def _holding(bare: sqlite3.Connection, query: str, limit: int) -> "np.ndarray[Any, Any]":
    """Numbers of the newest tasks that a search by words finds; as one text, they are had in half the time."""
    import numpy as np

    ((found,),) = bare.execute(_HOLDING, (query, limit))
    return np.array([], "i8") if found is None else np.fromstring(found, "i8", sep=",")


@cache
def _written(query: sa.Select[Any]) -> tuple[str, dict[str, Any]]:
    """A query as SQL with named parameters, of which a list comes as JSON; and the constants among them."""
    compiled = query.compile(dialect=sqlite_dialect(paramstyle="named"))
    text = re.sub(r"\(__\[POSTCOMPILE_(\w+)\]\)", r"(SELECT value FROM json_each(:\1))", str(compiled))
    return text, dict(compiled.params)


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
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                raise StoreUnavailable(f"the replay store {path} cannot be locked: {error.strerror}",
                                       "Some network folders take no locks: name another place (AUTORL_STORE=FILE), or "
                                       "use a PostgreSQL") from error
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the replay store {path} has been locked by another process for "
                                       f"{database.PATIENCE:g} s", "End that process, and try again") from None
            time.sleep(wait)
            wait = min(wait * 2, 0.02)


def _release(file: IO[bytes]) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)
