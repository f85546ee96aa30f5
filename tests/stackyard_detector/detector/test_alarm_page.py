"""The alarm page: what a log holds stays text, the page asks no network, its size is bounded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from urllib.parse import urlsplit

import pytest

from stackyard_detector.detector import alarm_page
from stackyard_detector.detector.alarm_page_script import SCRIPT
from tests.stackyard_detector.detector.judging import CAME_FROM, findings, session

pytestmark = pytest.mark.python

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'`\u2028"


def rendered(*sessions, most=100, **how):
    return alarm_page.render(findings(*sessions, **how), CAME_FROM, most)


def data_of(page):
    """What the script draws."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_alarms_come_first_with_their_events_and_what_was_expected():
    page = rendered(
        session("login read write logout", key="usual"), session("login read never write", key="odd")
    )
    data = data_of(page)
    odd, usual = data["sessions"]
    assert (odd["key"], odd["alarm"], odd["first"], odd["n"], odd["from"]) == ("odd", True, 2, 4, 0)
    names = [name for name, _ in data["names"]]
    assert [names[number] for number in odd["e"]] == ["login", "read", "never", "write"]
    assert odd["s"][:3] == [-1, -1, -2], "within the history, within the history, never seen"
    assert odd["r"][3] == 2
    expected = data["expected"][odd["x"][2]]
    assert [names[number] for number in expected[::2]] == ["write", "logout", "ping"]
    assert expected[1] == pytest.approx(9003, abs=2)
    assert odd["x"][0] == -1
    assert (odd["u"], odd["look"]) == ([2, 3], 2)
    parts = [part["name"] for part in data["parts"]]
    unusual = [[parts[bit] for bit in range(len(parts)) if mask >> bit & 1] for mask in odd["w"]]
    assert unusual == [[], [], ["network", "unseen_event"], ["network"]]
    assert (usual["key"], usual["alarm"], usual["s"][2]) == ("usual", False, 10)
    assert (odd["label"], odd["start"]) == (None, None)


def test_labels_times_and_templates_are_in_the_page():
    how = {"label": 1, "attack_starts_at": 2, "started_at": 10.0, "ended_at": 20.5}
    data = data_of(rendered(session("login read logout", **how), texts={"logout": "user <*> left"}))
    (only,) = data["sessions"]
    assert (only["label"], only["attack"], only["start"], only["end"]) == (1, 2, 10.0, 20.5)
    assert ["logout", "user <*> left"] in data["names"]


def test_what_a_log_holds_never_becomes_html():
    page = rendered(
        session("login read x", key=HOSTILE),
        session(f"login read {HOSTILE.replace(' ', '')}", key="other"),
        texts={"x": HOSTILE, "write": HOSTILE},
    )
    assert "<img" not in page
    assert page.count("</script>") == 2, "that of the data and that of the script"
    assert HOSTILE.replace("\u2028", "\\u2028") in [found["key"] for found in data_of(page)["sessions"]]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", SCRIPT)


def test_a_security_policy_allows_the_pages_own_script_and_style_alone():
    page = rendered(session("login read logout"))
    policy = html.unescape(
        re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page).group(1)
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for kind, element in (("script-src", "<script>"), ("style-src", "<style>")):
        text = page.split(element)[1].split("</")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        assert rules[kind] == f"'sha256-{digest}'"
    assert " style=" not in page
    assert not [link for link in re.findall(r'(?:src|href)="([^"]*)"', page) if urlsplit(link).netloc]
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_is_bounded_and_says_what_it_leaves_out(monkeypatch):
    many = [session("login read logout", key=f"host-{number}") for number in range(30)]
    page = rendered(*many, most=20)
    assert len(data_of(page)["sessions"]) == 20
    assert "<b>30</b> alarms" in page
    assert "<b>10</b> alarms left out here" in page
    monkeypatch.setattr(alarm_page, "MOST_EVENTS", 10)
    assert len(data_of(rendered(*many))["sessions"]) == 3
    monkeypatch.setattr(alarm_page, "MOST_TOLD", 2)
    told = [found["x"] for found in data_of(rendered(*many))["sessions"]]
    assert told == [[-1, -1, 0], [-1, -1, 0], [-1, -1, -1]]


def test_of_a_long_session_the_events_around_the_alarm_are_shown():
    usual = "login read write logout ping "
    (long,) = data_of(rendered(session(usual * 100 + "never " + usual * 50)))["sessions"]
    assert (long["n"], long["first"]) == (751, 500)
    assert (long["from"], len(long["e"])) == (300, alarm_page.MOST_SHOWN)
    assert long["s"][200] == -2
    assert 500 in long["u"]
    assert alarm_page._window(1000, 500) == (300, 600)
    assert alarm_page._window(1000, 990) == (700, 1000)
    assert alarm_page._window(10, -1) == (0, 10)


def test_without_an_alarm_the_page_shows_what_comes_nearest(monkeypatch):
    monkeypatch.setattr(alarm_page, "MOST_OTHERS", 2)
    usual = [session("login read write logout", key=str(number)) for number in range(5)]
    page = rendered(*usual)
    assert [found["alarm"] for found in data_of(page)["sessions"]] == [False, False]
    assert "<b>0</b> alarms" in page


def test_characters_that_hide_or_turn_a_name_are_written_out():
    page = rendered(session("login read x\u200bx", key="\u202egnp.exe\x1b[2J"))
    (only,) = data_of(page)["sessions"]
    assert only["key"] == "\\u202egnp.exe\\u001b[2J"
    assert "x\\u200bx" in [name for name, _ in data_of(page)["names"]]
