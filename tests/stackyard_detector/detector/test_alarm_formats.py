"""Alarms as CEF lines and ECS documents; what is written is what a reader of CEF reads."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stackyard_detector.detector import alarm_formats, alarms
from stackyard_detector.readers import cef
from tests.stackyard_detector.detector.judging import CAME_FROM, findings, session

pytestmark = pytest.mark.python

COUNT = 500 if os.environ.get("STACKYARD_LONG") else 40
#: What means something to CEF, to syslog or to a line.
PIECES = st.sampled_from(
    [
        "|",
        "\\",
        "=",
        " ",
        "a",
        "cs1=",
        "msg=x",
        "CEF:0|",
        "\n",
        "\r\n",
        "\t",
        "\x00",
        "\u2028",
        "ü",
        "€",
        "\ud800",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), min_size=1, max_size=12).map("".join)


def alarm(*events, **known):
    (found,) = alarms.build(findings(session(*events, **known)), CAME_FROM, 1)
    return found


def test_a_line_of_cef_says_what_happened():
    line = alarm_formats.cef(alarm("login read logout", started_at=1000.5, ended_at=1060.0))
    assert line.startswith(
        "CEF:0|Stackyard|detector|1|unexpected-sequence|Unexpected sequence of events|5|rt=1060000 start=1000500 "
    )
    read = cef.fields(line)
    assert (read["src"], read["start"], read["end"]) == ("198.51.100.7", "1000500", "1060000")
    assert (read["key"], read["unexpectedEvent"], read["position"]) == ("198.51.100.7", "logout", "2")
    assert read["expectedEvents"] == "write 90 %, logout 4.48 %, ping 0.223 %"
    assert (read["rank"], read["parts"], read["score"]) == ("2", "network", "3.105")
    assert (read["model"], read["data"], read["events"]) == ("a" * 64, "c" * 64, "3")
    assert read["msg"].startswith(
        "198.51.100.7: at position 2 of 3 events came logout, rank 2 by probability; "
    )


def test_where_no_event_alone_made_the_alarm_the_sentence_says_so():
    long = alarm("login read write logout ping " * 9)
    assert (long["parts"], long["first_alarm"]["position"], long["look_at"]) == (["length"], 40, 2)
    begin = "45 events unlike those of training (length), certain at position 40; at position 2 of 45 events came write"
    assert alarm_formats.reason(long).startswith(begin)


def test_what_is_not_known_stands_in_no_line():
    line = alarm_formats.cef(alarm("login read logout", key="blk_1"))
    assert not {"rt", "start", "end", "src"} & set(cef.fields(line))
    assert "None" not in line


def test_an_ipv6_address_has_a_field_of_its_own():
    read = cef.fields(alarm_formats.cef(alarm("login read logout", key="2001:db8:0::1")))
    assert (read["c6a2"], read["c6a2Label"]) == ("2001:db8::1", "Source IPv6 Address")
    assert "src" not in read


@settings(max_examples=COUNT, deadline=None)
@given(key=TEXTS, event=TEXTS)
@example(key="a=b c=d\\", event="x|y\\n")
@example(key="= msg=forged", event="\\")
def test_cef_is_read_back_as_it_was_written(key, event):
    built = alarm("login read logout", key=key)
    built["unexpected"][0]["name"] = alarms.shown(event)
    line = alarm_formats.cef(built)
    assert len(line.splitlines()) == 1
    read = cef.fields(line)
    assert read.get("key", "") == plain(built["key"])
    assert read.get("unexpectedEvent", "") == plain(alarms.shown(event))
    assert (read["score"], read["model"], read["cn1"]) == ("3.105", "a" * 64, "2")


def plain(text):
    """What CEF can carry of a text: no control characters, no blanks around it, one kind of line end."""
    text = alarm_formats.CONTROL.sub(" ", text.replace("\r\n", "\n"))
    return text.replace("\t", " ").strip()


@settings(max_examples=COUNT, deadline=None)
@given(text=st.sampled_from(["x", "=", "\\", "\n", "€", "𐍈", "a "]).map(lambda piece: piece * 3000))
def test_a_line_of_cef_is_bounded_and_cut_between_characters(text):
    built = alarm("login read logout", key=text)
    for one in (built["unexpected"][0], *built["unexpected"][0]["expected"]):
        one["name"] = one["text"] = text
    built["parts"] = [name * 50 for name in built["verdicts"]]
    built["start_seconds"] = built["end_seconds"] = 4102444799.999
    line = alarm_formats.cef(built)
    assert len(line.encode("utf-8")) <= alarm_formats.MOST_LINE_BYTES
    assert cef.fields(line)["model"] == "a" * 64
    key = cef.fields(line).get("key", "")
    assert plain(built["key"]).startswith(key)


def test_an_ecs_document_has_the_fields_of_the_schema():
    document = alarm_formats.ecs(alarm("login read never", label=1, started_at=1000.5, ended_at=1060.0))
    assert document["@timestamp"] == "1970-01-01T00:17:40.000Z"
    assert document["ecs"] == {"version": "8.11.0"}
    event = document["event"]
    assert (event["kind"], event["category"], event["type"]) == ("alert", ["intrusion_detection"], ["info"])
    assert (event["start"], event["end"]) == ("1970-01-01T00:16:40.500Z", "1970-01-01T00:17:40.000Z")
    assert event["duration"] == 59_500_000_000
    assert event["severity"] in range(5, 11)
    assert event["risk_score_norm"] == 10.0 * event["severity"]
    assert event["risk_score"] == 30.0
    assert document["source"] == {"ip": "198.51.100.7"}
    assert document["related"] == {"ip": ["198.51.100.7"]}
    assert document["rule"]["name"] == "Unexpected sequence of events"
    assert "never, which training did not have" in document["message"]
    assert document["stackyard"]["alarm"]["label"] == 1
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("key", ["blk_1", "198.51.100.7|22", "host.example", "1.2.3"])
def test_a_key_that_is_no_address_is_no_source(key):
    document = alarm_formats.ecs(alarm("login read logout", key=key))
    assert "source" not in document
    assert document["labels"] == {"session_key": key}


def test_what_is_not_known_stands_in_no_document():
    document = alarm_formats.ecs(alarm("login read logout"))
    assert document["@timestamp"] == CAME_FROM["created_at"]
    assert not {"start", "end", "duration"} & set(document["event"])
    assert None not in document["event"].values()


def test_the_page_of_the_documentation_names_every_field():
    text = (Path(__file__).resolve().parents[3] / "docs" / "alarms.md").read_text(encoding="utf-8")
    built = alarm("login read logout", started_at=1.0, ended_at=2.0)
    document = alarm_formats.ecs(built)
    for group in ("event", "rule", "source", "related", "labels"):
        for name in document[group]:
            if name not in ("action", "module", "dataset", "provider", "category", "description"):
                assert f"`{group}.{name}`" in text, name
    for name, value in re.findall(r"(\w+)Label=(\w+)", alarm_formats.cef(built)):
        assert re.search(rf"`{name[:-1]}\d` .*`{value}`", text), name
