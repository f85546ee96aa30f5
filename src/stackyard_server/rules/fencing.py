"""The fence: which writes to a task are refused after it was queued again. Pure: no clock, no store, no request.

A worker that vanished may come back (a paused machine, a healed network) and go on writing to a task that by then
belongs to another run. Clients cannot be asked to tell their run, so it is told by what they send anyway: the
session of their token, the X-ClearML-Worker header (a host or worker name) and, in console lines and status
reports, the worker id. An agent's daemon, the process it starts for the task and the user's script each sign in for
themselves, so each run has sessions of its own; only the daemon's lasts from run to run, and it is let in again by
its pull.

Every write is refused whose session started the task before it was queued again. A call that only a run makes is
refused also when it names another worker than the present one, when its header is that of an earlier run and not
of the present one, and when its session is older than the queueing (but for lines that name the present worker:
daemons keep a session for them). What people and controllers do to a task (stop,
reset, edit...) stays open to sessions that never ran it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fence:
    """What is known of a task that was queued again after it had been handed out."""

    #: When it was queued again, or was pulled where the clock was set back in between; epoch milliseconds.
    since: int
    #: The session that pulled it since; empty while it waits.
    puller: str
    #: That session's X-ClearML-Worker.
    header: str
    #: The worker ids that session had registered.
    workers: frozenset[str]
    #: Names of the workers of earlier runs.
    former: frozenset[str]
    #: Sessions that started it before it was queued again.
    refused_sessions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Write:
    """One attempt to write to a fenced task."""

    #: Whether only a task's own run makes such a call (its endpoint says so). Not so: edit, stop and stopped, which
    #: controllers send as well.
    by_run: bool
    #: Empty for callers without a token (key and secret on the call itself).
    session: str
    #: When the token was made, epoch seconds.
    issued_at: int
    #: X-ClearML-Worker.
    header: str = ""
    #: The worker id named in the request, if any.
    worker: str = ""
    #: From a browser: a person, never a run.
    by_browser: bool = False


def names_of(workers: Iterable[str]) -> frozenset[str]:
    """The worker ids and what they begin with: ``host:gpu:0`` is also ``host:gpu`` and ``host``."""
    names = set()
    for worker in workers:
        while worker:
            names.add(worker)
            worker = worker.rpartition(":")[0]
    return frozenset(names)


def refusal(fence: Fence, write: Write) -> str | None:
    """Why the write is refused; None lets it through."""
    if write.by_browser or (write.session and write.session == fence.puller):
        return None
    if write.session in fence.refused_sessions:
        return "its session ran the task before it was queued again"
    if not write.by_run:
        return None
    present = names_of([*fence.workers, fence.header])
    former = names_of(fence.former)
    if write.worker and fence.workers and not _belongs(write.worker, fence, present):
        return f"worker {write.worker} is not the one that runs it now"
    for name in (write.worker, write.header):
        if name in former and name not in present:
            return f"worker {name} ran the task before it was queued again"
    if write.session and write.issued_at < fence.since // 1000 and write.worker not in fence.workers:
        return "its session is older than the queueing"
    return None


def _belongs(worker: str, fence: Fence, present: frozenset[str]) -> bool:
    """A worker of the present run: one of its names, or one it started for the task (``worker:task``)."""
    return worker in present or any(worker.startswith(id + ":") for id in fence.workers)
