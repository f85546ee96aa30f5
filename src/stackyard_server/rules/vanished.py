"""Tasks whose worker vanished: what becomes of them. Pure: no clock, no store.

A running task gives signs of life all the time (events, pings, its agent's status reports). One that has given none for
longer than allowed is tried again, as often as its queue allows and later each time, or ended, with words that say that
the infrastructure failed and not the task's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import reasons
from .task_status import STOPPING

#: What begins the status_reason of every task the watchdog touched.
REASON = reasons.reason(reasons.INFRASTRUCTURE, "worker vanished")
#: How long the first retry waits, and any at most, seconds; each waits twice as long as the one before.
FIRST_WAIT_SECONDS = 10
LONGEST_WAIT_SECONDS = 640


@dataclass(frozen=True, slots=True)
class Silent:
    """A task that a worker runs, or took; instants in epoch milliseconds."""

    id: str
    #: Its last sign of life, of any kind.
    last_sign: int
    #: The worker that reported it last.
    worker: str | None
    status_message: str
    #: Whether a queue handed it out that is still there.
    has_queue: bool
    #: How often it was tried again since a user queued it.
    losses: int
    #: How long it may be silent, milliseconds.
    allowed: int
    #: How often it may be tried again.
    retries: int
    #: Whether the worker said that it started it: only then the loss counts.
    was_started: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a task, and the words for it."""

    status: Literal["queued", "stopped", "failed"]
    reason: str
    message: str
    #: Where it is queued again: how long it has to wait there, seconds, and how many losses it has then.
    wait_seconds: int = 0
    losses: int = 0


def verdict(task: Silent, now: int, listening_since: int) -> Verdict | None:
    """What becomes of a task; None while its silence may mean nothing.

    Args:
        task: The task.
        now: Epoch milliseconds.
        listening_since: Since when the server could hear workers: silence before that is no sign of anything.
    """
    silent_for = now - max(task.last_sign, listening_since)
    if silent_for <= task.allowed:
        return None
    whole = f"No sign of life from worker {task.worker or '(unknown)'} for {shown(now - task.last_sign)}."
    ended = f"{whole} Ended by the watchdog."
    if task.status_message == STOPPING:
        return Verdict("stopped", f"{REASON} while the task was asked to stop", ended)
    if not task.has_queue:
        return Verdict("stopped", f"{REASON}; no queue to try it again from", ended)
    if not task.was_started:
        wait = FIRST_WAIT_SECONDS
        text = f"{REASON} before it started the task; queued again, in {wait} s"
        return Verdict("queued", text, whole, wait, task.losses)
    if task.losses < task.retries:
        wait = wait_seconds(task.losses)
        text = f"{REASON}; queued again ({task.losses + 1} of {task.retries}), in {wait} s"
        return Verdict("queued", text, whole, wait, task.losses + 1)
    return Verdict("failed", f"{REASON}; tried again {task.losses} of {task.retries} times", ended)


def wait_seconds(losses: int) -> int:
    """How long a task waits in its queue after it was lost once more than ``losses`` times."""
    return min(FIRST_WAIT_SECONDS << min(losses, 30), LONGEST_WAIT_SECONDS)


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


def check_seconds(allowed_seconds: float) -> float:
    """How often to look: a twelfth of the allowed silence, between half a second and five."""
    return min(5.0, max(0.5, allowed_seconds / 12))
