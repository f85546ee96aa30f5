from __future__ import annotations

import json

import pytest

from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

ALERT = {
    "timestamp": "2015-03-29T11:01:38.221126-0600",
    "src_ip": "222.186.56.46",
    "dest_ip": "192.168.0.2",
    "event_type": "alert",
    "alert": {"signature": "ET SCAN SSH", "severity": 2},
}
SETTINGS = {
    "format": "jsonl",
    "external_key": {"columns": ["src_ip", "dest_ip"]},
    "time_column": "timestamp",
    "event_column": ["alert.signature", "alert.severity"],
}


def outgoing(**changes):
    return {**ALERT, "src_ip": "192.168.0.2", "dest_ip": "222.186.56.46", **changes}


def test_lines_nested_fields_and_the_external_address_as_key(write, read):
    text = json.dumps(ALERT) + "\n" + json.dumps(outgoing(timestamp="2015-03-29T17:01:37Z")) + "\n"
    (session,), _ = read(write("a.jsonl", text), **SETTINGS)
    assert session.key == "222.186.56.46"
    assert session.events == ["ET SCAN SSH|2", "ET SCAN SSH|2"]
    assert session.started_at == 1427648497.0


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_objects_holds_the_same(write, read, indent):
    objects = [
        ALERT,
        outgoing(),
        {**ALERT, "src_ip": "8.8.8.8", "alert": {"signature": 'quoted "}" text', "severity": 1}},
    ]
    sessions, quarantine = read(write("a.json", json.dumps(objects, indent=indent)), **SETTINGS)
    assert [(s.key, s.events) for s in sessions] == [
        ("222.186.56.46", ["ET SCAN SSH|2"] * 2),
        ("8.8.8.8", ['quoted "}" text|1']),
    ]
    assert quarantine.count == 0


def test_a_field_whose_name_has_dots_is_found(write, read):
    (session,), _ = read(
        write("a.jsonl", '{"id.orig_h": "8.8.8.8", "e": 3}\n'),
        format="jsonl",
        key_column="id.orig_h",
        event_column="e",
    )
    assert (session.key, session.events) == ("8.8.8.8", ["3"])


def test_corrupt_lines_are_set_aside(write, read, tmp_path):
    text = "\n".join(
        [
            json.dumps(ALERT),
            "{broken",
            "[]",
            json.dumps({**ALERT, "alert": {}}),
            json.dumps({**ALERT, "timestamp": None}),
        ]
    )
    from stackyard_detector.readers import Quarantine

    quarantine = Quarantine(tmp_path / "q")
    sessions, _ = read(write("a.jsonl", text), quarantine=quarantine, **SETTINGS)
    quarantine.finish()
    assert len(sessions) == 1
    entries = [json.loads(line) for line in (tmp_path / "q").read_text().splitlines()]
    assert [e["line"] for e in entries] == [2, 3, 4, 5]
    assert entries[1]["reason"] == "is a JSON list, expected an object"
    assert entries[2]["reason"] == "has no field 'alert.signature', 'alert.severity'"
    assert entries[3]["reason"] == "has no field 'timestamp'"


def test_a_record_without_external_address_is_skipped_or_kept_as_asked(write, read):
    inside = {**ALERT, "src_ip": "10.0.0.1"}
    path = write("a.jsonl", json.dumps(ALERT) + "\n" + json.dumps(inside) + "\n")

    def read_with(if_none):
        return read(
            path, **{**SETTINGS, "external_key": {"columns": ["src_ip", "dest_ip"], "if_none": if_none}}
        )

    assert [s.key for s in read_with("skip")[0]] == ["222.186.56.46"]
    assert [s.key for s in read_with("first")[0]] == ["222.186.56.46", "10.0.0.1"]
    assert read_with("quarantine")[1].count == 1


@pytest.mark.parametrize("text", ['[{"a": 1}, {"b": ', '[{"a": 1}', "["])
def test_an_array_that_breaks_off_is_refused_with_its_line(write, read, text):
    with pytest.raises(BadInput, match=r"a.json: line 1: the JSON array is broken or not closed here"):
        read(write("a.json", text), format="jsonl", key_column="a", event_column="a")


def test_fields_that_no_record_has_are_named(write, read):
    with pytest.raises(BadInput, match=r"the first: .*line 1: has no field 'nope'"):
        read(write("a.jsonl", '{"a": 1}\n'), format="jsonl", key_column="nope", event_column="a")


def test_json_behind_a_syslog_header_is_read(write, read):
    lines = [
        f"Jan  8 03:37:09 fw {{x}} suricata[1]: {json.dumps(ALERT)}",
        f"<13>h: {json.dumps(outgoing())} x",
        "h: {}",
    ]
    (session,), quarantine = read(write("a.jsonl", "\n".join(lines)), **SETTINGS)
    assert len(session.events) == 1
    assert quarantine.count == 2


def test_elements_of_a_list_and_names_with_dots_inside_an_object(write, read):
    records = [
        {"_source": {"source": {"ip": "8.8.8.8"}, "event": {"category": ["a", "b"]}, "rule.name": f"R{n}"}}
        for n in (1, 2)
    ]
    sessions, _ = read(
        write("a.jsonl", "\n".join(map(json.dumps, records))),
        format="jsonl",
        key_column="_source.source.ip",
        event_column=["_source.rule.name", "_source.event.category", "_source.event.category.1"],
    )
    assert [s.events for s in sessions] == [["R1|a,b|b", "R2|a,b|b"]]
