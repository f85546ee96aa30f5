"""The launchers' contract, written once and held by all three: same task, same record, same folder, nothing left."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stackyard_server.rules import fate
from stackyard_task.records import Code, Limits
from tests.stackyard.launch.conftest import Deployment, record_in, task

#: What a completed run leaves.
FOLDER = {"task.json", "record.json", "timeline.json", "output.log", "outputs"}
INSTANTS = (
    "enqueued_at",
    "pulled_at",
    "container_started_at",
    "user_code_at",
    "workload_started_at",
    "finished_at",
)


def test_the_same_task_leaves_the_same_record_and_folder(
    deployment: Deployment, inputs: dict[str, Any], tmp_path: Path
) -> None:
    code = Code(version="c0ffee", dirty=True, digest="d")
    given = task(
        "complete",
        parameters=inputs,
        threads=2,
        environment={"CHOSEN": "by the task", "CUDA_VISIBLE_DEVICES": ""},
        cell={"deployment": deployment.name},
        block=3,
        code=code,
    )
    folder = tmp_path / "run"
    assert deployment.ended(deployment.start(folder, given)) == 0, deployment.log()
    record = record_in(folder)
    assert (record.status, record.failure) == ("completed", None)
    assert (record.run_id, record.block, record.cell) == ("matrix/b01", 3, {"deployment": deployment.name})
    assert record.parameters == inputs  # the submitter's own, wherever the copies lay
    assert {p.name for p in folder.iterdir()} == FOLDER
    assert json.loads((folder / "task.json").read_text())["parameters"] == inputs
    assert (folder / "outputs" / "deep" / "made.txt").read_text() == "LINE ONE\nLINE TWO\n"
    assert (folder / "output.log").read_text() == "said by the workload\n"
    assert json.loads((folder / "timeline.json").read_text())["phases"][0]["name"] == "startup"
    assert record.results["characters"] == 18
    assert record.results["model"] == ["model.json", "weights/words.txt"]
    assert (record.results["words"], record.results["chosen"], record.results["threads"]) == (
        "words",
        "by the task",
        "2",
    )
    assert [phase["name"] for phase in record.phases] == ["startup", "data", "steady", "finish"]
    assert record.measurement.steps is not None
    assert record.measurement.steps.count == 20
    for measured in (
        "wall_seconds",
        "cpu_seconds",
        "peak_rss_bytes",
        "steady_seconds",
        "overhead_cpu_seconds",
    ):
        assert getattr(record.measurement, measured) > 0, measured
    seen = record.environment
    assert (seen.code_version, seen.code_dirty, seen.code_digest, seen.threads) == ("c0ffee", True, "d", 2)
    assert (seen.code_wheel is None) == (deployment.name == "bare")
    deployment.nothing_left()


def test_the_workload_sees_neither_the_sdk_nor_the_agent(
    deployment: Deployment, inputs: dict[str, Any], tmp_path: Path
) -> None:
    """Else the SDK's memory and start-up would be in the figures of one deployment only, and its key in reach."""
    folder = tmp_path / "run"
    assert deployment.ended(deployment.start(folder, task("complete", parameters=inputs))) == 0, (
        deployment.log()
    )
    found = record_in(folder).results
    assert found["foreign"] == []
    assert found["supervisor"] == []
    assert found["secrets"] == []
    assert set(found["environment"]) == {
        *(
            "PYTHONPATH",
            "PYTHONNOUSERSITE",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONUNBUFFERED",
            "PYTHONFAULTHANDLER",
        )
    }
    assert "task.json" in found["here"]  # in the run folder, in all three


def test_the_instants_of_a_dispatch_follow_each_other(
    deployment: Deployment, inputs: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert deployment.ended(deployment.start(folder, task("complete", parameters=inputs))) == 0, (
        deployment.log()
    )
    way = record_in(folder).dispatch
    if deployment.name == "bare":
        assert way is None
        return
    assert way is not None
    found = {name: getattr(way, name) for name in INSTANTS}
    unknown = [name for name, text in found.items() if text is None]
    assert unknown == ([] if deployment.name == "container" else ["container_started_at"])
    moments = [datetime.fromisoformat(text) for text in found.values() if text is not None]
    assert moments == sorted(moments)
    assert deployment.agent is not None
    assert (way.queue, way.worker) == (deployment.agent.prepared.queue, deployment.agent.prepared.worker)
    assert (way.image is None) == (deployment.name == "agent")
    assert way.retries == 0


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [("raise", "code", "KeyError: 'missing column'"), ("refuse", "bad_input", "the file is empty")],
)
def test_a_workload_that_fails_is_a_record_with_its_reason(
    deployment: Deployment, tmp_path: Path, how: str, kind: str, words: str
) -> None:
    folder = tmp_path / "run"
    run = deployment.start(folder, task("fail", parameters={"how": how}))
    assert deployment.ended(run) == 1
    record = record_in(folder)
    assert record.status == "failed"
    assert record.failure is not None
    assert (record.failure.kind, words in record.failure.message) == (kind, True), record.failure
    assert not fate.is_infrastructure(record.failure.kind)
    assert (folder / "outputs" / "half.txt").read_text() == "half"
    assert (folder / "output.log").read_text()
    deployment.nothing_left()


def test_a_time_limit_ends_the_whole_tree(deployment: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = deployment.start(folder, task("endless", time_limit_seconds=1.0))
    assert deployment.ended(run) == 1
    failure = record_in(folder).failure
    assert failure is not None
    assert failure.kind == "time_limit"
    deployment.nothing_left()


def test_a_memory_limit_is_the_workloads_own(deployment: Deployment, tmp_path: Path) -> None:
    """In a container, too, where the agent's Python and the supervisor live beside the workload."""
    folder = tmp_path / "run"
    given = task("fail", parameters={"how": "memory"}, limits=Limits(memory_bytes=150_000_000))
    assert deployment.ended(deployment.start(folder, given)) == 1
    record = record_in(folder)
    assert record.failure is not None
    assert record.failure.kind == "out_of_memory", record.failure
    assert 50e6 < (record.measurement.peak_rss_bytes or 0) < 250e6
    assert record.environment.limit_mechanism is not None
    deployment.nothing_left()


def test_half_a_core_is_half_a_core(deployment: Deployment, inputs: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    given = task("complete", parameters=inputs, limits=Limits(cores=0.5))
    status = deployment.ended(deployment.start(folder, given))
    record = record_in(folder)
    if deployment.name != "container" and record.failure and "writable cgroup" in record.failure.message:
        pytest.skip(record.failure.message)
    assert status == 0, record.failure
    assert (record.environment.quota_cores, record.environment.allowed_cores) == (0.5, 0.5)


def test_an_interrupt_leaves_a_record(deployment: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = deployment.start(folder, task("endless"))
    deployment.until_at_work(run, folder)
    run.interrupt()
    assert deployment.ended(run) != 0
    record = record_in(folder)
    assert record.failure is not None
    assert record.failure.kind == "interrupted", (record.failure, deployment.log())
    assert (record.measurement.wall_seconds or 0) > 0  # the supervisor's own record, not one made for it
    deployment.nothing_left()


def test_a_kill_leaves_nothing_running(deployment: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = deployment.start(folder, task("endless"))
    deployment.until_at_work(run, folder)
    run.kill()
    assert deployment.ended(run) != 0
    deployment.nothing_left()


def test_every_record_has_the_same_shape(
    bare: Deployment, on_agent: Deployment, inputs: dict[str, Any], tmp_path: Path
) -> None:
    """What is measured in one deployment is measured in the other, but for its way there."""
    shapes = []
    for deployment in (bare, on_agent):
        folder = tmp_path / deployment.name
        assert deployment.ended(deployment.start(folder, task("complete", parameters=inputs))) == 0
        record = dataclasses.asdict(record_in(folder))
        record["dispatch"] = None
        record["environment"].pop("code_wheel")
        shapes.append(known(record))
    assert shapes[0] == shapes[1]


def known(value: Any) -> Any:
    """The keys of a record and whether each is known."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items() if key != "tunables"}
    return value is not None
