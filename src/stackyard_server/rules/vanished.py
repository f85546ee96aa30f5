"""Tasks whose worker vanished: what becomes of them. Pure: no clock, no store.

A running task gives signs of life all the time (events, pings, its agent's status reports). One that has given none for
longer than allowed is queued again, as often as allowed, or stopped, with words that say that the infrastructure failed
and not the task's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What begins the status_reason of every task the watchdog touched.
REASON = "Infrastructure failure, not the task's code: worker vanished"
#: The status_message of a task that somebody asked to stop.
STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Silent:
    """A running task; instants in epoch milliseconds."""

    id: str
    #: Its last sign of life, of any kind.
    last_sign: int
    #: The worker that reported it last.
    worker: str | None
    status_message: str
    #: Whether a queue handed it out that is still there.
    has_queue: bool
    #: How often it was put back since a user queued it.
    losses: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a task, and the words for it."""

    status: Literal["queued", "stopped"]
    reason: str
    message: str


def verdict(task: Silent, now: int, listening_since: int, allowed: int, requeue_limit: int) -> Verdict | None:
    """What becomes of a running task; None while its silence may mean nothing.

    Args:
        task: The task.
        now: Epoch milliseconds.
        listening_since: Since when the server could hear workers: silence before that is no sign of anything.
        allowed: How long a task may be silent, milliseconds.
        requeue_limit: How often a task may be queued again.
    """
    silent_for = now - max(task.last_sign, listening_since)
    if silent_for <= allowed:
        return None
    whole = f"No sign of life from worker {task.worker or '(unknown)'} for {shown(now - task.last_sign)}."
    if task.has_queue and task.losses < requeue_limit and task.status_message != STOPPING:
        count = f"{task.losses + 1} of {requeue_limit}"
        return Verdict("queued", f"{REASON}; queued again ({count})", whole)
    return Verdict("stopped", REASON, f"{whole} Stopped by the watchdog.")


def shown(milliseconds: int) -> str:
    """A length of time in words: the two largest units."""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def check_seconds(watchdog_minutes: float) -> float:
    """How often to look: a twelfth of the allowed silence, between half a second and a minute."""
    return min(60.0, max(0.5, watchdog_minutes * 60 / 12))
