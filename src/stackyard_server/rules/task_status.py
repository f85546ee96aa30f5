"""The status machine of tasks, as measured: which change is a step, and which calls a status lets through. Pure.

Statuses are ClearML's. Staying where one is counts as a step for the statuses that a worker reports again and again;
``force`` skips the table and is the caller's business.
"""

from __future__ import annotations

CREATED = "created"
QUEUED = "queued"
IN_PROGRESS = "in_progress"
STOPPED = "stopped"
CLOSED = "closed"
FAILED = "failed"
COMPLETED = "completed"
PUBLISHING = "publishing"
PUBLISHED = "published"
UNKNOWN = "unknown"

#: The status_message of a task that somebody asked to stop.
STOPPING = "stopping"

#: The system tag of a task that somebody put away.
ARCHIVED = "archived"

STATUSES = (
    CREATED,
    QUEUED,
    IN_PROGRESS,
    STOPPED,
    PUBLISHED,
    PUBLISHING,
    CLOSED,
    FAILED,
    COMPLETED,
    UNKNOWN,
)

#: Where each status may go without force.
STEPS: dict[str, frozenset[str]] = {
    CREATED: frozenset({QUEUED, IN_PROGRESS}),
    QUEUED: frozenset({CREATED, IN_PROGRESS, STOPPED}),
    IN_PROGRESS: frozenset({STOPPED, FAILED, CREATED, COMPLETED}),
    STOPPED: frozenset({CLOSED, CREATED, FAILED, QUEUED, IN_PROGRESS, PUBLISHED, PUBLISHING, COMPLETED}),
    CLOSED: frozenset({CREATED, FAILED, PUBLISHED, PUBLISHING, STOPPED}),
    FAILED: frozenset({CREATED, STOPPED, PUBLISHED, QUEUED}),
    COMPLETED: frozenset({PUBLISHED, IN_PROGRESS, CREATED}),
    PUBLISHING: frozenset({PUBLISHED}),
    PUBLISHED: frozenset(),
    UNKNOWN: frozenset(STATUSES),
}

#: Statuses in which a running or waiting task may still be given parameters, artifacts and models.
OPEN = frozenset({CREATED, QUEUED, IN_PROGRESS})
#: Statuses in which nobody will run the task unless it is asked for again.
ENDED = frozenset({STOPPED, CLOSED, FAILED, COMPLETED, PUBLISHING, PUBLISHED})

#: A worker that was heard of within this time is running its task, milliseconds.
WORKER_ALIVE_MS = 600_000


def may_change(current: str, new: str) -> bool:
    """Whether ``current`` to ``new`` is a step; a published task stays as it is, even against being published again."""
    if current == new:
        return current != PUBLISHED
    return new in STEPS.get(current, frozenset())


def status_after_queue(enqueued_from: str | None) -> str:
    """The status of a task that leaves its queue without having run, from the one in which it was enqueued."""
    return enqueued_from if enqueued_from and enqueued_from != QUEUED else CREATED


def is_run_by_worker(last_worker: str | None, last_update: int | None, now: int) -> bool:
    """Whether a worker runs the task, so that stopping it is the worker's to do.

    Args:
        last_worker: The worker that last reported on the task.
        last_update: When anything was last heard of the task, epoch milliseconds.
        now: Epoch milliseconds.
    """
    return bool(last_worker) and last_update is not None and now - last_update < WORKER_ALIVE_MS
