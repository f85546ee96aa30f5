"""``store.wanted``: what is remembered of questions is bounded, the latest first."""

from __future__ import annotations

from stackyard_server.store.wanted import LONGEST_PATH, MOST, Wanted


def test_what_is_remembered_of_questions_is_bounded() -> None:
    wanted = Wanted()
    wanted.ask("x" * (LONGEST_PATH + 1))
    assert wanted.latest_first() == []
    for number in range(1000):
        wanted.ask(f"$.{number}")
    assert wanted.latest_first() == [f"$.{number}" for number in range(999, 999 - MOST, -1)]
