"""A task from what a server says, which may be anything."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.comparing import task as tasks
from stackyard.comparing.task import task_of
from stackyard_task.records import RecordError

GOOD: dict[str, Any] = {"id": "a", "status": "completed"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"id": 1, "status": "completed"},
        {**GOOD, "tags": "a"},
        {**GOOD, "hyperparams": {"Args": {"lr": 0.1}}},
        {**GOOD, "hyperparams": []},
        {**GOOD, "execution": {"artifacts": {"record": {}}}},
        {**GOOD, "execution": 5},
        {**GOOD, "name": "\ud800"},
    ],
)
def test_what_is_no_task_is_refused_in_a_sentence(document: Any) -> None:
    with pytest.raises(RecordError):
        task_of(document, 0)


@pytest.mark.parametrize(
    "held", [None, 5, [], {"a": 1}, {"a": {"b": 1}}, {"a": {"b": {"metric": 1, "variant": "v"}}}]
)
def test_scalars_of_another_form_are_no_scalars(held: Any) -> None:
    assert task_of({**GOOD, "last_metrics": held}, 0).series == {}


def test_names_and_values_are_one_bounded_line_without_control_characters() -> None:
    found = task_of(
        {
            **GOOD,
            "name": "a\x1b[31mb\nc",
            "hyperparams": {"Args": {"one": {"value": "x" * 500 + "1"}, "two": {"value": "x" * 500 + "2"}}},
        },
        0,
    )
    assert found.name == "a [31mb c"
    one, two = found.parameters.values()
    assert len(one) < 250
    assert one != two, "what differs behind the bound still differs"


def test_of_very_many_parameters_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST_PARAMETERS", 3)
    given = {"Args": {f"p{n}": {"value": "1"} for n in range(5)}}
    found = task_of({**GOOD, "hyperparams": given}, 0)
    assert (len(found.parameters), found.left_out) == (3, 2)
