"""One run in ten lines, for a terminal: how it ended, how long it took, what it used, where the record lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackyard.reports.quantities import quantity, significant
from stackyard_task.records import RECORD_FILE, RunRecord

#: At most; results and notes get what the others leave, and the record has them all.
MOST_LINES = 10
#: Letters of a result or a note.
_WIDTH = 110
#: Packages that are named where they were loaded.
_NAMED = ("torch", "numpy", "sklearn", "pandas")


def lines(record: RunRecord, folder: Path) -> list[str]:
    """What a run was, line by line; what is not known has no line.

    Args:
        record: of the run.
        folder: where it lies.
    """
    why = record.failure or record.stopped
    said = [
        _plain(f"{record.workload}: {'completed' if why is None else why.message}"),
        *_measured(record),
    ]
    told = [*_notes(record), *(f"{name} = {_value(value)}" for name, value in record.results.items())]
    room = MOST_LINES - len(said) - 1
    if len(told) > room:
        told[room - 1 :] = [f"and {len(told) - room + 1} more in the record"]
    return [*said, *map(_short, told), f"record    {_plain(str(folder / RECORD_FILE))}"]


def _measured(record: RunRecord) -> Iterator[str]:
    measured, environment = record.measurement, record.environment
    if measured.wall_seconds is not None:
        start = ""
        if measured.startup_seconds is not None:
            start = f", of which {quantity(measured.startup_seconds, 's')} start-up"
        yield f"wall      {quantity(measured.wall_seconds, 's')}{start}"
    if measured.cpu_seconds is not None:
        cpu = f"cpu       {quantity(measured.cpu_seconds, 's')}"
        if measured.cpu_percent_of_core is not None:
            cpu += f", {significant(measured.cpu_percent_of_core)} % of a core"
        if environment.allowed_cores is not None:
            cpu += f", {environment.allowed_cores:g} allowed"
        yield cpu
    if measured.peak_rss_bytes is not None:
        limit = environment.ram_limit_bytes
        allowed = f", {quantity(limit, 'B')} allowed" if limit is not None else ""
        yield f"peak RAM  {quantity(measured.peak_rss_bytes, 'B')}{allowed}"
    elif measured.peak_rss_high_bytes is not None:
        yield f"peak RAM  below {quantity(measured.peak_rss_high_bytes, 'B')}: it was over before anybody looked"
    gpus = [(gpu.peak_memory_bytes, gpu.index) for gpu in measured.gpus if gpu.peak_memory_bytes is not None]
    if gpus:
        most, index = max(gpus, key=lambda gpu: gpu[0])
        others = f", the most of {len(gpus)}" if len(gpus) > 1 else ""
        yield f"peak GPU  {quantity(most, 'B')} on GPU {index}{others}"
    if measured.steps is not None:
        yield f"steps     {measured.steps.count}, median {quantity(measured.steps.p50_seconds, 's')}"
    loaded = environment.packages or {}
    shown = [f"{name} {loaded[name]}" for name in _NAMED if name in loaded]
    if environment.python is not None:
        shown.insert(0, f"Python {environment.python}")
    if loaded and shown:
        yield _short(f"loaded    {', '.join(shown)}")


def _notes(record: RunRecord) -> Iterator[str]:
    for note in record.notes:
        yield f"note      {note}"
    if record.not_understood:
        were = "was no message, and is" if record.not_understood == 1 else "were no messages, and are"
        yield f"note      {record.not_understood:,} of its reports {were} left out"


def _value(value: Any) -> str:
    return significant(value, 4) if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """A line without what a terminal would act on: scripts may say anything."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _short(line: str) -> str:
    line = _plain(line[: _WIDTH + 1])
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
