"""docs/faults.md shows the table that is played."""

from __future__ import annotations

from . import page


def test_the_page_shows_the_table() -> None:
    _, shown, _ = page.parts(page.PAGE.read_text(encoding="utf-8"))
    assert shown == page.rendered(), "write it anew: python -m tests.faults.page"
