"""Metrics that a program prints or appends to a file of JSON lines, seen while it runs: what is new, a piece at a time.

Everything is read again when the run has ended (``metrics``): here a flood may be passed over, and a pattern that
takes long is given up. Standard library only.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from stackyard_task.metric_sources import parsed
from stackyard_task.metrics.figure import Figure, Nothing, Value
from stackyard_task.metrics.files import Places, is_new, opened
from stackyard_task.metrics.log_lines import LinePattern
from stackyard_task.metrics.patience import Patience, TimeUp
from stackyard_task.metrics.tables import JsonRows
from stackyard_task.metrics.terminal import Shown, parted

#: Of one file, so much at one look; what lies before that is passed over.
LOOK_BYTES = 256 << 10
#: What one metric's pattern may take beyond what it gets back.
PATTERN_SECONDS = 0.2
#: What it gets back at each look: a run that prints for days is read to its end.
REFILL_SECONDS = 0.005
#: What is no whole line yet is held so far.
_REST_BYTES = 64 << 10

#: Told a metric's name, the step, and the value.
Tell = Callable[[str, float, Value], None]


class _Told(Figure):
    """A figure that tells each value on."""

    def __init__(self, name: str, tell: Tell) -> None:
        super().__init__()
        self._name, self._tell = name, tell

    def add(self, value: Value, step: Optional[float] = None) -> None:
        """One more value."""
        if not isinstance(value, bool) and (not isinstance(value, str) or value in ("nan", "inf", "-inf")):
            self._tell(self._name, self.count if step is None else step, value)
            self.count += 1


class _Followed:
    """A file that grows."""

    def __init__(self, shows: bool) -> None:
        self._at = 0
        self._rest = b""
        #: Whether it is what a terminal would show.
        self._shows = shows
        self._held = b""

    def lines(self, path: Path) -> List[bytes]:
        """The whole lines that are new.

        Raises:
            Nothing: it cannot be read.
            OSError: the same.
        """
        with os.fdopen(opened(path), "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            if length < self._at:  # written anew
                self._at, self._rest, self._held = 0, b"", b""
            if length - self._at > LOOK_BYTES:
                self._at, self._rest, self._held = length - LOOK_BYTES, b"", b""
            file.seek(self._at)
            data = file.read(LOOK_BYTES)
        self._at += len(data)
        if self._shows:
            data, self._held = parted(self._held + data)
        *found, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_REST_BYTES:]
        return found


class Live:
    """Follows the output and the JSON lines of one run.

    Args:
        sources: Metric -> its source (``metric_sources``); those of other kinds are left alone.
        places: where the run leaves what.
        tell: told each value.
    """

    def __init__(self, sources: Mapping[str, str], places: Places, tell: Tell) -> None:
        self._places = places
        self._shown = Shown()
        self._patterns: Dict[str, LinePattern] = {}
        self._rows: Dict[str, Dict[str, JsonRows]] = {}
        self._followed: Dict[str, _Followed] = {}
        for name, text in sources.items():
            source = parsed(text)
            taker: Union[LinePattern, JsonRows, None] = None
            if source.kind == "line":
                try:
                    taker = self._patterns[name] = LinePattern(source.key)
                except (re.error, RecursionError, OverflowError):  # newer than this Python's
                    continue
            elif source.kind == "jsonl" and not any(c in source.file for c in "*?["):
                taker = self._rows.setdefault(source.file, {})[name] = JsonRows(source.key)
            if taker is not None:
                taker.figure = _Told(name, tell)
        pieces = len(self._patterns) + sum(map(len, self._rows.values()))
        self._patience = Patience(PATTERN_SECONDS * pieces, pieces)

    def look(self) -> None:
        """Tell what is new. In another thread than the main one nothing is looked at: nobody could interrupt it."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._patience.refill(REFILL_SECONDS)
        if self._patterns:
            batch = self._new("", self._places.log, shows=True)
            if batch:
                self._spend(self._patterns, self._shown.read(batch))
        for file, rows in self._rows.items():
            for folder in (self._places.outputs, self._places.working):
                path = folder / file
                try:
                    if not path.is_file() or not is_new(path, self._places):
                        continue
                except OSError:
                    continue
                batch = self._new(file, path, shows=False)
                if batch:
                    self._spend(rows, batch)
                break

    def _new(self, name: str, path: Path, shows: bool) -> List[bytes]:
        try:
            return self._followed.setdefault(name, _Followed(shows)).lines(path)
        except (Nothing, OSError):
            return []

    def _spend(self, takers: Dict[str, Any], batch: List[Any]) -> None:
        for name, taker in list(takers.items()):
            try:
                self._patience.spend(name, functools.partial(taker.take, batch))
            except (TimeUp, Nothing):
                del takers[name]
