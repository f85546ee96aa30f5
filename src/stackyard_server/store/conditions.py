"""One SQL condition of a query, and what is said about requests that make none. Pure.

Conditions speak of the row ``d``. Values and names of requests are bound as parameters, never part of the SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from ..error_table import ApiError, error, field_error
from .documents import Collection

#: More parts than these (values that must all hold, fields, conditions) are refused: SQLite bounds its expressions.
MOST_PARTS = 200
#: No name of a field is longer, in characters, or deeper.
LONGEST_NAME = 2000
DEEPEST_NAME = 64
WIDEST = 2**63 - 1

Parameters = list[Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """One SQL condition on the row ``d``."""

    sql: str
    parameters: list[Any] = field(default_factory=list)
    #: The same condition, written so that no index is used for it; None: there is only one way.
    unindexed: str | None = None
    #: The column it compares, where an index answers it.
    column: str | None = None
    #: Whether it takes all of that index to answer: cheaper than all of the rows, dearer than a look-up.
    scans: bool = False
    #: Whether it allows a single value only.
    single: bool = False


def visible(collection: Collection, name: str) -> bool:
    """Whether a field may be asked for, filtered by and sorted by."""
    return (name in collection.fields and name not in collection.private) or name in collection.virtual


def lookup_error(name: str) -> ApiError:
    """400/14: a field that is not there."""
    return error("lookup", err=f'Cannot resolve field "{name}"')


def bounded(name: str) -> str:
    """A name of a field.

    Raises:
        ApiError: 400/14 it is longer or deeper than any field is.
    """
    if len(name) > LONGEST_NAME or name.count(".") >= DEEPEST_NAME:
        raise lookup_error(f"{name[:50]}...")
    return name


def check_parts(key: str, number: int) -> None:
    """Refuse more parts than SQLite takes.

    Raises:
        ApiError: 400/12.
    """
    if number > MOST_PARTS:
        raise field_error(key, f": more than {MOST_PARTS} conditions.")


def marks(values: list[Any]) -> tuple[str, Parameters]:
    """What stands in the brackets of ``IN (...)``, and its parameters."""
    if len(values) <= 20:
        return ", ".join("?" * len(values)), values
    return "SELECT value FROM json_each(?)", [orjson.dumps(values).decode()]


def wrong_type(key: str, value: Any, expected: str) -> ApiError:
    """400/12: a value of a wrong type, in ClearML's words."""
    shown = value if len(str(value)) <= 200 else f"{str(value)[:200]}..."
    return field_error(key, f": ('value is wrong, expected type \"{expected}\"', {shown!r}).")
