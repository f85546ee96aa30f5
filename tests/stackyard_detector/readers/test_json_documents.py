"""JSON that is no JSON lines: wrapped records, indented objects, and what is wrong with them."""

from __future__ import annotations

import json

import pytest

from stackyard_detector.readers import Quarantine
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

SETTINGS = {"format": "jsonl", "key_column": "k", "event_column": "e"}
RECORDS = [{"k": "a", "e": "1"}, {"k": "b", "e": "} ] ,"}, {"k": "a", "e": "2"}]
SESSIONS = [("a", ["1", "2"]), ("b", ["} ] ,"])]


def found(sessions):
    return [(s.key, s.events) for s in sessions]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "wrapped",
    [
        {"Records": RECORDS},
        {"version": 1, "more": {"a": ["[", 2]}, "records": RECORDS, "after": {"b": [1, 2]}},
        {"@odata.context": "x", "value": RECORDS},
        {"owner": "1", "logEvents": RECORDS},
        {"took": 3, "hits": {"total": {"value": 3}, "hits": RECORDS, "max_score": None}, "timed_out": False},
    ],
)
def test_records_in_an_object_are_read_one_by_one(write, read, wrapped, indent):
    text = json.dumps(wrapped, indent=indent)
    assert found(read(write("a.json", text), **SETTINGS)[0]) == SESSIONS
    # And several such objects, one after the other.
    twice, _ = read(write("b.json", text + "\n" + text), **SETTINGS)
    assert [len(s.events) for s in twice] == [4, 2]


def test_indented_objects_are_read_with_the_line_they_begin_at(write, read, tmp_path):
    text = "\n".join(json.dumps(record, indent=1) for record in [*RECORDS, {"k": "c"}])
    quarantine = Quarantine(tmp_path / "q")
    sessions, _ = read(write("a.json", text), quarantine=quarantine, **SETTINGS)
    quarantine.close()
    assert found(sessions) == SESSIONS
    (entry,) = map(json.loads, (tmp_path / "q").read_text().splitlines())
    assert (entry["line"], entry["reason"]) == (13, "has no field 'e'")
    assert quarantine.lines == text.count("\n") + 1


def test_a_file_of_one_long_line_is_no_long_line(write, read):
    """CloudTrail writes whole files without a line end; a record has its limit, a file none."""
    records = [{"k": str(number % 7), "e": "x" * 100} for number in range(15_000)]
    sessions, quarantine = read(write("a.json", json.dumps({"Records": records})), **SETTINGS)
    assert sum(len(s.events) for s in sessions) == 15_000
    assert quarantine.count == 0


@pytest.mark.parametrize(
    "text", ["[{0},\n{1}]\n", "[{0},\n{1}]", '{{"Records": [\n{0}, {1}]}}\n', "\n[{0},\n{1}\n]\n\n"]
)
def test_the_lines_of_a_document_are_counted_as_an_editor_counts_them(write, read, text):
    text = text.format(*map(json.dumps, RECORDS))
    _, quarantine = read(write("a.json", text), **SETTINGS)
    assert quarantine.lines == len(text.splitlines())


def test_records_are_what_is_counted_where_a_line_has_many(write, read, tmp_path):
    """One bad record of 200 in one line is half a per cent, and no whole file."""
    text = json.dumps({"Records": [*({"k": "a", "e": "1"} for _ in range(199)), {"k": "a"}]})
    _, quarantine = read(write("a.json", text), quarantine=Quarantine(limit=0.01), **SETTINGS)
    quarantine.finish()
    assert (quarantine.count, quarantine.lines) == (1, 200)


@pytest.mark.parametrize("cut", [20, 45, 60, -1])
def test_what_breaks_off_is_refused_with_its_line(write, read, cut):
    text = json.dumps({"Records": RECORDS}, indent=1)[:cut]
    with pytest.raises(BadInput, match=r"a.json: line \d+: the JSON array is broken or not closed here"):
        read(write("a.json", text), **SETTINGS)


def test_a_record_without_end_does_not_fill_the_memory(write, read):
    text = '[{"k": "a", "e": "' + "x" * (5 << 20)
    with pytest.raises(BadInput, match="line 1: the JSON array is broken"):
        read(write("a.json", text), **SETTINGS)


def test_json_lines_with_a_corrupt_first_line_stay_json_lines(write, read):
    for first in ('{"k": "a", "e": ', "{broken", '{"k": "a",'):
        sessions, quarantine = read(write("a.json", first + '\n{"k": "b", "e": "1"}\n'), **SETTINGS)
        assert found(sessions) == [("b", ["1"])]
        assert quarantine.count == 1


def test_a_list_of_records_in_a_line_of_json_lines_is_a_value(write, read):
    lines = '{"k": "a", "e": "1", "items": [{"x": 1}]}\n{"k": "a", "e": "2", "items": [{"x": 2}]}\n'
    assert found(read(write("a.json", lines), **SETTINGS)[0]) == [("a", ["1", "2"])]


@pytest.mark.parametrize(
    "field",
    [
        {"value": []},
        {"value": [{"x": 1}]},
        {"hits": {"hits": []}},
        {"records": [{"id": 1}]},
        {"Records": [{"k": "z", "e": "inner"}]},
        {"value": [1]},
    ],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_field_called_like_a_wrappers_makes_none(write, read, field, first, indent):
    """No event is lost to it, wherever it stands among what the settings ask for."""
    asked = {"k": "a", "e": "e0"}
    record = {**field, **asked} if first else {**asked, **field}
    records = [record] * 5 + [{"k": "a", "e": "other"}]
    text = "\n".join(json.dumps(each, indent=indent) for each in records)
    sessions, quarantine = read(write("a.json", text), **SETTINGS)
    assert found(sessions) == [("a", ["e0"] * 5 + ["other"])]
    assert quarantine.count == 0
    alone, _ = read(write("b.json", json.dumps(record, indent=indent)), **SETTINGS)
    assert found(alone) == [("a", ["e0"])]


def test_wrappers_are_told_from_records_far_down_the_file(write, read):
    """Hundreds of empty wrappers hide no record behind them, though it has such a list as well."""
    lines = ['{"value": [], "x": "' + "x" * 500 + '"}'] * 300
    lines += [
        '{"k": "a", "e": "1", "value": []}',
        '{"value": [{"k": "a", "e": "2"}]}',
        '{"k": "b", "e": "3"}',
    ]
    assert found(read(write("a.json", "\n".join(lines)), **SETTINGS)[0]) == [("a", ["1", "2"]), ("b", ["3"])]


def test_a_long_line_of_records_that_is_a_record_itself_is_said(write, read, tmp_path):
    """Beyond what is looked at, it cannot be undone any more."""
    first = json.dumps({"value": [{"k": "b", "e": "2"}]})
    line = json.dumps({"value": [{"k": "b", "e": "x" * 90_000}], "k": "a", "e": "1"})
    quarantine = Quarantine(tmp_path / "q")
    read(write("a.json", f"{first}\n{line}\n"), quarantine=quarantine, **SETTINGS)
    quarantine.close()
    (entry,) = map(json.loads, (tmp_path / "q").read_text().splitlines())
    assert entry["line"] == 2
    assert "wraps records, and is one itself" in entry["reason"]


def test_the_names_of_a_wrapper_may_be_those_of_its_records(write, read):
    text = json.dumps({"k": "collector", "records": RECORDS})
    assert found(read(write("a.json", text), **SETTINGS)[0]) == SESSIONS


def test_a_corrupt_first_line_with_records_stays_a_corrupt_line(write, read):
    text = '{"value": [{"x": 1}], broken\n{"k": "b", "e": "1"}\n{"k": "b", "e": "2"}\n'
    sessions, quarantine = read(write("a.json", text), **SETTINGS)
    assert found(sessions) == [("b", ["1", "2"])]
    assert quarantine.count == 1


def records_as(*names: str) -> str:
    """An object with a list of ten records of its own under each of ``names``."""
    lists = [
        json.dumps([{"k": f"{name}{at}", "e": str(number)} for number in range(10)])
        for at, name in enumerate(names)
    ]
    return "{" + ", ".join(f'"{name}": {records}' for name, records in zip(names, lists)) + "}"


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        (records_as("value", "records"), 2),
        (records_as("Records", "Records"), 2),
        (records_as("Records", "logEvents", "value"), 3),
        (records_as("value")[:-1] + ', "hits": {"total": 1, "hits": [{"k": "h", "e": "1"}], "more": {}}}', 2),
        ('{"hits": {"hits": [{"k": "h", "e": "1"}]}, "records": [{"k": "a", "e": "1"}], "took": 3}', 2),
        ('{"errors": [], "records": [], "value": [{"k": "a", "e": "1"}]}', 1),
        ('{"value": [{"k": "a", "e": "1"}], "records": [], "Records": [1, [2]], "hits": {}}', 1),
        ('{"hits": {"total": 0}, "records": [{"k": "a", "e": "1"}]}', 1),
        ('{"value": [1, 2], "records": [{"k": "a", "e": "1"}]}', 1),
        ('{"value": [{"k": "a", "e": "1"}], "records": [null, {"k": "b", "e": "1"}]}', 2),
    ],
)
@pytest.mark.parametrize("lines", [1, 3])
def test_all_lists_of_records_of_a_wrapper_are_read(write, read, text, lists, lines):
    sessions, quarantine = read(write("a.json", "\n".join([text] * lines)), **SETTINGS)
    assert len(sessions) == lists
    assert sum(len(s.events) for s in sessions) == lines * text.count('"k"')
    assert quarantine.count == 0


def test_a_list_of_records_that_begins_with_none_is_one(write, read):
    text = '{"value": [null, {"k": "a", "e": "1"}], "records": [{"k": "b", "e": "1"}]}'
    sessions, quarantine = read(write("a.json", text), **SETTINGS)
    assert found(sessions) == [("a", ["1"]), ("b", ["1"])]
    assert quarantine.count == 1


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_wrapper_that_breaks_off_behind_its_first_list_is_refused(write, read, cut):
    text = '{"value": [{"k": "a", "e": "1"}], "records": [1, 2], "hits": {"a": []}}'[:-cut]
    with pytest.raises(BadInput, match="line 1: the JSON array is broken or not closed here"):
        read(write("a.json", text), **SETTINGS)


def test_lines_that_wrap_their_records_under_different_names_are_read(write, read):
    text = "\n".join(records_as(name) for name in ("Records", "records", "value", "records"))
    sessions, quarantine = read(write("a.json", text), **SETTINGS)
    assert sorted((s.key, len(s.events)) for s in sessions) == [
        ("Records0", 10),
        ("records0", 20),
        ("value0", 10),
    ]
    assert quarantine.count == 0
