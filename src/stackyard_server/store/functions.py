"""SQL functions of our own: regular expressions that cannot be made to hang, and names JSON paths cannot hold."""

from __future__ import annotations

import functools
import re
import sqlite3
from typing import Any

import orjson
import re2


class BadPattern(ValueError):
    """A regular expression that is malformed or that cannot run in linear time."""


@functools.lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern, compiled to an automaton (linear time, whatever the pattern).

    Raises:
        BadPattern: Malformed, or uses look-around or back-references.
    """
    try:
        re.compile(pattern)  # the message clients know is that of Python's parser
        options = re2.Options()
        options.log_errors = False
        options.max_mem = 1 << 20
        return re2.compile(pattern, options)
    except (re.error, re2.error, RecursionError, OverflowError) as fault:
        raise BadPattern(str(fault)) from fault


def matches(pattern: str, text: str | None) -> bool:
    """Whether the pattern occurs in the text, case-sensitive."""
    return text is not None and compiled(pattern).search(text) is not None


def member(document: str | None, keys: str) -> Any:
    """The value at these names (a JSON list) in a JSON document; for names SQLite's JSON paths cannot hold."""
    try:
        value = None if document is None else orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    for key in orjson.loads(keys):
        value = value.get(key) if isinstance(value, dict) else None
    return orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value


def register(connection: sqlite3.Connection) -> None:
    """``text REGEXP pattern`` and ``member(document, keys)`` for a connection."""
    connection.create_function("member", 2, member, deterministic=True)
    connection.create_function("regexp", 2, matches, deterministic=True)
