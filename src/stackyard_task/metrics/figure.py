"""One figure of a run: its last value and its course, and how a value in a text or in JSON becomes one.

Standard library only.
"""

from __future__ import annotations

import re
from typing import Any, List, Optional, Union

from stackyard_task.listener import plain

#: What a result may be: a number, a truth value or a short text; NaN and infinities are texts.
Value = Union[float, str, bool]

#: Points of a course that are kept.
POINTS_KEPT = 10_000
#: What a text may be long.
_TEXT_LETTERS = 1000
_WHOLE = re.compile(r"[-+]?\d{1,15}")


class Nothing(Exception):
    """A source gives no figure; the message says why, without naming the metric."""


class Figure:
    """The values of one metric in the order in which they are said.

    Of a long course every second point is left out, again and again, so that what is kept lies evenly.
    """

    def __init__(self) -> None:
        self.last: Optional[Value] = None
        #: Values that were said, kept or not.
        self.count = 0
        self._points: List[List[Any]] = []
        self._every = 1
        self._last_point: Optional[List[Any]] = None

    def add(self, value: Value, step: Optional[float] = None) -> None:
        """One more value; without a step it is the next one's number, from 0."""
        self.last = value
        if isinstance(value, bool) or (isinstance(value, str) and not _is_number(value)):
            return
        self._last_point = [self.count if step is None else step, value]
        if self.count % self._every == 0:
            if len(self._points) >= POINTS_KEPT:
                self._points = self._points[::2]
                self._every *= 2
            if self.count % self._every == 0:
                self._points.append(self._last_point)
        self.count += 1

    def course(self) -> List[List[Any]]:
        """[[step, value], ...], the last one always among them; empty: the values are no numbers."""
        if self._last_point is None or self._points[-1] is self._last_point:
            return self._points
        return [*self._points[: POINTS_KEPT - 1], self._last_point]


def from_text(text: str) -> Value:
    """What stands in a text: a number where it is one, else the text itself."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        return plain(float(text))
    except ValueError:
        return plain(text[:_TEXT_LETTERS])


def step_from(told: Any) -> Optional[float]:
    """A step that somebody told, as text or as a number; ``None``: it is none."""
    value = from_text(told) if isinstance(told, str) else told
    if isinstance(value, bool) or not isinstance(value, (int, float)) or isinstance(plain(value), str):
        return None
    return value


def from_json_value(value: Any) -> Value:
    """A figure out of a JSON file.

    Raises:
        Nothing: it is null, a list or an object.
    """
    if value is None:
        raise Nothing("is null")
    if isinstance(value, (list, dict)):
        raise Nothing(
            f"is {'a list' if isinstance(value, list) else 'an object'}, no figure; name one of its values"
        )
    if isinstance(value, str):
        return plain(value[:_TEXT_LETTERS])
    return plain(value)


def _is_number(text: str) -> bool:
    """Whether a text is one of those that stand for a number no JSON has."""
    return text in ("nan", "inf", "-inf")
