"""Changes of one task: finding it, the marks a change leaves, and the one door through which a status is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import moments
from ..calls import Call
from ..protocol.error_table import error
from ..rules import task_status
from ..store import Transaction, meta, projects, queues
from ..store.documents import COLLECTIONS, TASK, Document

#: A change of these is a change of what is said about the task, not a sign of life: it leaves ``last_update`` alone.
LABELS = frozenset({"name", "tags", "system_tags", "comment", "project"})
#: What a change of status has to know of the task.
STATUS_FIELDS = (
    *("id", "status", "status_message", "status_reason", "enqueue_status", "started", "system_tags"),
    *("last_worker", "last_update", "status_changed"),
)
SHORTEST_NAME = 3


def require(
    tx: Transaction, id: str, fields: Iterable[str] | None = STATUS_FIELDS, *, public: bool = False
) -> Document:
    """The task of that id, with these fields, to be changed.

    Args:
        tx: Where to read.
        id: The task's.
        fields: Columns; None: all.
        public: Also one that was made public, which is everybody's to read and nobody's to change.

    Raises:
        ApiError: 400/101.
    """
    task = TASK.get(tx, id, None if fields is None else [*fields, "company"])
    if task is None or (task.get("company") == "" and not public):
        raise error("invalid_task_id", id=id, company=meta.company(tx))
    return task


def require_all(
    tx: Transaction, ids: Iterable[str | None], fields: Iterable[str] | None = None
) -> list[Document]:
    """The tasks of these ids, in their order.

    Raises:
        ApiError: 400/101 naming those that do not exist.
    """
    wanted = list(dict.fromkeys(id for id in ids if id is not None))
    found = TASK.get_many(tx, wanted, fields)
    missing = set(wanted) - {task["id"] for task in found}
    if missing:
        raise error("invalid_task_id", ids=[id for id in wanted if id in missing])
    return found


def shown(changes: Mapping[str, Any]) -> Document:
    """Changes as ``fields`` of an answer shows them: instants as text, null for what was removed."""
    return {
        name: moments.iso(value) if name in TASK.dates and isinstance(value, int) else value
        for name, value in changes.items()
    }


def save(call: Call, id: str, changes: Mapping[str, Any], *, alive: bool = True) -> Document:
    """Write changes with the marks of a change.

    Args:
        call: Who changes, and when.
        id: The task's.
        changes: Columns and their values; None removes one.
        alive: Whether the change is a sign of life (moves ``last_update``).

    Returns:
        What was written, the marks included.
    """
    marked = {**changes, "last_change": call.now, "last_changed_by": call.who.user}
    if alive:
        marked["last_update"] = call.now
    TASK.update(call.tx, id, marked)
    return marked


def change_status(
    call: Call,
    task: Document,
    new: str,
    *,
    force: bool = False,
    reason: str | None = None,
    message: str | None = None,
    more: Mapping[str, Any] | None = None,
    quiet: Mapping[str, Any] | None = None,
) -> Document:
    """Write a status: the one door.

    An agent says again that a task runs at each step of its preparations; one that was asked to stop stays asked.

    Args:
        call: Who changes, and when.
        task: At least its ``STATUS_FIELDS``.
        new: The status.
        force: Skip the status machine.
        reason: The new ``status_reason``; "" when None.
        message: The new ``status_message``; "" when None.
        more: Further changes, shown in the answer.
        quiet: Further changes, not shown.

    Returns:
        What was written as an answer's ``fields``.

    Raises:
        ApiError: 400/110 no such step.
    """
    current = task["status"]
    if not force and not task_status.may_change(current, new):
        raise error("invalid_task_status", "Invalid status change", current_status=current, new_status=new)
    if current == task_status.QUEUED and new in task_status.ENDED:
        queues.remove_task(call.tx, task["id"], call.now)
    asked = current == new == task_status.IN_PROGRESS and task.get("status_message") == task_status.STOPPING
    if asked and message != task_status.STOPPING:
        reason, message = task.get("status_reason"), task_status.STOPPING
    written: Document = {
        "status": new,
        "status_reason": reason or "",
        "status_message": message or "",
        "status_changed": call.now,
        "last_update": call.now,
        "last_change": call.now,
        "last_changed_by": call.who.user,
        **(more or {}),
    }
    TASK.update(call.tx, task["id"], {**written, **(quiet or {})})
    projects.touch_of(call.tx, task["id"], call.now)
    return shown(written)


def set_status(call: Call, task: Document, new: str) -> None:
    """Write a status as ``tasks.edit`` does: without the machine, and without the marks of a change of status."""
    if task["status"] == task_status.QUEUED and new in task_status.ENDED:
        queues.remove_task(call.tx, task["id"], call.now)
    TASK.update(call.tx, task["id"], {"status": new})


def require_open(task: Document, allowed: Iterable[str]) -> None:
    """Check that a task's status lets its contents be changed.

    Raises:
        ApiError: 400/110.
    """
    if task["status"] not in allowed:
        raise error("invalid_task_status", expected=task_status.CREATED, status=task["status"])


def note_life(call: Call, task: Document, changes: Mapping[str, Any] | None = None) -> None:
    """A sign of life: ``last_update``, and how long a running task has been running."""
    signs: Document = {**(changes or {}), "last_update": call.now}
    if task.get("status") == task_status.IN_PROGRESS and task.get("started") is not None:
        signs["active_duration"] = max(0, call.now - task["started"]) // 1000
    TASK.update(call.tx, task["id"], signs)


def check_name(name: str) -> str:
    """A task's name without outer white space.

    Raises:
        ApiError: 400/800.
    """
    name = name.strip()
    if len(name) < SHORTEST_NAME:
        raise error("data_validation", name="String value is too short")
    return name


def check_references(tx: Transaction, data: Mapping[str, Any]) -> None:
    """Check that the project, the parent and the input models a request names are there.

    Raises:
        ApiError: 400/16.
    """
    named: list[tuple[str, str, Any]] = [
        ("project", "project", data.get("project")),
        ("parent", "task", data.get("parent")),
        ("execution.model", "model", (data.get("execution") or {}).get("model")),
    ]
    for item in (data.get("models") or {}).get("input") or []:
        if item:
            named.append(("models.input", "model", item["model"]))
    for field, table, id in named:
        if id and not COLLECTIONS[table].exists(tx, id):
            raise error("reference", f"expecting {table.capitalize()} id", id=id, field=field)


def tags_of(tags: Iterable[str | None] | None) -> list[str]:
    """Tags as they are kept: in the order given, none twice."""
    return list(dict.fromkeys(tag for tag in tags or () if tag is not None))
