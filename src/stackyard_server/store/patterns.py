"""Text patterns of a request (regular expressions, "contains") as SQL conditions.

A pattern that is plain text, possibly anchored, becomes a comparison that SQLite answers from an index or without
calling back into Python; everything else runs through ``REGEXP`` (``functions``), in linear time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..error_table import error
from .functions import BadPattern, compiled

#: Characters that mean something in a regular expression.
SPECIAL = frozenset(".^$*+?{}[]\\|()")
#: How many alternatives of plain text are still compared one by one.
MOST_ALTERNATIVES = 100
#: No pattern is longer, characters.
LONGEST = 20_000


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


def condition(column: str, pattern: str) -> tuple[str, list[str]]:
    """The SQL condition "the column's text contains the pattern", and its parameters.

    Args:
        column: An SQL expression.
        pattern: The regular expression of the request.

    Raises:
        ApiError: 400/21.
    """
    if len(pattern) > LONGEST:
        raise error("bad_regex", err=f"longer than {LONGEST} characters", extra_info=None)
    plain = literals(pattern)
    if plain is None:
        try:
            compiled(pattern)
        except BadPattern as fault:
            raise error("bad_regex", err=fault, extra_info=None) from None
        return f"{column} REGEXP ?", [pattern]
    if all(p.from_start and p.to_end for p in plain):
        return f"{column} IN ({', '.join('?' * len(plain))})", [p.text for p in plain]
    parts: list[str] = []
    parameters: list[str] = []
    for literal in plain:
        if literal.from_start and literal.to_end:
            parts.append(f"{column} = ?")
            parameters.append(literal.text)
        elif literal.from_start:
            _starts(column, literal.text, parts.append, parameters)
        elif literal.to_end:
            parts.append(f"substr({column}, -length(?)) = ?" if literal.text else f"{column} IS NOT NULL")
            parameters += [literal.text, literal.text] if literal.text else []
        else:
            parts.append(f"instr({column}, ?) > 0" if literal.text else f"{column} IS NOT NULL")
            parameters += [literal.text] if literal.text else []
    return (parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"), parameters


def _starts(column: str, text: str, add: Callable[[str], None], parameters: list[str]) -> None:
    """A prefix as a range, which an index can answer."""
    if not text:
        add(f"{column} IS NOT NULL")
        return
    after = _after(text)
    if after is None:
        add(f"substr({column}, 1, length(?)) = ?")
        parameters += [text, text]
    else:
        add(f"({column} >= ? AND {column} < ?)")
        parameters += [text, after]


def _after(text: str) -> str | None:
    """The least text above all that start with this one, in the order of code points."""
    last = ord(text[-1]) + 1
    if last in range(0xD800, 0xE000) or last > 0x10FFFF:
        return None
    return text[:-1] + chr(last)
