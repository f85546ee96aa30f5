"""The parts of a task's document: what is laid over what, and what old clients meant."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard_server.rules import task_document


def item(section: str, name: str, value: str) -> dict[str, str]:
    return {"section": section, "name": name, "value": value}


def test_a_script_keeps_what_is_not_spoken_of_and_its_diff_to_the_letter() -> None:
    held = {"branch": "main", "entry_point": "a.py", "requirements": {"pip": "x"}}
    new = task_document.script({"branch": " dev ", "diff": "print()\n", "tag": None}, held)
    assert new == {**held, "branch": "dev", "diff": "print()\n"}


@pytest.mark.parametrize(
    ("replace", "left"),
    [
        ("none", {"A": {"x": "1", "y": "new"}, "B": {"z": "3"}}),
        ("section", {"A": {"y": "new"}, "B": {"z": "3"}}),
        ("all", {"A": {"y": "new"}}),
    ],
)
def test_parameters_replace_one_another_as_asked(replace: str, left: dict[str, Any]) -> None:
    held = task_document.listed_hyperparams([item("A", "x", "1"), item("A", "y", "2"), item("B", "z", "3")])
    new = task_document.listed_hyperparams([item("A", "y", "new")])
    merged = task_document.merge_hyperparams(held, new, replace)
    assert {s: {n: i["value"] for n, i in items.items()} for s, items in merged.items()} == left


def test_a_section_without_parameters_is_gone() -> None:
    held = task_document.listed_hyperparams([item("A", "x", "1"), item("B", "z", "3")])
    assert set(task_document.drop_hyperparams(held, [{"section": "A", "name": "x"}])) == {"B"}
    assert set(task_document.drop_hyperparams(held, [{"section": "B"}, None])) == {"A"}


def test_artifacts_of_the_same_key_but_another_mode_are_two() -> None:
    held = task_document.artifacts([{"key": "k", "type": "t", "uri": "1"}])
    both = task_document.upsert_artifacts(held, [{"key": "k", "type": "t", "mode": "input", "uri": "2"}])
    assert [a["uri"] for a in both] == ["1", "2"]
    again = task_document.upsert_artifacts(both, [{"key": "k", "type": "t", "uri": "3"}])
    assert sorted(a["uri"] for a in again) == ["2", "3"]
    assert [a["uri"] for a in task_document.drop_artifacts(again, [{"key": "k"}])] == ["2"]


def test_what_old_clients_put_into_execution_goes_where_it_belongs_now() -> None:
    sent = {
        "execution": {"docker_cmd": "python:3.11 -e A=1", "parameters": {"Args/lr": 0.1, "free": "x", "/": 1}}
    }
    new = task_document.translate_legacy(sent)
    assert new["container"]["image"] == "python:3.11"
    assert new["container"]["arguments"] == "-e A=1"
    assert new["hyperparams"]["Args"]["lr"]["value"] == "0.1"
    assert new["hyperparams"]["Args"]["free"]["value"] == "x"
    assert task_document.execution(sent["execution"])["parameters"] == {}
    newer = {**sent, "container": {"image": "mine"}, "hyperparams": {}}
    assert task_document.translate_legacy(newer) == {}


def test_null_stands_for_absent_at_every_place() -> None:
    assert task_document.hyperparams({"A": None, "B": {"x": None}}) == {"A": {}, "B": {}}
    assert task_document.configuration({"c": None}) == {}
    assert task_document.models({"input": None, "output": [None]}, "now") == {"input": [], "output": []}
    assert task_document.artifacts([None]) == []
    assert task_document.execution({"artifacts": None})["artifacts"] == []
