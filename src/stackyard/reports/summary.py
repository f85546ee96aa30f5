"""One run in ten lines, for a terminal: how it ended, how long it took, what it used, where the record lies."""

from __future__ import annotations

from pathlib import Path

from stackyard.reports.quantities import quantity, significant
from stackyard_task.records import RECORD_FILE, RunRecord

#: Results and notes that are shown; the record has them all.
MOST_SHOWN = 4
_WIDTH = 110


def lines(record: RunRecord, folder: Path) -> list[str]:
    """What a run was, line by line.

    Args:
        record: of the run.
        folder: where it lies.
    """
    measured, environment = record.measurement, record.environment
    said = [f"{record.workload}: {'completed' if record.failure is None else record.failure.message}"]
    if measured.wall_seconds is not None:
        start = ""
        if measured.startup_seconds is not None:
            start = f", of which {quantity(measured.startup_seconds, 's')} start-up"
        said.append(f"wall      {quantity(measured.wall_seconds, 's')}{start}")
        cpu = f"cpu       {quantity(measured.cpu_seconds, 's')}"
        if measured.cpu_percent_of_core is not None:
            cpu += f", {significant(measured.cpu_percent_of_core)} % of a core"
        if environment.allowed_cores is not None:
            cpu += f", {environment.allowed_cores:g} allowed"
        said.append(cpu)
        limit = environment.ram_limit_bytes
        said.append(
            f"peak RAM  {quantity(measured.peak_rss_bytes, 'B')}"
            + (f", {quantity(limit, 'B')} allowed" if limit is not None else "")
        )
        for gpu in measured.gpus:
            if gpu.peak_memory_bytes is not None:
                said.append(f"peak GPU  {quantity(gpu.peak_memory_bytes, 'B')} on GPU {gpu.index}")
    if measured.steps is not None:
        said.append(f"steps     {measured.steps.count}, median {quantity(measured.steps.p50_seconds, 's')}")
    loaded = environment.packages or {}
    if loaded:
        known = [name for name in ("torch", "numpy", "sklearn", "pandas") if name in loaded]
        shown = [f"Python {environment.python}", *(f"{name} {loaded[name]}" for name in known)]
        said.append(f"loaded    {', '.join(shown)}")
    for name, value in list(record.results.items())[:MOST_SHOWN]:
        said.append(f"{name} = {significant(value, 4) if isinstance(value, float) else value}")
    said += [f"note      {note}" for note in record.notes[:MOST_SHOWN]]
    said.append(f"record    {folder / RECORD_FILE}")
    return [line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..." for line in said]
