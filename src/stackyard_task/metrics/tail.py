"""Result figures of a run under way, from what its log and JSON lines files have got since the last look.

For whoever watches; what the record says is read by ``read`` when the run has ended. Standard library only.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Tuple, Union

from stackyard_task.metric_sources import Source, parsed
from stackyard_task.metrics.figure import Nothing, Value
from stackyard_task.metrics.files import LINE_BYTES, Places, find, opened
from stackyard_task.metrics.log_lines import LinePattern, decoded
from stackyard_task.metrics.patience import Patience, TimeUp
from stackyard_task.metrics.tables import JsonRows

#: New bytes of a file that are looked at; of more, the last ones.
NEW_BYTES = 256 << 10
#: What all looks of a run may take, for each metric: one that takes longer is not looked at any more.
SECONDS = 1.0


class Tail:
    """The latest values of the metrics that can be read while a run goes on: ``line`` and ``jsonl``, no wildcards.

    Args:
        sources: Metric -> its source (``metric_sources``).
        places: Where the run leaves what.
    """

    def __init__(self, sources: Mapping[str, str], places: Places) -> None:
        self._places = places
        self._log: Dict[str, LinePattern] = {}
        self._rows: Dict[str, Tuple[Source, JsonRows]] = {}
        self._files: Dict[str, _Growing] = {}
        for name, text in sources.items():
            source = parsed(text)
            if source.kind == "line":
                try:
                    self._log[name] = LinePattern(source.key)
                except (
                    re.error,
                    RecursionError,
                    OverflowError,
                ):  # newer than this Python's; ``read`` says so
                    continue
            elif source.kind == "jsonl" and not any(c in source.file for c in "*?["):
                self._rows[name] = (source, JsonRows(source.key))
        self._patience = Patience(SECONDS * len(sources), len(sources))

    def read(self) -> Dict[str, Value]:
        """Metric -> its value so far, for those that have one. Costs what is new; call it from the main thread."""
        if self._log:
            batch = self._new("", self._places.log, returns=True)
            text = decoded(batch) if batch else []
            for name, pattern in list(self._log.items()):
                self._look(self._log, name, functools.partial(pattern.take, text))
        by_file: Dict[str, List[bytes]] = {}
        for name, (source, rows) in list(self._rows.items()):
            if source.file not in by_file:
                by_file[source.file] = self._new(source.file, None)
            self._look(self._rows, name, functools.partial(rows.take, by_file[source.file]))
        figures = {name: pattern.figure for name, pattern in self._log.items()}
        figures.update((name, rows.figure) for name, (_, rows) in self._rows.items())
        return {name: figure.last for name, figure in figures.items() if figure.last is not None}

    def _look(
        self,
        at_work: Union[Dict[str, LinePattern], Dict[str, Tuple[Source, JsonRows]]],
        name: str,
        work: Callable,
    ) -> None:
        try:
            self._patience.spend(name, work)
        except TimeUp:
            del at_work[name]

    def _new(self, file: str, path: Optional[Path], returns: bool = False) -> List[bytes]:
        """The whole lines that a file has got."""
        try:
            if file not in self._files:
                self._files[file] = _Growing(path or find(file, self._places))
            return self._files[file].lines(returns)
        except (Nothing, OSError):  # not there yet
            return []


class _Growing:
    """A file that somebody writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def lines(self, returns: bool) -> List[bytes]:
        with os.fdopen(opened(self._path), "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            if length < self._at:  # begun anew
                self._at, self._rest = 0, b""
            skipped = length - self._at > NEW_BYTES
            if skipped:
                self._at, self._rest = length - NEW_BYTES, b""
            file.seek(self._at)
            data = file.read(length - self._at)
        self._at += len(data)
        if returns:
            data = data.replace(b"\r", b"\n")
        *batch, self._rest = (self._rest + data).split(b"\n")
        if skipped:  # the first has lost its beginning
            batch = batch[1:]
        if len(self._rest) > LINE_BYTES:
            self._rest = self._rest[:LINE_BYTES]
        return [line[:LINE_BYTES] for line in batch]
