"""What every deployment holds: same task, same record, same folder, nothing left. Written once, inherited by each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackyard import stacks
from stackyard.launch import installed
from stackyard.launch.contract.ground import Ground, code_in, record_in
from stackyard.launch.deployment import Premises
from stackyard.settings import Settings
from stackyard_server.rules import fate
from stackyard_task.criteria import Criteria
from stackyard_task.records import INSTANTS, Code, Limits, RunRecord

#: What a completed run leaves.
FOLDER = {"task.json", "record.json", "timeline.json", "output.log", "outputs"}
#: Variables of Python's own that a workload may see.
PYTHON = {
    *("PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER")
}


@dataclass(frozen=True)
class Done:
    """A run that went well, as it was left."""

    folder: Path
    parameters: dict[str, Any]
    record: RunRecord


class Contract:
    """Inherit it as ``class TestMine(Contract)`` and say which deployment is meant.

    Its runs are started as this machine offers them, in the Python that runs the tests. Where that is not enough (a
    server of the tests' own, an agent), override the fixture ``ground``.
    """

    #: The deployment's name.
    name: ClassVar[str]
    _done: ClassVar[Done]

    @pytest.fixture
    def ground(self, tmp_path: Path) -> Ground:
        """Where the runs happen."""
        premises = Premises.here(Settings(home=tmp_path / "home"), stacks.load())
        deployment = installed.named(self.name)(premises)
        return Ground(deployment, deployment.launcher(0), code_in(tmp_path / "code"))

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> dict[str, Any]:
        """A data file and a model folder, as parameters."""
        data, model = tmp_path / "given" / "some data.txt", tmp_path / "given" / "model"
        (model / "weights").mkdir(parents=True)
        data.write_text("line one\nline two\n")
        (model / "weights" / "words.txt").write_text("words")
        (model / "model.json").write_text("{}")
        return {"data": str(data), "model": str(model)}

    @pytest.fixture
    def done(self, ground: Ground, inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Done:
        """A run that went well, made once for all tests of a deployment that only read what it left."""
        own = type(self)
        if "_done" not in vars(own):
            folder = tmp_path_factory.mktemp("done") / "run"
            own._done = Done(folder, inputs, self.completed(ground, inputs, folder))
            ground.nothing_left()
        return own._done

    def completed(self, ground: Ground, inputs: dict[str, Any], folder: Path) -> RunRecord:
        """The record of a run that goes well."""
        task = ground.task(
            "complete",
            parameters=inputs,
            threads=2,
            environment={"CHOSEN": "by the task", "CUDA_VISIBLE_DEVICES": ""},
            cell={"deployment": self.name},
            block=3,
            code=Code(version="c0ffee", dirty=True, digest="d"),
        )
        assert ground.ended(ground.start(folder, task)) == 0, ground.seen()
        return record_in(folder)

    def test_it_is_found_by_its_name_and_says_what_it_is(self, ground: Ground) -> None:
        """What others ask of a deployment, they ask in these words."""
        assert type(ground.deployment) is installed.named(self.name)
        assert self.name in installed.names()
        assert ground.deployment.about
        assert ground.deployment.stop_seconds > 0
        assert (ground.deployment.queue(0) is not None) == ground.deployment.waits_in_queue
        assert ground.deployment.environment(0) == {"CUDA_VISIBLE_DEVICES": ""}

    def test_the_same_task_leaves_the_same_record_and_folder(self, ground: Ground, done: Done) -> None:
        """A reader of run folders does not see which deployment made one, but for the cell."""
        record, folder, inputs = done.record, done.folder, done.parameters
        assert (record.status, record.failure) == ("completed", None)
        assert (record.run_id, record.block, record.cell) == ("matrix/b01", 3, {"deployment": self.name})
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
            "peak_rss_high_bytes",  # the peak itself is unknown where a machine is too busy to look in time
            "steady_seconds",
            "overhead_cpu_seconds",
        ):
            assert getattr(record.measurement, measured) > 0, measured
        seen = record.environment
        assert (seen.code_version, seen.code_dirty, seen.code_digest, seen.threads) == (
            "c0ffee",
            True,
            "d",
            2,
        )
        assert (seen.code_wheel is not None) == ground.deployment.needs_server

    def test_the_workload_sees_neither_the_sdk_nor_the_agent(self, done: Done) -> None:
        """Else the SDK's memory and start-up would be in the figures of one deployment only, and its key in reach."""
        found = done.record.results
        assert found["foreign"] == []
        assert found["supervisor"] == []
        assert found["secrets"] == []
        assert set(found["environment"]) == PYTHON
        assert "task.json" in found["here"]  # in the run folder, in every deployment

    def test_the_instants_of_a_dispatch_follow_each_other(self, ground: Ground, done: Done) -> None:
        """Only a run through a server has a way there, and then all of it is told."""
        way = done.record.dispatch
        if not ground.deployment.needs_server:
            assert way is None
            return
        assert way is not None
        found = {name: getattr(way, name) for name in INSTANTS}
        unknown = [name for name, text in found.items() if text is None]
        assert unknown == ([] if ground.deployment.in_container else ["container_started_at"])
        moments = [datetime.fromisoformat(text) for text in found.values() if text is not None]
        assert moments == sorted(moments)
        assert way.queue == ground.deployment.queue(0)
        assert way.worker is not None
        assert ground.worker in (None, way.worker)
        assert (way.image is not None) == ground.deployment.in_container
        assert way.retries == 0

    @pytest.mark.parametrize(
        ("how", "kind", "words"),
        [("raise", "code", "KeyError: 'missing column'"), ("refuse", "bad_input", "the file is empty")],
    )
    def test_a_workload_that_fails_is_a_record_with_its_reason(
        self, ground: Ground, tmp_path: Path, how: str, kind: str, words: str
    ) -> None:
        """The task's own failure is told as such, and what it had made is there."""
        folder = tmp_path / "run"
        run = ground.start(folder, ground.task("fail", parameters={"how": how}))
        assert ground.ended(run) == 1
        record = record_in(folder)
        assert record.status == "failed"
        assert record.failure is not None
        assert (record.failure.kind, words in record.failure.message) == (kind, True), record.failure
        assert not fate.is_infrastructure(record.failure.kind)
        assert (folder / "outputs" / "half.txt").read_text() == "half"
        assert (folder / "output.log").read_text()
        ground.nothing_left()

    def test_a_time_limit_ends_the_whole_tree(self, ground: Ground, tmp_path: Path) -> None:
        """Wherever the run is, its time is limited there."""
        folder = tmp_path / "run"
        run = ground.start(folder, ground.task("endless", time_limit_seconds=1.0))
        assert ground.ended(run) == 1
        failure = record_in(folder).failure
        assert failure is not None
        assert failure.kind == "time_limit"
        ground.nothing_left()

    def test_a_memory_limit_is_the_workloads_own(self, ground: Ground, tmp_path: Path) -> None:
        """In a container, too, where the agent's Python and the supervisor live beside the workload."""
        folder = tmp_path / "run"
        given = ground.task("fail", parameters={"how": "memory"}, limits=Limits(memory_bytes=150_000_000))
        assert ground.ended(ground.start(folder, given)) == 1
        record = record_in(folder)
        assert record.failure is not None
        assert record.failure.kind == "out_of_memory", record.failure
        assert 50e6 < (record.measurement.peak_rss_bytes or 0) < 250e6
        assert record.environment.limit_mechanism is not None
        ground.nothing_left()

    def test_a_criterion_stops_a_run_which_then_has_not_failed(self, ground: Ground, tmp_path: Path) -> None:
        """Wherever the run is: its record is whole and says at what, and nothing of it goes on."""
        folder = tmp_path / "run"
        given = ground.task("fail", parameters={"how": "memory"}, criteria=Criteria(ram_bytes=150_000_000))
        assert ground.ended(ground.start(folder, given)) == 4, ground.seen()
        record = record_in(folder)
        assert (record.status, record.failure) == ("stopped", None)
        assert record.stopped is not None
        assert (record.stopped.criterion, record.stopped.limit) == ("ram_bytes", 150_000_000)
        assert 150e6 < record.stopped.seen <= (record.measurement.peak_rss_bytes or 0)
        assert (record.stopped.ended_seconds or 60) < 30
        assert (folder / "outputs" / "half.txt").read_text() == "half"
        ground.nothing_left()

    def test_half_a_core_is_half_a_core(self, ground: Ground, inputs: dict[str, Any], tmp_path: Path) -> None:
        """A limit is held, or the run says that it cannot be held."""
        folder = tmp_path / "run"
        given = ground.task("complete", parameters=inputs, limits=Limits(cores=0.5))
        status = ground.ended(ground.start(folder, given))
        record = record_in(folder)
        own = ground.deployment.measured_by_cgroup
        if own and record.failure and "writable cgroup" in record.failure.message:
            pytest.skip(record.failure.message)
        assert status == 0, record.failure
        assert (record.environment.quota_cores, record.environment.allowed_cores) == (0.5, 0.5)

    def test_an_interrupt_leaves_a_record(self, ground: Ground, tmp_path: Path) -> None:
        """The supervisor's own, with what it had measured."""
        folder = tmp_path / "run"
        run = ground.start(folder, ground.task("endless"))
        ground.until_at_work(run, folder)
        run.interrupt()
        assert ground.ended(run) != 0
        record = record_in(folder)
        assert record.failure is not None
        assert record.failure.kind == "interrupted", (record.failure, ground.seen())
        assert (record.measurement.wall_seconds or 0) > 0
        ground.nothing_left()

    def test_a_kill_leaves_nothing_running(self, ground: Ground, tmp_path: Path) -> None:
        """A record may be missing; a process may not be left."""
        folder = tmp_path / "run"
        run = ground.start(folder, ground.task("endless"))
        ground.until_at_work(run, folder)
        run.kill()
        assert ground.ended(run) != 0
        ground.nothing_left()

    def test_a_run_is_taken_up_where_it_can_be(
        self, ground: Ground, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        """By a runner that finds the folder as an earlier one left it; a folder nobody began holds nothing to take."""
        folder = tmp_path / "run"
        given = ground.task("complete", parameters=inputs)
        place = ground.place(folder)
        assert ground.launcher.again(given, place) is None
        first = ground.launcher.start(given, place)
        found = ground.launcher.again(given, place)
        assert (found is not None) == ground.deployment.can_be_taken_up
        assert ground.ended(found or first) == 0, ground.seen()
        assert record_in(folder).status == "completed"
        ground.nothing_left()
