"""What is kept in memory: bounded by bytes, fair to users, and gone when it is over."""

from __future__ import annotations

import pytest

from stackyard_server.calls.kept import ENTRY_BYTES, Kept


@pytest.mark.promise("memory-bounded")
def test_the_user_who_has_most_makes_room() -> None:
    kept: Kept[str, int] = Kept(100, most_bytes=10 * (ENTRY_BYTES + 100))
    kept.put("mine", 1, "me", 100, until=10, now=0)
    for number in range(50):
        kept.put(f"theirs {number}", number, "they", 100, until=10, now=0)
    assert kept.bytes <= 10 * (ENTRY_BYTES + 100)
    assert kept.get("mine", 0) == 1
    assert kept.get("theirs 49", 0) == 49
    assert kept.get("theirs 0", 0) is None


@pytest.mark.promise("memory-bounded")
def test_what_is_over_takes_nothing() -> None:
    kept: Kept[str, int] = Kept(100)
    kept.put("a", 1, "me", 1_000_000, until=10, now=0)
    assert kept.get("a", 10) == 1
    assert kept.get("a", 11) is None
    kept.expire(11)
    assert kept.bytes == 0
    assert kept.values(11) == []


def test_a_value_takes_the_place_of_its_former() -> None:
    kept: Kept[str, int] = Kept(2)
    for number in range(5):
        kept.put("a", number, "me", 100, until=10, now=0)
    assert kept.values(0) == [4]
    assert kept.bytes == ENTRY_BYTES + 100
    kept.drop("a")
    kept.drop("a")
    assert kept.bytes == 0
