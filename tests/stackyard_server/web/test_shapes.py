"""The pages' pure parts: fields for values, reported plots as drawn, what is wrong, what a task came from."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from stackyard_server.web import advice, lineage, parameters, plots


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


def drawn(*traces: dict[str, Any], **layout: Any) -> plots.Drawn:
    return plots.read("p", json.dumps({"data": traces, "layout": layout}))


def test_lines_become_a_chart_for_each_axis() -> None:
    found = drawn(
        {"x": [0, 1], "y": [1, 2], "name": "a"}, {"x": [0, 1], "y": [3, None], "name": "b", "yaxis": "y2"},
        yaxis={"title": {"text": "CPU"}}, yaxis2={"title": "RAM"},
    )  # fmt: skip
    assert [(c.title, [line.name for line in c.lines]) for c in found.charts] == [
        ("CPU", ["a"]),
        ("RAM", ["b"]),
    ]


def test_packed_numbers_and_instants_are_read() -> None:
    packed = {"dtype": "f8", "bdata": base64.b64encode(struct.pack("<2d", 1.5, 2.5)).decode()}
    (chart,) = drawn(
        {"type": "scatter", "x": ["2026-01-01 00:00:00", "2026-01-01 00:01:00"], "y": packed}
    ).charts
    assert chart.lines[0].last == "2.5"
    assert chart.x_ticks[-1].text == "60"


def test_tables_and_bars_become_tables() -> None:
    table = {
        "type": "table",
        "header": {"values": ["<b>k</b>", "v"]},
        "cells": {"values": [["a", "b"], [1, 2.5]]},
    }
    bars = {"type": "bar", "name": "count", "x": ["x"], "y": [3]}
    found = drawn(table, bars)
    assert (found.tables[0].head, found.tables[0].rows) == (["k", "v"], [["a", "1"], ["b", "2.5"]])
    assert found.tables[1].rows == [["x", "3"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{",
        '{"data": 5}',
        '{"data": [7], "layout": []}',
        "[" * 100_000,
        '{"data": [{"y": [1]}], "layout": {"annotations": 3}}',
        '{"data": [{"type": "table", "cells": 3}]}',
        '{"data": [{"x": [1e999], "y": [%s]}]}' % ("9" * 400),
    ],
)
def test_what_is_no_figure_is_said_and_breaks_nothing(text: str) -> None:
    found = plots.read("p", text)
    assert not found.charts
    assert not [table for table in found.tables if table.rows]


def test_long_lines_are_thinned() -> None:
    xs, ys = plots.points_of({"y": list(range(100_000))})
    assert len(xs) == len(ys) <= plots.MOST_POINTS


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
