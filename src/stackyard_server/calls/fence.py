"""The fence at the door: writes to tasks that were queued again are checked before an endpoint runs.

Which writes are refused is decided in ``rules.fencing``; here a call becomes what the decision reads, and a refusal
becomes 400/110 and a line in the security log. Tasks never queued again cost nothing: their ids are not in
``Transaction.fenced``, and while that is empty nothing here runs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .. import security_log
from ..protocol.error_table import error
from ..rules import fencing
from ..store import hand_outs

if TYPE_CHECKING:
    from . import Call

#: Refusals remembered so that each is logged once.
MOST_NOTED = 10_000


def check(call: Call, by_run: bool) -> None:
    """Check a call that writes to the task it names. Batches of events are checked line by line (``admitted``).

    Args:
        call: The request.
        by_run: Whether only a task's own run makes such a call.

    Raises:
        ApiError: 400/110 the task belongs to another run now.
    """
    task = call.data.get("task")
    if not isinstance(task, str) or task not in call.tx.fenced:
        return
    reason = _refusal(call, task, _named(call.data), by_run)
    if reason:
        raise error("invalid_task_status", reason, task=task)


def admitted(call: Call, lines: list[dict[str, Any]], errors: Counter[str]) -> list[dict[str, Any]]:
    """The lines of a batch of events that may be written; the others are counted in ``errors`` by reason.

    Only a task's own run sends events.
    """
    known: dict[tuple[str, str], str | None] = {}
    result = []
    for line in lines:
        task = line.get("task")
        if isinstance(task, str) and task in call.tx.fenced:
            key = (task, _named(line))
            if key not in known:
                known[key] = _refusal(call, *key, by_run=True)
            if known[key]:
                errors[f"Invalid task status ({known[key]}): task={task}"] += 1
                continue
        result.append(line)
    return result


def _named(data: dict[str, Any]) -> str:
    worker = data.get("worker")
    return worker if isinstance(worker, str) else ""


def _refusal(call: Call, task: str, worker: str, by_run: bool) -> str | None:
    held = hand_outs.fenced(call.tx, task)
    if held is None:
        return None
    queued = held.requeued_at
    about = fencing.Fence(
        since=queued if held.pulled_at is None else min(queued, held.pulled_at),
        puller=held.session,
        header=held.header,
        workers=held.workers,
        former=held.former,
        refused_sessions=held.former_sessions,
    )
    write = fencing.Write(
        by_run=by_run,
        session=call.who.session,
        issued_at=call.who.issued_at,
        header=call.worker_name,
        worker=worker,
        by_browser=call.who.proof == "cookie",
    )
    reason = fencing.refusal(about, write)
    if reason:
        _note(call, task, worker or call.worker_name, reason)
    return reason


def _note(call: Call, task: str, worker: str, reason: str) -> None:
    """A line in the security log, once for each task, session and call: a woken run tries again and again."""
    noted: set[tuple[str, str, str]] = call.services.memory.setdefault("fence.noted", set())
    key = (task, call.who.session, call.name)
    if key in noted:
        return
    if len(noted) >= MOST_NOTED:
        noted.clear()
    noted.add(key)
    security_log.note(
        "fence.refused",
        task=task,
        call=call.name,
        reason=reason,
        session=call.who.session[:8],
        worker=worker,
        user=call.who.user,
        client=call.address,
    )
