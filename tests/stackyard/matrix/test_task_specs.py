"""The task of a cell and of a preparation: whose environment, whose limits, and paths in place of references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard import scenarios
from stackyard.errors import BadInputError
from stackyard.matrix.task_specs import TaskSpecs
from stackyard_task.workloads import Parameter, Workload
from tests.stackyard.matrix.scenario_text import ENTRY

TEXT = """
name = "test"
repeats = 1
time_limit_seconds = 7
[axes]
threads = [3]
tunables = ["mine"]
batch = ["small"]
[hardware.tight]
cores = 1
memory = "1 GB"
[tunables.mine]
OMP_WAIT_POLICY = "PASSIVE"
[choices.batch.small]
parameters = { batch_size = 64 }
environment = { MALLOC_ARENA_MAX = 1 }
[data.lines]
sources = [{ path = "lines.txt", format = "sequences" }]
[workloads.w]
workload = "work_for_tests:work"
parameters = { data = "data:lines", read = "prepared:first/made.txt" }
[prepare.first]
workload = "work_for_tests:work"
threads = 2
"""


@pytest.fixture
def specs(yard: Any) -> TaskSpecs:
    yard.tunables = {"OMP_PROC_BIND": "true"}
    scenario, plan = yard.plan(TEXT)
    return TaskSpecs(scenario, plan, yard.out, yard.site, Path("/beside"))


def test_a_cells_task_is_what_its_axes_say(yard: Any, specs: TaskSpecs) -> None:
    (cell,) = scenarios.cells(specs.scenario)
    task = specs.of_cell(specs.plan.blocks[0], cell)
    assert task.run_id == f"test/b01-{cell.slug}"
    assert (task.block, task.warm_up, task.cell) == (1, False, dict(cell.axes))
    assert (task.limits.cores, task.limits.memory_bytes, task.threads) == (1, 10**9, 3)
    assert task.environment == {
        "STACK_VARIABLE": "new",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_ARENA_MAX": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert task.parameters["batch_size"] == 64
    assert task.parameters["data"]["sources"][0]["path"] == "/beside/lines.txt"
    made = yard.out.preparation("first") / "outputs" / "made.txt"
    assert task.parameters["read"] == str(made.resolve())
    assert task.time_limit_seconds == 7


def test_what_an_axis_chooses_comes_before_a_commands_own_variables(yard: Any, tmp_path: Path) -> None:
    command = 'command = ["w", "{batch_size}"]\nfolder = "here"'
    command += '\nenvironment = { MALLOC_ARENA_MAX = 2, MINE = "x" }'
    text = TEXT.replace('workload = "work_for_tests:work"\nparameters = { data', command + "\nx = { data")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("x = "))
    scenario, plan = yard.plan(text)
    specs = TaskSpecs(scenario, plan, yard.out, yard.site, tmp_path)
    (cell,) = scenarios.cells(scenario)
    task = specs.of_cell(plan.blocks[0], cell)
    assert task.command is not None
    assert task.command.environment == {"MINE": "x"}
    assert task.environment["MALLOC_ARENA_MAX"] == "1"
    assert task.command.folder == str(tmp_path.resolve() / "here")


def test_a_preparation_has_its_stacks_own_tunables_and_no_gpu(specs: TaskSpecs) -> None:
    (preparation,) = specs.scenario.preparations
    task = specs.of_preparation(preparation)
    assert task.run_id == "test/prepare-first"
    assert (task.cell, task.block, task.threads) == ({}, None, 2)
    assert task.environment == {
        "STACK_VARIABLE": "new",
        "OMP_PROC_BIND": "true",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert task.time_limit_seconds == 3600


def test_what_a_declaration_says_stands_in_the_plan_the_task_and_the_record(yard: Any) -> None:
    """References are paths there, as if nothing had been declared; a changed default is another matrix."""

    def declare(answer: int) -> None:
        read = Parameter("read", "text", None, "a file")
        yard.declared = {
            "w": Workload("w", ENTRY, "", (Parameter("answer", "integer", answer, ""), read)),
            "first": Workload("first", ENTRY, "", (Parameter("say", "text", "x", ""),)),
        }

    text = TEXT.replace(f'workload = "{ENTRY}"\nthreads', 'workload = "first"\nthreads')
    text = text.replace(f'workload = "{ENTRY}"', 'workload = "w"').replace('data = "data:lines", ', "")
    text = text.replace("parameters = { batch_size = 64 }", "")
    declare(7)
    assert yard.run(text).completed == 1
    made = yard.out.preparation("first") / "outputs" / "made.txt"
    (record,) = (yard.record(folder.name) for folder in (yard.out.path / "runs").iterdir())
    assert record.parameters == {"answer": 7, "read": str(made.resolve())}
    assert record.results["answer"] == 7
    assert yard.out.plan().declared == yard.declared
    declare(8)
    with pytest.raises(BadInputError, match=r"workloads.toml.w.parameters.answer.default: 7 then, 8 now"):
        yard.run(text, resume=True)
