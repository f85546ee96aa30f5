"""Where runs happened and how they were measured: each fact's values, how many runs had each, and which cells. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackyard.reports.cells import WORKLOAD, CellRuns, Matrix
from stackyard.reports.report import EnvironmentRow
from stackyard_task.records import RunRecord

#: Packages that a report names of those a run loaded; the records have them all.
MOST_PACKAGES = 20
#: Facts that are known of runs that nobody measured.
TOLD = ("Host", "System", "Python", "Your code")
#: A second witness agrees within one of these, or differs by what it is.
WITHIN_PERCENT = (2, 5)
#: Cells that are named for one value.
MOST_CELLS = 3


def environment(matrix: Matrix) -> list[EnvironmentRow]:
    """Where the completed runs happened, and what they loaded."""

    def gigabytes(size: int | None) -> str | None:
        return None if size is None else f"{size / 1e9:.1f} GB"

    rows = [
        _tally(matrix, "Host", lambda r: r.environment.host),
        _tally(matrix, "CPU", lambda r: r.environment.cpu_model),
        _tally(matrix, "Cores of the machine", lambda r: r.environment.machine_cores),
        _tally(matrix, "Cores allowed", lambda r: r.environment.allowed_cores),
        _tally(matrix, "RAM of the machine", lambda r: gigabytes(r.environment.machine_ram_bytes)),
        _tally(matrix, "RAM limit", lambda r: gigabytes(r.environment.ram_limit_bytes) or "none"),
        _tally(matrix, "Kernel", lambda r: r.environment.kernel),
        _tally(matrix, "System", lambda r: r.environment.os),
        _tally(matrix, "Python", lambda r: r.environment.python),
        _tally(
            matrix,
            "Stack: torch / CUDA really loaded",
            lambda r: (
                f"{r.environment.stack or r.cell.get('stack', 'unnamed')}: "
                f"{r.environment.torch or 'no torch'} / {r.environment.cuda or 'no CUDA recorded'}"
            ),
        ),
        _tally(
            matrix,
            "Lock digest",
            lambda r: (
                r.environment.stack_digest
                and f"{r.environment.stack or r.cell.get('stack', '')}: {r.environment.stack_digest[:19]}"
            ),
        ),
        _tally(matrix, "GPU", lambda r: ", ".join(r.environment.gpu_names) or "none"),
        _tally(matrix, "GPU driver", lambda r: r.environment.gpu_driver),
        _tally(matrix, "Threads", lambda r: r.environment.threads),
        _tally(
            matrix,
            "Tunables",
            lambda r: " ".join(f"{k}={v}" for k, v in sorted(r.environment.tunables.items())) or "none",
        ),
        _tally(
            matrix,
            "Code",
            lambda r: (
                r.environment.code_version
                and r.environment.code_version + (" (dirty)" if r.environment.code_dirty else "")
            ),
        ),
        _tally(matrix, "Your code", _own_code),
        _tally(matrix, "Packages loaded", _packages),
    ]
    return [row for row in rows if set(row.values) - {"not recorded"}]


def _own_code(record: RunRecord) -> str | None:
    """The user's own code by its commit and digest; ``None``: there is none that travelled or is in a repository."""
    environment = record.environment
    commit = environment.code_own_version and f"commit {environment.code_own_version[:12]}"
    dirty = " (dirty)" if commit and environment.code_own_dirty else ""
    digest = environment.code_own_digest and f"files {environment.code_own_digest[:12]}"
    return ", ".join(part for part in (commit and commit + dirty, digest) if part) or None


def _packages(record: RunRecord) -> str | None:
    loaded = sorted((record.environment.packages or {}).items())
    shown = [f"{name} {version}" for name, version in loaded[:MOST_PACKAGES]]
    more = [f"and {len(loaded) - MOST_PACKAGES} more"] if len(loaded) > MOST_PACKAGES else []
    return ", ".join(shown + more) or None


def _witnessed(record: RunRecord) -> str:
    """How far the second witness of a run is from its record."""
    seen = record.witness
    if seen is None:
        return "none"
    differences = [
        abs(one) for one in (seen.cpu_differs_percent, seen.peak_differs_percent) if one is not None
    ]
    if not differences:
        return f"{seen.method}: nothing to compare"
    within = next((most for most in WITHIN_PERCENT if max(differences) <= most), None)
    said = f"differs by {max(differences):.0f} %" if within is None else f"agrees within {within} %"
    return f"{seen.method}: {said}"


def methods(matrix: Matrix) -> list[EnvironmentRow]:
    """How the completed runs were measured."""
    rows = [
        _tally(matrix, "CPU time", lambda r: r.measurement.cpu_method),
        _tally(matrix, "Peak RAM", lambda r: r.measurement.peak_rss_method),
        _tally(
            matrix,
            "GPU memory",
            lambda r: next((g.peak_memory_method for g in r.measurement.gpus), None) or "no GPU",
        ),
        _tally(matrix, "Energy", lambda r: r.measurement.energy_method or "not measured"),
        _tally(
            matrix,
            "Sampling interval",
            lambda r: (
                r.measurement.sampling_interval_seconds
                and f"{r.measurement.sampling_interval_seconds * 1000:.0f} ms"
            ),
        ),
        _tally(matrix, "Limits held by", lambda r: r.environment.limit_mechanism or "no limit asked"),
    ]
    if any(run.record.witness for cell in matrix.cells for run in cell.completed):
        rows.append(_tally(matrix, "Second witness", _witnessed))
    unmeasured = all(not run.measured for cell in matrix.cells for run in cell.completed)
    return [row for row in rows if row.values and not unmeasured]


def _tally(matrix: Matrix, name: str, read: Callable[[RunRecord], Any]) -> EnvironmentRow:
    counts: dict[str, int] = {}
    seen: dict[str, list[CellRuns]] = {}
    for cell in matrix.cells:
        for run in cell.completed:
            # of a run that nobody measured is known what its server says, and nothing of what is said otherwise
            value = read(run.record) if run.measured or name in TOLD else None
            text = "not recorded" if value is None or value == [] else str(value)
            counts[text] = counts.get(text, 0) + 1
            if cell not in seen.setdefault(text, []):
                seen[text].append(cell)
    return EnvironmentRow(name, counts, _where(matrix, seen) if len(counts) > 1 else {})


def _where(matrix: Matrix, seen: dict[str, list[CellRuns]]) -> dict[str, list[str]]:
    """Which cells had each value: the levels of an axis that decides it, else the cells, few of them."""
    for axis in (WORKLOAD, *matrix.varying):
        levels = {
            text: list(dict.fromkeys(cell.axes.get(axis, "") for cell in cells))
            for text, cells in seen.items()
        }
        every = [level for found in levels.values() for level in found]
        if len(set(every)) == len(every):
            # a value that begins with its level says itself where it was seen
            plain = all(text.startswith(found[0]) for text, found in levels.items())
            return {} if plain else {text: _few(found) for text, found in levels.items()}
    several = len(matrix.workloads) > 1
    return {
        text: _few([f"{cell.workload}: {cell.label}" if several else cell.label for cell in cells])
        for text, cells in seen.items()
    }


def _few(names: list[str]) -> list[str]:
    return names[:MOST_CELLS] + ([f"{len(names) - MOST_CELLS} more"] if len(names) > MOST_CELLS else [])
