"""Makes the trials of a study happen: begun where there is room, watched, ended where the engine says so, kept.

One thread a trial waits for its run; everything is decided and written in the thread that called ``run``.
"""

from __future__ import annotations

import contextlib
import datetime
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stackyard.launch.retries import RetryPolicy
from stackyard.matrix.attempt import Attempt
from stackyard.matrix.runs import counts_as_done
from stackyard.matrix.stop import Stop
from stackyard.tuning import notes, observed
from stackyard.tuning.engine import Engine, Over
from stackyard.tuning.folder import StudyFile, StudyFolder, name_of
from stackyard.tuning.room import Room
from stackyard.tuning.trial import Reason, Trial
from stackyard_task import records
from stackyard_task.records import Progress, RecordError, RunRecord

#: How often trials under way are looked at.
LOOK_SECONDS = 0.2
#: Trials that wait for room before no further one is planned: what they find is not known to its sampler.
_MOST_WAITING = 4
#: How often what the study has used is kept while nothing else changes: a tuner that is killed loses so much of it.
_KEEP_SECONDS = 1.0


class Watcher(Protocol):
    """Who is told what happens in a study."""

    def message(self, text: str) -> None:
        """One line worth knowing."""

    def begun(self, trial: Trial) -> None:
        """A trial begins."""

    def look(self, running: Sequence[Trial], trials: Sequence[Trial], wall_seconds: float) -> None:
        """Trials are under way."""

    def over(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """A trial ended, or was skipped."""


@dataclass
class Outcome:
    """What became of a study."""

    trials: list[Trial] = field(default_factory=list)
    interrupted: bool = False
    #: Why nothing more was begun; ``None``: it was interrupted.
    over: Over | None = None

    def count(self, state: str) -> int:
        """Trials in a state."""
        return sum(trial.state == state for trial in self.trials)


class TrialStop(Stop):
    """Requests to stop one trial: those to it, and those to the whole."""

    def __init__(self, whole: Stop) -> None:
        self._whole, self.own = whole, 0

    @property
    def requests(self) -> int:  # type: ignore[override]
        """How often somebody asked."""
        return self.own + self._whole.requests


@dataclass
class _UnderWay:
    trial: Trial
    stop: TrialStop
    #: Why we asked for its end; ``None``: we did not.
    asked: Reason | None = None


@dataclass(frozen=True)
class _Ended:
    number: int
    #: ``None``: something of ours failed, and ``error`` says what.
    record: RunRecord | None
    error: BaseException | None = None


class Controller:
    """Runs one study in its folder, whose lock the caller holds.

    Args:
        engine: decides.
        folder: where the study lies.
        attempt: makes the run of a trial, which is then recorded; called in the controller's thread.
        room: how many trials fit beside each other.
        watcher: who is told.
        stop: requests to stop the whole.
        clock: seconds that only go forward.
        retries: how often a trial that the infrastructure lost is begun again.
    """

    def __init__(
        self,
        engine: Engine,
        folder: StudyFolder,
        attempt: Callable[[Trial, Stop], Attempt],
        room: Room,
        watcher: Watcher,
        stop: Stop,
        clock: Callable[[], float] = time.monotonic,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._engine, self._folder, self._attempt = engine, folder, attempt
        self._room, self._watcher, self._stop, self._clock = room, watcher, stop, clock
        self._retries = retries or RetryPolicy()
        self._ended: queue.Queue[_Ended] = queue.Queue()
        self._running: dict[int, _UnderWay] = {}
        self._trials: list[Trial] = []
        #: Planned, and not begun: left by an earlier controller, or waiting for room.
        self._waiting: list[Trial] = []
        #: Numbers of trials whose run an earlier controller began; it may have asked for its end.
        self._earlier: set[int] = set()
        self._over: Over | None = None
        #: Whether a trial has ended since the study's file was written.
        self._news = False
        #: Notes of records that the watcher has heard: trials tell the same.
        self._noted: set[str] = set()

    def run(self, study: StudyFile, retry_failed: bool = False) -> Outcome:
        """Go on until the budget is used up, nothing is left to try, or somebody stops it.

        Args:
            study: as it lies in the folder; its state and wall seconds are kept up to date.
            retry_failed: whether trials that failed are begun again first.

        Raises:
            StackyardError: trials cannot be read, begun or kept.
        """
        self._trials = self._folder.trials()
        for trial in self._trials:
            if retry_failed and trial.state == "failed":
                trial.state, trial.reason, trial.values, trial.folder = "planned", None, {}, None
                self._folder.write(trial)
            if not trial.over:
                self._resume(trial)
            self._room.seen(trial)
        before, begun_at, kept_at = study.wall_seconds, self._clock(), self._clock()
        study.state, study.message = "running", ""
        self._folder.write_study(study)
        try:
            while True:
                now = self._clock()
                study.wall_seconds = before + now - begun_at
                self._look(study.wall_seconds)
                self._begin(study.wall_seconds)
                if not self._running:
                    if self._stop.requests or self._over is not None:
                        break
                    continue
                if self._news or now - kept_at >= _KEEP_SECONDS:
                    kept_at, self._news = now, False
                    self._folder.write_study(study)
                self._watcher.look(
                    [u.trial for u in self._running.values()], self._trials, study.wall_seconds
                )
                self._wait()
        except BaseException:
            study.state = "interrupted"
            with contextlib.suppress(OSError):  # what went wrong is what is told
                self._folder.write_study(study)
            raise
        finally:
            self._end_all()
        interrupted = self._over is None or not all(trial.over for trial in self._trials)
        study.state = "interrupted" if interrupted else "failed" if self._failed else "finished"
        study.message = "" if self._over is None else self._over.message
        study.wall_seconds = before + self._clock() - begun_at
        self._folder.write_study(study)
        return Outcome(self._trials, interrupted, self._over)

    @property
    def _failed(self) -> bool:
        return self._over is not None and self._over.kind == "failed"

    def _resume(self, trial: Trial) -> None:
        """Take in a trial whose run ended when no controller was there to see it, else have it made."""
        record = self._folder.runs.record(self._folder.run_of(trial)) if trial.folder else None
        if record is not None and counts_as_done(record):
            self._ended_with(trial, record, None)
        else:
            if trial.folder:
                self._earlier.add(trial.number)
            self._waiting.append(trial)

    # -- beginning ---------------------------------------------------------------------------------

    def _begin(self, wall_seconds: float) -> None:
        """Begin trials as long as there is room."""
        while not self._stop.requests:
            under_way = [u.trial for u in self._running.values()]
            if self._room.full(under_way):
                return
            chosen = self._room.next(self._waiting, under_way)
            if chosen is not None:
                self._waiting.remove(chosen)
                self._start(chosen)
            # another may fit where those that wait do not, as long as few do
            elif len(self._waiting) >= _MOST_WAITING or not self._plan(wall_seconds):
                return

    def _plan(self, wall_seconds: float) -> bool:
        """Take the engine's next trial among the waiting; False: there is none now."""
        if self._over is not None:
            return False
        begun_at = self._clock()
        found = self._engine.next(self._trials, wall_seconds)
        if isinstance(found, Over):
            # what is under way may still free some of the budget's end, or tell the sampler more
            if found.kind == "budget" or not self._running:
                self._over = found
            return False
        self._trials.append(found)
        self._took(found, begun_at)
        self._folder.write(found)
        if found.state == "skipped":
            self._watcher.over(found, self._trials)
        else:
            self._waiting.append(found)
        return True

    def _start(self, trial: Trial) -> None:
        begun_at = self._clock()
        trial.state, trial.folder = "running", f"runs/{name_of(trial.number)}"
        trial.started_at = _now()
        left = self._folder.runs.record(self._folder.run_of(trial))
        if left is not None:  # what an earlier start used is used all the same
            trial.lost_cpu_seconds += left.measurement.cpu_seconds or 0.0
        trial.course, trial.used, trial.readings = [], {}, []
        trial.predicted_early, trial.early_share = {}, None
        self._folder.write(trial)
        stop = TrialStop(self._stop)
        attempt = self._attempt(trial, stop)
        self._running[trial.number] = _UnderWay(trial, stop)
        threading.Thread(target=self._made, args=(trial.number, attempt), daemon=True).start()
        self._took(trial, begun_at)
        self._watcher.begun(trial)

    def _took(self, trial: Trial, begun_at: float) -> None:
        """Add what was done for a trial from a moment until now to the tuner's own time."""
        trial.overhead_seconds = (trial.overhead_seconds or 0.0) + max(0.0, self._clock() - begun_at)

    def _made(self, number: int, attempt: Attempt) -> None:
        try:
            self._ended.put(_Ended(number, attempt.record()))
        except BaseException as error:  # noqa: BLE001 it is raised where the whole is ended in order
            self._ended.put(_Ended(number, None, error))

    # -- watching ----------------------------------------------------------------------------------

    def _look(self, wall_seconds: float) -> None:
        for under_way in self._running.values():
            trial, begun_at = under_way.trial, self._clock()
            try:
                progress = records.read_json(Progress, self._folder.run_of(trial) / records.PROGRESS_FILE)
            except records.RecordError:
                continue  # none yet, or it is over; the next look finds more
            observed.take_progress(trial, progress, self._engine.study.objectives[0])
            self._engine.foresee(trial, self._trials)
            if under_way.asked is None:
                under_way.asked = self._engine.why_end(trial, self._trials, wall_seconds)
                if under_way.asked is not None:
                    under_way.stop.own = 1
            self._took(trial, begun_at)

    def _wait(self) -> None:
        """Wait a moment for a trial's end, and take in all that have ended."""
        try:
            ended = [self._ended.get(timeout=LOOK_SECONDS)]
        except queue.Empty:
            return
        while True:
            try:
                ended.append(self._ended.get_nowait())
            except queue.Empty:
                break
        for one in ended:
            under_way = self._running.pop(one.number)
            if one.record is None:
                assert one.error is not None
                raise one.error
            self._take(under_way, one.record)

    def _take(self, under_way: _UnderWay, record: RunRecord) -> None:
        trial = under_way.trial
        if not counts_as_done(record) and under_way.asked is None:
            if self._stop.requests:
                trial.state = "planned"
                self._folder.write(trial)
                return
            failure = record.failure
            if failure is not None and self._is_repeated(trial, record):
                self._earlier.discard(trial.number)
                trial.state = "planned"
                self._folder.write(trial)
                self._waiting.insert(0, trial)
                self._watcher.message(f"{name_of(trial.number)} is begun again: {failure.message}")
                return
        self._ended_with(trial, record, under_way.asked)
        why = trial.reason
        never_told = why is not None and why.kind == "unreported"
        if why is not None and never_told and not any(t.state == "completed" for t in self._trials):
            self._over = self._over or Over("failed", why.message)

    def _is_repeated(self, trial: Trial, record: RunRecord) -> bool:
        """Whether a run that failed by no fault of its own is made again; its retries are counted then."""
        failure = record.failure
        if failure is not None and failure.kind == "interrupted":
            return trial.number in self._earlier  # by an earlier controller, as far as anybody knows
        tries = max(trial.retries, 0 if record.dispatch is None else record.dispatch.retries)
        if self._retries.pause_seconds(failure, tries) is None:
            return False
        trial.retries = tries + 1
        return True

    def _ended_with(self, trial: Trial, record: RunRecord, asked: Reason | None) -> None:
        """Take in a trial's record and keep what became of it."""
        study, begun_at = self._engine.study, self._clock()
        observed.take_record(trial, record, study.objectives, asked, study.bounds())
        with contextlib.suppress(RecordError):  # a run that told nothing on its way has none
            series = records.read_json(dict[str, Any], self._folder.run_of(trial) / records.SERIES_FILE)
            observed.take_series(trial, series, self._engine.study.objectives)
        trial.finished_at = record.finished_at
        self._room.seen(trial)
        self._took(trial, begun_at)
        self._folder.write(trial)
        self._news = True
        self._watcher.over(trial, self._trials)
        self._tell(trial, record.notes)

    def _tell(self, trial: Trial, told: Sequence[str]) -> None:
        """Say what a reader should know of a trial's run, each once."""
        first = self._engine.study.objectives[0].name
        silent = (
            self._engine.study.search.pruner != "none" and trial.state == "completed" and not trial.course
        )
        said = [
            *told,
            *(
                [f"it told no {first} on its way, so no pruner can end such a trial: docs/reporting.md"]
                if silent
                else []
            ),
        ]
        for note in map(notes.shown, said):
            if note not in self._noted and len(self._noted) < notes.MOST_NOTES:
                self._noted.add(note)
                self._watcher.message(f"  note of {name_of(trial.number)}: {note}")

    def _end_all(self) -> None:
        """Whatever went wrong: no trial goes on unseen."""
        for under_way in self._running.values():
            under_way.stop.own += 1
        while self._running:
            try:
                ended = self._ended.get(timeout=60.0)
            except queue.Empty:
                return
            under_way = self._running.pop(ended.number)
            under_way.trial.state = "planned"
            with contextlib.suppress(OSError):  # a full disk is what is told
                self._folder.write(under_way.trial)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
