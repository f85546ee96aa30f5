"""What an alarm says: which events, why, what was expected; sorted, bounded, with and without labels."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stackyard_detector.detector import alarm_formats, alarms
from stackyard_detector.detector.combination import Tail
from tests.stackyard_detector.detector.judging import CAME_FROM, findings, session

pytestmark = pytest.mark.python

PAGE = Path(__file__).resolve().parents[3] / "docs" / "alarms.md"

USUAL = "login read write logout ping login read write"


def found(*sessions, most=100, **how):
    return list(alarms.build(findings(*sessions, **how), CAME_FROM, most))


def test_an_alarm_says_which_event_came_why_it_was_unexpected_and_what_was_expected():
    odd = session("login read write login read write", started_at=1767225600.25, ended_at=1767225700.0)
    (alarm,) = found(session(USUAL), odd)
    assert alarm["key"] == "198.51.100.7"
    assert (alarm["start"], alarm["start_seconds"]) == ("2026-01-01T00:00:00.250Z", 1767225600.25)
    assert (alarm["end"], alarm["end_seconds"]) == ("2026-01-01T00:01:40.000Z", 1767225700.0)
    assert alarm["events"] == 6
    assert alarm["first_alarm"] == {"position": 3, "name": "login", "text": None, "parts": ["network"]}
    (event,) = alarm["unexpected"]
    assert (event["position"], event["name"], event["rank"], event["known"]) == (3, "login", 3, True)
    assert event["surprise"] == pytest.approx(6.105, abs=1e-4)
    assert event["probability"] == pytest.approx(np.exp(-6.105), rel=1e-3)
    assert [one["name"] for one in event["expected"]] == ["logout", "ping", "login"]
    assert event["expected"][0]["probability"] == pytest.approx(0.9, abs=0.001)
    assert [one["name"] for one in event["before"]] == ["login", "read", "write"]
    assert [one["name"] for one in event["after"]] == ["read", "write"]
    assert event["reasons"] == ["network"]
    assert alarm["verdicts"]["network"] == {
        "alarm": True,
        "score": pytest.approx(6.105),
        "threshold": 3.0,
        "first_alarm": 3,
    }
    assert alarm["verdicts"]["unseen_event"]["alarm"] is False
    assert alarm["verdicts"]["length"]["first_alarm"] is None
    assert (alarm["model"], alarm["data"], alarm["stack"]) == tuple(
        CAME_FROM[name] for name in ("model", "data", "stack")
    )


def test_alarms_are_sorted_by_score_and_bounded():
    rare = [session(f"login read {event} ping", key=event) for event in ("write", "logout", "read", "never")]
    assert [alarm["key"] for alarm in found(*rare)] == ["never", "read", "write", "logout"]
    assert [alarm["key"] for alarm in found(*rare, most=2)] == ["never", "read"]
    assert found(*rare, most=0) == []
    assert len(findings(*rare).alarmed()) == 4


def test_equal_scores_keep_the_order_of_the_data():
    alike = [session("login read logout", key=str(number)) for number in range(50)]
    assert [alarm["key"] for alarm in found(*alike)] == [str(number) for number in range(50)]


def test_sessions_without_label_or_time_say_so():
    (alarm,) = found(session("login read logout"))
    assert (alarm["label"], alarm["attack_starts_at"]) == (None, None)
    assert (alarm["start"], alarm["start_seconds"], alarm["end"], alarm["end_seconds"]) == (None,) * 4


def test_labels_are_told_where_they_are_known():
    (alarm,) = found(session("login read logout", label=1, attack_starts_at=2))
    assert (alarm["label"], alarm["attack_starts_at"]) == (1, 2)


def test_an_event_that_training_did_not_have_has_its_name_and_no_rank():
    (alarm,) = found(session("login read never write"))
    event = alarm["unexpected"][0]
    assert (event["name"], event["known"]) == ("never", False)
    assert (event["rank"], event["probability"], event["surprise"]) == (None, None, None)
    assert event["reasons"] == ["network", "unseen_event"]
    assert [one["name"] for one in event["expected"]] == ["write", "logout", "ping"]


def test_templates_give_events_their_text():
    texts = {"logout": "user <number> left", "write": "wrote <*>"}
    (alarm,) = found(session("login read logout login"), texts=texts)
    assert alarm["first_alarm"]["text"] == "user <number> left"
    assert alarm["unexpected"][0]["text"] == "user <number> left"
    assert alarm["unexpected"][0]["expected"][0] == {
        "name": "write",
        "text": "wrote <*>",
        "probability": pytest.approx(0.9, abs=0.001),
    }
    assert alarm["unexpected"][0]["before"][0] == {"name": "login", "text": None}


def test_a_session_shorter_than_the_history_has_no_ranks_and_still_its_unknown_events():
    odd = session("never")
    model = findings(odd)
    model.parts["combined"].first_alarms[0] = 0
    (alarm,) = alarms.build(model, CAME_FROM, 10)
    (event,) = alarm["unexpected"]
    assert (event["position"], event["known"], event["rank"], event["expected"]) == (0, False, None, [])
    assert (event["before"], event["after"]) == ([], [])


def test_with_start_padding_the_first_event_is_judged():
    (alarm,) = found(session("ping"), start_padding=True)
    assert (alarm["unexpected"][0]["position"], alarm["unexpected"][0]["rank"]) == (0, 5)
    assert len(alarm["unexpected"][0]["expected"]) == 3


def test_an_alarm_of_length_alone_names_the_least_probable_events():
    long = session(" ".join(["login read write logout ping"] * 9), started_at=5.0)
    (alarm,) = found(long)
    assert alarm["first_alarm"] == {"position": 40, "name": "login", "text": None, "parts": ["length"]}
    assert [event["position"] for event in alarm["unexpected"]][-1] == 40
    assert len(alarm["unexpected"]) == 4
    assert alarm["unexpected"][-1]["reasons"] == ["length"]


def test_the_unexpected_events_of_one_session_are_bounded_and_the_rest_is_counted():
    (alarm,) = found(session("login read " + "read " * 30 + "never"))
    positions = [event["position"] for event in alarm["unexpected"]]
    assert len(positions) == alarms.MOST_UNEXPECTED
    assert positions == sorted(positions)
    assert positions[0] == alarm["first_alarm"]["position"] == 2
    assert positions[-1] == 32, "the least probable one stays"
    assert alarm["unexpected_left_out"] == 21


def test_the_first_alarm_is_kept_where_others_are_less_probable():
    (alarm,) = found(session("login read logout " + "never " * 20))
    positions = [event["position"] for event in alarm["unexpected"]]
    assert positions[0] == alarm["first_alarm"]["position"] == 2
    assert len(positions) == alarms.MOST_UNEXPECTED
    assert alarm["unexpected_left_out"] == 11


def test_one_looks_first_at_the_event_that_made_the_alarm_certain_or_at_the_least_probable():
    (alarm,) = found(session("login read logout write never"))
    assert alarm["look_at"] == alarm["first_alarm"]["position"] == 2
    model = findings(session("login read write logout ping write login read write"), threshold=6.0)
    model.parts["combined"].first_alarms[0] = 8
    (alarm,) = alarms.build(model, CAME_FROM, 10)
    assert (alarm["first_alarm"]["position"], alarm["look_at"]) == (8, 5)


def test_an_identity_is_that_of_the_session_the_data_and_the_model():
    same = session("login read logout", started_at=1.0)
    later = session("login read logout", started_at=2.0)
    first, second, third = found(same, later, same)
    assert len({first["id"], second["id"], third["id"]}) == 3
    assert found(later)[0]["id"] == second["id"]
    assert all(len(alarm["id"]) <= 40 for alarm in (first, second, third))


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_json_cannot_hold_is_none(score):
    model = findings(session("login read logout"), session("login read login", key="other"))
    model.parts["combined"].scores[0] = score
    lines = [alarms.json_line(alarm) for alarm in alarms.build(model, CAME_FROM, 10)]
    assert [json.loads(line)["score"] is None for line in lines] == [True, False]
    assert "NaN" not in "".join(lines)
    assert "Infinity" not in "".join(lines)


def test_what_a_log_may_hold_stays_on_one_line_of_valid_json():
    key = 'a"b\n\x85\u2028\u2029\x00\ud800' + "x" * 5000
    line = alarms.json_line(found(session("login read logout", key=key))[0])
    assert len(line.splitlines()) == 1
    line.encode("utf-8")
    told = json.loads(line)["key"]
    assert told.startswith('a"b\n\x85\u2028\u2029\x00?xxx')
    assert len(told) == alarms.MOST_CHARACTERS


@pytest.mark.parametrize(("events", "grave"), [("login read logout", 5), ("login read never", 6)])
def test_severity_grows_with_the_parts_that_alarm(events, grave):
    (alarm,) = found(session(events))
    assert alarm["severity"] == grave == 4 + len(alarm["parts"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
        (1e30, None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_instants_are_iso_8601_in_utc(seconds, text):
    assert alarms.instant(seconds) == text


@pytest.mark.parametrize("provenance", [{}, [], {"torch": float("nan"), "seed": 1, "trained_at": {"x": []}}])
def test_an_edited_description_of_a_model_is_told_as_it_is(tmp_path, provenance):
    path = tmp_path / "model.json"
    path.write_text("{}", encoding="utf-8")
    detector = findings(session("login read logout")).detector
    detector.provenance = provenance
    come_from = alarms.origin([path], detector, "d" * 64)
    assert come_from["model"]["sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert come_from["model"]["trained_with"]["seed"] == ("1" if provenance else None)
    (alarm,) = alarms.build(findings(session("login read logout")), come_from, 10)
    json.loads(alarms.json_line(alarm))


def test_the_page_of_the_documentation_shows_and_explains_every_field():
    text = PAGE.read_text(encoding="utf-8")
    example = json.loads(re.search(r"```text\n(\{.*?\n\})\n```", text, re.DOTALL).group(1))
    (alarm,) = found(session("login read logout never"))
    assert list(example) == list(alarm)
    assert list(example["unexpected"][0]) == list(alarm["unexpected"][0])
    assert list(example["first_alarm"]) == list(alarm["first_alarm"])
    assert list(example["verdicts"]["network"]) == list(alarm["verdicts"]["network"])
    assert list(example["unexpected"][0]["expected"][0]) == list(alarm["unexpected"][0]["expected"][0])
    tables = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    explained = {name for row in tables for name in re.findall(r"`([^`]+)`", row)}
    assert set(alarm) | set(alarm["unexpected"][0]) <= explained


def test_an_alarm_of_no_part_alone_says_which_came_nearest():
    model = findings(session("login read write"))
    (usual,) = alarms.build(findings(session("login read logout")), CAME_FROM, 1)
    assert usual["nearest"] is None
    model.detector.calibrated = SimpleNamespace(
        tails={"network": Tail.fit(np.arange(10.0)), "length": Tail.fit(np.array([1.0, 2.0, 2.5, 9.0]))}
    )
    model.parts["combined"].first_alarms[0] = 2
    (alarm,) = alarms.build(model, CAME_FROM, 1)
    assert (alarm["parts"], alarm["severity"]) == ([], 5)
    assert alarm["nearest"] == {"part": "length", "score": 3.0, "threshold": 40.0}
    said = "no part alone, nearest length, 3, alarms above 40"
    assert said in alarm_formats.reason(alarm)
    assert f"cs4={said}" in alarm_formats.cef(alarm)
    assert said in alarm_formats.ecs(alarm)["message"]
