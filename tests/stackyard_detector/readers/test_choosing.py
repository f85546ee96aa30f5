"""Which fields of a row are taken for key, event and time; what is given is heeded, and not told as a guess."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

import pytest

from stackyard_detector.readers import choosing
from stackyard_task.channel import BadInput

SPLUNK: List[Dict[str, Any]] = [
    {
        "_time": f"2026-11-02T01:17:0{i}.072+01:00",
        "src_ip": "192.0.2.10",
        "dest_ip": f"10.1.2.{i}",
        "signature": f"scan {i % 2}",
        "action": "blocked",
    }
    for i in range(5)
]
AS_THEY_ARE = {
    "external_key": {"columns": ["src_ip", "dest_ip"], "if_none": "first"},
    "event_column": "signature",
    "time_column": "_time",
    "session_minutes": 30,
}


@pytest.mark.parametrize("wrapper", ["", "result.", "_source.event."])
def test_a_wrapper_changes_nothing_but_the_names(wrapper: str) -> None:
    rows = [{"preview": "false", **{wrapper + name: value for name, value in row.items()}} for row in SPLUNK]
    found, _ = choosing.chosen(rows, {})
    assert found == {
        **AS_THEY_ARE,
        "external_key": {"columns": [wrapper + "src_ip", wrapper + "dest_ip"], "if_none": "first"},
        "event_column": wrapper + "signature",
        "time_column": wrapper + "_time",
    }


@pytest.mark.parametrize(
    "given",
    [
        {"key_column": "host", "event_column": "text"},
        {"external_key": {"columns": ["host"]}, "event_column": ["text"]},
        {"key_column": "host", "event_column": "text", "time_column": "clock", "session_minutes": 5},
    ],
)
def test_what_is_given_is_not_guessed(given: Mapping[str, Any]) -> None:
    rows = [{"clock": str(1795658400 + i), "host": "bastion", "text": f"line {i}"} for i in range(9)]
    with pytest.raises(BadInput, match="set event_column"):
        choosing.chosen([{"user": f"u{i % 2}", "text": f"line {i}"} for i in range(9)], {})
    found, why = choosing.chosen(rows, given)
    assert not set(found) & set(given)
    assert "host" not in why
    assert "text" not in why


def test_a_given_key_is_no_event() -> None:
    rows = [{"action": f"a{i % 2}", "rule": f"r{i % 3}"} for i in range(9)]
    assert choosing.chosen(rows, {"key_column": "action"})[0] == {"event_column": "rule"}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("@timestamp", "Nov 23, 2026 @ 10:00:00.000"),
        ("TimeGenerated [UTC]", "11/23/2026, 10:00:00.123 AM"),
        ("__REALTIME_TIMESTAMP", "1795658400310009"),
    ],
)
def test_times_of_exports_are_found(field: str, text: str) -> None:
    rows = [{field: text, "user": f"u{i % 2}", "action": f"a{i % 3}"} for i in range(9)]
    assert choosing.chosen(rows, {})[0]["time_column"] == field


def test_what_looks_like_a_time_is_named_though_no_form_of_it_is_known() -> None:
    rows = [{"when": "23.11.2026 10:00", "user": f"u{i % 2}", "action": f"a{i % 3}"} for i in range(9)]
    assert "time_column" not in choosing.chosen(rows, {})[0]
    assert choosing.time_field(rows) == "when"
    found = choosing.chosen(rows, {"time_format": "%d.%m.%Y %H:%M"})[0]
    assert (found["time_column"], found["session_minutes"]) == ("when", 30)
