"""From run folders to a Study: the records, plans and shortened timelines of one or several machines.

The only file of this room that reads. It judges nothing: what cannot be read is kept with its reason. May
import the shapes of the records; never the runner or a launcher.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard_task.records import RECORD_FILE, TIMELINE_FILE, RecordError, RunRecord, read_json

PLAN_FILE = "plan.json"
RUNS_FOLDER = "runs"
#: A timeline is shortened to this many points when read; each keeps the greatest value of its stretch.
TIMELINE_POINTS = 240


@dataclass(frozen=True)
class NotRunnable:
    """A planned cell that the machine could not run."""

    axes: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a matrix set out to do, as far as its plan.json says."""

    name: str | None = None
    title: str | None = None
    seed: int | None = None
    repeats: int | None = None
    cells: tuple[Mapping[str, str], ...] = ()
    not_runnable: tuple[NotRunnable, ...] = ()


@dataclass(frozen=True)
class Run:
    """One record and where it came from."""

    record: RunRecord
    #: Index into ``Study.sources``.
    source: int
    #: Name of the run's folder.
    folder: str
    timeline: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Unreadable:
    """A run folder that gave no record."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Study:
    """Everything a report is made from."""

    runs: tuple[Run, ...]
    plans: tuple[Plan, ...] = ()
    #: Names of the folders read, in order.
    sources: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = field(default=())
    #: Records seen twice (the same run in two folders); the copy is left out.
    duplicates: int = 0


def load(folders: Sequence[Path]) -> Study:
    """The records and plans of ``folders``, each the output folder of a scenario run.

    Raises:
        BadInputError: a folder is missing, a plan is not JSON, or there is neither a record nor a plan.
    """
    if not folders:
        raise BadInputError("no folder given: name the output folder of at least one scenario run")
    runs: list[Run] = []
    plans: list[Plan] = []
    unreadable: list[Unreadable] = []
    seen: set[tuple[str, str, str | None]] = set()
    duplicates = 0
    resolved = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    for source, folder in enumerate(resolved):
        if not folder.is_dir():
            raise BadInputError(f"{folder} is not a folder: give the output folder of a scenario run")
        if (folder / PLAN_FILE).exists():
            plans.append(_read_plan(folder / PLAN_FILE))
        for run_folder in _run_folders(folder):
            try:
                record = _read_record(run_folder)
            except RecordError as error:
                unreadable.append(Unreadable(run_folder.name, str(error)))
                continue
            identity = (record.run_id, record.started_at, record.environment.host)
            if identity in seen:
                duplicates += 1
                continue
            seen.add(identity)
            runs.append(Run(record, source, run_folder.name, _read_timeline(run_folder / TIMELINE_FILE)))
    if not runs and not plans:
        names = ", ".join(str(folder) for folder in resolved)
        why = f" ({unreadable[0].folder}: {unreadable[0].reason})" if unreadable else ""
        raise BadInputError(
            f"no records found in {names}{why}: expected {RUNS_FOLDER}/*/{RECORD_FILE}, "
            "as `stackyard scenario run` leaves them"
        )
    return Study(tuple(runs), tuple(plans), tuple(f.name for f in resolved), tuple(unreadable), duplicates)


def _run_folders(folder: Path) -> list[Path]:
    """The folders of single runs in ``folder``, sorted by name."""
    inside = folder / RUNS_FOLDER if (folder / RUNS_FOLDER).is_dir() else folder
    try:
        found = [path for path in inside.iterdir() if path.is_dir()]
    except OSError as error:
        raise BadInputError(f"{inside} cannot be read ({error.strerror}): check its permissions") from error
    if inside is folder:  # not a scenario's folder: only what clearly is a run
        found = [path for path in found if (path / RECORD_FILE).exists()]
    return sorted(found)


def _read_record(run_folder: Path) -> RunRecord:
    if not (run_folder / RECORD_FILE).exists():
        raise RecordError("no record.json: the run did not come to its end")
    record = read_json(RunRecord, run_folder / RECORD_FILE)
    for key in ("cell", "results", "parameters"):
        if not isinstance(getattr(record, key), dict):
            raise RecordError(f"{run_folder.name}/{RECORD_FILE}: key {key!r} is not an object")
    for key in ("measurement", "environment"):
        if getattr(record, key) is None:
            raise RecordError(f"{run_folder.name}/{RECORD_FILE}: key {key!r} is null")
    record.measurement.gpus = record.measurement.gpus or []
    record.environment.gpu_names = record.environment.gpu_names or []
    record.environment.tunables = record.environment.tunables or {}
    record.cell = {str(axis): str(value) for axis, value in record.cell.items()}
    return record


def _read_plan(path: Path) -> Plan:
    """The plan as far as it can be understood; unknown keys are ignored, missing ones stay empty."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read as JSON ({error}): restore it or remove it") from error
    if not isinstance(value, dict):
        raise BadInputError(
            f"{path} holds {type(value).__name__}, expected an object: restore it or remove it"
        )
    cells = tuple(axes for item in _list(value, "cells") if (axes := _axes(item)))
    not_runnable = tuple(
        NotRunnable(_axes(item), str(item.get("reason") or "no reason was recorded"))
        for item in _list(value, "not_runnable")
        if isinstance(item, dict)
    )
    repeats, seed = value.get("repeats"), value.get("seed")
    return Plan(
        name=_text(value.get("name")),
        title=_text(value.get("title")),
        seed=seed if isinstance(seed, int) else None,
        repeats=repeats if isinstance(repeats, int) else None,
        cells=cells,
        not_runnable=not_runnable,
    )


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _axes(item: Any) -> dict[str, str]:
    axes = item.get("axes") if isinstance(item, dict) else None
    return {str(k): str(v) for k, v in axes.items()} if isinstance(axes, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _read_timeline(path: Path) -> dict[str, Any] | None:
    """The timeline shortened to TIMELINE_POINTS, or ``None`` where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return shorten(value) if isinstance(value, dict) and value.get("t_seconds") else None
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return None


def shorten(timeline: Mapping[str, Any], points: int = TIMELINE_POINTS) -> dict[str, Any]:
    """``timeline`` with at most ``points`` instants: each keeps the greatest value of its stretch."""
    times = timeline["t_seconds"]
    size = max(1, -(-len(times) // points))

    def greatest(series: Sequence[float | None] | None) -> list[float | None]:
        series = list(series or [])
        stretches = [series[i : i + size] for i in range(0, len(series), size)]
        return [max((round(v, 3) for v in stretch if v is not None), default=None) for stretch in stretches]

    return {
        "stretch_seconds": (timeline.get("interval_seconds") or 0) * size,
        "t_seconds": [
            round(float(times[min(i + size, len(times)) - 1]), 3) for i in range(0, len(times), size)
        ],
        "cpu_percent_of_core": greatest(timeline.get("cpu_percent_of_core")),
        "rss_bytes": greatest(timeline.get("rss_bytes")),
        "gpus": [
            {
                "index": gpu.get("index", 0),
                "memory_bytes": greatest(gpu.get("memory_bytes")),
                "utilisation_percent": greatest(gpu.get("utilisation_percent")),
            }
            for gpu in timeline.get("gpus") or []
        ],
        "phases": [
            {"name": str(phase["name"]), "at_seconds": float(phase["at_seconds"])}
            for phase in timeline.get("phases") or []
            if isinstance(phase, dict) and "name" in phase and phase.get("at_seconds") is not None
        ],
    }
