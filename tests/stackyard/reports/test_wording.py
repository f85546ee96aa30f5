"""Numbers and sentences as people read them."""

import pytest

from stackyard.reports import ReportOptions
from stackyard.reports.statistics import paired_ratio
from stackyard.reports.wording import count, plain_number, quantity, sentence, significant, spread, times

OPTIONS = ReportOptions()


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0000123, "s", "12.3 µs"),
        (0.0123, "s", "12.3 ms"),
        (0.123, "s", "0.123 s"),
        (9.996, "s", "10.0 s"),
        (123.4, "s", "123 s"),
        (900, "s", "15.0 min"),
        (9000, "s", "2.50 h"),
        (999, "B", "999 B"),
        (412_000_000, "B", "412 MB"),
        (1_320_000_000, "B", "1.32 GB"),
        (7.26, "%", "7.3 %"),
        (155.2, "%", "155 %"),
        (12_345, "J", "12.3 kJ"),
        (0, "s", "0 s"),
        (None, "s", "–"),
    ],
)
def test_quantities_are_short_and_have_their_unit(value: float | None, unit: str, words: str) -> None:
    assert quantity(value, unit).replace("\u00a0", " ") == words


def test_an_interval_has_the_decimals_of_its_median() -> None:
    median, span = spread(1_234_000_000, 998_000_000, 1_300_000_000, "B")
    assert (median.replace("\u00a0", " "), span) == ("1.23 GB", "1.00, 1.30")


@pytest.mark.parametrize(
    ("value", "words"), [(0.97134, "0.97134"), (4000.0, "4,000"), (0.9, "0.9"), (1e-7, "1.00e-07")]
)
def test_results_keep_their_precision(value: float, words: str) -> None:
    assert plain_number(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (0.031, "0.031")]
)
def test_ratios(value: float, words: str) -> None:
    assert times(value) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells"), (1000, "1,000 cells")]
)
def test_counts_have_singular_and_plural(number: int, words: str) -> None:
    assert count(number, "cell") == words


def test_significant_digits_do_not_grow_when_rounding_carries() -> None:
    assert significant(99.96) == "100"
    assert significant(0.9996) == "1.00"


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
    assert words.endswith("a value is 0: no ratio exists")
