"""What a runner finds in a folder: runs that stand, runs left under way, runs to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard import scenarios
from stackyard.matrix.plan import Plan
from stackyard.matrix.runs import RunFolder
from stackyard.matrix.todo import Todo, todo_of
from stackyard.scenarios import Cell
from stackyard_task import records
from stackyard_task.records import Failure, RunRecord
from tests.stackyard.matrix.scenario_text import scenario


@pytest.fixture
def planned(yard: Any) -> tuple[Plan, RunFolder, dict[str, Cell]]:
    read, plan = yard.plan(scenario(yard))
    return plan, yard.out, {cell.slug: cell for cell in scenarios.cells(read)}


def left(planned: tuple[Plan, RunFolder, dict[str, Cell]], can_be_taken_up: bool) -> Todo:
    return todo_of(*planned, lambda cell: can_be_taken_up)


def names(todo: Todo) -> list[str]:
    return [f"{due.block.name}-{due.cell.slug}" for due in todo.due]


def recorded(folder: Path, failure: Failure | None) -> None:
    folder.mkdir(parents=True)
    record = RunRecord("r", "w", "failed" if failure else "completed", "", "", failure=failure)
    records.write_json(record, folder / "record.json")


def test_an_empty_folder_is_all_to_do_in_the_planned_order(planned: Any) -> None:
    plan = planned[0]
    todo = left(planned, False)
    assert names(todo) == [f"{block.name}-{name}" for block in plan.blocks for name in block.order]
    assert not todo.kept
    assert not any(due.begun for due in todo.due)


def test_a_record_stands_unless_it_says_nothing_of_the_workload(planned: Any) -> None:
    _, folder, _ = planned
    first, second, third, last = names(left(planned, False))
    recorded(folder.path / "runs" / first, None)
    recorded(folder.path / "runs" / second, Failure("code", "it would fail again"))
    recorded(folder.path / "runs" / third, Failure("infrastructure", "the agent was lost"))
    todo = left(planned, True)
    assert [kept.name for kept in todo.kept] == [first, second]
    assert names(todo) == [third, last]
    assert [path.name for path in (folder.path / "abandoned").iterdir()] == [f"{third}.1"]


@pytest.mark.parametrize("can_be_taken_up", [False, True])
def test_a_record_that_cannot_be_read_is_named_and_its_run_due(planned: Any, can_be_taken_up: bool) -> None:
    _, folder, _ = planned
    first, *others = names(left(planned, False))
    recorded(folder.path / "runs" / first, None)
    (folder.path / "runs" / first / "record.json").write_text('{"run_id": 7}')
    todo = left(planned, can_be_taken_up)
    assert (names(todo), todo.due[0].begun) == ([first, *others], False)
    assert ["run_id is 7, expected a text" in reason for reason in todo.unreadable] == [True]
    assert [path.name for path in (folder.path / "abandoned").iterdir()] == [f"{first}.1"]


def test_what_may_be_at_work_still_comes_first_and_stays_where_it_is(planned: Any) -> None:
    _, folder, _ = planned
    *others, last = names(left(planned, True))
    (folder.path / "runs" / last).mkdir(parents=True)
    todo = left(planned, True)
    assert names(todo) == [last, *others]
    assert [due.begun for due in todo.due] == [True, False, False, False]
    assert (folder.path / "runs" / last).exists()


def test_what_ended_with_its_runner_is_set_aside_and_made_in_its_turn(planned: Any) -> None:
    _, folder, _ = planned
    before = names(left(planned, False))
    (folder.path / "runs" / before[-1]).mkdir(parents=True)
    todo = left(planned, False)
    assert names(todo) == before
    assert not any(due.begun for due in todo.due)
    assert not (folder.path / "runs" / before[-1]).exists()
