"""Numbers in human units: decimal bytes, seconds or minutes, percent. Pure; shared by the outputs people read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stackyard.reports.report import CellSummary

NOT_MEASURED = "–"
_NO_BREAK = "\u00a0"
_FACTORS = {
    **{"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6},
    **{"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0},
    **{"": 1.0, "%": 1.0, "kJ": 1e3, "J": 1.0, "/s": 1.0},
}


def significant(value: float, digits: int = 3) -> str:
    """``value`` with that many significant digits, never in exponent form, thousands grouped."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    # Rounding may have carried over (9.996 -> 10.00): one decimal too many then.
    if decimals and len(text.replace(",", "").replace(".", "").replace("-", "").lstrip("0")) > digits:
        text = f"{value:,.{decimals - 1}f}"
    return text


def quantity(value: float | None, unit: str) -> str:
    """``value`` in human units: decimal bytes (1 MB = 1,000,000 bytes), seconds or minutes, percent."""
    if value is None:
        return NOT_MEASURED
    number, name = scaled(value, unit)
    return f"{number}{_NO_BREAK}{name}" if name else number


def spread(median: float, low: float, high: float, unit: str) -> tuple[str, str]:
    """The median in human units, and "low, high" in the unit and decimals of the median."""
    number, name = scaled(median, unit)
    shown = float(number.replace(",", ""))
    if median == 0 or shown == 0 or "e" in number:
        return quantity(median, unit), f"{scaled(low, unit)[0]}, {quantity(high, unit)}"
    factor = _FACTORS[name]
    decimals = len(number.partition(".")[2])
    return quantity(median, unit), f"{low / factor:,.{decimals}f}, {high / factor:,.{decimals}f}"


def mean_of(summary: CellSummary, unit: str) -> str:
    """The mean with its interval, where it has one: "12.4 s [12.1, 12.7]"."""
    if summary.mean_low is None or summary.mean_high is None:
        return quantity(summary.mean, unit)
    value, span = spread(summary.mean, summary.mean_low, summary.mean_high, unit)
    return f"{value} [{span}]"


def scaled(value: float, unit: str) -> tuple[str, str]:
    """Number and unit, apart."""
    if unit == "s":
        if abs(value) >= 7200:
            return significant(value / 3600), "h"
        if abs(value) >= 600:
            return significant(value / 60), "min"
        if 0 < abs(value) < 1e-3:
            return significant(value * 1e6), "µs"
        if 0 < abs(value) < 0.1:
            return significant(value * 1e3), "ms"
        return significant(value), "s"
    if unit == "B":
        for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(value) >= size:
                return significant(value / size), name
        return f"{value:.0f}", "B"
    if unit == "%":
        return (f"{value:.0f}" if abs(value) >= 100 else significant(value, 2)), "%"
    if unit == "J":
        return (significant(value / 1e3), "kJ") if abs(value) >= 1e4 else (significant(value), "J")
    if unit == "1/s":
        return (f"{value:,.0f}" if abs(value) >= 1000 else significant(value)), "/s"
    if unit == "" and value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}", unit
    return significant(value), unit


def plain_numbers(values: Sequence[float], digits: int = 5) -> list[str]:
    """A workload's own numbers that are read together, such as a median and its range, with one number of decimals.

    Args:
        values: the first is the one that counts, and decides how many decimals there are.
        digits: significant digits that the first has at most; zeros that all end with are left out.
    """
    if all(float(value).is_integer() and abs(value) < 1e15 for value in values):
        return [f"{int(value):,}" for value in values]
    leading = abs(values[0]) or max(map(abs, values))
    if leading < 1e-4:
        return [f"{value:.2e}" if value else "0" for value in values]
    decimals = max(0, digits - 1 - math.floor(math.log10(leading)))
    texts = [f"{value:,.{decimals}f}" for value in values]
    while "." in texts[0] and all(text.endswith(("0", ".")) for text in texts):
        texts = [text[:-1] for text in texts]
    return ["0" if not text.strip("-0.,") else text for text in texts]
