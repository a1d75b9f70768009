"""Rows that are added by the database's driver itself."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

IF_NEW = "ON CONFLICT DO NOTHING"
_A_STATEMENT = 500


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], conflict: str = "") -> int:
    """Add rows of the same columns, many a statement; returns how many were added.

    conflict: what to do with a row whose key is there, such as `IF_NEW`; without, it is an error
    Row by row, SQLAlchemy takes as long as SQLite does, and SQLite's full-text index writes out what it has after each
    statement.
    """
    added = 0
    for start in range(0, len(rows), _A_STATEMENT):
        some = rows[start : start + _A_STATEMENT]
        statement = _inserting(connection.dialect.name, table, tuple(some[0]), len(some), conflict)
        values = tuple(chain.from_iterable(row.values() for row in some))
        added += connection.exec_driver_sql(statement, values).rowcount
    return added


@lru_cache(200)
def _inserting(dialect: str, table: sa.Table, columns: tuple[str, ...], rows: int, conflict: str) -> str:
    row = ", ".join([{"sqlite": "?", "postgresql": "%s"}[dialect]] * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([f'({row})'] * rows)} {conflict}"
