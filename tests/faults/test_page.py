"""docs/faults.md shows the table that is played."""

from __future__ import annotations

from pathlib import Path

from . import page

TESTS = Path(__file__).resolve().parent.parent


def test_the_page_shows_the_table() -> None:
    _, shown, _ = page.parts(page.PAGE.read_text(encoding="utf-8"))
    assert shown == page.rendered(), "write it anew: python -m tests.faults.page"


def test_what_is_played_at_full_counts_only_is_seen_elsewhere_or_said_to_be_seen_nowhere() -> None:
    for row in page.TABLE:
        place, _, how = row.get("long", "nowhere: it is played").partition(": ")
        assert how
        assert place == "nowhere" or (TESTS / f"{place}.py").is_file(), row["name"]
