from __future__ import annotations

import pytest

from stackyard_detector.readers import Quarantine, read_sessions
from stackyard_detector.readers.format_settings import FORMATS, USED, refuse_unused
from stackyard_detector.readers.source import KEYS
from stackyard_task.channel import BadInput

ROWS = {"key_column": "k", "event_column": "e"}
#: The settings that a source of each format cannot do without.
LEAST = {
    "sequences": {},
    "csv-sequences": {},
    "lines": {"key_pattern": "(k)"},
    **dict.fromkeys(("csv", "jsonl", "key-value", "cef", "leef", "syslog", "xml-lines", "zeek"), ROWS),
}


def refusal(**settings):
    with pytest.raises(BadInput) as caught:
        read_sessions({"sources": [{"path": "nowhere", **settings}]}, Quarantine())
    assert "\n" not in str(caught.value)
    return (
        str(caught.value).removeprefix("sources[0]: ")
        if hasattr(str, "removeprefix")
        else str(caught.value)[12:]
    )


@pytest.mark.parametrize(
    ("format", "given", "sentence"),
    [
        (
            "key-value",
            {"time_pattern": "(a)"},
            "format 'key-value' does not use time_pattern; it uses time_column or fields",
        ),
        (
            "csv",
            {"event_pattern": "(a)"},
            "format 'csv' does not use event_pattern; it uses event_column",
        ),
        (
            "sequences",
            {"session_minutes": 30},
            "format 'sequences' does not use session_minutes: each of its lines is a whole session; it uses max_events",
        ),
        ("sequences", {"label_column": "l"}, "format 'sequences' does not use label_column; it uses label"),
        ("jsonl", {"delimiter": ";"}, "format 'jsonl' does not use delimiter"),
        ("csv-sequences", {"where": {"a": "b"}}, "does not use where: each of its rows is a whole session"),
        ("csv-sequences", {"event_column": ["a", "b"]}, "one column has all events"),
        (
            "lines",
            {"where": {"host": "a"}},
            "'host' of lines is a named group of fields, and there are no fields",
        ),
        (
            "lines",
            {"fields": "(?P<src>.)(?P<host>.)", "where": {"hots": "a", "host": "b"}},
            "column 'hots' of lines is a named group of fields, and its groups are host, src",
        ),
        ("lines", {"where": {"<key>": "a"}}, "where names '<key>', which is no column"),
        ("lines", {"fields": "(?P<src>.)"}, "fields has no group that another setting names as a column"),
        ("lines", {"fields": "(?P<template>.)"}, "fields has a group 'template'"),
        ("lines", {"fields": "(?P<message>.)", "message_pattern": "(a)"}, "leave one out"),
        ("lines", {"event_pattern": "(a)", "message_pattern": "(a)"}, "message_pattern has no effect"),
        (
            "lines",
            {"event_pattern": "(a)", "masks": ["number"]},
            "masks has no effect: no event is 'template'",
        ),
        ("lines", {"masks": ["number"], "templates_path": "t"}, "has masks and templates_path"),
        (
            "lines",
            {"masks": ["numbers"]},
            r"expected a list of names (uuid, block, address, hex, number) and of pairs",
        ),
        ("lines", {"masks": [["(", "x"]]}, "which is no regular expression"),
        ("lines", {"key_column": "a"}, "has key_column and key_pattern, of which only one can be used"),
        ("lines", {"session_minutes": 5}, "session_minutes needs time_pattern"),
        ("lines", {"fields": "(a)"}, "without a named group, expected e.g. '(?P<host>"),
        ("csv", {"session_minutes": 5}, "session_minutes needs time_column"),
        ("csv", {"time_order": "file"}, "time_order needs time_column"),
        ("csv", {"time_unit": "ms"}, "time_unit needs time_column"),
        (
            "csv",
            {"time_column": "t", "time_unit": "ms", "time_format": "%Y"},
            "has time_unit and time_format",
        ),
        ("csv", {"time_column": "t", "lateness_minutes": 5}, "lateness_minutes needs time_order 'sorted'"),
        ("csv", {"benign_values": ["ok"]}, "benign_values needs label_column or labels_path"),
        ("csv", {"label": 0, "labels_path": "l"}, "has label and labels_path"),
        ("csv", {"time_column": "t", "time_format": "%Y", "year": 2024}, "times of '%Y' have themselves"),
        ("csv", {"time_column": "t", "time_unit": "ms", "year": 2024}, "has time_unit and year"),
        ("csv", {"external_key": {"columns": "a"}}, "has key_column and external_key"),
        ("csv", {"where": {}}, "where is {}"),
        (
            "csv",
            {"encoding": "utf-7"},
            "encoding is 'utf-7', expected one like utf-8, utf-16, latin-1 or cp1252",
        ),
        ("csv", {"encoding": "base64"}, "encoding is 'base64'"),
        ("syslog", {"inside": "xml"}, "inside is 'xml', expected one of key-value, json, cef, leef"),
    ],
)
def test_a_setting_without_effect_is_refused_with_what_the_format_uses_instead(format, given, sentence):
    assert sentence in refusal(format=format, **{**LEAST[format], **given})


def test_every_setting_is_either_used_by_a_format_or_refused_by_it():
    for format in FORMATS:
        for key in set(KEYS) - USED[format] - {"preset"}:
            with pytest.raises(BadInput, match=f"format {format!r} does not use {key}"):
                refuse_unused("here", format, {"path": "x", "format": format, key: 1})
