"""The controller of a study over runs that are told here: what is made again, what is not, and what is taken in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stackyard.matrix.stop import Stop
from stackyard.tuning import observed
from stackyard.tuning.controller import Controller, Outcome
from stackyard.tuning.engine import Engine
from stackyard.tuning.folder import StudyFile, StudyFolder
from stackyard.tuning.room import Room
from stackyard.tuning.trial import Trial
from stackyard_task import records
from stackyard_task.records import Dispatch, Failure, RunRecord
from tests.stackyard.tuning.study_text import TEXT, study

INTERRUPTED = Failure("interrupted", "told to end")
LOST = Failure("infrastructure", "its agent died")


def record(failure: Failure | None = None, retries: int = 0) -> RunRecord:
    status = "completed" if failure is None else "failed"
    return RunRecord(
        "r", "w", status, "2026-01-01", "2026-01-01",
        failure=failure, results={"accuracy": 0.5}, dispatch=Dispatch(task_id="t", retries=retries),
    )  # fmt: skip


class Watcher:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.started = threading.Event()

    def message(self, text: str) -> None:
        self.messages.append(text)

    def begun(self, trial: Trial) -> None:
        self.started.set()

    def look(self, running: Sequence[Trial], trials: Sequence[Trial], wall_seconds: float) -> None: ...
    def over(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self.started.clear()


class Search:
    """A study of two trials, whose runs end as ``ends`` says, one after the other; then they complete."""

    def __init__(self, folder: Path, ends: Sequence[RunRecord]) -> None:
        self.folder, self.watcher = StudyFolder(folder), Watcher()
        (folder / "runs").mkdir()
        self.made: list[int] = []
        self._ends = list(ends)
        #: Called while a run is under way.
        self.passes: Callable[[], None] = lambda: None

    def run(self, **given: Any) -> Outcome:
        engine = Engine(study(TEXT.replace("trials = 9", "trials = 2")))
        controller = Controller(
            engine, self.folder, self._attempt, Room(1, None, {}, 1.0), self.watcher, Stop(), **given
        )
        return controller.run(StudyFile("small", "t", "f", "2026-01-01"))

    def _attempt(self, trial: Trial, stop: Stop) -> Any:
        self.made.append(trial.number)
        end, passes = self._ends.pop(0) if self._ends else record(), self.passes
        begun = self.watcher.started

        class Attempt:
            def record(self) -> RunRecord:
                begun.wait()
                passes()
                return end

        return Attempt()


Make = Callable[..., Search]


@pytest.fixture
def search(tmp_path: Path) -> Make:
    return lambda *ends: Search(tmp_path, ends)


def test_a_run_that_an_earlier_controller_interrupted_is_made_again(search: Make) -> None:
    here = search(record(INTERRUPTED))
    here.folder.write(Trial(0, {"lr": 0.1, "batch": 30}, "running", folder="runs/t0001"))
    outcome = here.run()
    assert here.made == [0, 0, 1]
    assert [trial.state for trial in outcome.trials] == ["completed", "completed"]
    assert here.watcher.messages == ["t0001 is begun again: told to end"]


def test_a_run_that_somebody_ends_is_a_trial_that_was_stopped_and_the_search_goes_on(search: Make) -> None:
    here = search(record(INTERRUPTED))
    outcome = here.run()
    assert here.made == [0, 1]
    first = outcome.trials[0]
    assert first.reason is not None
    assert (first.state, first.reason.kind) == ("stopped", "request")


def test_what_is_lost_is_tried_as_often_as_a_run_of_a_matrix_and_no_more(search: Make) -> None:
    """Retries of the server, and of the launcher, count as ours do."""
    here = search(record(LOST, retries=1), record(LOST, retries=2), record())
    outcome = here.run()
    assert here.made == [0, 0, 1]
    assert outcome.trials[0].state == "failed"


def test_what_ended_while_no_controller_was_there_is_taken_in(search: Make) -> None:
    here = search()
    trial = Trial(0, {"lr": 0.1, "batch": 30}, "running", folder="runs/t0001")
    here.folder.write(trial)
    here.folder.run_of(trial).mkdir()
    records.write_json(record(), here.folder.run_of(trial) / records.RECORD_FILE)
    outcome = here.run()
    assert here.made == [1]
    assert outcome.trials[0].values == {"accuracy": 0.5}


def test_the_tuners_own_time_is_what_it_thinks_and_not_what_a_run_waits_in_a_queue(
    search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def taking(seconds: float, what: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*given: Any) -> Any:
            nonlocal now
            now += seconds
            return what(*given)

        return slow

    here = search()
    monkeypatch.setattr(Engine, "next", taking(2.0, Engine.next))
    monkeypatch.setattr(observed, "take_record", taking(0.5, observed.take_record))
    here.passes = taking(600.0, lambda: None)
    outcome = here.run(clock=lambda: now)
    assert [trial.overhead_seconds for trial in outcome.trials] == [2.5, 2.5]
    assert here.folder.trials()[0].overhead_seconds == 2.5


def test_a_tuner_that_is_killed_loses_hardly_more_than_a_second_of_its_time(
    search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the folder at any moment is what a killed tuner leaves."""
    monkeypatch.setattr("stackyard.tuning.controller.LOOK_SECONDS", 0.01)
    now, lost, seen = 0.0, [], threading.Event()
    here = search()

    def look(running: Sequence[Trial], trials: Sequence[Trial], wall_seconds: float) -> None:
        nonlocal now
        lost.append(wall_seconds - here.folder.needed().wall_seconds)
        now += 0.4
        if len(lost) >= 8:
            seen.set()

    here.watcher.look = look  # type: ignore[method-assign]
    here.passes = seen.wait  # type: ignore[assignment]
    here.run(clock=lambda: now)
    assert max(lost) < 1.0
    assert here.folder.needed().wall_seconds == pytest.approx(now)
