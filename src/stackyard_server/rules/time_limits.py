"""Tasks that run longer than they may: asked to stop, and failed when that does not help. Pure: no clock, no store.

Time counts from ``tasks.started``, which an agent says as soon as it takes a task, so its preparations count too. What
runs the task enforces the same limit from nearer by; the server's turn comes a grace later, for tasks whose
supervisor is gone or does not care.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import reasons
from .task_status import STOPPING
from .vanished import shown


@dataclass(frozen=True, slots=True)
class Running:
    """A task in progress; instants in epoch milliseconds."""

    id: str
    started: int
    status_message: str
    status_changed: int
    #: Its own limit, and that of the queue it came from, seconds.
    own_limit_seconds: float | None
    queue_limit_seconds: float | None
    queue_name: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a task, and the words for it."""

    action: Literal["ask", "fail"]
    reason: str


def verdict(task: Running, now: int, grace_seconds: float) -> Verdict | None:
    """What becomes of a task that runs; None while it may go on, or is on its way out.

    Args:
        task: The task.
        now: Epoch milliseconds.
        grace_seconds: How long beyond its limit it may run before it is asked, and how long after that it may take.
    """
    limits = [seconds for seconds in (task.own_limit_seconds, task.queue_limit_seconds) if seconds]
    if not limits:
        return None
    limit, grace = min(limits) * 1000, grace_seconds * 1000
    ran = now - task.started
    if ran <= limit + grace:
        return None
    whose = (
        "its own limit"
        if limit == (task.own_limit_seconds or 0) * 1000
        else f"queue {task.queue_name}'s limit"
    )
    text = f"ran {shown(ran)}, {whose} is {shown(int(limit))}"
    if task.status_message != STOPPING:
        return Verdict("ask", reasons.reason(reasons.TIME_LIMIT, text))
    if now - task.status_changed > grace:
        return Verdict("fail", reasons.reason(reasons.TIME_LIMIT, f"{text}; it did not stop when asked"))
    return None
