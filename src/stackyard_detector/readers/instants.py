"""Instants as texts -> seconds since the epoch (UTC). Standard library only."""

from __future__ import annotations

import calendar
import datetime
import math
import re
from typing import Callable, Iterable, List, Optional

from stackyard_detector.readers.time_formats import KNOWN, Moment, compiled, has_year

#: What a bare number counts.
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
#: Beginning of 1990 and end of 2100: an instant outside them is read with the wrong unit or format.
EARLIEST, LATEST = 631_152_000.0, 4_133_980_799.0

ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ]+(\d\d):(\d\d)(?::(60|[0-5]\d)(?:[.,](\d{1,9}))?)?)?"
    # an offset of whole hours only behind a clock: behind a date it could be anything
    r"\s*(Z|UTC|GMT|[+-](?:[01]\d|2[0-3])(?(4)(?::?[0-5]\d)?|:?[0-5]\d))?$",
    re.IGNORECASE,
)
#: A zone behind a time of another form: a name, an offset, or both.
_ZONE = re.compile(
    r"\s{0,8}(?:(?<=[\d\s])(?:Z|UTC|GMT)|(?<=\s)(?P<name>[A-Z]{2,5}))?(?P<offset>[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?$"
)


def instant_reader(
    time_unit: str = "s", time_format: str = "", first_year: Optional[int] = None
) -> Callable[[str], float]:
    """A function text -> seconds since the epoch; call it in the order of the file.

    Without ``time_format`` it reads numbers (in ``time_unit``), ISO 8601 and the other usual forms
    (``time_formats.KNOWN``); with it, what ``datetime.strptime`` reads. A text without offset is UTC. A text
    without year gets the year in which it is nearest to the text before it.

    Args:
        time_unit: of numbers, a key of TIME_UNITS.
        time_format: of ``strptime``.
        first_year: of the first text, where texts have no year; the year of today by default.

    Raises:
        ValueError: (the function) the text is no instant, or one outside 1990 to 2100.
    """
    scale = TIME_UNITS[time_unit]
    years = _Years(first_year)
    if time_format:
        read_format = compiled(time_format)

        def read_by_format(text: str) -> float:
            return _checked(text, years.instant(read_format(text)))

        return read_by_format

    read_other = _KnownFormats(years)

    def read(text: str) -> float:
        try:
            seconds = float(text) * scale
        except ValueError:
            match = ISO.match(text.strip())
            return _checked(text, read_other(text) if match is None else _iso(match))
        if EARLIEST <= seconds <= LATEST:
            return seconds
        raise ValueError(_wrong_unit(text, seconds))

    return read


def says_no_year(text: str, time_format: str) -> bool:
    """Whether ``text`` is an instant that leaves its year out."""
    if time_format:
        return not has_year(time_format)
    zone = _ZONE.search(text)
    if zone is not None and zone.group():
        text = text[: zone.start()]
    for known in KNOWN:
        if not has_year(known):
            try:
                compiled(known)(text)
            except ValueError:
                continue
            return True
    return False


def first_year(texts: Iterable[str], time_format: str, latest: float) -> Optional[int]:
    """The year of the first of ``texts``, instants without year in the order of their file.

    The newest of them is not after ``latest`` (a day is allowed: clocks and time zones differ), as near to it
    as can be, and 29 February is in leap years.

    Args:
        texts: of the whole file; those that are no instant do not count.
        time_format: of ``strptime``, or empty.
        latest: seconds since the epoch: when the file was written.
    """
    years = _Years(0)
    formats = _KnownFormats(years)
    read = compiled(time_format) if time_format else formats.moment
    leap_years, newest = set(), (-1, 0, 0)
    before: Optional[int] = None
    year = 0
    for text in texts:
        try:
            moment = read(text)
        except (ValueError, OverflowError):
            continue
        if moment.year is not None:
            continue
        place = (moment.month - 1) * 31 + moment.day
        if before is not None and abs(place - before) > 186:
            year += 1 if place < before else -1
        before = place
        if (moment.month, moment.day) == (2, 29):
            leap_years.add(year)
        newest = max(newest, (year, moment.month, moment.day))
    if before is None:
        return None
    limit = datetime.datetime.fromtimestamp(latest + 86400, datetime.timezone.utc).date()
    span, month, day = newest
    fitting = [
        y
        for y in range(limit.year - span - 12, limit.year - span + 1)
        if (y + span, month, day) <= (limit.year, limit.month, limit.day)
    ]
    of_leap_years = [y for y in fitting if all(calendar.isleap(y + n) for n in leap_years)]
    return max(of_leap_years or fitting)


class _Years:
    """Gives years to instants that say none: the nearest to the instant before."""

    def __init__(self, first: Optional[int]) -> None:
        self._year = first
        self._before: Optional[float] = None

    def instant(self, moment: Moment) -> float:
        """Seconds since the epoch."""
        if moment.year is not None:
            return moment.at(moment.year)
        if self._year is None:
            self._year = datetime.datetime.now(datetime.timezone.utc).year
        instant = moment.at(self._year)
        before = self._before
        if before is not None and abs(instant - before) > 183 * 86400:
            step = 1 if instant < before else -1
            instant = moment.at(self._year + step)
            self._year += step
        self._before = instant
        return instant


class _KnownFormats:
    """Reads a text by the known format that fits it, the one of the text before first."""

    def __init__(self, years: _Years) -> None:
        self._years = years
        self._formats: List[Callable[[str], Moment]] = [compiled(known) for known in KNOWN]

    def __call__(self, text: str) -> float:
        return self._years.instant(self.moment(text))

    def moment(self, text: str) -> Moment:
        """What ``text`` says; ValueError: it has none of the known forms."""
        bare = text.strip().strip("[]<>")
        moment = self._known(bare)
        if moment is not None:
            return moment
        zone = _ZONE.search(bare)
        moment = self._known(bare[: zone.start()]) if zone is not None and zone.group() else None
        if zone is None or moment is None:
            raise ValueError(f"{text!r} is neither a number nor an ISO 8601 time")
        if zone.group("name"):
            raise ValueError(
                f"{text!r} names the time zone {zone.group('name')!r}, which means several offsets; expected GMT, "
                "UTC, Z or an offset like +02:00"
            )
        return moment._replace(offset=moment.offset - int(zone_seconds(zone.group("offset"))))

    def _known(self, bare: str) -> Optional[Moment]:
        for at, read in enumerate(self._formats):
            try:
                moment = read(bare)
            except ValueError:
                continue
            if at:
                self._formats.insert(0, self._formats.pop(at))
            return moment
        return None


def _checked(text: str, seconds: float) -> float:
    if EARLIEST <= seconds <= LATEST:
        return seconds
    raise ValueError(f"{text!r} is in the year {_year(seconds)}, outside 1990 to 2100")


def _wrong_unit(text: str, seconds: float) -> str:
    if not math.isfinite(seconds):
        return f"{text!r} is not a finite time"
    number = float(text)
    fitting = [unit for unit, scale in TIME_UNITS.items() if EARLIEST <= number * scale <= LATEST]
    advice = f"it would fit time_unit {fitting[0]!r}" if fitting else "no time_unit would fit"
    return f"{text!r} is in the year {_year(seconds)}, outside 1990 to 2100; {advice}"


def _year(seconds: float) -> int:
    return 1970 + math.floor(seconds / 31_556_952)


def _iso(match: re.Match[str]) -> float:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = datetime.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0))  # noqa: DTZ001
    seconds = float(calendar.timegm(moment.timetuple()) + int(second or 0))
    if fraction:
        seconds += float("0." + fraction)
    return seconds + zone_seconds(zone)


def zone_seconds(zone: Optional[str]) -> float:
    """What to add to a clock with the offset ``zone`` ("+02:00", "Z") to come to UTC."""
    if not zone or zone[0] not in "+-":
        return 0
    minutes = int(zone[-2:]) if len(zone) > 3 else 0
    offset = int(zone[1:3]) * 3600 + minutes * 60
    return -offset if zone[0] == "+" else offset
