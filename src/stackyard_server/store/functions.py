"""SQL functions of our own: regular expressions that cannot be made to hang, and names JSON paths cannot hold.

A pattern that is plain text, possibly anchored, needs no regular expression: ``literals`` says so, and ``query`` writes
a comparison that SQLite answers from an index or without calling back into Python.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import re2

from .refusals import BadPattern, ReadEnded

#: Characters that mean something in a regular expression.
SPECIAL = frozenset(".^$*+?{}[]\\|()")
#: How many alternatives of plain text are still compared one by one.
MOST_ALTERNATIVES = 100
#: How many texts are looked for before a pattern is.
MOST_NEEDED = 3
#: No pattern is longer, characters; and none that needs an automaton.
LONGEST, LONGEST_AUTOMATON = 20_000, 2_000
#: What an automaton may take, bytes: it bounds the steps of one character, too.
AUTOMATON_BYTES = 128 * 1024
#: A pattern is looked for in stretches of a long text; a match that is longer than what they share may be missed.
STRETCH, SHARED = 64 * 1024, 8 * 1024


def checked(pattern: str) -> str:
    """A pattern that is not too long.

    Raises:
        BadPattern: It is.
    """
    if len(pattern) > LONGEST:
        raise BadPattern(f"longer than {LONGEST} characters")
    return pattern


@functools.lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern, compiled to an automaton (linear time, whatever the pattern).

    Raises:
        BadPattern: Malformed, or uses look-around or back-references.
    """
    if len(pattern) > LONGEST_AUTOMATON:
        raise BadPattern(f"longer than {LONGEST_AUTOMATON} characters")
    try:
        with warnings.catch_warnings():  # of what a pattern might mean one day
            warnings.simplefilter("ignore")
            re.compile(pattern)  # the message clients know is that of Python's parser
        options = re2.Options()
        options.log_errors = False
        options.max_mem = AUTOMATON_BYTES
        return re2.compile(pattern, options)
    except (re.error, re2.error, RecursionError, OverflowError) as fault:
        raise BadPattern(str(fault)) from fault


#: Whether the read of this thread was ended; a long text asks in between.
_thread = threading.local()


def watch(ended: Callable[[], bool] | None) -> None:
    """Let functions that this thread's statements call ask whether they are to go on; None: they are."""
    _thread.ended = ended


def stopped() -> bool:
    """Whether this thread's read was ended."""
    ended = getattr(_thread, "ended", None)
    return ended is not None and bool(ended())


def matches(pattern: str, text: Any) -> bool:
    """Whether the pattern occurs in the text, case-sensitive; in what is no text it does not."""
    if not isinstance(text, str):
        return False
    automaton = compiled(pattern)
    data = text.encode()  # once: of a str each search would encode it whole
    if len(data) <= STRETCH:
        return automaton.search(data) is not None
    for start in range(0, len(data) - SHARED, STRETCH - SHARED):
        if automaton.search(data, start, min(len(data), start + STRETCH)) is not None:
            return True
        if stopped():
            raise ReadEnded
    return False


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


# When a pattern needs none


@dataclass(frozen=True, slots=True)
class Literal:
    """What a pattern of plain text asks for."""

    text: str
    from_start: bool
    to_end: bool


def literals(pattern: str) -> list[Literal] | None:
    """The alternatives of a pattern that needs no regular expression; None where one is needed."""
    found = []
    for alternative in _alternatives(pattern):
        literal = _literal(alternative)
        if literal is None:
            return None
        found.append(literal)
    return found if len(found) <= MOST_ALTERNATIVES else None


def _alternatives(pattern: str) -> list[str]:
    parts, start, at = [], 0, 0
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "|":
            parts.append(pattern[start:at])
            start = at + 1
        at += 1
    return [*parts, pattern[start:]]


def _literal(pattern: str) -> Literal | None:
    from_start = pattern.startswith("^")
    rest = pattern[1:] if from_start else pattern
    to_end = False
    if rest.endswith(".*") and not rest.endswith("\\.*"):
        rest = rest[:-2]
    elif rest.endswith("$") and (len(rest) - len(rest[:-1].rstrip("\\"))) % 2 == 1:
        rest, to_end = rest[:-1], True
    text, at = [], 0
    while at < len(rest):
        char = rest[at]
        if char == "\\":
            at += 1
            # an escaped letter or digit is a class, a boundary or a reference
            if at == len(rest) or rest[at].isalnum():
                return None
            char = rest[at]
        elif char in SPECIAL:
            return None
        text.append(char)
        at += 1
    return Literal("".join(text), from_start, to_end)


def needed(pattern: str) -> list[str]:
    """Texts without which a pattern is found nowhere, the longest first; only such as are easily told."""
    if any(char in "|()[]\\" for char in pattern):
        return []
    found, run = [""], ""
    for char in pattern:
        if char not in SPECIAL:
            run += char
            continue
        # what stands before one of these may be absent
        found.append(run[:-1] if char in "*?{" else run)
        run = ""
        if char == "{":  # what follows are numbers
            break
    else:
        found.append(run)
    return sorted(filter(None, set(found)), key=lambda text: (-len(text), text))[:MOST_NEEDED]


def after(text: str) -> str | None:
    """The least text above all that start with this one, in the order of code points."""
    last = ord(text[-1]) + 1
    if last in range(0xD800, 0xE000) or last > 0x10FFFF:
        return None
    return text[:-1] + chr(last)
