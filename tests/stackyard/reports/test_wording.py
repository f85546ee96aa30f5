"""Verdicts and sentences as people read them."""

import pytest

from stackyard.reports import ReportOptions
from stackyard.reports.statistics import paired_ratio, unpaired_ratio
from stackyard.reports.wording import sentence, times

OPTIONS = ReportOptions()


@pytest.mark.parametrize(
    ("value", "words"), [(1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (0.031, "0.031")]
)
def test_ratios(value: float, words: str) -> None:
    assert times(value) == words


def test_less_time_is_said_as_faster_with_its_interval_turned_round() -> None:
    ratio = paired_ratio([3.0, 3.1, 2.9, 3.0, 3.05, 2.95], [2.0, 2.05, 1.95, 2.0, 2.0, 2.0])
    words = sentence("wall_seconds", "Wall time", "old", "new", ratio, OPTIONS)
    assert words.startswith("new is 1.50× faster than old [1.4")
    low, high = words.split("[")[1].rstrip("]").split(", ")
    assert float(low) <= 1.5 <= float(high)


def test_undecided_says_how_many_more() -> None:
    ratio = paired_ratio([1.0] * 6, [1.00, 1.03, 1.07, 1.12, 1.14, 1.10])
    words = sentence("wall_seconds", "Wall time", "old", "new", ratio, OPTIONS)
    assert "undecided, about" in words
    assert "more run" in words


def test_no_ratio_says_why() -> None:
    ratio = paired_ratio([0.0] * 6, [1.0] * 6)
    words = sentence("disk_read_bytes", "Disk read", "old", "new", ratio, OPTIONS)
    assert words.endswith("a value is 0 or less: no ratio exists")


def test_a_difference_is_told_where_there_is_no_ratio() -> None:
    ratio = unpaired_ratio([-2.0] * 6, [-1.0] * 6)
    words = sentence("results.reward", "reward", "old", "new", ratio, OPTIONS)
    assert words == "reward: new minus old is +1.00 [1.00, 1.00]: different"
