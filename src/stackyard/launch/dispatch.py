"""A run sent through a ClearML server: create the task, enqueue it, watch it, bring its record here.

What the deployments ``agent`` and ``container`` share. They differ in the queue and in the image; the task, its
code, its parameters and its record are the same. What is sent is in ``sending``, what comes back in ``collecting``,
which runs the server can take is ``offer``'s. May import the client and the records of the seam.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stackyard.clearml import collecting
from stackyard.clearml.client import FINAL, Client, ServerError, UnreachableError
from stackyard.clearml.sending import Filing, Repository, Sender, container_arguments
from stackyard.errors import StackyardError
from stackyard.launch import InDoubtError, Launcher, LaunchError, Place, waiting
from stackyard.launch.deployment import Deployment, Premises
from stackyard.launch.offer import Offer
from stackyard.machine.hardware import why_not as machine_lacks
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.workloads import code_folders
from stackyard_server.rules import fate
from stackyard_task import records
from stackyard_task.figure_names import MOMENT_PROPERTY
from stackyard_task.records import Dispatch, Failure, Progress, RecordError, RunRecord, TaskSpec

#: The task behind a run folder, written before it is enqueued: what a later submitter finds the run again by.
TICKET_FILE = "dispatched.json"
#: A short run is looked at often, a long one seldom: what looking costs is paid by the machine that is measured.
SHORTEST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.1, 1.0
#: The pause before a look, as a share of the time since the run was submitted, or since it was first seen running.
POLL_SHARE = 0.05
#: A server that does not answer is waited for so long; what runs goes on meanwhile.
PATIENCE_SECONDS = 600.0
#: After an abort, an agent gets so long to end what it started.
RELEASE_SECONDS = 30.0
#: How often it is looked up whether any agent serves the queue a run waits in.
AGENTS_SECONDS = 10.0
_ASKED = (
    "id",
    "status",
    "status_reason",
    "status_message",
    "status_changed",
    "started",
    "completed",
    "execution.artifacts",
    "runtime",
    "last_worker",
)

#: Status of a record -> the exit status of a supervisor that left it; of any other, 1.
_STATUSES = {"completed": 0, "stopped": 4}


@dataclasses.dataclass(frozen=True)
class _Ticket:
    """What of a ticket is read again."""

    task: str


class DispatchedDeployment(Deployment):
    """A deployment that goes through a queue of the server; each has queues of its own and asks its own of a stack."""

    needs_server = True
    elsewhere = True
    can_be_taken_up = True
    tried_again = True
    waits_in_queue = True
    #: An agent learns of the wish at its next look, and hands in what there is.
    stop_seconds = 60.0

    def __init__(self, premises: Premises) -> None:
        super().__init__(premises)
        self.offer: Offer = premises.shared.setdefault(Offer, Offer(premises.settings))
        self._launchers: dict[str, Launcher] = {}

    @abstractmethod
    def queue(self, gpus: int) -> str:
        """The queue of ``agents/queues.toml`` that serves runs with so many GPUs."""

    @abstractmethod
    def through(self, sender: Sender, queue: str) -> Launcher:
        """A launcher that sends runs through a queue."""

    @abstractmethod
    def stack_missing(self, stack: str) -> str | None:
        """What this machine's workers lack to run on a stack, in words, or ``None``."""

    def why_not(self, stack: str, hardware: HardwareSpec, workers: int) -> str | None:
        """What the server, its workers or, where they are here, this machine or the stack lacks; or ``None``."""
        lacking = None
        if self.offer.is_local():  # and so are its workers
            lacking = machine_lacks(hardware, self.premises.machine, workers)
        if lacking is None and self.offer.is_local() and not self.offer.serves(self.queue(hardware.gpus)):
            lacking = self.stack_missing(stack)  # no agent was started for want of it, and none will be
        lacking = lacking or self.offer.why_not(self.queue(hardware.gpus), workers)
        if lacking is not None or not self.offer.is_local():
            return lacking  # what the workers' machines hold is theirs to say, when a task comes
        return self.stack_missing(stack)

    def launcher(self, gpus: int) -> Launcher:
        """What sends runs through the queue for so many GPUs."""
        queue = self.queue(gpus)
        if queue not in self._launchers:
            filing = self.premises.shared.get(
                Filing, Filing()
            )  # whoever starts the runs may say where they lie
            sender = dataclasses.replace(self.offer.sender, filing=filing)
            self._launchers[queue] = self.through(sender, queue)
        return self._launchers[queue]

    def environment(self, gpus: int) -> Mapping[str, str]:
        """Which GPUs a run sees is its worker's to say, which was given its own; that it sees none is said here."""
        return {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}


class DispatchLauncher:
    """Starts runs through a queue.

    Args:
        sender: puts tasks on the server.
        queue: name of the queue.
        image_of: stack name -> the image to run in, or ``None``: on the host.
        repository: where agents clone the code from; ``None``: it travels as a wheel.
        patience_seconds: how long a server that does not answer is waited for.
        clock: monotonic seconds.
        sleep: waits.
    """

    def __init__(
        self,
        sender: Sender,
        queue: str,
        image_of: Callable[[str], str] | None = None,
        *,
        repository: Repository | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sender = sender
        self._queue = queue
        self._image_of = image_of
        self._repository = repository
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._scripts: dict[Path, dict[str, Any]] = {}

    def start(self, task: TaskSpec, place: Place) -> DispatchedRun:
        """Write ``task.json``, put the task on the server and enqueue it.

        Raises:
            LaunchError: the server refuses it or does not answer.
            InDoubtError: it stopped answering while the task was put into the queue.
            OSError: the folder cannot be written, or a file the task names cannot be read.
        """
        records.write_json(task, place.folder / records.TASK_FILE)
        try:
            id = self._created(task, place)
            records.write_json({"task": id, "queue": self._queue}, place.folder / TICKET_FILE)
            enqueued_at = self._enqueued(id)
        except StackyardError as error:
            raise LaunchError(str(error)) from error
        return self._run(id, task, place, enqueued_at)

    def again(self, task: TaskSpec, place: Place) -> DispatchedRun | None:
        """The run that an earlier submitter left in ``place``, running or over; ``None``: there is none to take up.

        A task that was made and never enqueued is not taken up. One whose spec is not ``task`` is ended.

        Raises:
            InDoubtError: whether it goes on cannot be told, or it cannot be ended.
        """
        try:
            id = records.read_json(_Ticket, place.folder / TICKET_FILE).task
        except RecordError:
            return None
        try:
            found = self._sender.client.call("tasks.get_all", id=[id], only_fields=["id", "status"])["tasks"]
            if not found or found[0]["status"] == "created":
                return None
            if waiting.is_of(task, place):
                return self._run(id, task, place, None)
            if found[0]["status"] not in FINAL:
                self._end(id)
        except (ServerError, UnreachableError) as error:
            raise InDoubtError(
                f"{error} Task {id} of an earlier start may still run, so it is not started a second time"
            ) from error
        return None

    def _end(self, id: str) -> None:
        """Take a task that is asked for no more from whoever has it."""
        client = self._sender.client
        with contextlib.suppress(ServerError):  # an agent has it already
            client.call("tasks.dequeue", task=id, status_reason="its run is made with other settings")
        client.call("tasks.stopped", task=id, force=True, status_reason="its run is made with other settings")

    def _run(self, id: str, task: TaskSpec, place: Place, enqueued_at: str | None) -> DispatchedRun:
        connection = self._sender.client.connection
        # without patience of its own: a wait is to come back in time, whatever the server does
        client = Client(connection, patience_seconds=0.0)
        told = Dispatch(queue=self._queue, enqueued_at=enqueued_at)
        return DispatchedRun(
            client, id, task, place.folder, told, self._patience_seconds, self._clock, self._sleep
        )

    def _created(self, task: TaskSpec, place: Place) -> str:
        reason = code_folders.why_not_elsewhere(task.command)
        if reason is not None:
            raise LaunchError(f"{task.run_id}: {reason}")
        sent = dataclasses.replace(
            task,
            parameters=self._sender.sent(task.parameters),
            work=self._sender.sent(task.work),
            inputs=self._sender.sent(task.inputs),
            # which GPUs a run sees is its slot's to say; that it sees none, the task may say
            environment={k: v for k, v in task.environment.items() if k != "CUDA_VISIBLE_DEVICES" or not v},
        )
        fields: dict[str, Any] = {}
        if self._image_of is not None:
            if task.stack is None:
                raise LaunchError(f"{task.run_id}: a run in a container needs a stack, whose image it takes")
            fields["container"] = {
                "image": self._image_of(task.stack.name),
                "arguments": " ".join(container_arguments(task)),
            }
        return self._sender.create(sent, self._script(place.code), task.run_id, **fields)

    def _script(self, code: Path) -> dict[str, Any]:
        if self._repository is not None:
            return self._sender.script_in(self._repository)
        if code not in self._scripts:
            self._scripts[code] = self._sender.script(code)
        return self._scripts[code]

    def _enqueued(self, id: str) -> str | None:
        """Put the task into the queue; when, by the server's clock. Nothing is left where that fails.

        Raises:
            ServerError: it is refused.
            UnreachableError: the server did not answer, and the task is gone.
            InDoubtError: the task may be in the queue.
        """
        client = self._sender.client
        try:
            answer = client.call("tasks.enqueue", task=id, queue_name=self._queue)
        except (ServerError, UnreachableError) as error:
            try:
                client.call("tasks.delete", task=id, force=True)
            except (ServerError, UnreachableError):
                if isinstance(error, UnreachableError):
                    raise InDoubtError(
                        f"{error} Task {id} may be in queue {self._queue!r}, so it is not made a second time"
                    ) from error
            raise
        changed = (answer.get("fields") or {}).get("status_changed")
        return None if changed is None else str(changed)


class DispatchedRun:
    """A run that is a task on a server.

    ``trouble`` is what hinders it at the moment, in one sentence, or ``None``.
    """

    def __init__(
        self,
        client: Client,
        id: str,
        spec: TaskSpec,
        folder: Path,
        told: Dispatch,
        patience_seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.id = id
        self.trouble: str | None = None
        self._client = client
        self._spec = spec
        self._folder = folder
        self._told = told
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._running_since: float | None = None
        self._unanswered_since: float | None = None
        self._ended_since: float | None = None
        self._agents_asked_at: float | None = None
        self._served = True
        self._killed = False
        self._shown: dict[str, Any] | None = None
        self._status: int | None = None

    def wait(self, seconds: float) -> int | None:
        """0 once the task is completed and its results are in the run folder, 1 otherwise; ``None``: not yet.

        A server that does not answer is waited for.

        Raises:
            InDoubtError: patience is over; the task may go on, and the ticket in the folder leads to it.
        """
        end = self._clock() + seconds
        while self._status is None:
            try:
                self._status = self._looked()
                self._unanswered_since = None
            except (ServerError, UnreachableError) as error:
                self._unanswered(error)
            left = end - self._clock()
            if self._status is not None or left <= 0:
                break
            self._sleep(min(self._pause(), left))
        return self._status

    def interrupt(self) -> None:
        """Ask for the end of the task: an agent lets the supervisor write its record, a queue gives it up."""
        with contextlib.suppress(ServerError, UnreachableError):
            self._client.call("tasks.stop", task=self.id)

    def kill(self) -> None:
        """Take the task from whoever has it; its agent ends what it started within seconds."""
        self._killed = True
        for method, fields in (("dequeue", {}), ("stopped", {"force": True})):
            with contextlib.suppress(ServerError, UnreachableError):
                self._client.call(
                    f"tasks.{method}", task=self.id, status_reason="killed by its submitter", **fields
                )

    # -- underneath --------------------------------------------------------------------------------

    def _looked(self) -> int | None:
        """The exit status, if the task is found to have ended."""
        found = self._client.call("tasks.get_all", id=[self.id], only_fields=list(_ASKED))["tasks"]
        if not found:
            return self._failed(Failure("infrastructure", "the task is gone from the server"))
        task = found[0]
        if task["status"] not in FINAL:
            if self._running_since is None and task["status"] == "in_progress":
                self._running_since = self._clock()
            self._show(task)
            return None
        if self._ended_since is None:
            self._ended_since = self._clock()
        if task["status"] != "completed" and self._is_held(task):
            return None
        return self._collected(task)

    def _is_held(self, task: Mapping[str, Any]) -> bool:
        """Whether the agent of a task that was ended from outside has not yet let go of it."""
        since = self._clock() - (self._ended_since or 0.0)
        if since > RELEASE_SECONDS or not task.get("started"):
            return False
        workers = self._client.call("workers.get_all", last_seen=60)["workers"]
        return any((worker.get("task") or {}).get("id") == self.id for worker in workers)

    def _collected(self, task: Mapping[str, Any]) -> int:
        """Bring what the task left into the run folder, the record last."""
        self._told.retries = fate.tries(task.get("runtime"))
        failure: Failure | None = None
        record: RunRecord | None = None
        try:
            record = collecting.collect(self._client, task, self._folder)
        except (ServerError, RecordError, collecting.ArchiveError) as error:
            failure = Failure("infrastructure", f"what the run left cannot be taken: {error}")
        if record is None and failure is None and not self._killed:
            failure = collecting.without_record(self._client, task, self._folder)
        if record is not None:
            self._write(collecting.complete(record, self._spec, task, self._told))
            return _STATUSES.get(record.status, 1)
        return self._failed(failure, task) if failure is not None else 1

    def _failed(self, failure: Failure, task: Mapping[str, Any] | None = None) -> int:
        """Leave a record of a run that left none itself."""
        spec, now = self._spec, datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        task = task or {"id": self.id}
        record = records.failed(
            spec,
            str(task.get("started") or self._told.enqueued_at or now),
            str(task.get("completed") or now),
            failure,
        )
        self._write(collecting.complete(record, spec, task, self._told))
        return 1

    def _write(self, record: RunRecord) -> None:
        with contextlib.suppress(OSError):
            (self._folder / records.PROGRESS_FILE).unlink()
        records.write_json(record, self._folder / records.RECORD_FILE)
        with contextlib.suppress(OSError):  # whoever finds the record needs no way back to the task
            (self._folder / TICKET_FILE).unlink()

    def _unanswered(self, error: Exception) -> None:
        """Say that the server is waited for.

        Raises:
            InDoubtError: patience is over.
        """
        now = self._clock()
        if self._unanswered_since is None:
            self._unanswered_since = now
        since = now - self._unanswered_since
        if since < self._patience_seconds:
            self._say(f"no answer from the server for {since:.0f} s, still waiting")
            return
        with contextlib.suppress(OSError):
            (self._folder / records.PROGRESS_FILE).unlink()
        raise InDoubtError(
            f"{error} It was waited for {since:.0f} s; task {self.id} may still run, so it is not started a second "
            "time: --resume takes it up"
        ) from error

    def _pause(self) -> float:
        if self._unanswered_since is not None:
            return LONGEST_POLL_SECONDS
        since = self._began if self._running_since is None else self._running_since
        share = POLL_SHARE * (self._clock() - since)
        return min(LONGEST_POLL_SECONDS, max(SHORTEST_POLL_SECONDS, share))

    def _show(self, task: Mapping[str, Any]) -> None:
        """Tell what the run does or waits for, as a supervisor on this machine would."""
        if task["status"] == "queued":
            words = f"waiting in queue {self._told.queue}"
            if not self._is_served():
                self._say(f"{words}: no agent serves it")
                return
        else:
            words = "running" if task["status"] == "in_progress" else str(task["status"])
            if task.get("last_worker"):
                words += f" on {task['last_worker']}"
        self.trouble = None
        shown: dict[str, Any] = {"phase": words}
        with contextlib.suppress(KeyError, TypeError, ValueError):
            shown["done"], shown["total"] = float((task.get("runtime") or {})["progress"]), 100.0
            shown["unit"] = "percent"
        self._write_progress(self._moment(task) or shown)

    def _moment(self, task: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the supervisor of a followed run says of it; ``None``: nothing yet, or nobody follows it."""
        told = (task.get("runtime") or {}).get(MOMENT_PROPERTY)
        if task["status"] != "in_progress" or not self._spec.followed or not isinstance(told, str):
            return None
        try:  # whatever stands there, it is read as a progress.json is
            found = records.to_json(records.from_json(Progress, records.parse(told, MOMENT_PROPERTY)))
        except RecordError:
            return None
        assert isinstance(found, dict)
        return found

    def _is_served(self) -> bool:
        """Whether an agent listens on the queue; looked up now and then."""
        now = self._clock()
        if now - self._began < AGENTS_SECONDS:
            return True  # an agent may be starting
        if self._agents_asked_at is None or now - self._agents_asked_at >= AGENTS_SECONDS:
            self._agents_asked_at = now
            workers = self._client.call("workers.get_all", last_seen=120)["workers"]
            names = {queue.get("name") for worker in workers for queue in worker.get("queues") or []}
            self._served = self._told.queue in names
        return self._served

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        self._write_progress({"phase": trouble})

    def _write_progress(self, shown: dict[str, Any]) -> None:
        if shown == self._shown:
            return
        self._shown = shown
        elapsed = shown.get("elapsed_seconds") or self._clock() - self._began
        waiting.show(self._folder, shown, elapsed)
