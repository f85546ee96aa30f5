"""The launchers' contract, held by all three of ours; what is measured in one is measured in the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackyard.launch.contract import Contract, Done, Ground, record_in
from stackyard.workloads import wheel
from stackyard_task.criteria import Criteria
from tests.stackyard.launch.conftest import AgentGround

#: What the same supervisor does in every deployment: at reduced counts, bare shows it.
SUPERVISORS = {
    "test_a_workload_that_fails_is_a_record_with_its_reason",
    "test_a_time_limit_ends_the_whole_tree",
    "test_half_a_core_is_half_a_core",
}


class TestBare(Contract):
    name = "bare"

    @pytest.fixture
    def ground(self, bare: Ground) -> Ground:
        return bare


class TestAgent(Contract):
    name = "agent"
    #: Of the limits, the container's is another one; an abort is seen by stackyard_task/test_clearml_link too.
    at_full_counts: ClassVar[set[str]] = SUPERVISORS | {
        "test_a_memory_limit_is_the_workloads_own",
        "test_an_interrupt_leaves_a_record",
    }

    @pytest.fixture
    def ground(self, on_agent: Ground) -> Ground:
        return on_agent

    def test_every_record_has_the_same_shape(
        self, bare: Ground, done: Done, inputs: dict[str, Any], tmp_path: Path
    ) -> None:
        """What is measured in one deployment is measured in the other, but for its way there."""
        shapes = []
        for one in (self.completed(bare, inputs, tmp_path / "bare"), done.record):
            record = dataclasses.asdict(one)
            record["dispatch"] = None
            record["environment"].pop("code_wheel")
            shapes.append(known(record))
        assert shapes[0] == shapes[1]

    def test_a_stopped_run_is_stopped_on_its_server_which_has_the_reason(
        self, ground: AgentGround, tmp_path: Path
    ) -> None:
        """And the record beside it: an agent makes an end of its own of any exit status."""
        folder = tmp_path / "run"
        task = ground.task("endless", criteria=Criteria(wall_seconds=0.5))
        assert ground.ended(ground.start(folder, task)) == 4, ground.seen()
        record = record_in(folder)
        assert record.stopped is not None
        assert record.dispatch is not None
        found = ground.client.call("tasks.get_by_id", task=record.dispatch.task_id)["task"]
        assert (found["status"], found["status_reason"]) == ("stopped", record.stopped.message)

    def test_a_record_says_in_which_wheel_its_code_came(self, ground: Ground, done: Done) -> None:
        assert done.record.environment.code_wheel == wheel.built(ground.code).sha256


@pytest.mark.engine
class TestContainer(Contract):
    name = "container"
    #: A run through a server is taken up by its task, wherever that runs: the agent's shows it.
    at_full_counts: ClassVar[set[str]] = SUPERVISORS | {"test_a_run_is_taken_up_where_it_can_be"}

    @pytest.fixture
    def ground(self, in_container: Ground) -> Ground:
        return in_container


def known(value: Any) -> Any:
    """The keys of a record and whether each is known."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items() if key != "tunables"}
    return value is not None
