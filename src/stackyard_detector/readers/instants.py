"""Instants as texts -> seconds since the epoch (UTC). Standard library only."""

from __future__ import annotations

import calendar
import datetime
import math
import re
from typing import Callable

#: What a bare number counts.
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?$",
    re.IGNORECASE,
)


def instant_reader(time_unit: str = "s", time_format: str = "") -> Callable[[str], float]:
    """A function text -> seconds since the epoch.

    Without ``time_format`` it reads numbers (in ``time_unit``) and ISO 8601 texts; with it, what
    ``datetime.strptime`` reads. A text without offset is UTC.

    Raises:
        ValueError: (the function) the text is no instant.
    """
    scale = TIME_UNITS[time_unit]

    def read_format(text: str) -> float:
        moment = datetime.datetime.strptime(text.strip(), time_format)  # noqa: DTZ007 - offset added below
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return moment.timestamp()

    def read(text: str) -> float:
        try:
            seconds = float(text) * scale
        except ValueError:
            return _iso(text)
        if not math.isfinite(seconds):
            raise ValueError(f"{text!r} is not a finite time")
        return seconds

    return read_format if time_format else read


def _iso(text: str) -> float:
    match = _ISO.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is neither a number nor an ISO 8601 time")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = datetime.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0))  # noqa: DTZ001
    seconds = float(calendar.timegm(moment.timetuple()) + int(second or 0))
    if fraction:
        seconds += float("0." + fraction)
    if zone and zone[0] in "+-":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds += -offset if zone[0] == "+" else offset
    return seconds
