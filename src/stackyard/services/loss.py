"""What becomes of tasks whose agent was lost or ended, and of those beyond their time: words and bounds.

The first word of a reason is for programs: "infrastructure" and "time_limit" are also the server's own. A task that
the infrastructure lost is queued again as often as its queue allows; the count is the task's runtime property
RETRIES, which the embedded server keeps too, so that the two never count apart. ``verdict`` and ``over_time`` are
pure; ``apply`` talks to the server.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackyard.clearml.client import Client, ServerError
from stackyard.services.site import QueueRule
from stackyard.services.watch import Task, Worker

INFRASTRUCTURE = "infrastructure"
TIME_LIMIT = "time_limit"
RETRIES = "stackyard_retries"
#: The server's own bound where a queue says none.
USUAL_RETRIES = 2
STOPPING = "stopping"
#: What an agent that was asked to end says of its task's stop; a person's abort has another reason.
AGENTS_REASONS = ("", "user abort")
FIRST_WAIT_SECONDS = 10
LONGEST_WAIT_SECONDS = 640
#: A report so soon after a task changed may have been under way before.
REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class Verdict:
    """What to do with a task."""

    #: "queued", "failed" or "stopped".
    status: str
    reason: str
    #: How often it was tried again, this try included.
    retries: int = 0
    wait_seconds: int = 0


def verdict(task: Task, rule: QueueRule | None, why: str) -> Verdict:
    """What becomes of a task that the infrastructure lost.

    Args:
        task: it.
        rule: what its queue says; ``None``: the queue is not one of ours.
        why: how it was lost, for people.
    """
    if task.message == STOPPING:
        if task.reason.startswith(f"{TIME_LIMIT}:"):
            return Verdict("failed", task.reason)
        return Verdict("stopped", f"{INFRASTRUCTURE}: {why} while the task was asked to stop")
    if task.queue is None:
        return Verdict("failed", f"{INFRASTRUCTURE}: {why}; no queue to try it again from")
    allowed = USUAL_RETRIES if rule is None or rule.retries is None else rule.retries
    used = _whole(task.runtime.get(RETRIES))
    if used >= allowed:
        return Verdict("failed", f"{INFRASTRUCTURE}: {why}; tried again {used} of {allowed} times", used)
    wait = min(FIRST_WAIT_SECONDS << used, LONGEST_WAIT_SECONDS)
    text = f"{INFRASTRUCTURE}: {why}; queued again ({used + 1} of {allowed}), in {wait} s"
    return Verdict("queued", text, used + 1, wait)


def apply(client: Client, task: Task, found: Verdict) -> float | None:
    """Tell the server.

    Returns:
        After how many seconds ``requeue`` is to be called; ``None``: nothing is left to do.
    """
    if found.status == "failed":
        client.call("tasks.failed", task=task.id, force=True, status_reason=found.reason)
        return None
    if found.status == "stopped":
        client.call("tasks.stopped", task=task.id, force=True, status_reason=found.reason)
        return None
    try:
        # the embedded server takes it at once, counts, and lets it wait in the queue
        client.call("tasks.enqueue", task=task.id, queue=task.queue, force=True, status_reason=found.reason)
    except ServerError:
        client.call("tasks.stopped", task=task.id, force=True, status_reason=found.reason)
        return float(found.wait_seconds)
    _count(client, task, found)
    return None


def requeue(client: Client, task: Task, found: Verdict) -> None:
    """Queue a task again whose wait is over, unless somebody did something else with it meanwhile."""
    now = client.call("tasks.get_by_id", task=task.id, only_fields=["status", "status_reason", "runtime"])[
        "task"
    ]
    if now.get("status") != "stopped" or now.get("status_reason") != found.reason:
        return
    client.call("tasks.enqueue", task=task.id, queue=task.queue, status_reason=found.reason)
    _count(client, task, found)


def _count(client: Client, task: Task, found: Verdict) -> None:
    """Keep the count of tries, where the server has not done so itself."""
    runtime = client.call("tasks.get_by_id", task=task.id)["task"].get("runtime") or {}
    if _whole(runtime.get(RETRIES)) != found.retries:
        client.call("tasks.edit", task=task.id, force=True, runtime={**runtime, RETRIES: found.retries})


def abandoned(task: Task, worker: Worker | None) -> bool:
    """Whether an agent says that it does something else than a task that counts as running.

    An agent that ends a task says so; where the task's own process says at the same moment that it begins, the later
    word stands and nobody is left to take it back. A task that somebody runs again by hand still names the worker it
    had before: unless it is to stop anyway, the worker must have claimed this run.
    """
    if worker is None or worker.reported is None or worker.task == task.id:
        return False
    started = task.started or 0.0
    if task.message != STOPPING and (task.claimed or 0.0) < started - REPORT_SECONDS:
        return False
    return worker.reported > max(task.changed or 0.0, started) + REPORT_SECONDS


def ended_with_agent(task: Task, since: float) -> bool:
    """Whether a task that is no longer queued was ended, or left running, by its agent's end at that moment.

    Args:
        task: it.
        since: epoch seconds when the agent was asked to end.
    """
    if task.status == "in_progress":
        return True
    return task.status == "stopped" and task.reason in AGENTS_REASONS and (task.changed or 0) >= since


def give_back(client: Client, task: Task, why: str) -> None:
    """Put a task that had only just been taken back to the head of its queue."""
    if task.queue is None:
        client.call("tasks.stopped", task=task.id, force=True, status_reason=why)
        return
    client.call("tasks.enqueue", task=task.id, queue=task.queue, force=True, status_reason=why)
    client.call("queues.move_task_to_front", task=task.id, queue=task.queue)


def over_time(task: Task, rule: QueueRule | None, ran_seconds: float) -> str | None:
    """The reason to stop a task that runs longer than its queue allows; ``None``: it may go on."""
    limit = rule.time_limit_seconds if rule else None
    if rule is None or limit is None or ran_seconds <= limit:
        return None
    return f"{TIME_LIMIT}: ran {shown(ran_seconds)}, queue {rule.name}'s limit is {shown(limit)}"


def shown(seconds: float) -> str:
    """A length of time for people: its two largest units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _whole(value: object) -> int:
    try:
        return max(0, int(str(value)))
    except ValueError:
        return 0
