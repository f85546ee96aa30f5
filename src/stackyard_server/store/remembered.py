"""What is kept only to answer sooner (parameters that lists asked for, how much the files take), as a whole: made again
where it cannot be believed.
"""

from __future__ import annotations

import sqlite3

#: The first version whose databases keep parameters for lists.
WITH_PARAMETERS = 5


def forget_parameters(connection: sqlite3.Connection) -> None:
    """Forget the parameters and their values: a list that asks for one has it kept again."""
    connection.execute("DELETE FROM parameter_value")
    connection.execute("DELETE FROM parameter")


def forget_unsound(connection: sqlite3.Connection) -> None:
    """Forget the parameters where one has a path that is none: triggers read it, so every new task would fail."""
    try:
        connection.execute("SELECT json_extract('{}', path) FROM parameter").fetchall()
    except sqlite3.OperationalError:
        forget_parameters(connection)


def count_usage(connection: sqlite3.Connection) -> None:
    """Count anew how much the files take: uploads are refused by it."""
    connection.execute(
        "INSERT OR REPLACE INTO file_usage SELECT 1, count(*), coalesce(sum(bytes), 0) FROM file"
    )
