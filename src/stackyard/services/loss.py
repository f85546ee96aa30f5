"""A lost task as the services of its machine saw it, and their report of it to the server. They decide nothing.

What becomes of the task is decided by ``stackyard_server.rules.fate``: on the server where that is ours, in
``official_fate`` where it is ClearML's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackyard.clearml.client import Client
from stackyard.services.watch import Task, Worker
from stackyard_server.rules import fate
from stackyard_server.rules.fate import End


@dataclass(frozen=True)
class Loss:
    """A task and how its agent came to its end; instants in epoch seconds by this machine's clock."""

    task: Task
    end: End
    #: When the agent ended.
    ended_at: float
    #: When it was told to; ``None``: it was not.
    asked_at: float | None = None
    #: The signal or the exit status.
    number: int | None = None


def report(client: Client, loss: Loss, now: float) -> str | None:
    """Tell a server that decides itself.

    Args:
        client: of that server.
        loss: what was seen.
        now: epoch seconds.

    Returns:
        The reason it gave the task; ``None``: the report was about a run that is over.
    """
    asked = None if loss.asked_at is None else max(0.0, now - loss.asked_at)
    answer = client.call(
        "tasks.lost",
        task=loss.task.id,
        worker=loss.task.worker,
        end=loss.end.value,
        number=loss.number,
        ended_seconds_ago=max(0.0, now - loss.ended_at),
        asked_seconds_ago=asked,
    )
    return str(answer["fields"]["status_reason"]) if answer["updated"] else None


def ended_with_agent(task: Task, asked_at: float | None) -> bool:
    """Whether a task that is not queued any more was ended, or left running, by its agent's end.

    Args:
        task: it.
        asked_at: epoch seconds when the agent was told to end; ``None``: it was not.
    """
    return fate.is_of_this_run(
        task.status,
        task.reason,
        started=milliseconds(task.started),
        changed=milliseconds(task.changed),
        ended=None,
        asked=milliseconds(asked_at),
    )


def is_left(task: Task, worker: Worker | None) -> bool:
    """Whether an agent says that it does something else than a task that counts as running."""
    if worker is None or worker.task == task.id:
        return False
    return fate.is_left(
        task.message,
        started=milliseconds(task.started),
        changed=milliseconds(task.changed),
        claimed=milliseconds(task.claimed),
        reported=milliseconds(worker.reported),
    )


def milliseconds(seconds: float | None) -> int | None:
    """An instant in the unit of the server's rules."""
    return None if seconds is None else int(seconds * 1000)
