"""What becomes of tasks beside an official server, which decides none of it: decided here, by the server's own rules.

The rules are ``stackyard_server.rules.fate``; here is only how an official server is told. It knows neither a wait
nor a count: a lost task is stopped, and queued again once its wait is over; the count is kept in the task's runtime
properties, where our server keeps it too. Of time limits those of queues are held here; a task's own is its
supervisor's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from stackyard.clearml.client import Client
from stackyard.services.files import QueueRule
from stackyard.services.loss import Loss, milliseconds
from stackyard.services.watch import Task
from stackyard_server.rules import fate
from stackyard_server.rules.fate import Fate

log = logging.getLogger(__name__)

#: How long until a task that does not seem to have heard is asked again.
AGAIN_SECONDS = 5.0


def decide(loss: Loss, rule: QueueRule | None) -> Fate:
    """What becomes of a lost task.

    Args:
        loss: what was seen.
        rule: what its queue says; ``None``: the queue is not one of ours.
    """
    task = loss.task
    lost = fate.Lost(
        status_message=task.message,
        status_reason=task.reason,
        has_queue=task.queue is not None,
        tries=fate.tries(task.runtime),
        retries=fate.USUAL_RETRIES if rule is None or rule.retries is None else rule.retries,
        is_archived=fate.is_archived(task.system_tags),
    )
    return fate.reported(
        lost,
        loss.end,
        loss.number,
        started=milliseconds(task.started),
        asked=milliseconds(loss.asked_at),
    )


def settle(client: Client, loss: Loss, rule: QueueRule | None) -> Fate:
    """Decide and tell the server; one that is to be tried again is stopped, and ``requeue`` is due after its wait."""
    found = decide(loss, rule)
    end = "failed" if found.status == "failed" else "stopped"
    client.call(f"tasks.{end}", task=loss.task.id, force=True, status_reason=found.reason)
    return found


def requeue(client: Client, task: Task, found: Fate) -> None:
    """Queue a task again whose wait is over, unless it is not to be, or somebody did something else meanwhile."""
    if found.status != "queued":
        return
    fields = ["status", "status_reason", "runtime", "system_tags"]
    now = client.call("tasks.get_by_id", task=task.id, only_fields=fields)["task"]
    if now.get("status") != "stopped" or now.get("status_reason") != found.reason:
        return
    if fate.is_archived(now.get("system_tags")):
        return
    if fate.tries(now.get("runtime")) != found.tries:
        runtime = fate.with_tries(now.get("runtime"), found.tries)
        client.call("tasks.edit", task=task.id, force=True, runtime=runtime)
    client.call("tasks.enqueue", task=task.id, queue=task.queue, status_reason=found.reason)
    if found.first:
        client.call("queues.move_task_to_front", task=task.id, queue=task.queue)


class Limits:
    """Holds the time limits of queues.

    Args:
        client: of the server, as it is when a job is done.
        do: has a job done at the server.
    """

    def __init__(self, client: Callable[[], Client], do: Callable[[Callable[[], None]], None]) -> None:
        self._client, self._do = client, do
        #: Task id -> when it was asked to stop, first and last, epoch seconds.
        self._asked: dict[str, tuple[float, float]] = {}

    def hold(self, tasks: Iterable[Task], rules: Mapping[str, QueueRule], now: float) -> None:
        """Ask and end what is due.

        Args:
            tasks: those in progress.
            rules: queue id -> what it says.
            now: epoch seconds.
        """
        running = {task.id: task for task in tasks}
        self._asked = {id: asked for id, asked in self._asked.items() if id in running}
        for task in running.values():
            rule = rules.get(task.queue or "")
            if task.started is None or rule is None:
                continue
            first, last = self._asked.get(task.id, (None, now))
            limited = fate.Running(
                started=int(task.started * 1000),
                queue_limit_seconds=rule.time_limit_seconds,
                queue_name=rule.name,
            )
            over = fate.over_time(limited, int(now * 1000))
            if over is None:
                continue
            if first is None:
                log.warning("task %s: %s", task.id, over.reason)
            else:
                late = fate.over_time(replace(limited, asked=int(first * 1000)), int(now * 1000))
                if late is not None:
                    self._asked[task.id] = (now, now)
                    self._do(partial(self._fail, task, late.reason))
                    continue
                # asked again, because an agent that has only just taken its task writes over the message
                if fate.is_stopping(task.message) or now - last <= AGAIN_SECONDS:
                    continue
            self._asked[task.id] = (now if first is None else first, now)
            self._do(partial(self._stop, task, over.reason))

    def _stop(self, task: Task, reason: str) -> None:
        self._client().call("tasks.stop", task=task.id, status_reason=reason)

    def _fail(self, task: Task, reason: str) -> None:
        self._client().call("tasks.failed", task=task.id, force=True, status_reason=reason)
