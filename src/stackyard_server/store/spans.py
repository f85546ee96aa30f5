"""Filters by numbers and instants: [from, to] pairs, comparisons (``>=2026-01-01``), values of scalar series. Pure."""

from __future__ import annotations

import re
from typing import Any

from .. import moments
from ..error_table import field_error
from .conditions import WIDEST, Condition, check_parts, marks, wrong_type
from .paths import Keys

#: The numbers kept of a scalar series.
METRIC_NUMBERS = frozenset(
    {"value", "min_value", "min_value_iteration", "max_value", "max_value_iteration", "first_value"}
    | {"first_value_iteration", "count", "mean_value"}
)
COMPARISON = re.compile(r"^\s*(>=|<=|==|>|<|=)?\s*(.*?)\s*$", re.DOTALL)
#: A condition nothing meets.
NOTHING = "0"


def within(column: str, value: Any, dates: bool) -> list[Condition]:
    """[from, to], both inclusive, null is open; anything else is a list of values."""
    if not isinstance(value, list):
        value = [value]
    try:
        bounds = [_instant(v) if dates and v is not None else _number(v) for v in value]
    except (ValueError, OverflowError):
        return [Condition(NOTHING)]
    if len(bounds) != 2:
        inside, parameters = marks(bounds)
        return [Condition(f"{column} IN ({inside})", parameters)] if bounds else []
    return [
        Condition(sql, [b]) for sql, b in zip((f"{column} >= ?", f"{column} <= ?"), bounds) if b is not None
    ]


def _number(value: Any) -> float | int | None:
    if isinstance(value, int) and abs(value) > WIDEST:
        return float(value)
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return float(value)
    raise ValueError(value)


def _instant(value: Any) -> int:
    """Epoch milliseconds of ISO text, or of an epoch in seconds or milliseconds."""
    if isinstance(value, str):
        if not value.lstrip("-").replace(".", "", 1).isdigit():
            return moments.parse(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise ValueError(value)
    return int(value if abs(value) >= 1e11 else value * 1000)


def compared(column: str, key: str, value: Any) -> Condition:
    """[">=2026-01-01T00:00:00", "<..."]: all hold."""
    parts: list[str] = []
    parameters: list[Any] = []
    wanted = value if isinstance(value, list) else [value]
    check_parts(key, len(wanted))
    for item in wanted:
        if item is None:
            continue
        if not isinstance(item, str):
            raise wrong_type(key, item, "str")
        operator, text = COMPARISON.match(item).groups()  # type: ignore[union-attr]  # matches every text
        try:
            parameters.append(_instant(text))
        except (ValueError, OverflowError):
            raise field_error(key, f": invalid date {item!r}.") from None
        parts.append(f"{column} {'=' if operator in (None, '==') else operator} ?")
    return Condition(f"({' AND '.join(parts)})" if parts else "1", parameters)


def series(keys: Keys, value: Any) -> list[Condition]:
    """A range of one number of one scalar series."""
    if len(keys) != 4 or keys[3] not in METRIC_NUMBERS:
        return []
    inside = within(f"m.{keys[3]}", value, False)
    sql = "EXISTS (SELECT 1 FROM metric m WHERE m.owner = d.id AND m.metric_hash = ? AND m.variant_hash = ?"
    wanted = "".join(f" AND {c.sql}" for c in inside)
    return [Condition(f"{sql}{wanted})", [keys[1], keys[2], *(p for c in inside for p in c.parameters)])]
