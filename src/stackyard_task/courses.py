"""The metrics of a run as it tells them, step by step: a bounded course for each name.

Pure: what is told comes in with the time and the CPU seconds at which it was told. Standard library only.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, Optional, Tuple

from stackyard_task.counting import count, were
from stackyard_task.records import Point

#: Names of metrics that a run may tell, and letters of one.
NAMES_KEPT, NAME_LETTERS = 100, 100
#: Points of one course; when full, every second one is left out.
POINTS_KEPT = 1000
#: Beyond, no two whole numbers in a row are told apart.
_LARGEST_STEP = 2.0**53


class Course:
    """One metric's points in the order of their steps; of many every second one is left out, again and again."""

    def __init__(self) -> None:
        #: The last one told, with no value where that is no finite number.
        self.last: Optional[Point] = None
        #: Points told, kept or not.
        self.count = 0
        self._points: List[Point] = []
        self._every = 1

    def add(self, point: Point) -> bool:
        """Take a point; False: its step goes backwards, and it is left out. A step told again has its last value."""
        if self.last is not None and point.step < self.last.step:
            return False
        if point.value is None:
            self.last = point
            return True
        if self._points and self._points[-1].step == point.step:
            self._points[-1] = self.last = point
            return True
        self.last = point
        if self.count % self._every == 0:
            if len(self._points) >= POINTS_KEPT:
                self._points, self._every = self._points[::2], self._every * 2
            if self.count % self._every == 0:
                self._points.append(point)
        self.count += 1
        return True

    def points(self) -> List[Point]:
        """Those that are kept, the last one told always among them."""
        last = self.last
        if last is None or last.value is None or (self._points and self._points[-1].step == last.step):
            return list(self._points)
        return [*self._points[: POINTS_KEPT - 1], last]


class Courses:
    """All metrics of a run, within bounds; what is left out is counted.

    Args:
        wanted: names that are kept whenever they come, beyond the first NAMES_KEPT.
    """

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self._wanted = frozenset(wanted)
        #: Of the others.
        self._names = 0
        self._courses: Dict[str, Course] = {}
        self._backwards: Dict[str, int] = {}
        self._no_number: Dict[str, int] = {}
        self._not_kept = 0

    def add(self, name: Any, step: Any, value: Any, at_seconds: float, cpu_seconds: Optional[float]) -> None:
        """A value that was told.

        Raises:
            ValueError: name, step or value is none.
        """
        if (
            not isinstance(name, str)
            or not name.strip()
            or not name.isprintable()
            or len(name) > NAME_LETTERS
        ):
            raise ValueError("name")
        at = _number(step)
        if at is None or abs(at) > _LARGEST_STEP:
            raise ValueError("step, which is to be a number from -2^53 to 2^53,")
        number = _number(value)
        if number is None and not _is_no_number(value):
            raise ValueError("value")
        course = self._courses.get(name)
        if course is None:
            if name not in self._wanted:
                if self._names >= NAMES_KEPT:
                    self._not_kept += 1
                    return
                self._names += 1
            course = self._courses[name] = Course()
        if not course.add(Point(at, at_seconds, cpu_seconds, number)):
            self._backwards[name] = self._backwards.get(name, 0) + 1
        elif number is None:
            self._no_number[name] = self._no_number.get(name, 0) + 1

    def left_out(self, name: str, backwards: int, no_number: int) -> None:
        """Count values that a process left out before it told them: at a step before the last one, or no number."""
        if name in self._courses:
            for counts, number in ((self._backwards, backwards), (self._no_number, no_number)):
                if number > 0:
                    counts[name] = counts.get(name, 0) + number

    def last(self) -> Dict[str, Point]:
        """The last point of each name."""
        return {name: course.last for name, course in self._courses.items() if course.last is not None}

    def told(self, name: str) -> int:
        """Points of a name that were told, each step once."""
        course = self._courses.get(name)
        return 0 if course is None else course.count

    def results(self) -> Dict[str, Any]:
        """The last value of each name; a text where that is no finite number, for then it is not known."""
        return {
            name: point.value if point.value is not None else "not a number"
            for name, point in self.last().items()
        }

    def series(self) -> Dict[str, List[List[Any]]]:
        """Name -> [[step, value, at seconds, CPU seconds], ...], as ``series.json`` holds it; none without points."""
        found = {
            name: [
                [
                    _whole(point.step),
                    point.value,
                    round(point.at_seconds, 3),
                    None if point.cpu_seconds is None else round(point.cpu_seconds, 3),
                ]
                for point in course.points()
            ]
            for name, course in self._courses.items()
        }
        return {name: points for name, points in found.items() if points}

    def joined(self, read: Dict[str, List[List[Any]]]) -> Dict[str, List[List[Any]]]:
        """The series, with those that were read after the run: of one name, what was heard where that is all of it.

        Args:
            read: name -> [[step, value], ...].
        """
        heard = self.series()
        whole = [
            name for name in heard if name in read and len(heard[name]) == self.told(name) == len(read[name])
        ]
        return {**heard, **read, **{name: heard[name] for name in whole}}

    def notes(self) -> List[str]:
        """A sentence for each kind of thing that was left out."""
        found = []
        for counts, why in (
            (self._backwards, "came at a step before its last one and {} left out"),
            (self._no_number, "{} no finite number and left out: NaN or an infinity"),
        ):
            for name, number in list(counts.items())[:10]:
                found.append(f"metric {name}: {count(number, 'value')} {why.format(were(number))}")
        if self._not_kept:
            asked_for = ", and those asked for" if self._wanted else ""
            found.append(
                f"the first {NAMES_KEPT} metrics are kept{asked_for}; {count(self._not_kept, 'value')} of others "
                f"{were(self._not_kept)} left out"
            )
        return found


def _number(told: Any) -> Optional[float]:
    if isinstance(told, bool) or not isinstance(told, (int, float)):
        return None
    try:
        number = float(told)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_no_number(told: Any) -> bool:
    """Whether what was told stands for a number that is not finite."""
    return (isinstance(told, float) and not math.isfinite(told)) or told in ("nan", "inf", "-inf")


def _whole(step: float) -> float:
    return int(step) if step == int(step) else step


def unpacked(message: Dict[str, Any]) -> List[Tuple[Any, Any, Dict[str, Any]]]:
    """(step, instant, values) of each point of a message.

    Raises:
        ValueError: it is not made of those.
    """
    points = message["points"]
    if not isinstance(points, list):
        raise ValueError("points")
    found = []
    for point in points:
        if not isinstance(point, list) or len(point) != 3 or not isinstance(point[2], dict):
            raise ValueError("point")
        found.append((point[0], point[1], point[2]))
    return found
