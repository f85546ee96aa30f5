"""The step times of a run as it goes: all of them as one figure, how long the last ones took, whether they grow.

Pure: steps come in with the time and the CPU seconds at which they were told. Standard library only.
"""

from __future__ import annotations

import math
import random
import statistics
from array import array
from collections import deque
from typing import Deque, List, NamedTuple, Optional, Tuple

from stackyard_task.criteria import STEPS_SEEN
from stackyard_task.records import StepTimes

#: Step times kept for the percentiles; beyond, a random sample stands for all (reservoir, Vitter 1985).
STEPS_KEPT = 100_000
#: The first steps load libraries, choose algorithms and fill caches: they are not judged.
FIRST_STEPS = 2
#: Steps after those before the mean of the last ones is known.
LEAST_STEPS = 3
#: A window of the course of step times: so many steps at least, and so long at least, however short they are.
WINDOW_STEPS, WINDOW_SECONDS = 20, 0.5
_WINDOW_STEPS_MOST = 10_000
#: The course of the step time: each point is the median of so many steps, which took so long at least; so many points
#: are kept, and when they are full, neighbours become one.
COURSE_STEPS, COURSE_SECONDS, COURSE_POINTS = 5, 0.5, 400
#: The earlier level is that of so many windows; it has grown when so many in a row say so.
LEVEL_WINDOWS, GROWN_WINDOWS = 3, 2


class Window(NamedTuple):
    """Some steps in a row."""

    median_seconds: float
    #: Of the run, at its end.
    cpu_seconds: Optional[float]
    #: Mean of the losses that were the last told at each of its steps.
    loss: Optional[float]


class Pace:
    """What the steps of a run amount to."""

    def __init__(self) -> None:
        self.count = 0
        self.total_seconds = 0.0
        #: When the last one was told, since the start of the run; ``None``: none was, or the run has left its steps.
        self.told_at: Optional[float] = None
        #: Whether a loss was known at the end of any window.
        self.has_loss = False
        #: When the first step was told that is judged.
        self.begun_at: Optional[float] = None
        #: (seconds since the start, median seconds of a step) of steps in a row.
        self.course: List[Tuple[float, float]] = []
        self._course_steps: List[float] = []
        self._course_seconds, self._course_least = 0.0, COURSE_SECONDS
        self._kept = array("d")
        self._random = random.Random(0)
        self._last: Deque[float] = deque(maxlen=STEPS_SEEN)
        self._window: List[float] = []
        self._window_seconds = 0.0
        self._window_losses: List[float] = []
        self._level: List[Window] = []
        self._recent: Deque[Window] = deque(maxlen=GROWN_WINDOWS)

    def add(
        self,
        seconds: float,
        at_seconds: float,
        cpu_seconds: Optional[float] = None,
        loss: Optional[float] = None,
    ) -> None:
        """A step that was told.

        Args:
            seconds: what it took.
            at_seconds: when it was told, since the start of the run.
            cpu_seconds: of the whole run by then.
            loss: the last one told by then.
        """
        self.count += 1
        self.total_seconds += seconds
        self.told_at = at_seconds
        if len(self._kept) < STEPS_KEPT:
            self._kept.append(seconds)
        else:
            place = self._random.randrange(self.count)
            if place < STEPS_KEPT:
                self._kept[place] = seconds
        if self.count <= FIRST_STEPS:
            return
        if self.begun_at is None:
            self.begun_at = at_seconds
        self._add_to_course(seconds, at_seconds)
        self._last.append(seconds)
        self._window.append(seconds)
        self._window_seconds += seconds
        if loss is not None:
            self._window_losses.append(loss)
        steps = len(self._window)
        if steps >= WINDOW_STEPS and (self._window_seconds >= WINDOW_SECONDS or steps >= _WINDOW_STEPS_MOST):
            losses = self._window_losses
            mean = statistics.fmean(losses) if losses else None
            window = Window(statistics.median(self._window), cpu_seconds, mean)
            self._window, self._window_seconds, self._window_losses = [], 0.0, []
            self.has_loss = self.has_loss or mean is not None
            if len(self._level) < LEVEL_WINDOWS:
                self._level.append(window)
            else:
                self._recent.append(window)

    def _add_to_course(self, seconds: float, at_seconds: float) -> None:
        held = self._course_steps
        held.append(seconds)
        self._course_seconds += seconds
        is_long = self._course_seconds >= self._course_least or len(held) >= _WINDOW_STEPS_MOST
        if len(held) < COURSE_STEPS or not is_long:
            return
        self.course.append((at_seconds, statistics.median(held)))
        self._course_steps, self._course_seconds = [], 0.0
        if len(self.course) >= COURSE_POINTS:
            pairs = zip(self.course[::2], self.course[1::2])
            self.course = [(second[0], (first[1] + second[1]) / 2) for first, second in pairs]
            self._course_least *= 2

    def times(self) -> Optional[StepTimes]:
        """Mean and percentiles (nearest rank) of all; ``None`` without steps."""
        if not self.count:
            return None
        ordered = sorted(self._kept)

        def rank(share: float) -> float:
            return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

        return StepTimes(self.count, self.total_seconds / self.count, rank(0.5), rank(0.95))

    def last_seconds(self) -> Optional[float]:
        """The mean of the last STEPS_SEEN steps without the first FIRST_STEPS; ``None``: fewer than LEAST_STEPS."""
        return None if len(self._last) < LEAST_STEPS else sum(self._last) / len(self._last)

    def slowing(self) -> Optional[float]:
        """By what factor the step time has grown, where the loss does not fall faster for it.

        The level is the median of the first LEVEL_WINDOWS windows' medians. The factor is the least of the last
        GROWN_WINDOWS windows, so that one disturbance is no growth. ``None``: too few steps, or no loss to compare.
        Where the loss now falls faster per CPU second than it did at first, the growth pays: the factor is 1.
        """
        if len(self._level) < LEVEL_WINDOWS or len(self._recent) < GROWN_WINDOWS:
            return None
        level = statistics.median(window.median_seconds for window in self._level)
        grown = min(window.median_seconds for window in self._recent)
        then, now = _fall(self._level), _fall([self._level[-1], *self._recent][-GROWN_WINDOWS:])
        if level <= 0 or then is None or now is None:
            return None
        return 1.0 if now > then else grown / level


def _fall(windows: List[Window]) -> Optional[float]:
    """By how much the loss falls per CPU second from the first to the last window; ``None``: not known."""
    first, last = windows[0], windows[-1]
    if first.loss is None or last.loss is None or first.cpu_seconds is None or last.cpu_seconds is None:
        return None
    used = last.cpu_seconds - first.cpu_seconds
    return None if used <= 0 else (first.loss - last.loss) / used


def since(pace: Pace, told: Tuple[int, float]) -> Tuple[int, Optional[float]]:
    """(steps so far, mean seconds of those since ``told``, which was (count, seconds)); ``None`` without new ones."""
    new = pace.count - told[0]
    return pace.count, (pace.total_seconds - told[1]) / new if new else None
