"""The detector's alarm page in a real browser: strips, filters, the keyboard, narrow and dark screens.

The stacks' Pythons, which run the detector's own tests, have no way to steer a browser.
"""

from pathlib import Path
from typing import Any

import pytest

from stackyard_detector.detector import alarm_page
from tests.stackyard_detector.detector.judging import CAME_FROM, findings, session
from tests.stackyard_server.web.conftest import browser  # noqa: F401 - a fixture

HOSTILE = "</script><img src=x onerror=alert(1)>"
TEXTS = {"logout": f"user left {HOSTILE}"}
SHOWN = "(text) => document.getElementById('shown').textContent.startsWith(text)"
SESSIONS = [
    session("login read never write", key=HOSTILE, label=1, attack_starts_at=2, started_at=100000.0),
    session(
        "login read logout ping login", key="198.51.100.7", label=0, started_at=200000.0, ended_at=200100.0
    ),
    session("login read write logout", key="198.51.100.8", label=0, started_at=300000.0),
    *(session("login read ping", key=f"host-{number}", started_at=400000.0) for number in range(60)),
]


@pytest.mark.whole
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_an_analyst_finds_and_reads_alarms(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:  # noqa: F811
    path = tmp_path / "alarms.html"
    path.write_text(alarm_page.render(findings(*SESSIONS, texts=TEXTS), CAME_FROM, 100), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or complaints.append(asked.url))
    page.goto(path.as_uri())
    first = page.locator("#list > li").first
    assert page.locator("#shown").inner_text() == "62 sessions, the highest score first"
    assert first.locator("h2").inner_text() == HOSTILE
    assert "never seen in training; unusual to: network, unseen event" in first.inner_text()
    assert "labelled malicious" in first.inner_text()
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == width

    strip = first.locator(".strip")
    assert "position 2, never" in strip.get_attribute("aria-valuetext")
    strip.focus()
    page.keyboard.press("ArrowRight")
    assert "position 3" in first.locator(".event").inner_text()
    assert "rank 2 of 5" in strip.get_attribute("aria-valuetext")
    page.keyboard.press("p")
    assert "position 2" in first.locator(".event").inner_text()
    strip.click(position={"x": 3, "y": 15})
    assert "not judged" in first.locator(".event").inner_text()

    if scheme == "light":
        filters(page)
    assert complaints == []
    page.close()


def filters(page: Any) -> None:
    """Each field above the list chooses sessions; the list grows as one scrolls."""

    def filtered(count: str, **fields: str) -> None:
        for name, value in fields.items():
            field = page.locator(f"#{name}")
            field.select_option(value) if name in ("part", "verdict", "label") else field.fill(value)
        page.wait_for_function(SHOWN, arg=count)
        page.locator("button[type=reset]").click()
        page.wait_for_function(SHOWN, arg="62 sessions")

    filtered("1 session,", key="198.51.100.7")
    filtered("No session fits", key="198.51.100.9")
    filtered("1 session,", event="user left")
    filtered("1 session,", label="1")
    filtered("1 session,", verdict="none")
    filtered("60 sessions,", **{"from": "1970-01-05T00:00:00"})
    filtered("1 session,", to="1970-01-02T12:00:00")
    page.check("#once")
    page.wait_for_function(SHOWN, arg="62 sessions of 3 kinds,")
    assert page.locator("#list > li").count() == 3
    assert "and 59 more of this kind" in page.locator("#list").inner_text()
    filtered("1 session,", part="1")  # an event never seen
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("() => document.querySelectorAll('#list > li').length === 62")
