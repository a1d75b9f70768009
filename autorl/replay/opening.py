"""Which database a store is in: a file, or the URL of a server."""

from pathlib import Path

import sqlalchemy as sa

from autorl import settings
from autorl.errors import UsageError
from autorl.replay.database import Database

KINDS = "Use a file, sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


def open_database(where: str | Path | None) -> Database:
    """The database at `where`; AUTORL_HOME/replay.db when None. It is made, or brought up to date.

    Raises UsageError for a place that cannot be, MissingExtra, StoreUnavailable.
    """
    text = str(settings.home() / "replay.db" if where is None else where)
    kind, colon, rest = text.partition("://")
    if colon and kind in ("postgresql+psycopg", "postgresql", "postgres"):
        from autorl.replay.postgres import Postgres

        try:
            url = sa.make_url(f"postgresql+psycopg://{rest}")
        except (sa.exc.ArgumentError, ValueError) as error:
            raise UsageError(f"the store '{kind}://...' is not a URL: {error}", KINDS) from error
        return Postgres(url)
    if colon and not text.startswith("sqlite:///"):
        raise UsageError(f"the store '{kind}://...' is of a kind that is not supported", KINDS)
    from autorl.replay.sqlite import SQLite

    path = Path(text.removeprefix("sqlite:///")).expanduser().resolve()
    if path.is_dir():
        raise UsageError(f"the store '{path}' is a folder", f"Name a file: {path / 'replay.db'}")
    return SQLite(path)
