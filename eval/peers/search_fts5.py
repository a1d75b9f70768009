"""SQLite's FTS5 as one would use it: any of the words, `ORDER BY rank`; the table is the store's own (`replay.db`)."""

import re
import sqlite3

from search_protocol import TOP, asked, folder, measure


def ask(connection: sqlite3.Connection, text: str) -> list[int]:
    words = " OR ".join(f'"{word}"' for word in dict.fromkeys(re.findall(r"\w+", text.lower())))
    return [number for (number,) in connection.execute(
        "SELECT rowid FROM task_words WHERE task_words MATCH ? ORDER BY rank LIMIT ?", (words, TOP))]


measure(lambda: sqlite3.connect((folder() / "replay.db").resolve()), asked(), ask)
