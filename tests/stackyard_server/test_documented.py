"""docs/clearml-api.md names every endpoint: served, or absent and why."""

from __future__ import annotations

import re
from pathlib import Path

from stackyard_server import endpoints

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


def test_what_is_listed_as_absent_is_absent() -> None:
    absent = re.findall(r"^\| (.*?) \|", section("Absent, and why"), re.M)
    named = {name for cell in absent for name in re.findall(r"`(\w+\.\w+)`", cell)}
    assert named
    assert not named & served()
    assert {name for name in endpoints.load() if name not in served()} <= named
