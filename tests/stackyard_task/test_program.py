"""What a supervisor starts, and what it sees to when a command has ended."""

import pytest

from stackyard_task import program
from stackyard_task.records import Environment, RunRecord, StackPin, TaskSpec


@pytest.mark.parametrize(
    ("torch", "cuda", "said"),
    [
        ("2.13.0+cpu", "cpu", None),
        (None, None, None),
        ("9.9.9", "cpu", "pins torch 2.13.0, but the command loaded torch 9.9.9"),
        ("2.13.0", "12.4", "pins CUDA cpu, but the command loaded CUDA 12.4"),
    ],
)
def test_a_command_that_loads_another_torch_than_its_stack_pins_has_not_completed(
    torch: str, cuda: str, said: str
) -> None:
    spec = TaskSpec("r", "w", stack=StackPin("s", torch="2.13.0", cuda="cpu"))
    record = RunRecord("r", "w", "completed", "", "", environment=Environment(torch=torch, cuda=cuda))
    found = program._mismatch(spec, record)
    assert (found is None) if said is None else (found is not None and said in found.message)
