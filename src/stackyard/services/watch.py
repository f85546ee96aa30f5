"""What the server knows of this machine's workers and tasks, and what it is told of them. A thread of its own.

The supervisor never waits for a server: it reads the latest ``Seen`` and hands in jobs. A job that met a server that
does not answer is done again until it does. Who decides what becomes of a lost task is told in ``loss``.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from stackyard.agents import lineage
from stackyard.clearml.client import Client, ServerError, UnreachableError
from stackyard.errors import StackyardError

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
UNAUTHORIZED = 401
#: What a server answers to a wrong key that came too often; a right one it takes all the same.
TOO_MANY = 429
FIELDS = (
    "id",
    "name",
    "status",
    "status_message",
    "status_reason",
    "status_changed",
    "started",
    "last_worker",
    "last_worker_report",
    "execution.queue",
    "runtime",
    "system_tags",
)


@dataclass(frozen=True)
class Task:
    """A task of this machine, as the server shows it."""

    id: str
    name: str
    status: str
    worker: str
    #: Id of the queue it came from.
    queue: str | None
    started: float | None
    changed: float | None
    message: str
    reason: str
    runtime: Mapping[str, Any] = field(default_factory=dict)
    system_tags: tuple[str, ...] = ()
    #: When that worker said last that it runs it.
    claimed: float | None = None


@dataclass(frozen=True)
class Worker:
    """An agent of this machine, as it said last."""

    #: Epoch seconds of its last report; ``None``: it has only registered.
    reported: float | None
    #: Id of the task it runs.
    task: str | None


@dataclass(frozen=True)
class Seen:
    """What the server said when it was asked last."""

    #: Monotonic seconds.
    at: float = float("-inf")
    #: The same instant as processes state when they began (``lineage.ticks``): it goes on while the machine sleeps.
    ticks: float = float("-inf")
    #: Why it could not be asked; ``None``: it answered.
    fault: str | None = "not asked yet"
    #: Whether it did not answer at all; one that refuses, lives.
    silent: bool = False
    #: By worker id.
    workers: Mapping[str, Worker] = field(default_factory=dict)
    #: The tasks that count as running.
    tasks: tuple[Task, ...] = ()
    #: Whether the server itself decides what becomes of lost tasks, and holds time limits.
    decides_fate: bool = True

    @property
    def running(self) -> dict[str, Task]:
        """Worker id -> what it runs: the task that changed last."""
        return {task.worker: task for task in sorted(self.tasks, key=lambda task: task.changed or 0.0)}


class Watch:
    """Asks the server again and again, and does jobs there.

    Args:
        client: waits for nobody (``patience_seconds=0``).
        workers: ids of this machine's workers; asked before each look.
        clock: monotonic seconds.
        renewed: a client with the key as it is now; asked where the server refuses the one there is.
    """

    def __init__(
        self,
        client: Client,
        workers: Callable[[], Iterable[str]],
        clock: Callable[[], float] = time.monotonic,
        renewed: Callable[[], Client] | None = None,
    ) -> None:
        self.client = client
        self._renewed = renewed
        #: What the server said last of a key it refused.
        self._refusal: str | None = None
        self.seen = Seen()
        self._workers = workers
        self._clock = clock
        #: What it says of itself; asked again after it was away, when it may be another one.
        self._decides_fate: bool | None = None
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        #: Seconds between looks.
        self.look_seconds = LOOK_SECONDS

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done at the server."""
        self._jobs.append(job)
        self._wake.set()

    def idle(self) -> bool:
        """Whether every job is done."""
        return not self._jobs

    def stop(self, seconds: float) -> None:
        """Finish the jobs, as far as the time reaches."""
        self._over = True
        self._wake.set()
        self._thread.join(seconds)

    def decides_fate(self) -> bool:
        """Whether the server itself decides what becomes of lost tasks; asked once for as long as it answers.

        Raises:
            ServerError: it refuses us.
            UnreachableError: it does not answer.
        """
        if self._decides_fate is None:
            self._decides_fate = decides_fate(self.client)
        return self._decides_fate

    def tasks(self, statuses: list[str], ours: set[str]) -> list[Task]:
        """The tasks of these workers that have one of these statuses; the 500 that changed last.

        An official server does not narrow by worker: there it is those among the 500 of all workers.
        """
        found = self.client.call(
            "tasks.get_all",
            status=statuses,
            last_worker=sorted(ours),
            only_fields=list(FIELDS),
            order_by=["-last_update"],
            page=0,
            page_size=500,
            search_hidden=True,
        )["tasks"]
        return [task for entry in found if (task := task_of(entry)).worker in ours]

    def look(self) -> Seen:
        """Ask once."""
        at, ticks = self._clock(), lineage.ticks()
        try:
            ours = set(self._workers())
            workers = {
                worker["id"]: Worker(
                    epoch(worker.get("last_report_time")), (worker.get("task") or {}).get("id")
                )
                for worker in self.client.call("workers.get_all")["workers"]
                if worker["id"] in ours
            }
            tasks = tuple(self.tasks(["in_progress"], ours)) if ours else ()
            decides = self.decides_fate()
        except (UnreachableError, ServerError) as error:
            fault, code = str(error), getattr(error, "code", None)
            self._decides_fate = None
            if code == UNAUTHORIZED:
                self._refusal = fault
            elif code == TOO_MANY and self._refusal is not None:
                fault = self._refusal  # says more than that it came too often
            self._renew(error)
            return replace(self.seen, fault=fault, silent=isinstance(error, UnreachableError))
        return Seen(at, ticks, None, workers=workers, tasks=tasks, decides_fate=decides)

    def _run(self) -> None:
        while True:
            try:
                self._do_jobs()
                if self._over:
                    return
                self.seen = self.look()
            except Exception:  # the edge of a tick: the next look may do better
                log.exception("the server could not be asked")
            self._wake.wait(self.look_seconds)
            self._wake.clear()

    def _do_jobs(self) -> None:
        while self._jobs:
            try:
                self._jobs[0]()
            except UnreachableError as error:
                log.warning("waiting for the server: %s", error)
                self._renew(error)
                return
            except ServerError as error:
                log.error("refused by the server: %s", error)
                if self._renew(error):
                    return
            except Exception:
                log.exception("a job failed")
            self._jobs.popleft()

    def _renew(self, error: StackyardError) -> bool:
        """Come with the key as it is now, where the server refused the one there was; whether it did.

        A server that shows a certificate of another authority may be a new one: that is read anew, too.
        """
        refused = isinstance(error, ServerError) and error.code in (UNAUTHORIZED, TOO_MANY)
        untrusted = isinstance(error, UnreachableError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
        if not (refused or untrusted) or self._renewed is None:
            return False
        with suppress(StackyardError):
            self.client = self._renewed()
        return True


def decides_fate(client: Client) -> bool:
    """Whether a server decides what becomes of lost tasks, and holds time limits: ours does, and says so.

    Raises:
        ServerError: it refuses us.
        UnreachableError: it does not answer.
    """
    return client.call("server.info").get("decides_fate") is True


def task_of(entry: Mapping[str, Any]) -> Task:
    """A task from the server's document."""
    return Task(
        id=entry["id"],
        name=str(entry.get("name", "")),
        status=entry.get("status", ""),
        worker=entry.get("last_worker") or "",
        queue=(entry.get("execution") or {}).get("queue"),
        started=epoch(entry.get("started")),
        changed=epoch(entry.get("status_changed")),
        message=entry.get("status_message") or "",
        reason=entry.get("status_reason") or "",
        runtime=entry.get("runtime") or {},
        system_tags=tuple(entry.get("system_tags") or ()),
        claimed=epoch(entry.get("last_worker_report")),
    )


def epoch(text: str | None) -> float | None:
    """Epoch seconds of an instant as the server writes it; ``None`` of none."""
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
