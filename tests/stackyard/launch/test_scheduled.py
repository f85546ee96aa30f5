"""Runs of a scheduler: waited for, explained, taken up, in doubt. The scheduler and the clock are the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stackyard.launch import InDoubtError, LaunchError, Place, scheduled
from stackyard.launch.scheduled import Board, ScheduledLauncher, ScheduledRun, Scheduler, Seen, SilentError
from stackyard_task import records
from stackyard_task.records import Failure, RunRecord, TaskSpec

TASK = TaskSpec("matrix/b01", "work:main", parameters={"a": 1})
RUNNING = Seen("running", "running on node1")
LOST = Seen("over", "its node failed", Failure("infrastructure", "its node failed"), explains=True)
CANCELLED = Seen("over", "was cancelled", Failure("interrupted", "was cancelled"))


class Said(Scheduler):
    """A scheduler that says what a test tells it."""

    title = "the test"

    def __init__(self) -> None:
        self.now: dict[str, Seen] = {}
        self.named: dict[str, str] = {}
        self.silent = False
        self.silent_at_submit = False
        self.looks: list[set[str]] = []
        self.done: list[str] = []

    def _answer(self) -> None:
        if self.silent:
            raise SilentError("nobody answers")

    def submit(self, task: TaskSpec, place: Place, name: str) -> str:
        if self.silent_at_submit:
            raise SilentError("nobody answers")
        id = str(len(self.named) + 1)
        self.named[name], self.now[id] = id, Seen("waiting", "waiting (Resources)")
        return id

    def find(self, name: str) -> str | None:
        self._answer()
        return self.named.get(name)

    def look(self, ids: Collection[str]) -> dict[str, Seen]:
        self.looks.append(set(ids))
        self._answer()
        return {id: self.now[id] for id in ids if id in self.now}

    def interrupt(self, id: str) -> None:
        self._answer()
        self.done.append(f"interrupt {id}")

    def kill(self, id: str) -> None:
        self._answer()
        self.done.append(f"kill {id}")
        self.now[id] = CANCELLED


@dataclass
class World:
    """A launcher, and a time that passes when somebody sleeps."""

    folder: Path
    said: Said = field(default_factory=Said)
    now: float = 0.0
    #: Done after each sleep.
    meanwhile: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.launcher = self.another()
        self.folder.mkdir()

    def another(self) -> ScheduledLauncher:
        def sleep(seconds: float) -> None:
            self.now += seconds
            self.meanwhile()

        board = Board(self.said, 2.0, lambda: self.now)
        return ScheduledLauncher(self.said, board, clock=lambda: self.now, sleep=sleep)

    @property
    def place(self) -> Place:
        return Place(self.folder, None, self.folder.parent)

    def start(self) -> ScheduledRun:
        return self.launcher.start(TASK, self.place)

    def leave(self, status: str, kind: str | None = None) -> None:
        """Let the run leave its record, as a supervisor does."""
        failure = None if kind is None else Failure(kind, "as the supervisor says")
        record = RunRecord(TASK.run_id, TASK.workload, status, "a", "b", failure=failure)
        records.write_json(record, self.folder / "record.json")
        (self.folder / "supervisor.log").touch()

    @property
    def failure(self) -> Failure | None:
        return records.read_json(RunRecord, self.folder / "record.json").failure

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "run")


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("stopped", 4)])
def test_a_record_is_the_end_and_what_led_there_is_tidied_up(world: World, status: str, code: int) -> None:
    run = world.start()
    assert run.wait(1.0) is None
    assert json.loads((world.folder / "progress.json").read_text())["phase"] == "waiting (Resources)"
    world.said.now["1"] = RUNNING
    world.leave(status)
    assert run.wait(1.0) == code
    assert world.files == {"task.json", "record.json"}


def test_a_record_that_comes_into_sight_late_counts(world: World) -> None:
    run = world.start()
    world.said.now["1"] = Seen("over", "ended", Failure("infrastructure", "ended without a record"))
    assert run.wait(scheduled.SETTLE_SECONDS / 2) is None
    world.leave("completed")
    assert run.wait(1.0) == 0


def test_one_that_ended_without_a_record_gets_one_that_says_why(world: World) -> None:
    run = world.start()
    world.said.now["1"] = LOST
    assert run.wait(60.0) == 1
    assert world.failure == Failure("infrastructure", "its node failed")
    assert world.files == {"task.json", "record.json"}


def test_the_last_words_of_a_supervisor_that_left_no_record_are_told(world: World) -> None:
    run = world.start()
    (world.folder / "supervisor.log").write_text("Traceback\nNo module named stackyard_task\n")
    world.said.now["1"] = LOST
    assert run.wait(60.0) == 1
    assert world.failure is not None
    assert world.failure.message == "its node failed: No module named stackyard_task"


def test_one_that_the_scheduler_has_forgotten_is_lost_to_the_infrastructure(world: World) -> None:
    run = world.start()
    world.said.now.clear()
    assert run.wait(60.0) == 1
    assert world.failure is not None
    assert (world.failure.kind, "does not know run 1" in world.failure.message) == ("infrastructure", True)


def test_an_answer_without_it_is_forgotten_once_it_is_seen_again(world: World) -> None:
    """Hours lie between two such answers: neither says that the run is lost."""
    run = world.start()
    world.said.now.clear()
    assert run.wait(0.5) is None
    world.now, world.said.now["1"] = 3000.0, RUNNING
    assert run.wait(0.5) is None
    world.now = 3600.0
    world.said.now.clear()
    assert run.wait(0.5) is None


@pytest.mark.parametrize("told", ["interrupted", "killed"])
def test_who_signalled_the_supervisor_says_why(world: World, told: str) -> None:
    """A supervisor that is ended from outside cannot know; a retry hangs on it."""
    run = world.start()
    world.leave("failed", told)
    world.said.now["1"] = RUNNING
    assert run.wait(5.0) is None, "its end is told by the scheduler"
    world.said.now["1"] = LOST
    assert run.wait(5.0) == 1
    assert world.failure == Failure("infrastructure", "its node failed")


def test_a_supervisors_own_word_stands_where_the_scheduler_knows_no_better(world: World) -> None:
    run = world.start()
    world.leave("failed", "interrupted")
    world.said.now["1"] = CANCELLED
    assert run.wait(5.0) == 1
    assert world.failure == Failure("interrupted", "as the supervisor says")


def test_a_failure_of_the_code_needs_no_word_of_the_scheduler(world: World) -> None:
    run = world.start()
    world.leave("failed", "code")
    assert run.wait(1.0) == 1
    assert world.said.looks == []


def test_one_that_waits_is_taken_back_and_has_a_record(world: World) -> None:
    run = world.start()
    assert run.wait(1.0) is None
    run.interrupt()
    assert world.said.done == ["interrupt 1"]
    world.said.now["1"] = CANCELLED
    assert run.wait(5.0) == 1
    assert world.failure is not None
    assert (world.failure.kind, "before it began" in world.failure.message) == ("interrupted", True)


def test_one_that_would_wait_forever_is_ended_with_the_reason(world: World) -> None:
    run = world.start()
    world.said.now["1"] = Seen("waiting", "waiting", hopeless="no partition takes it")
    assert run.wait(5.0) == 1
    assert world.said.done == ["kill 1"]
    assert world.failure == Failure("bad_input", "no partition takes it"), "which is not tried again"


def test_one_question_for_all_runs_and_no_more_often_than_allowed(tmp_path: Path) -> None:
    world = World(tmp_path / "first")
    first = world.start()
    other = TaskSpec("matrix/b02", "work:main")
    (tmp_path / "second").mkdir()
    second = world.launcher.start(other, Place(tmp_path / "second", None, tmp_path))
    for _ in range(40):
        assert first.wait(0.25) is None
        assert second.wait(0.25) is None
    assert world.now == pytest.approx(20.0)
    assert 9 <= len(world.said.looks) <= 11
    assert set.union(*world.said.looks[1:]) == {"1", "2"}


def test_silence_is_waited_for_and_then_the_run_is_in_doubt(world: World) -> None:
    run = world.start()
    assert run.wait(5.0) is None
    world.said.silent = True
    assert run.wait(60.0) is None
    world.said.silent = False
    assert run.wait(60.0) is None
    world.said.silent = True
    with pytest.raises(InDoubtError, match=r"nobody answers; it was waited for 60\d s, and run 1 may go on"):
        run.wait(1000.0)
    assert "scheduled.json" in world.files, "the way back to it"
    world.said.silent = False
    world.leave("completed")
    again = world.another().again(TASK, world.place)
    assert again is not None
    assert again.wait(1.0) == 0


def test_a_record_ends_the_wait_although_nobody_answers(world: World) -> None:
    run = world.start()
    world.said.silent = True
    world.leave("completed")
    assert run.wait(5.0) == 0


def test_a_run_whose_runner_died_while_it_submitted_is_found_by_its_name(world: World) -> None:
    run = world.start()
    ticket = json.loads((world.folder / "scheduled.json").read_text())
    (world.folder / "scheduled.json").write_text(json.dumps({**ticket, "id": None}))
    again = world.another().again(TASK, world.place)
    assert again is not None
    assert again.id == run.id
    world.said.named.clear()
    assert world.another().again(TASK, world.place) is None, "it was never submitted"


def test_a_folder_without_a_ticket_has_nothing_to_take_up(world: World) -> None:
    assert world.launcher.again(TASK, world.place) is None
    (world.folder / "scheduled.json").write_text("[]")
    assert world.launcher.again(TASK, world.place) is None


def test_where_nobody_answers_whether_there_is_one_the_folder_is_in_doubt(world: World) -> None:
    world.start()
    world.said.silent = True
    ticket = json.loads((world.folder / "scheduled.json").read_text())
    (world.folder / "scheduled.json").write_text(json.dumps({**ticket, "id": None}))
    with pytest.raises(InDoubtError, match=r"nobody answers; run stackyard-matrix-b01-.* may go on"):
        world.another().again(TASK, world.place)


def test_one_that_was_started_for_another_task_is_ended(world: World) -> None:
    world.start()
    world.said.now["1"] = RUNNING
    other = TaskSpec("matrix/b01", "work:main", parameters={"a": 2})
    assert world.another().again(other, world.place) is None
    assert world.said.done == ["kill 1"]


@pytest.mark.parametrize("ticket", [{"id": "--user=root"}, {"name": "--all"}, {"id": "7"}])
def test_what_another_wrote_into_a_ticket_ends_nobodys_run(world: World, ticket: dict[str, str]) -> None:
    world.start()
    world.said.now |= {"1": RUNNING, "7": RUNNING}
    told = json.loads((world.folder / "scheduled.json").read_text())
    (world.folder / "scheduled.json").write_text(json.dumps({**told, **ticket}))
    assert world.another().again(TaskSpec("other", "work:main"), world.place) is None
    assert world.said.done == []


def test_one_that_does_not_end_is_in_doubt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start()
    world.said.now["1"] = RUNNING
    monkeypatch.setattr(world.said, "kill", lambda id: None)
    with pytest.raises(InDoubtError, match="it was killed and goes on"):
        world.another().again(TaskSpec("other", "work:main"), world.place)


def test_a_submission_without_an_answer_starts_nothing(world: World) -> None:
    world.said.silent_at_submit = True
    with pytest.raises(LaunchError, match="nobody answers"):
        world.start()


def test_a_kill_is_the_end_with_or_without_a_record(world: World) -> None:
    run = world.start()
    run.kill()
    assert run.wait(5.0) == 1
    assert world.files == {"task.json"}


def test_a_wish_that_nobody_heard_is_told_when_somebody_answers(world: World) -> None:
    run = world.start()
    world.said.now["1"] = RUNNING
    world.said.silent = True
    run.interrupt()
    assert run.wait(5.0) is None
    assert world.said.done == []
    world.said.silent = False
    assert run.wait(5.0) is None
    assert world.said.done == ["interrupt 1"], "once"
