"""What is known of one implementation of an endpoint: who may call it, how it runs, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from . import Call

#: none: touches no table, and runs in no transaction. read: may run beside writers. state: synced to disk before the
#: answer. metrics: not synced.
Access = Literal["none", "read", "state", "metrics"]
#: task: writes to the task that its field ``task`` names. run: the same, and only the task's own run makes such a call.
Fenced = Literal["task", "run"]
#: steps: its function is a generator, which lets others come in where it yields, and returns the answer.
Pieces = Literal["lines", "ids", "steps"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One implementation of an endpoint."""

    name: str
    version: tuple[int, int]
    shown_version: str
    function: Callable[[Call], Any]
    access: Access
    #: The least role that may call it.
    role: str
    #: Whether one must be signed in.
    signed_in: bool
    #: Takes NDJSON.
    batch: bool
    #: Grows with what is stored or asked: runs in a thread, on a snapshot. Of what changes nothing only.
    slow: bool
    #: Looks, on a snapshot, whether there is anything to write: what it answers is the answer, None goes on.
    glance: Callable[[Call], Any] | None = None
    #: How it may be done in several transactions (``pieces``): line by line, id by id, or step by step.
    pieces: Pieces | None = None
    #: What can be done beforehand with large lines, in any thread.
    prepare: Callable[[list[dict[str, Any]]], None] | None = None
    #: Whose writes it refuses to a task that was queued again (``fence``).
    fenced: Fenced | None = None
    #: Why it is not served, though its name and fields are known; "" where it is.
    absent: str = ""
    #: It takes something away: a field it does not know is refused.
    destructive: bool = False
    #: The collection that it lists, or its own field that names one: each of that collection's fields is a filter.
    lists: str | None = None
