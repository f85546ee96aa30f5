"""The pages' pure parts: fields for values, what is wrong, what a task came from."""

from __future__ import annotations

import json

import pytest

from stackyard_server.web import advice, lineage, parameters


@pytest.mark.parametrize(
    ("kind", "value", "control"),
    [
        ("int", "3", "integer"), ("integer", "", "integer"), ("int", "${step.x}", "line"), ("int", "1_000", "line"),
        ("float", "1e-3", "number"), ("float", "nan", "line"), ("number", "+1", "line"), ("bool", "True", "choice"),
        ("bool", "yes", "line"), ("str", "a\nb", "lines"), ("", "x" * 81, "lines"), ("str", "5", "line"),
    ],
)  # fmt: skip
def test_the_field_fits_type_and_value(kind: str, value: str, control: str) -> None:
    field = parameters.field("Args", "x", {"value": value, "type": kind, "description": "what it does"})
    assert (field.control, field.value, field.description) == (control, value, "what it does")


def test_a_flag_offers_the_other_value_written_alike() -> None:
    assert parameters.control_of("bool", "false") == ("choice", ("false", "true"))
    assert parameters.control_of("bool", "True") == ("choice", ("True", "False"))


WELL, SILENT = advice.Worker("w", 20, busy=True), advice.Worker("s", 200, busy=True)


def test_a_queue_that_is_served_has_nothing_wrong() -> None:
    assert advice.about_queue(5, 1000, [WELL]) == []
    assert advice.about_queue(0, None, []) == []


def test_what_is_wrong_with_a_queue_is_said() -> None:
    assert "No worker serves" in advice.about_queue(1, 1, [])[0]
    assert advice.about_queue(0, None, [SILENT]) == ["s has been silent for 3 min 20 s, and it runs a task."]
    idle = advice.Worker("i", 10, busy=False)
    assert "although i is idle" in advice.about_queue(1, 300, [WELL, idle])[0]
    assert advice.about_queue(1, 30, [idle]) == []
    assert "retries" in advice.about_queue(0, None, [WELL], ["retries"])[0]


DATASET, MODEL, TASK = "a" * 32, "b" * 32, "c" * 32


def test_what_parameters_name_is_found_once() -> None:
    values = {
        "Input": {
            "data": {"value": json.dumps({"sources": [{"path": f"clearml-dataset:{DATASET}/x"}]})},
            "again": {"value": f"clearml-dataset:{DATASET}/y"},
            "model": {"value": f"clearml-model:{MODEL}"},
            "from": {"value": f"clearml-artifact:{TASK}/outputs/model"},
            "named": {"value": "clearml-dataset:project/name@1.0/x"},
        },
        "Datasets": {"logs": {"value": "d" * 32}, "other": {"value": None}},
    }
    found = [(r.kind, r.id, r.where) for r in lineage.references(values)]
    assert found == [
        ("dataset", DATASET, "Input/data"), ("model", MODEL, "Input/model"), ("artifact", TASK, "Input/from"),
        ("dataset", "d" * 32, "Datasets/logs"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [None, "", "[]", "5", "{", '{"0": 5}', f'{{"0": {{"job_id": "{TASK}", "parents": [9]}}}}']
)
def test_a_structure_that_cannot_be_read_has_no_parents(text: str | None) -> None:
    assert lineage.dataset_parents(TASK, {"Dataset Struct": {"value": text}}) == []
