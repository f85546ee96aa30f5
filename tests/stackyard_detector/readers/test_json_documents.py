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
