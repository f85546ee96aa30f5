"""The matrix with real supervisors and children: order, isolation, failures, stopping, resuming."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.launch import Place, Started
from stackyard.matrix.stop import Stop
from stackyard_task.records import TaskSpec
from tests.stackyard.matrix.scenario_text import ENTRY, scenario


def started_at(yard: Any) -> list[str]:
    """Names of the run folders in the order their runs started."""
    folders = list((yard.out.path / "runs").iterdir())
    return [f.name for f in sorted(folders, key=lambda f: yard.record(f.name).started_at)]


def test_every_run_leaves_a_record_and_its_output_in_the_planned_order(yard: Any) -> None:
    outcome = yard.run(scenario(yard, top="warm_up_runs = 1"))
    assert (outcome.completed, outcome.failed, outcome.interrupted) == (6, 0, False)
    plan = yard.out.plan()
    assert started_at(yard) == [f"{b.name}-{name}" for b in plan.blocks for name in b.order]
    record = yard.record("b02-bare-new-machine-w")
    assert record.status == "completed"
    assert (record.block, record.warm_up, record.scenario) == (2, False, "test")
    assert record.cell == {"deployment": "bare", "stack": "new", "hardware": "machine", "workload": "w"}
    assert record.results["answer"] == 42
    assert record.environment.code_version == "v"
    assert yard.record("w01-bare-new-machine-w").warm_up is True
    folder = yard.out.run("b01", "bare-old-machine-w")
    assert "said to stdout" in (folder / "output.log").read_text()
    assert (folder / "outputs" / "made.txt").exists()
    assert [done for done, _, _ in yard.seen] == [1, 2, 3, 4, 5, 6]
    assert yard.seen[-1][2] == 0.0
    assert yard.seen[2][2] > 0


def test_a_run_sees_the_snapshot_and_nothing_of_the_users_shell(
    yard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    yard.tunables = {"OMP_WAIT_POLICY": "PASSIVE"}
    yard.run(scenario(yard, top='title = "t"', parameters=""), repeats=1)
    results = yard.record("b01-bare-old-machine-w").results
    variables = {"STACK_VARIABLE", "OMP_WAIT_POLICY", "PATH", "HOME", "LANG", "TMPDIR"}
    assert "SECRET_TOKEN" not in results["environment"]
    assert variables <= set(results["environment"])
    assert str(yard.code) in results["path"]
    assert "/nowhere" not in results["path"]
    task = json.loads((yard.out.run("b01", "bare-old-machine-w") / "task.json").read_text())
    assert task["environment"]["CUDA_VISIBLE_DEVICES"] == ""


def test_notes_of_preparations_and_runs_are_told_once_with_their_folder(yard: Any) -> None:
    more = f"""
[prepare.first]
workload = "{ENTRY}"
parameters = {{ log = "{yard.log}", note = "a promise" }}
"""
    text = scenario(yard, more=more, parameters=', note = "3 alarms", read = "prepared:first/made.txt"')
    yard.run(text, repeats=1)
    assert yard.record("b01-bare-new-machine-w").notes == ["3 alarms"]
    notes = [message for message in yard.messages if "note:" in message]
    assert notes == ["  note: a promise", "  note: 3 alarms"]
    assert any(str(yard.out.path / "prepared" / "first") in message for message in yard.messages)


@pytest.mark.slow
def test_a_failing_cell_is_recorded_and_the_matrix_goes_on(yard: Any) -> None:
    text = scenario(yard, more=f'[workloads.bad]\nworkload = "{ENTRY}"\nparameters = {{ do = "raise" }}')
    outcome = yard.run(text)
    assert (outcome.completed, outcome.failed) == (4, 4)
    failure = yard.record("b01-bare-new-machine-bad").failure
    assert failure.kind == "code"
    assert "wanted" in failure.message
    assert outcome.failures[0][1].startswith("code: ")
    # They failed by their own code: resuming makes none of them again.
    again = yard.run(text, resume=True)
    assert (again.kept, again.failed) == (8, 4)
    assert not (yard.out.path / "abandoned").exists()


def test_what_fails_in_its_first_run_ends_a_matrix_that_gives_up(yard: Any) -> None:
    text = scenario(yard, more=f'[workloads.bad]\nworkload = "{ENTRY}"\nparameters = {{ do = "raise" }}')
    outcome = yard.run(text, gives_up=True)
    assert outcome.given_up
    assert outcome.failed == 1
    assert len(list((yard.out.path / "runs").iterdir())) == outcome.completed + 1 < 8


def test_cells_that_cannot_run_here_are_counted_with_their_reason(yard: Any) -> None:
    yard.reasons = {"old": "GPU too new for CUDA 10.2"}
    outcome = yard.run(scenario(yard))
    assert (outcome.completed, outcome.not_runnable) == (2, 1)
    (absent,) = yard.out.plan().not_runnable
    assert (absent.name, absent.reason) == ("bare-old-machine-w", "GPU too new for CUDA 10.2")
    assert any("GPU too new" in message for message in yard.messages)
    yard.reasons["new"] = "no GPU"
    with pytest.raises(NotRunnableError, match=r"no cell can run on this machine: GPU too new.*; no GPU"):
        yard.run(scenario(yard), fresh=True)


def test_stopping_ends_the_run_in_order_and_resume_makes_the_rest(yard: Any) -> None:
    flag = yard.folder / "first-may-hang"
    text = scenario(yard, do="hang")
    stop = Stop()
    hanging = Path(f"{yard.log}.hanging")

    def stop_when_under_way() -> None:
        if hanging.exists():
            stop.requests = 1

    yard.on_tick = stop_when_under_way
    outcome = yard.run(text, stop=stop)
    assert outcome.interrupted
    assert (outcome.completed, outcome.failed) == (0, 0)
    (name,) = [f.name for f in (yard.out.path / "runs").iterdir()]
    assert yard.record(name).failure.kind == "interrupted"
    assert not flag.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(hanging.read_text()), 0)


@pytest.mark.slow
def test_preparations_run_once_before_and_are_kept_on_resume(yard: Any) -> None:
    flag = yard.folder / "flag"
    more = f"""
[prepare.first]
workload = "{ENTRY}"
parameters = {{ log = "{yard.log}", say = "first" }}
[prepare.second]
workload = "{ENTRY}"
parameters = {{ log = "{yard.log}", say = "second", read = "prepared:first/made.txt", bad_while = "{flag}" }}
[prepare.unused]
workload = "{ENTRY}"
"""
    text = scenario(yard, more=more, parameters=', read = "prepared:second/made.txt"')
    flag.write_text("")
    with pytest.raises(StackyardError, match=r"preparation 'second' failed \(.*flag is up.*--resume"):
        yard.run(text)
    assert yard.lines() == ["first", "second"]
    flag.unlink()
    outcome = yard.run(text, resume=True)
    assert outcome.completed == 4
    assert yard.lines() == ["first", "second", "second", "x", "x", "x", "x"]
    assert yard.record("b01-bare-new-machine-w").results["read"] == "made"
    assert sorted(p.name for p in (yard.out.path / "prepared").iterdir()) == ["first", "second"]
    yard.run(text, resume=True)
    assert len(yard.lines()) == 7


@pytest.mark.slow
def test_resume_after_a_crash_makes_only_what_is_missing_and_more_repeats_may_be_asked(yard: Any) -> None:
    text = scenario(yard)
    yard.run(text)
    kept = yard.record("b01-bare-new-machine-w").started_at
    (yard.out.run("b02", "bare-old-machine-w") / "record.json").unlink()
    outcome = yard.run(text, resume=True)
    assert (outcome.completed, outcome.kept) == (4, 3)
    outcome = yard.run(text, resume=True, repeats=3)
    assert (outcome.completed, outcome.kept) == (6, 4)
    assert yard.record("b01-bare-new-machine-w").started_at == kept
    with pytest.raises(BadInputError, match="already holds runs"):
        yard.run(text)
    with pytest.raises(BadInputError, match="do: 'nothing' then, 'raise' now"):
        yard.run(scenario(yard, do="raise"), resume=True)


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_what_was_finished_stays(yard: Any) -> None:
    """The record cannot be written: told from an error of ours, without a traceback and without going on."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("needs root to mount a small disk")
    small = yard.folder / "out"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=160k tmpfs {small} 2>/dev/null") != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(StackyardError, match=r"cannot be written \(No space left on device\)") as caught:
            yard.run(scenario(yard), repeats=90)
        assert "\n" not in str(caught.value)
        assert not list(small.rglob(".*.json*"))
        assert yard.out.plan() is not None
    finally:
        os.system(f"umount {small}")


def test_a_file_that_a_run_names_and_nobody_can_read_is_named(yard: Any) -> None:
    """A launcher that sends what a task names, as those through a server do."""

    class Sends:
        def start(self, task: TaskSpec, place: Place) -> Started:
            Path(task.parameters["log"]).read_bytes()
            raise AssertionError("the file is there")

        def again(self, task: TaskSpec, place: Place) -> Started | None:
            return None

    yard.launcher = lambda deployment, gpus: Sends()
    with pytest.raises(StackyardError, match=rf"^{yard.log}: cannot be read \(No such file.*--resume"):
        yard.run(scenario(yard), repeats=1)


def test_a_run_that_is_stopped_stands_and_gives_nothing_up(yard: Any) -> None:
    text = scenario(yard, do="hang", more="[stop]\nmax_wall_seconds = 0.3\n")
    outcome = yard.run(text, repeats=1)
    assert (outcome.completed, outcome.stopped, outcome.failed, outcome.given_up) == (0, 2, 0, False)
    record = yard.record("b01-bare-new-machine-w")
    assert (record.status, record.failure) == ("stopped", None)
    again = yard.run(text, repeats=1, resume=True)
    assert (again.kept, again.stopped) == (2, 2)
