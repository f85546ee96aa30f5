"""One run of a matrix, with real supervisors and children: whatever happens to it, a record says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from stackyard.launch import InDoubtError, LaunchError, Place, Started
from stackyard.launch.retries import RetryPolicy
from stackyard.matrix.stop import Stop
from stackyard_server.rules.fate import Pauses
from stackyard_task import records
from stackyard_task.records import Dispatch, Failure, RunRecord, TaskSpec
from tests.stackyard.matrix.scenario_text import scenario


def test_a_crashing_workload_is_a_record_too(yard: Any) -> None:
    outcome = yard.run(scenario(yard, do="segv"), repeats=1, only=[("stack", "new")])
    assert outcome.failed == 1
    failure = yard.record("b01-bare-new-machine-w").failure
    assert failure.kind == "code"
    assert failure.signal == 11


def test_a_run_past_its_time_limit_is_a_record(yard: Any) -> None:
    yard.run(scenario(yard, do="hang", top="time_limit_seconds = 0.5"), repeats=1, only=[("stack", "new")])
    assert yard.record("b01-bare-new-machine-w").failure.kind == "time_limit"


def test_a_stack_that_disappears_fails_its_runs_and_they_are_made_again_on_resume(yard: Any) -> None:
    python = yard.python["old"]
    yard.python["old"] = None
    outcome = yard.run(scenario(yard))
    assert (outcome.completed, outcome.failed) == (2, 2)
    assert "stackyard stack build old" in yard.record("b01-bare-old-machine-w").failure.message
    yard.python["old"] = Path("/nowhere/python")
    assert yard.run(scenario(yard), resume=True).failed == 2
    assert "cannot be started" in yard.record("b01-bare-old-machine-w").failure.message
    yard.python["old"] = python
    outcome = yard.run(scenario(yard), resume=True)
    assert (outcome.completed, outcome.kept, outcome.failed) == (4, 2, 0)
    assert len(list((yard.out.path / "abandoned").iterdir())) == 4


def test_a_supervisor_that_cannot_start_leaves_an_infrastructure_record_with_its_words(
    yard: Any, tmp_path: Path
) -> None:
    shutil.copytree(yard.code, tmp_path / "broken")
    (tmp_path / "broken" / "stackyard_task" / "run.py").write_text("raise SystemExit('no luck today')")
    yard.code = tmp_path / "broken"
    yard.run(scenario(yard), repeats=1, only=[("stack", "new")])
    failure = yard.record("b01-bare-new-machine-w").failure
    assert failure.kind == "infrastructure"
    assert "no luck today" in failure.message


def test_a_second_request_kills(yard: Any, tmp_path: Path) -> None:
    """A supervisor that ignores the first request is killed by the second, and the run is still recorded."""
    shutil.copytree(yard.code, tmp_path / "deaf")
    (tmp_path / "deaf" / "stackyard_task" / "run.py").write_text(
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "Path(sys.argv[1], 'deaf').write_text('')\n"
        "time.sleep(600)\n"
    )
    yard.code = tmp_path / "deaf"
    stop = Stop()

    def insist() -> None:
        if list((yard.out.path / "runs").glob("*/deaf")):
            stop.requests += 1

    yard.on_tick = insist
    # Ticks pause after a request, so the second one comes from the first request's message.
    plain_message = yard.message

    def message(text: str) -> None:
        plain_message(text)
        if text.startswith("stopping"):
            stop.requests += 1

    yard.message = message
    outcome = yard.run(scenario(yard), stop=stop)
    assert outcome.interrupted
    (name,) = [f.name for f in (yard.out.path / "runs").iterdir()]
    assert yard.record(name).failure.kind == "interrupted"


def test_a_runner_that_fails_does_not_leave_its_run_behind(yard: Any) -> None:
    hanging = Path(f"{yard.log}.hanging")

    def nobody_reads_us() -> None:
        if hanging.exists():
            raise BrokenPipeError

    yard.on_tick = nobody_reads_us
    with pytest.raises(BrokenPipeError):
        yard.run(scenario(yard, do="hang"))
    (name,) = [f.name for f in (yard.out.path / "runs").iterdir()]
    assert yard.record(name).failure.kind == "interrupted"


def test_a_hardware_limit_reaches_the_child_and_the_record_says_how(yard: Any) -> None:
    text = scenario(yard, more='[hardware.small]\ncores = 1\nmemory = "1 GB"')
    yard.run(text, repeats=1, only=[("stack", "new")])
    environment = yard.record("b01-bare-new-small-w").environment
    assert environment.allowed_cores == 1
    assert environment.limit_mechanism is not None


def test_a_run_that_may_go_on_is_not_started_twice_and_stays_where_it_can_be_found(yard: Any) -> None:
    """A launcher that stands for a server which a first runner reaches and a second one does not."""
    asked: list[Path] = []

    class Cut:
        def start(self, task: TaskSpec, place: Place) -> Started:
            assert not asked, "started a second time"
            (place.folder / "ticket").touch()
            raise RuntimeError("the runner dies")

        def again(self, task: TaskSpec, place: Place) -> Started | None:
            asked.append(place.folder)
            raise LaunchError("no answer")

    yard.launcher = lambda deployment, gpus: Cut()
    yard.retries = RetryPolicy(retries=2, pauses=Pauses(0, 1, 0))
    text = scenario(yard).replace("[axes]", '[axes]\ndeployment = ["agent"]')
    narrow = {"repeats": 1, "only": [("stack", "new")]}
    with pytest.raises(RuntimeError):
        yard.run(text, **narrow)
    outcome = yard.run(text, resume=True, **narrow)
    assert [why for _, why in outcome.failures] == ["infrastructure: no answer"]
    assert len(asked) == 3
    folder = yard.out.run("b01", "agent-new-machine-w")
    assert [entry.name for entry in folder.iterdir()] == ["ticket"]


@pytest.mark.parametrize("lost_at", ["start", "wait"])
def test_a_run_that_gets_out_of_sight_is_found_again_rather_than_started_again(
    yard: Any, lost_at: str
) -> None:
    """A launcher that stands for a server which stops answering while a run is started, or goes on."""
    log: list[str] = []

    class Run:
        def __init__(self, folder: Path) -> None:
            self.folder = folder

        def wait(self, seconds: float) -> int:
            if lost_at == "wait" and log.count("again") == 0:
                raise InDoubtError("no answer")
            records.write_json(completed(self.folder), self.folder / records.RECORD_FILE)
            return 0

        def interrupt(self) -> None:
            log.append("interrupt")

        def kill(self) -> None:
            log.append("kill")

    class Silent:
        def start(self, task: TaskSpec, place: Place) -> Started:
            log.append("start")
            (place.folder / "ticket").touch()
            if lost_at == "start":
                raise InDoubtError("no answer")
            return Run(place.folder)

        def again(self, task: TaskSpec, place: Place) -> Started | None:
            log.append("again")
            return Run(place.folder)

    def completed(folder: Path) -> RunRecord:
        assert (folder / "ticket").exists(), "its folder stayed"
        now = "2026-01-01T00:00:00+00:00"
        return RunRecord("r", "w", "completed", started_at=now, finished_at=now)

    yard.launcher = lambda deployment, gpus: Silent()
    text = scenario(yard).replace("[axes]", '[axes]\ndeployment = ["agent"]')
    narrow = {"repeats": 1, "only": [("stack", "new")]}
    yard.retries = RetryPolicy(retries=0)
    outcome = yard.run(text, **narrow)
    assert [why for _, why in outcome.failures] == ["infrastructure: no answer"]
    assert not (yard.out.run("b01", "agent-new-machine-w") / "record.json").exists()
    assert yard.run(text, resume=True, **narrow).completed == 1
    assert log == ["start", "again"]
    yard.retries = RetryPolicy(retries=1, pauses=Pauses(0, 1, 0))
    log.clear()
    assert yard.run(text, fresh=True, **narrow).completed == 1
    assert log == ["start", "again"]


@pytest.mark.parametrize(
    ("by_server", "starts", "counted"), [([2], 1, 2), ([1, 0], 2, 2), ([0, 1, 0], 2, 2), ([0, 0, 0], 3, 2)]
)
def test_what_the_server_tried_again_itself_counts_like_a_start_of_ours(
    yard: Any, by_server: list[int], starts: int, counted: int
) -> None:
    """A launcher that stands for a server whose infrastructure loses every start, some more than once."""
    started: list[str] = []

    class Lost:
        def start(self, task: TaskSpec, place: Place) -> Started:
            record = RunRecord(
                run_id=task.run_id,
                workload=task.workload,
                status="failed",
                started_at="2026-01-01T00:00:00+00:00",
                finished_at="2026-01-01T00:00:01+00:00",
                failure=Failure("infrastructure", "the agent was lost"),
                dispatch=Dispatch(retries=by_server[len(started)]),
            )
            started.append(task.run_id)
            records.write_json(record, place.folder / records.RECORD_FILE)
            return Over()

    class Over:
        def wait(self, seconds: float) -> int:
            return 1

        def interrupt(self) -> None: ...

        def kill(self) -> None: ...

    yard.launcher = lambda deployment, gpus: Lost()
    yard.retries = RetryPolicy(pauses=Pauses(0, 1, 0))
    text = (
        scenario(yard)
        .replace("[axes]", '[axes]\ndeployment = ["agent"]')
        .replace("repeats = 2", "repeats = 1")
    )
    outcome = yard.run(text.replace('stack = ["old", "new"]', 'stack = ["new"]'))
    assert (outcome.failed, len(started)) == (1, starts)
    assert yard.record("b01-agent-new-machine-w").dispatch.retries == counted
