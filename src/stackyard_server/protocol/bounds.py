"""What a request may contain and what it may cost: the table (``bounds.json``), and how a body is held to it.

A body's values are counted in its text, before any of it becomes an object: 60 MB of empty lists are 2 GB of objects.
The rest (depth, longest list, longest name) is looked at once it was read, in time that grows with the body alone.
docs/security.md shows the table.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from .error_table import ApiError, error

_TABLE: dict[str, Any] = orjson.loads(Path(__file__).with_name("bounds.json").read_bytes())


@dataclass(frozen=True, slots=True)
class Bound:
    """What a request of one kind may contain.

    Of events ``values`` and ``items`` are those of one event. A form has no lists; what it nests is a name's dots.
    """

    bytes: int
    #: Values of all kinds together, judged by the commas and brackets of the text.
    values: int
    #: Of the longest list.
    items: int
    #: Levels of nesting.
    depth: int
    #: Characters of the longest name.
    name: int
    #: Of a batch.
    lines: int


REQUESTS: dict[str, Bound] = {kind: Bound(**row) for kind, row in _TABLE["requests"].items()}
STRANGER, CALL, FORM, PATHS = (REQUESTS[kind] for kind in ("stranger", "call", "form", "paths"))
#: The kind of each endpoint's requests, where it is not "call".
KINDS: dict[str, str] = {
    **dict.fromkeys(_TABLE["documents"], "document"),
    **dict.fromkeys(_TABLE["events"], "events"),
}
#: The kind that a role's requests are held to at most.
LARGEST: dict[str, str] = _TABLE["largest"]
#: What one document may have in all, however it came to it: bytes and values of its fields, series of ``last_metrics``.
STORED: dict[str, int] = _TABLE["stored"]
#: No answer is larger, and no read takes longer.
ANSWER_BYTES: int = _TABLE["answer"]["bytes"]
READ_SECONDS: float = _TABLE["answer"]["seconds"]
#: Reads at the same time, and how many may wait; together, and of one user.
READS, READS_OF_A_USER = _TABLE["reads"]["at_once"], _TABLE["reads"]["of_a_user"]
WAITING, WAITING_OF_A_USER = _TABLE["reads"]["waiting"], _TABLE["reads"]["waiting_of_a_user"]
#: Descriptors: how many always stay free, how many the store has for itself, connections and files of clients at most.
DESCRIPTORS: dict[str, int] = _TABLE["descriptors"]
#: All bodies held at the same time, and each store in memory, bytes.
HELD_BYTES, STORE_BYTES = _TABLE["memory"]["bodies"], _TABLE["memory"]["stores"]
#: Answers that clients have not taken: what all of them have before nobody gets a second one, and those of one user
#: before the next is read, bytes.
UNSENT_BYTES, UNSENT_BYTES_OF_A_USER = _TABLE["memory"]["unsent"], _TABLE["memory"]["unsent_of_a_user"]

#: How deep anything may nest: what is kept must be writable again (orjson writes 254 levels), with room around it.
MOST_DEPTH = CALL.depth
#: A text is looked through in steps of so many bytes, so that others come in between.
STEP_BYTES = 256 * 1024
OPENING = (b"{", b"[")


@functools.cache
def of_endpoint(name: str, role: str | None, most_bytes: int) -> Bound:
    """What a request to an endpoint may contain.

    Args:
        name: The endpoint's.
        role: The caller's; None of a stranger.
        most_bytes: What the operator lets any request have.
    """
    kind = "stranger" if role is None else KINDS.get(name, "call")
    if role is not None and LARGEST[role] == "call":
        kind = "call"
    bound = REQUESTS[kind]
    if kind in ("document", "events"):  # the operator's word on what is stored
        return bound if most_bytes == bound.bytes else replace(bound, bytes=most_bytes)
    return bound if most_bytes >= bound.bytes else replace(bound, bytes=most_bytes)


def read(text: bytes, bound: Bound) -> Any:
    """A request's JSON: the one way from a body to values, on every port.

    Raises:
        ApiError: 400/0 malformed; 400/12 it has more than may be.
    """
    if len(text) > bound.depth:
        check_text(text, bound)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise error("bad_request") from None
    if len(text) > bound.depth:  # a shorter one has less of everything
        check_shape(value, text, bound)
    return value


def check_text(text: bytes, bound: Bound) -> None:
    """Hold a text to its number of values before it is read.

    Raises:
        ApiError: 400/12.
    """
    if has_more(text, bound.values):
        raise _beyond(f"more than {bound.values} values")


def has_more(text: bytes, most: int) -> bool:
    """Whether a JSON text has more values than that, judged by the commas and brackets outside its strings."""
    if len(text) <= most:
        return False
    if text.count(b",") + sum(map(text.count, OPENING)) <= most:
        return False
    found = 0
    for outside in _outside_strings(text):
        found += outside.count(b",") + sum(map(outside.count, OPENING))
        if found > most:
            return True
    return False


def _outside_strings(text: bytes) -> Iterator[bytes]:
    """What stands outside of a text's strings, step by step."""
    start, inside = 0, 0
    while start < len(text):
        end = min(start + STEP_BYTES, len(text))
        while end < len(text) and text[end - 1] == 0x5C:  # what a backslash escapes belongs to it
            end += 1
        part = text[start:end]
        if b"\\" in part:
            part = part.replace(b"\\\\", b"").replace(b'\\"', b"")
        pieces = part.split(b'"')
        yield b"".join(pieces[inside::2])
        inside = (inside + len(pieces) - 1) % 2
        start = end


def check_lines(text: bytes, bound: Bound) -> None:
    """Hold a batch to its number of lines.

    Raises:
        ApiError: 400/12.
    """
    if len(text) > bound.lines and text.count(b"\n") > bound.lines:
        raise _beyond(f"more than {bound.lines} lines")


def check_shape(value: Any, text: bytes, bound: Bound) -> None:
    """Hold what was read to its depth, its longest list and its longest name.

    Args:
        value: What was read.
        text: From which; it tells what cannot be.
        bound: What may be.

    Raises:
        ApiError: 400/12.
    """
    if len(text) <= bound.name and sum(map(text.count, OPENING)) <= bound.depth:
        return
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(bound.depth):
        below: list[Any] = []
        for outer in level:
            if isinstance(outer, dict):
                if outer and len(max(outer, key=len)) > bound.name:
                    raise _beyond(f"a name longer than {bound.name} characters")
                below += [inner for inner in outer.values() if isinstance(inner, (dict, list))]
            else:
                if len(outer) > bound.items:
                    raise _beyond(f"a list of more than {bound.items} items")
                below += [inner for inner in outer if isinstance(inner, (dict, list))]
        if not below:
            return
        level = below
    raise _beyond(f"nested deeper than {bound.depth} levels")


def check_names(names: Iterable[str], bound: Bound) -> None:
    """Hold the names of a form or a query to their length.

    Raises:
        ApiError: 400/12.
    """
    if any(len(name) > bound.name for name in names):
        raise _beyond(f"a name longer than {bound.name} characters")


def pieces(text: bytes, most: int) -> list[tuple[int, int]]:
    """Where the pieces of a batch begin and end: whole lines, so many bytes of them, or one line that has more."""
    found, start = [], 0
    while start < len(text):
        end = len(text)
        if end - start > most:
            end = text.rfind(b"\n", start, start + most) + 1
            if end <= start:
                end = text.find(b"\n", start + most) + 1 or len(text)
        found.append((start, end))
        start = end
    return found


def _beyond(what: str) -> ApiError:
    return error("validation", what)
