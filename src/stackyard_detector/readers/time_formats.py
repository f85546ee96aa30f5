"""``strptime`` formats compiled once: a text -> its fields, without strptime's slow path.

Standard library only.
"""

from __future__ import annotations

import calendar
import datetime
import re
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = tuple(name.lower() for name in calendar.month_name if name)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>1[0-2]|0[1-9]|[1-9])",
    "d": r"(?P<d>3[01]|[12]\d|0[1-9]|[1-9]| [1-9])",
    "H": r"(?P<H>2[0-3]|[01]\d|\d)",
    "M": r"(?P<M>[0-5]\d|\d)",
    "S": r"(?P<S>60|[0-5]\d|\d)",
    "f": r"(?P<f>\d{1,9})",
    "I": r"(?P<I>1[0-2]|0?[1-9])",
    "p": r"(?P<p>[AP]M)",
    "b": rf"(?P<b>{'|'.join(_MONTHS)})",
    "B": rf"(?P<b>{'|'.join(_MONTH_NAMES)})",
    "a": rf"(?:{'|'.join(_WEEKDAYS)})",
    "z": r"(?P<z>[+-](?:[01]\d|2[0-3]):?[0-5]\d|Z)",
    "%": "%",
}

#: Times that are understood without ``time_format``, beside numbers and ISO 8601: syslog (RFC 3164), the
#: same with a year, web servers, Suricata's fast log, CSV exports of Kibana and of Microsoft Sentinel.
KNOWN = (
    "%b %d %H:%M:%S",
    "%b %d %H:%M:%S.%f",
    "%b %d %Y %H:%M:%S",
    "%b %d %Y %H:%M:%S.%f",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S",
    "%m/%d-%H:%M:%S.%f",
    "%m/%d/%Y-%H:%M:%S.%f",
    "%m/%d/%y-%H:%M:%S.%f",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S.%f %Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%b %d, %Y @ %H:%M:%S.%f",
    "%m/%d/%Y, %I:%M:%S.%f %p",
    "%m/%d/%Y, %I:%M:%S %p",
)


class Moment(NamedTuple):
    """What a text says; the year may be missing."""

    year: Optional[int]
    month: int
    day: int
    #: Seconds of the day.
    second: int
    #: The part of a second, in nanoseconds.
    nanosecond: int
    #: Seconds that the clock is ahead of UTC.
    offset: int

    def at(self, year: int) -> float:
        """The instant in ``year``, seconds since the epoch. 29 February of a common year is 1 March.

        Raises:
            ValueError: there is no such day.
        """
        if (self.month, self.day) == (2, 29) and not calendar.isleap(year):
            days = _days(year, 3, 1)
        else:
            days = _days(year, self.month, self.day)
        whole = days * 86400 + self.second - self.offset
        return (whole * 10**9 + self.nanosecond) / 10**9


def compiled(time_format: str) -> Callable[[str], Moment]:
    """A function text -> what it says by ``time_format``, the same as ``datetime.strptime`` would.

    Raises:
        ValueError: (the function) the text has another form.
    """
    if time_format in _KNOWN_FUNCTIONS:
        return _KNOWN_FUNCTIONS[time_format]
    return _compiled(time_format)


def _compiled(time_format: str) -> Callable[[str], Moment]:
    pattern = _pattern(time_format)
    if pattern is None:
        return lambda text: _by_strptime(text, time_format)

    def read(text: str) -> Moment:
        match = pattern.match(text.strip())
        if match is None:
            raise ValueError(f"{text!r} does not fit the time_format {time_format!r}")
        fields = match.groupdict()
        get = fields.get
        year: Optional[int] = None
        if "Y" in fields:
            year = int(fields["Y"])
        elif "y" in fields:
            year = int(fields["y"])
            year += 1900 if year > 68 else 2000  # as POSIX and strptime read two digits
        month = int(get("m") or 1)
        if "b" in fields:
            month = _MONTHS.index(fields["b"][:3].lower()) + 1
        hour = int(get("H") or 0)
        if "I" in fields:
            hour = int(fields["I"]) % 12 + (12 if (get("p") or "").upper() == "PM" else 0)
        seconds = hour * 3600 + int(get("M") or 0) * 60 + int(get("S") or 0)
        fraction = get("f") or ""
        return Moment(
            year, month, int(get("d") or 1), seconds, int(fraction.ljust(9, "0")), _offset(get("z"))
        )

    return read


def has_year(time_format: str) -> bool:
    """Whether texts of this format say their year."""
    return re.search(r"%[-^]?[YyGcxDFs]", time_format.replace("%%", "")) is not None


def _pattern(time_format: str) -> Optional[re.Pattern[str]]:
    parts: List[str] = []
    at = 0
    while at < len(time_format):
        character = time_format[at]
        if character == "%":
            directive = _DIRECTIVES.get(time_format[at + 1 : at + 2])
            if directive is None:
                return None
            parts.append(directive)
            at += 2
        elif character.isspace():
            while at < len(time_format) and time_format[at].isspace():
                at += 1
            parts.append(r"\s+")
        else:
            parts.append(re.escape(character))
            at += 1
    try:
        return re.compile("".join(parts) + r"\Z", re.IGNORECASE)
    except re.error:  # a directive twice: strptime says so
        return None


def _by_strptime(text: str, time_format: str) -> Moment:
    known_year = has_year(time_format)
    # A leap year where none is said: 29 February is a day.
    given, form = (text.strip(), time_format) if known_year else (f"2000 {text.strip()}", f"%Y {time_format}")
    found = datetime.datetime.strptime(given, form)  # noqa: DTZ007 - the offset is kept apart
    offset = found.utcoffset() or datetime.timedelta()
    second = found.hour * 3600 + found.minute * 60 + found.second
    return Moment(
        found.year if known_year else None,
        found.month,
        found.day,
        second,
        found.microsecond * 1000,
        int(offset.total_seconds()),
    )


def _offset(zone: Optional[str]) -> int:
    if not zone or zone in "Zz":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return seconds if zone[0] == "+" else -seconds


_known_days: Dict[Tuple[int, int, int], int] = {}


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970; ValueError: there is no such day."""
    date = (year, month, day)
    days = _known_days.get(date)
    if days is None:
        if len(_known_days) > 10_000:
            _known_days.clear()
        days = _known_days[date] = datetime.date(year, month, day).toordinal() - 719_163
    return days


_KNOWN_FUNCTIONS = {time_format: _compiled(time_format) for time_format in KNOWN}
