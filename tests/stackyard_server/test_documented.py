"""docs/clearml-api.md names every endpoint: served, or absent and why."""

from __future__ import annotations

import re
from pathlib import Path

from stackyard_server import endpoints
from tests import api_page

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clearml-api.md").read_text(encoding="utf-8")


def served() -> set[str]:
    return {name for name, entries in endpoints.load().items() if not entries[0].absent}


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_served_endpoint_is_listed_and_nothing_else() -> None:
    listed = set()
    for row in re.findall(r"^\| `(\w+)` \|[^|]*\|(.*)\|$", section("Served"), re.M):
        listed |= {f"{row[0]}.{action}" for action in re.findall(r"`(\w+)`", row[1])}
    assert listed == served()


def test_the_tables_are_made_from_the_code() -> None:
    assert api_page.rendered(PAGE) == PAGE, "write them anew: python -m tests.api_page"


def test_every_unknown_field_that_is_refused_is_said_to_be() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \|.*\| ([^|]+) \|$", section("What becomes of each field"), re.M)
    destructive = {name for name in served() if endpoints.load()[name][0].destructive}
    assert {name for name, unknown in rows if unknown == "refused"} == destructive


def test_what_is_listed_as_absent_is_absent() -> None:
    absent = re.findall(r"^\| (.*?) \|", section("Absent, and why"), re.M)
    named = {name for cell in absent for name in re.findall(r"`(\w+\.\w+)`", cell)}
    assert named
    assert not named & served()
    assert {name for name in endpoints.load() if name not in served()} <= named
