"""Figures in JSON files, JSON lines files and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard_task.metrics import read, tables
from tests.stackyard_task.metrics.running import places

JSON = (
    b'\xef\xbb\xbf{"test": {"accuracy": 0.5, "f1.macro": [1, {"best": true}]},'
    b' "name": "run 1", "nan": NaN, "none": null}'
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("test.accuracy", 0.5),
        ("test.f1.macro.0", 1),
        ("test.f1.macro.1.best", True),
        ("name", "run 1"),
        ("nan", "nan"),
    ],
)
def test_a_value_is_found_by_its_path(tmp_path: Path, path: str, value: Any) -> None:
    where = places(tmp_path)
    (where.outputs / "m.json").write_bytes(JSON)
    found = read({"m": f"json:m.json#{path}"}, where)
    assert (found.values, found.notes, found.series) == ({"m": value}, [], {})


def test_a_number_of_more_digits_than_python_reads_hides_no_other(tmp_path: Path) -> None:
    where = places(tmp_path)
    (where.outputs / "m.json").write_bytes(b'{"loss": 0.5, "big": -' + b"9" * 5000 + b"}")
    (where.outputs / "m.jsonl").write_bytes(b'{"loss": 1}\n{"loss": 2, "big": ' + b"9" * 5000 + b"}\n")
    sources = {
        "a": "json:m.json#loss",
        "b": "json:m.json#big",
        "c": "jsonl:m.jsonl#loss",
        "d": "jsonl:m.jsonl#big",
    }
    found = read(sources, where)
    assert found.values == {
        "a": 0.5,
        "b": "a negative whole number of 5000 digits",
        "c": 2,
        "d": "a whole number of 5000 digits",
    }
    assert (found.series["c"], found.notes) == ([[0, 1], [1, 2]], [])


@pytest.mark.parametrize(
    ("content", "path", "note"),
    [
        (JSON, "test.recall", "m.json has no 'test.recall'; it has test, name, nan, none"),
        (JSON, "test.f1.macro.7", "m.json has no 'test.f1.macro.7'; it has test, name, nan, none"),
        (JSON, "test", "'test' of m.json is an object, no figure; name one of its values"),
        (JSON, "none", "'none' of m.json is null"),
        (b"[1, 2]", "0.a", "m.json has no '0.a'"),
        (
            b'{\n"a": 1,,\n}',
            "a",
            "m.json is no JSON (line 2: Expecting property name enclosed in double quotes)",
        ),
        (b"", "a", "m.json is no JSON (line 1: Expecting value)"),
        (
            b'{"a":1}\n{"a":2}',
            "a",
            "m.json is no JSON (line 2: Extra data); one JSON value a line is read by jsonl:",
        ),
        (b"\xff\xfe\x00", "a", "m.json is no UTF-8 text"),
        (b"[" * 200_000, "a", "m.json is no JSON that can be read (nested too deeply)"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, content: bytes, path: str, note: str) -> None:
    where = places(tmp_path)
    (where.working / "m.json").write_bytes(content)
    found = read({"m": f"json:m.json#{path}"}, where)
    assert (found.values, found.series) == ({}, {})
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"metric 'm': {note}")


def test_json_lines_give_a_course(tmp_path: Path) -> None:
    where = places(tmp_path)
    (where.outputs / "log.jsonl").write_text(
        '{"loss": 1, "epoch": 5}\n\n{"other": 1}\n{"loss": null}\n'
        '{"loss": 0.5, "epoch": 10}\nbroken\n{"recall@5": 7}\n[1]\n'
    )
    found = read(
        {
            "loss": "jsonl:log.jsonl#loss@epoch",
            "plain": "jsonl:log.jsonl#loss",
            "recall": "jsonl:log.jsonl#recall@5",
            "list": "jsonl:log.jsonl#0",
            "none": "jsonl:log.jsonl#f1",
        },
        where,
    )
    assert found.values == {"loss": 0.5, "plain": 0.5, "recall": 7, "list": 1}
    assert found.series["loss"] == [[5, 1], [10, 0.5]]
    assert found.series["plain"] == [[0, 1], [1, 0.5]]
    assert "metric 'none': no line of log.jsonl has a figure 'f1'" in found.notes
    assert "metric 'loss': 1 line of log.jsonl is no JSON" in found.notes


@pytest.mark.parametrize("parts", [",", ";", "\t"])
def test_a_column_gives_a_course_and_empty_cells_are_passed_over(tmp_path: Path, parts: str) -> None:
    where = places(tmp_path)
    rows = ["epoch,acc,text", '1,,"two\nlines"', "2,0.5,", "", "3,0.75,good", "4"]
    (where.outputs / "m.csv").write_text("\ufeff" + "\n".join(rows).replace(",", parts))
    found = read(
        {
            "acc": "csv:m.csv#acc@epoch",
            "text": "csv:m.csv#text",
            "none": "csv:m.csv#f1",
            "epoch": "csv:m.csv#epoch",
        },
        where,
    )
    assert found.values == {"acc": 0.75, "text": "good", "epoch": 4}
    assert found.series["acc"] == [[2, 0.5], [3, 0.75]]
    assert found.notes == ["metric 'none': m.csv has no column 'f1'; it has epoch, acc, text"]


def test_a_table_without_rows_or_cells_is_said(tmp_path: Path) -> None:
    where = places(tmp_path)
    (where.outputs / "empty.csv").write_text("")
    (where.outputs / "head.csv").write_text("a,b\n")
    (where.outputs / "large.csv").write_text("a\n" + '"' + "x\n" * 100_000)
    found = read({name: f"csv:{name}.csv#a" for name in ("empty", "head", "large")}, where)
    assert found.values == {}
    assert found.notes == [
        "metric 'empty': empty.csv has no column 'a'; it has none",
        "metric 'head': column 'a' of head.csv is empty",
        "metric 'large': large.csv is no table (field larger than field limit (131072))",
    ]


def test_a_file_of_very_many_values_is_not_taken_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "JSON_VALUES", 100)
    found = places(tmp_path)
    (found.outputs / "m.json").write_text('{"a": 1, "b": [' + "1," * 100 + "1]}")
    said = read({"a": "json:m.json#a"}, found)
    assert said.values == {}
    assert said.notes == ["metric 'a': m.json holds more than 100 values"]
