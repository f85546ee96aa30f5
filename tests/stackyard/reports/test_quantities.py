"""Numbers as people read them."""

import pytest

from stackyard.reports.quantities import plain_numbers, quantity, significant, spread


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
    assert plain_numbers([value]) == [words]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1050.0, 544.0, 1556.0), ["1,050", "544", "1,556"]),
        ((1050.12, 543.98, 1556.0), ["1,050.1", "544.0", "1,556.0"]),
        ((0.9, 0.85, 1.0), ["0.90", "0.85", "1.00"]),
        ((0.0, -0.5, 0.25), ["0", "-0.50", "0.25"]),
        ((1200.5, -0.001, 2000.0), ["1,200.5", "0", "2,000.0"]),
        ((2e-7, 1e-7, 0.0), ["2.00e-07", "1.00e-07", "0"]),
        ((9.99996, 9.0, 11.0), ["10", "9", "11"]),
    ],
)
def test_a_result_and_its_range_have_one_number_of_decimals(
    values: tuple[float, ...], words: list[str]
) -> None:
    assert plain_numbers(values) == words


def test_significant_digits_do_not_grow_when_rounding_carries() -> None:
    assert significant(99.96) == "100"
    assert significant(0.9996) == "1.00"


def test_very_small_and_very_large_plain_numbers_are_short() -> None:
    assert quantity(1.234e-50, "") == "1.23e-50"
    assert quantity(5e99, "") == "5.00e+99"
    assert quantity(0.0005, "") == "0.000500"
    assert spread(2e-9, 1e-9, 3e-9, "") == ("2.00e-09", "1.00e-09, 3.00e-09")
