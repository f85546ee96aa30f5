"""What of a matrix that is continued differs, in words, and what the cells of what changed are called."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import BadInputError
from stackyard.matrix import resuming

FILE = """
name = "s"
repeats = 1
[axes]
stack = ["new"]
[workloads.w]
command = ["python", "t.py", "{lr}", "{inputs.data}"]
inputs = { data = "data" }
parameters = { lr = 0.1 }
metrics = { a = "line:a=(?P<value>.*)" }
[workloads.other]
command = ["true"]
"""


def plan(yard: Any, text: str = FILE, **fields: Any) -> Any:
    return dataclasses.replace(yard.plan(text)[1], **fields)


def refusal(old: Any, new: Any) -> str:
    with pytest.raises(BadInputError) as refused:
        resuming.refuse_if_different(old, new, Path("o"))
    assert "--accept-changes" in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_same_goes_on_and_so_do_more_repeats_and_another_title(yard: Any) -> None:
    old = plan(yard)
    assert resuming.changed(old, old) == []
    for text in (FILE, FILE.replace("repeats = 1", 'repeats = 3\ntitle = "T"\ntime_limit_seconds = 5')):
        resuming.refuse_if_different(old, plan(yard, text), Path("o"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("lr = 0.1", "lr = 0.2", "workloads.w.parameters.lr: 0.1 then, 0.2 now"),
        ("a=(?P", "b=(?P", "workloads.w.command.metrics.a: 'line:a=(?P<value>.*)' then"),
        ('"t.py"', '"u.py"', "workloads.w.command.words"),
    ],
)
def test_what_differs_of_a_command_is_said_once(yard: Any, before: str, after: str, said: str) -> None:
    old, new = plan(yard), plan(yard, FILE.replace(before, after))
    told = refusal(old, new)
    assert said in told
    assert "workloads.toml" not in told
    assert "help" not in told
    assert resuming.changed(old, new) == ["w"]


def test_changed_inputs_are_named_and_belong_to_who_reads_them(yard: Any) -> None:
    old, new = plan(yard, read={"data": "1 bytes"}), plan(yard, read={"data": "2 bytes"})
    assert "input data: 1 bytes then, 2 bytes now" in refusal(old, new)
    assert resuming.changed(old, new) == ["w"]


def test_names_count_on_from_what_they_were(yard: Any) -> None:
    first = resuming.next_names({}, ["w"])
    assert first == {"w": "w.2"}
    assert resuming.next_names(first, ["w.2"]) == {"w": "w.3"}
    assert resuming.next_names(first, ["other"]) == {"w": "w.2", "other": "other.2"}
    assert resuming.next_names({}, ["a.7"]) == {"a.7": "a.7.2"}  # a name of the user's own


def test_a_scenario_with_other_names_has_the_other_cells_as_they_were(yard: Any) -> None:
    scenario = yard.plan(FILE)[0]
    other = resuming.named_anew(scenario, {"w": "w.2"})
    assert set(other.axes["workload"]) == {"w.2", "other"}
    assert other.workloads["w.2"].name == "w.2"
    assert other.workloads["other"] == scenario.workloads["other"]
    assert resuming.named_anew(scenario, {}) is scenario
