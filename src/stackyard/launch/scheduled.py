"""A run that a scheduler of others starts, with its record back through a folder that both sides see.

What the deployments ``slurm`` and ``kubernetes`` share: a ticket in the run folder before anything is submitted, one
question to the scheduler for all runs, at a bounded rate, and what becomes of a run that ended without a record. The
supervisor writes into the run folder itself, as a bare one does. What a scheduler says and is told is each one's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stackyard.errors import StackyardError
from stackyard.launch import InDoubtError, LaunchError, Place, waiting
from stackyard.workloads import code_folders
from stackyard_task import records
from stackyard_task.records import SUPERVISOR_LOG, Failure, RecordError, RunRecord, TaskSpec

#: The run of a scheduler behind a run folder, written before it is submitted: what a later runner finds it again by.
TICKET_FILE = "scheduled.json"
#: The folder of a short run is looked at often, that of a long one seldom.
SHORTEST_LOOK_SECONDS, LONGEST_LOOK_SECONDS, LOOK_SHARE = 0.1, 1.0, 0.05
#: A scheduler that does not answer is waited for so long; what runs goes on meanwhile.
PATIENCE_SECONDS = 600.0
#: A record may be seen here so much later than the end of who wrote it: a folder over a network.
SETTLE_SECONDS = 10.0
#: One that was asked for otherwise gets so long to be gone.
RELEASE_SECONDS = 60.0
#: Kinds of failure that a supervisor cannot tell apart alone: whoever signalled it knows why.
_ASK_WHY = ("interrupted", "killed")
_STATUSES = {"completed": 0, "stopped": 4}
_MOST_NAME = 40
#: How runs are called, and what a scheduler calls them: a number, or the same name.
_OUR_NAME = re.compile(r"stackyard-[a-z0-9-]{1,100}")
_AN_ID = re.compile(r"[0-9]{1,20}|stackyard-[a-z0-9-]{1,100}")
#: The last words of a supervisor are looked for in so much of what it printed, and are so long at most.
_LAST_BYTES, _MOST_SAID = 64 << 10, 200


class SilentError(StackyardError):
    """A scheduler does not answer; the message says what was tried."""


@dataclass(frozen=True)
class Seen:
    """What a scheduler says of a run."""

    phase: Literal["waiting", "running", "over"]
    #: For people: what it does or waits for.
    words: str
    #: Of one that is over: the failure, where it left no record.
    failure: Failure | None = None
    #: Whether that failure explains a record that says no more than "interrupted".
    explains: bool = False
    #: Why a run that waits will wait forever; ``None``: it will not.
    hopeless: str | None = None


@dataclass(frozen=True)
class _Ticket:
    """A ticket as it is read again; the id is missing where a runner died while it submitted."""

    name: str
    id: str | None = None


class Scheduler(ABC):
    """What runs are submitted to. All of it may be called from several threads.

    Every method raises SilentError where the scheduler does not answer.
    """

    #: For people.
    title: str

    @abstractmethod
    def submit(self, task: TaskSpec, place: Place, name: str) -> str:
        """Submit a run under a name of its own; answers its id.

        Raises:
            LaunchError: it is refused.
            InDoubtError: it may have been submitted.
        """

    @abstractmethod
    def find(self, name: str) -> str | None:
        """The id of the run that was submitted under that name; ``None``: there is none."""

    @abstractmethod
    def look(self, ids: Collection[str]) -> Mapping[str, Seen]:
        """What becomes of runs, by one question for all; those that it does not know any more are missing."""

    @abstractmethod
    def interrupt(self, id: str) -> None:
        """Ask a run for its end in order, or take it back where it waits."""

    @abstractmethod
    def kill(self, id: str) -> None:
        """End a run at once."""


class Board:
    """What a scheduler last said of all runs that are waited for; asked again no more often than is polite.

    Args:
        scheduler: who is asked.
        poll_seconds: how long an answer is good for.
        clock: monotonic seconds.
    """

    def __init__(
        self, scheduler: Scheduler, poll_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._scheduler = scheduler
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: set[str] = set()
        self._asked_at: float | None = None
        self._asked: frozenset[str] = frozenset()
        self._answer: Mapping[str, Seen] | SilentError = {}

    def watch(self, id: str) -> None:
        """Ask for a run from now on."""
        with self._lock:
            self._watched.add(id)

    def leave(self, id: str) -> None:
        """Ask for a run no more."""
        with self._lock:
            self._watched.discard(id)

    def seen(self, id: str) -> Seen | None:
        """What is known of a run; ``None``: the scheduler knows it no more.

        Raises:
            SilentError: the scheduler does not answer.
        """
        with self._lock:  # who comes meanwhile waits for the answer, and asks nothing
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= self._poll_seconds:
                self._asked = frozenset(self._watched)
                try:
                    self._answer = self._scheduler.look(self._asked)
                except SilentError as error:
                    self._answer = error
                self._asked_at = self._clock()
            if isinstance(self._answer, SilentError):
                raise self._answer
            if id not in self._asked:
                return Seen("waiting", f"submitted to {self._scheduler.title}")
            return self._answer.get(id)


class ScheduledLauncher:
    """Starts runs through a scheduler.

    Args:
        scheduler: what they are submitted to.
        board: what is asked of it.
        patience_seconds: how long a scheduler that does not answer is waited for.
        clock: monotonic seconds.
        sleep: waits.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        board: Board,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._scheduler = scheduler
        self._board = board
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._sleep = sleep

    def start(self, task: TaskSpec, place: Place) -> ScheduledRun:
        """Write ``task.json`` and a ticket, and submit the run.

        Raises:
            LaunchError: the stack is not built, or the scheduler refuses the run or does not answer.
            InDoubtError: the run may have been submitted.
            OSError: the folder cannot be written.
        """
        reason = code_folders.why_not_elsewhere(task.command)
        if reason is not None:
            raise LaunchError(f"{task.run_id}: {reason}")
        name = _name(task.run_id)
        records.write_json(task, place.folder / records.TASK_FILE)
        records.write_json({"name": name, "id": None}, place.folder / TICKET_FILE)
        try:
            id = self._scheduler.submit(task, place, name)
        except SilentError as error:
            raise LaunchError(str(error)) from error
        records.write_json({"name": name, "id": id}, place.folder / TICKET_FILE)
        return self._run(id, task, place)

    def again(self, task: TaskSpec, place: Place) -> ScheduledRun | None:
        """The run that an earlier runner submitted for ``place``, running or over; ``None``: there is none.

        One whose spec is not ``task`` is ended.

        Raises:
            InDoubtError: whether it goes on cannot be told, or it does not end.
        """
        try:
            ticket = records.read_json(_Ticket, place.folder / TICKET_FILE)
        except RecordError:
            return None
        try:
            # What ran there may have written it: words that are no run of ours are told to nobody.
            if not _OUR_NAME.fullmatch(ticket.name) or not _AN_ID.fullmatch(ticket.id or "1"):
                return None
            id = ticket.id or self._scheduler.find(ticket.name)
            if id is None:
                return None
            if waiting.is_of(task, place):
                return self._run(id, task, place)
            if self._scheduler.find(ticket.name) == id:  # nobody else's
                self._ended(id)
        except SilentError as error:
            raise InDoubtError(
                f"{error}; run {ticket.name} of an earlier start may go on, so it is not started a second time"
            ) from error
        return None

    def _ended(self, id: str) -> None:
        """End a run that is asked for no more, and wait until it is gone.

        Raises:
            SilentError: nobody answers.
            InDoubtError: it goes on.
        """
        self._scheduler.kill(id)
        end = self._clock() + RELEASE_SECONDS
        while (seen := self._scheduler.look([id]).get(id)) is not None and seen.phase != "over":
            if self._clock() > end:
                raise InDoubtError(
                    f"{seen.words}: it was killed and goes on, so nothing is started in its place"
                )
            self._sleep(LONGEST_LOOK_SECONDS)

    def _run(self, id: str, task: TaskSpec, place: Place) -> ScheduledRun:
        self._board.watch(id)
        return ScheduledRun(
            self._scheduler,
            self._board,
            id,
            task,
            place.folder,
            self._patience_seconds,
            self._clock,
            self._sleep,
        )


class ScheduledRun:
    """A run of a scheduler."""

    def __init__(
        self,
        scheduler: Scheduler,
        board: Board,
        id: str,
        spec: TaskSpec,
        folder: Path,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.id = id
        self._scheduler = scheduler
        self._board = board
        self._spec = spec
        self._folder = folder
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._begun_at = _now()
        self._asked_to_end = False
        self._killed = False
        #: What the scheduler is still to be told.
        self._wish: Callable[[str], None] | None = None
        self._ran = False
        self._over_since: float | None = None
        self._unanswered_since: float | None = None
        self._shown: str | None = None
        self._status: int | None = None

    def wait(self, seconds: float) -> int | None:
        """0 once the record of a completed run is in the run folder, 4 of a stopped one, 1 otherwise.

        A scheduler that does not answer is waited for.

        Raises:
            InDoubtError: patience is over; the run may go on, and the ticket in the folder leads to it.
        """
        end = self._clock() + seconds
        while self._status is None:
            self._status = self._looked()
            left = end - self._clock()
            if self._status is not None or left <= 0:
                break
            pause = LOOK_SHARE * (self._clock() - self._began)
            self._sleep(min(left, LONGEST_LOOK_SECONDS, max(SHORTEST_LOOK_SECONDS, pause)))
        return self._status

    def interrupt(self) -> None:
        """Ask for the end of the run: its supervisor writes a record; one that waits is taken back."""
        self._asked_to_end = True
        self._wish = self._scheduler.interrupt
        self._told()

    def kill(self) -> None:
        """End everything of the run at once."""
        self._killed = True
        self._wish = self._scheduler.kill
        self._told()

    # -- underneath ----------------------------------------------------------------------------------

    def _told(self) -> None:
        """Tell the scheduler what is wished, now or when it answers again."""
        if self._wish is not None:
            with contextlib.suppress(SilentError):
                self._wish(self.id)
                self._wish = None

    def _looked(self) -> int | None:
        """The exit status, if the run is found to have ended."""
        record = self._record()
        if record is not None and not self._is_to_be_explained(record):
            return self._finished(record)
        try:
            seen = self._board.seen(self.id)
        except SilentError as error:
            self._unanswered(error)
            return None
        self._unanswered_since = None
        if seen is None:
            title = self._scheduler.title
            said = f"{title} does not know run {self.id} any more, and it left no record"
            seen = Seen("over", said, Failure("infrastructure", said))
        if seen.phase == "over":
            return self._ended(seen, record)
        if seen.hopeless is not None and not self._asked_to_end:
            self.kill()
            return self._failed(Failure("bad_input", seen.hopeless))  # another start would be no other
        self._over_since = None  # an answer without it was one answer only
        self._told()
        self._ran |= seen.phase == "running"
        self._show(seen)
        return None

    def _ended(self, seen: Seen, record: RunRecord | None) -> int | None:
        """The exit status of a run that is over, or ``None`` while its record may still come into sight."""
        if record is not None:
            if seen.explains and seen.failure is not None:
                record.status, record.failure = "failed", seen.failure
                records.write_json(record, self._folder / records.RECORD_FILE)
            return self._finished(record)
        now = self._clock()
        if self._over_since is None:
            self._over_since = now
        if self._killed:
            self._tidy()
            return 1
        if self._asked_to_end and not self._ran:
            return self._failed(Failure("interrupted", f"{seen.words}: it was told to end before it began"))
        if now - self._over_since < SETTLE_SECONDS:
            return None
        if self._asked_to_end:
            return self._failed(
                Failure("interrupted", f"{seen.words}: it was told to end, and left no record")
            )
        failure = seen.failure or Failure("infrastructure", f"{seen.words}, without a record")
        return self._failed(dataclasses.replace(failure, message=failure.message + self._last_words()))

    def _is_to_be_explained(self, record: RunRecord) -> bool:
        """Whether only the scheduler knows why the run ended as its record says."""
        mine = self._asked_to_end or self._killed
        return not mine and record.failure is not None and record.failure.kind in _ASK_WHY

    def _record(self) -> RunRecord | None:
        try:
            list(self._folder.iterdir())  # over a network, only who lists a folder sees what is new in it
            return records.read_json(RunRecord, self._folder / records.RECORD_FILE)
        except (OSError, RecordError):
            return None

    def _finished(self, record: RunRecord) -> int:
        self._tidy()
        return _STATUSES.get(record.status, 1)

    def _failed(self, failure: Failure) -> int:
        """Leave a record of a run that left none itself."""
        record = records.failed(self._spec, self._begun_at, _now(), failure)
        with contextlib.suppress(FileNotFoundError):  # the run removed its own folder: who waits says so
            records.write_json(record, self._folder / records.RECORD_FILE)
        self._tidy()
        return 1

    def _last_words(self) -> str:
        """The last line of what the supervisor, or who started it, said, behind a colon; "" where nothing was said."""
        try:
            with records.opened(self._folder / SUPERVISOR_LOG) as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
                lines = log.read(_LAST_BYTES).decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return f": {lines[-1][:_MOST_SAID]}" if lines else ""

    def _tidy(self) -> None:
        """Leave in the folder what a run leaves, and nothing of its way."""
        self._board.leave(self.id)
        log = self._folder / SUPERVISOR_LOG
        with contextlib.suppress(OSError):
            (self._folder / records.PROGRESS_FILE).unlink(missing_ok=True)
            (self._folder / TICKET_FILE).unlink(missing_ok=True)
            if log.stat().st_size == 0:
                log.unlink()

    def _unanswered(self, error: SilentError) -> None:
        """Go on waiting for a scheduler that does not answer.

        Raises:
            InDoubtError: patience is over.
        """
        now = self._clock()
        if self._unanswered_since is None:
            self._unanswered_since = now
        since = now - self._unanswered_since
        if since >= self._patience_seconds:
            self._board.leave(self.id)
            raise InDoubtError(
                f"{error}; it was waited for {since:.0f} s, and run {self.id} may go on, so it is not started a "
                "second time: --resume takes it up"
            ) from error

    def _show(self, seen: Seen) -> None:
        """Tell what a run waits for, as a supervisor would; one that runs has a supervisor that does."""
        if seen.phase != "waiting" or seen.words == self._shown:
            return
        self._shown = seen.words
        waiting.show(self._folder, {"phase": seen.words}, self._clock() - self._began)


def _name(run_id: str) -> str:
    """A name that no other run has, and that people know the run by: small letters, digits and -."""
    plain = re.sub(r"[^a-z0-9]+", "-", run_id.lower()).strip("-")[:_MOST_NAME].strip("-")
    return f"stackyard-{plain or 'run'}-{secrets.token_hex(4)}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
