"""Stored databases of released schema versions, as SQL text: ``v1.sql``, ``v2.sql``...

``python -m tests.stackyard_server.databases`` writes the one of the present version, once, when it is released. A
stored one is never written again: what a user has on disk does not change either.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent


def stored() -> dict[int, Path]:
    """Version -> file."""
    return {int(path.stem[1:]): path for path in sorted(HERE.glob("v*.sql"))}


def dump(database: Path) -> str:
    """A database as SQL text that ``load`` makes the same one of."""
    with closing(sqlite3.connect(database)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        text = "\n".join(connection.iterdump())
    return f"{text}\nPRAGMA user_version={version};\n"


def load(text: str, database: Path) -> None:
    """Make a database of what ``dump`` made."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(text)
