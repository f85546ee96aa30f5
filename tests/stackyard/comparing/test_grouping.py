"""Which tasks belong together."""

from __future__ import annotations

import pytest

from stackyard.comparing import grouping
from stackyard.comparing.grouping import Grouping
from stackyard.comparing.selection import filters
from stackyard.comparing.task import Task, task_of
from stackyard.errors import BadInputError
from tests.stackyard.comparing.lab import Lab, measured


def task(number: int = 0, *, tags: tuple[str, ...] = (), **parameters: str) -> Task:
    hyperparams = {"Args": {name: {"value": value} for name, value in parameters.items()}}
    return task_of(
        {
            "id": f"{number:032x}",
            "status": "completed",
            "name": "train",
            "hyperparams": hyperparams,
            "tags": list(tags),
            "last_worker": f"host-{number % 2}:gpu0",
        },
        0,
    )


def levels(tasks: list[Task], *keys: str) -> list[tuple[str, ...]]:
    return [tuple(each.values()) for each in Grouping(keys).of(tasks).levels]


def test_one_number_written_in_two_ways_is_one_value() -> None:
    tasks = [task(lr="0.1"), task(lr="1e-1"), task(lr="0.10"), task(lr="0.2"), task(lr="nan"), task()]
    found = levels(tasks, "Args/lr")
    assert found == [("0.1",), ("0.1",), ("0.1",), ("0.2",), ("nan",), ("not set",)]


def test_a_group_is_called_by_the_plainest_spelling_of_its_number() -> None:
    assert levels([task(lr="2e-1"), task(lr="0.20"), task(lr="0.2")], "Args/lr") == [("0.2",)] * 3
    assert levels([task(n="9" * 30), task(n="9" * 200)], "Args/n") == [("9" * 30,), ("9" * 200,)]
    assert grouping.level_like("0.20", ["0.1", "2e-1"]) == "2e-1"
    assert grouping.level_like("0.30", ["0.1", "2e-1"]) == "0.30"


def test_keys_are_parameters_tags_and_machines() -> None:
    tasks = [task(0, tags=("b", "a"), lr="1"), task(1, lr="2")]
    assert levels(tasks, "tag,machine", "worker") == [
        ("a + b", "host-0", "host-0:gpu0"),
        ("not set", "host-1", "host-1:gpu0"),
    ]


def test_all_but_the_seed_is_every_other_parameter_that_differs() -> None:
    tasks = [task(n, lr=lr, seed=str(n), batch="8") for n, lr in enumerate(("0.1", "0.2", "0.1"))]
    groups = Grouping(["all-but:Args/seed"]).of(tasks)
    assert groups.keys == ["Args/lr"]
    assert sorted(map(len, groups.together().values())) == [1, 2]


def test_no_key_too_many_keys_too_many_groups_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="names no key"):
        Grouping([" , "])
    with pytest.raises(BadInputError, match="expected a parameter, such as all-but:Args/seed"):
        Grouping(["all-but:seed"])
    many = [task(n, **{f"p{k}": str(n) for k in range(20)}) for n in range(3)]
    with pytest.raises(BadInputError, match=r"comes to 19 keys, more than 12: .*name those that matter"):
        Grouping(["all-but:Args/p0"]).of(many)
    monkeypatch.setattr(grouping, "MOST_GROUPS", 2)
    with pytest.raises(BadInputError, match="makes 3 groups of 3 tasks, more than 2"):
        Grouping(["Args/p0"]).of(many)


def test_the_baseline_is_a_number_however_it_is_written(lab: Lab) -> None:
    for lr in ("0.1", "2e-1", "0.2"):
        lab.task({"Args/lr": lr}, {"loss/val": [1.0]})
    report = lab.compared("Args/lr", baseline={"Args/lr": "0.20"})
    workload = report.workloads[0]
    assert [cell.label for cell in workload.cells if cell.slug == workload.baseline] == ["0.2"]
    with pytest.raises(BadInputError, match=r"Args/lr='0.5' matches no cell: Args/lr has 0.1, 0.2$"):
        lab.compared("Args/lr", baseline={"Args/lr": "0.5"})


def test_a_stack_is_called_as_it_is_pinned_and_an_environment_by_what_was_added(lab: Lab) -> None:
    for stack in ("torch-2+794c7bc0", "torch-2+7a08dbe4", "torch-1+0"):
        run = measured()
        run.environment.stack = stack
        lab.task(run=run)
    lab.task({"Run/stack": "torch-2"})

    def groups(key: str, *chosen: str) -> dict[str, int]:
        cells = lab.compared(key, filters=filters(chosen)).workloads[0].cells
        return {cell.axes[key]: cell.completed for cell in cells}

    assert groups("stack") == {"torch-1+0": 1, "torch-2": 3}
    assert groups("stack", "stack=torch-2") == {"torch-2": 3}
    assert groups("environment", "stack=torch-2") == {
        "torch-2+794c7bc0": 1,
        "torch-2+7a08dbe4": 1,
        "not set": 1,
    }
    assert groups("stack", "environment=torch-2+794c7bc0") == {"torch-2": 1}


def test_a_task_that_failed_before_it_had_an_environment_has_the_stack_that_it_asked_for() -> None:
    tried, ran = task(1), task(2)
    for one, seconds in ((tried, None), (ran, 1.0)):
        one.record = measured()
        one.record.environment.stack, one.record.measurement.wall_seconds = None, seconds
        one.parameters = {"Run/stack": "torch-1"}
    assert levels([tried, ran], "stack") == [("torch-1",), ("none",)]
