"""A column of instants as texts -> seconds since the epoch, by the batch.

Numbers and ISO 8601 texts of one form are read as whole columns; anything else one by one, by
``instants.instant_reader``, with the same result. Needs NumPy, imported where a column is read.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Callable, Dict, Optional, Sequence, Tuple

from stackyard_detector.readers.instants import (
    EARLIEST,
    ISO,
    LATEST,
    TIME_UNITS,
    zone_seconds,
)

if TYPE_CHECKING:
    import numpy as np


class TimeColumn:
    """Reads the instants of a source, batch after batch in the order of the file.

    Args:
        time_unit: of numbers.
        time_format: of ``strptime``, or empty.
        read: reads a single text; ``instant_reader`` of the same settings.
    """

    def __init__(self, time_unit: str, time_format: str, read: Callable[[str], float]) -> None:
        self._scale = TIME_UNITS[time_unit]
        self._format = time_format
        self._read = read

    def read(self, texts: Sequence[Optional[str]]) -> Tuple[np.ndarray, Dict[int, str]]:
        """(float64 instants, NaN where there is none; place -> why there is none). ``None`` is an empty text."""
        import numpy as np

        if not texts:
            return np.zeros(0), {}
        if not self._format:
            try:
                seconds = self._numbers(texts)
                if seconds is None:
                    seconds = _iso_column(texts)  # type: ignore[arg-type]
            except TypeError:  # one is absent
                seconds = None
            if seconds is not None and bool(((seconds >= EARLIEST) & (seconds <= LATEST)).all()):
                return seconds, {}
        read, reasons = self._read, {}
        instants = np.full(len(texts), np.nan)
        for at, text in enumerate(texts):
            try:
                instants[at] = read(text or "")
            except (ValueError, OverflowError) as error:
                reasons[at] = str(error)
        return instants, reasons

    def _numbers(self, texts: Sequence[Optional[str]]) -> Optional[np.ndarray]:
        import numpy as np

        try:
            return np.array(list(map(float, texts))) * self._scale  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return None


def _iso_column(texts: Sequence[str]) -> Optional[np.ndarray]:
    """The instants, where all texts have the length, the separators and the offset of the first one."""
    import numpy as np

    first = texts[0]
    match = ISO.match(first)
    if match is None or match.group(5) is None or set(map(len, texts)) != {len(first)}:
        return None
    joined = "".join(texts)
    if not joined.isascii():
        return None
    places = np.ascontiguousarray(
        np.frombuffer(joined.encode("ascii"), dtype=np.uint8).reshape(len(texts), len(first)).T
    )
    digits = [at for group in range(1, 8) for at in range(*match.span(group))]
    others = [at for at in range(len(first)) if at not in digits]
    if not bool((places[others] == places[others, :1]).all()):
        return None
    numbers = places[digits] - np.uint8(48)
    if not bool((numbers <= 9).all()):
        return None
    row = {at: numbers[number] for number, at in enumerate(digits)}

    def value(group: int) -> np.ndarray:
        total = np.zeros(len(texts), dtype=np.int64)
        for at in range(*match.span(group)):
            total *= 10
            total += row[at]
        return total

    dates, inverse = value(1) * 10000 + value(2) * 100 + value(3), None
    if bool((dates == dates[0]).all()):
        different = dates[:1]
    else:
        different, inverse = np.unique(dates, return_inverse=True)
    try:
        days = np.array(
            [
                datetime.date(d // 10000, d // 100 % 100, d % 100).toordinal() - 719_163
                for d in different.tolist()
            ]
        )
    except ValueError:
        return None
    hours, minutes = value(4), value(5)
    if bool((hours > 23).any()) or bool((minutes > 59).any()):
        return None
    whole = (days[0] if inverse is None else days[inverse]) * 86400 + hours * 3600 + minutes * 60
    if match.group(6):
        of_minute = value(6)
        if bool((of_minute > 60).any()):  # 60 is a leap second
            return None
        whole = whole + of_minute
    seconds = whole.astype(np.float64)
    if match.group(7):
        seconds += value(7) / 10.0 ** len(match.group(7))
    return seconds + zone_seconds(match.group(8))
