"""Figures that a program prints: each line of its output against the patterns of its metrics.

Standard library only.
"""

from __future__ import annotations

import functools
import re
from typing import Callable, Dict, List, Mapping, Pattern

from stackyard_task.metrics.figure import Figure, Nothing, from_text, step_from
from stackyard_task.metrics.files import Places, Say, lines
from stackyard_task.metrics.patience import Patience, TimeUp
from stackyard_task.metrics.terminal import Shown


class LinePattern:
    """A metric's pattern and what it found."""

    def __init__(self, pattern: str) -> None:
        self.figure = Figure()
        self._pattern: Pattern[str] = re.compile(pattern)
        self._has_step = "step" in self._pattern.groupindex

    def take(self, text: List[str]) -> None:
        """Look at some lines."""
        search = self._pattern.search
        for line in text:
            match = search(line)
            if match is not None and match["value"] is not None:
                self.figure.add(
                    from_text(match["value"]), step_from(match["step"]) if self._has_step else None
                )


def read(
    patterns: Mapping[str, str],
    places: Places,
    patience: Patience,
    say: Callable[[str, str], None],
    about_the_log: Say,
) -> Dict[str, Figure]:
    """Metric -> its figure, for the metrics that a line matched.

    Args:
        patterns: Metric -> regular expression with a group ``value``, maybe one ``step``.
        places: Where the log is.
        patience: What each pattern may take.
        say: Told a metric and a sentence about it: why it has no figure.
        about_the_log: Told what of the log was not looked at.
    """
    at_work: Dict[str, LinePattern] = {}
    for name, pattern in patterns.items():
        try:
            at_work[name] = LinePattern(pattern)
        except (re.error, RecursionError, OverflowError) as error:  # newer than this Python's
            say(name, f"its pattern is no regular expression ({error})")
    shown = Shown()
    try:
        for batch in lines(places.log, about_the_log, returns=True):
            text = shown.read(batch)
            for name, metric in list(at_work.items()):
                try:
                    patience.spend(name, functools.partial(metric.take, text))
                except TimeUp:
                    say(name, f"its pattern took longer than {patience.share:.3g} s on {places.log.name}")
                    del at_work[name]
    except Nothing as why:
        about_the_log(str(why))
    except OSError as error:
        about_the_log(f"{places.log.name} cannot be read to its end ({error.strerror or error})")
    found = {name: metric.figure for name, metric in at_work.items() if metric.figure.last is not None}
    for name in at_work:
        if name not in found:
            say(name, f"no line of {places.log.name} matches {_shown(patterns[name])}")
    return found


def _shown(pattern: str) -> str:
    return pattern if len(pattern) <= 100 else pattern[:97] + "..."
