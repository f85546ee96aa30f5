"""Tasks brought to a status through the API, as a client would.

Lives here: the calls that lead a new task to each status. Used where the recordings lack the calls that made a task
(the state probe) and to check the whole state matrix. May import: the standard library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# ask(endpoint, data) -> envelope
Ask = Callable[[str, dict[str, Any]], dict[str, Any]]

STEPS: dict[str, tuple[str, ...]] = {
    "created": (),
    "queued": ("tasks.enqueue",),
    "in_progress": ("tasks.started",),
    "stopped": ("tasks.started", "tasks.stopped"),
    "closed": ("tasks.started", "tasks.stopped", "tasks.close"),
    "failed": ("tasks.started", "tasks.failed"),
    "completed": ("tasks.started", "tasks.completed"),
    "published": ("tasks.started", "tasks.completed", "tasks.publish"),
}


class CannotPrepare(Exception):
    """The server refused a call that leads to a status."""


def create_task(ask: Ask, project: str, name: str = "state probe") -> str:
    """The id of a new task.

    Raises:
        CannotPrepare: The server refused.
    """
    answer = ask("tasks.create", {"name": name, "type": "training", "project": project})
    if answer["meta"]["result_code"] != 200:
        raise CannotPrepare(f"tasks.create: {answer['meta']}")
    task: str = answer["data"]["id"]
    return task


def bring_to(ask: Ask, task: str, status: str, queue: str) -> None:
    """Leads a new task to a status.

    Raises:
        CannotPrepare: The server refused a call on the way.
    """
    for step in STEPS[status]:
        data = {"task": task, "queue": queue} if step == "tasks.enqueue" else {"task": task}
        answer = ask(step, data)
        if answer["meta"]["result_code"] != 200:
            raise CannotPrepare(f"{step} on the way to {status}: {answer['meta']}")
