"""From run folders to a Study: the records, plans and shortened timelines of one or several machines.

The only file of this room that reads. It judges nothing: what cannot be read is kept with its reason. May
import the shapes of the records; never the runner or a launcher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard_task.records import (
    LIST_BYTES,
    PLAN_FILE,
    RECORD_FILE,
    TIMELINE_FILE,
    Course,
    RecordError,
    RunRecord,
    read_json,
)

RUNS_FOLDER = "runs"
PREPARED_FOLDER = "prepared"
#: Preparations whose notes are read, and notes of each.
MOST_PREPARED = 20
#: Results of a record that are read, each figure or text counted, those in lists too.
MOST_RESULTS = 500
#: A timeline is shortened to this many points when read; each keeps the greatest value of its stretch.
TIMELINE_POINTS = 240


@dataclass(frozen=True)
class NotRunnable:
    """A planned cell that the machine could not run."""

    axes: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class Change:
    """Why the cells of a workload began anew in a matrix that went on."""

    #: What the workload was called before.
    of: str = ""
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanSummary:
    """What a matrix set out to do, as far as its plan.json says."""

    name: str | None = None
    title: str | None = None
    seed: int | None = None
    repeats: int | None = None
    cells: tuple[Mapping[str, str], ...] = ()
    not_runnable: tuple[NotRunnable, ...] = ()
    #: Workloads whose code nowhere says shard, though the axis workers shares out their work.
    undivided: tuple[str, ...] = ()
    #: Workload whose cells began anew -> why.
    changes: Mapping[str, Change] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One record and where it came from."""

    record: RunRecord
    #: Index into ``Study.sources``.
    source: int
    #: Name of the run's folder.
    folder: str
    timeline: Mapping[str, Any] | None = None
    #: Whether its record was measured; else it was made from what a server knows.
    measured: bool = True


@dataclass(frozen=True)
class Unreadable:
    """A run folder that gave no record; or a file beside the records that says nothing."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Remark:
    """What whoever made a study found beside its records, as a report's warnings say it."""

    code: str
    #: "warning" or "note".
    severity: str
    message: str
    advice: str


@dataclass(frozen=True)
class Study:
    """Everything a report is made from."""

    runs: tuple[Run, ...]
    plans: tuple[PlanSummary, ...] = ()
    #: Names of the folders read, in order.
    sources: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = field(default=())
    #: Plans and timelines that cannot be read; ``folder`` is the file's path in its source.
    damaged: tuple[Unreadable, ...] = field(default=())
    #: Run folders whose records hold more results than are read, and how many are left out of each.
    shortened: tuple[tuple[str, int], ...] = ()
    #: Records seen twice (the same run in two folders); the copy is left out.
    duplicates: int = 0
    #: Its title where no plan has one.
    title: str | None = None
    #: Whether runs of different machines are different cells; else a cell may hold runs of several.
    hosts_apart: bool = True
    #: Whether runs were made in blocks, each with a run of every cell.
    blocks: bool = True
    #: Levels of axes that say nothing: a cell without them is rather the baseline.
    unsaid: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    #: Code of a warning -> other advice than usual; ``None``: the remarks speak of that, the warning does not.
    advice: Mapping[str, str | None] = field(default_factory=dict)


def load(folders: Sequence[Path]) -> Study:
    """The records and plans of ``folders``, each the output folder of a scenario run.

    Raises:
        BadInputError: a folder is missing, or there is neither a record nor a plan that can be read.
    """
    if not folders:
        raise BadInputError("no folder given: name the output folder of at least one scenario run")
    runs: list[Run] = []
    plans: list[PlanSummary] = []
    unreadable: list[Unreadable] = []
    damaged: list[Unreadable] = []
    shortened: list[tuple[str, int]] = []
    seen: set[tuple[str, str, str | None]] = set()
    duplicates = 0
    resolved = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    for source, folder in enumerate(resolved):
        if not folder.is_dir():
            raise BadInputError(f"{folder} is not a folder: give the output folder of a scenario run")
        try:
            if (folder / PLAN_FILE).exists():
                plans.append(_read_plan(folder / PLAN_FILE))
        except RecordError as error:
            damaged.append(Unreadable(f"{folder.name}/{PLAN_FILE}", str(error)))
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
            record.results, missed = first_results(record.results)
            if missed:
                shortened.append((run_folder.name, missed))
            timeline = None
            try:
                timeline = _read_timeline(run_folder / TIMELINE_FILE)
            except RecordError as error:
                damaged.append(Unreadable(f"{run_folder.name}/{TIMELINE_FILE}", str(error)))
            runs.append(Run(record, source, run_folder.name, timeline))
    remarks = [remark for folder in resolved for remark in _prepared_remarks(folder)]
    if not runs and not plans:
        names = ", ".join(str(folder) for folder in resolved)
        why = "".join(f" ({item.folder}: {item.reason})" for item in [*unreadable, *damaged][:1])
        raise BadInputError(
            f"no records found in {names}{why}: expected {RUNS_FOLDER}/*/{RECORD_FILE}, "
            "as `stackyard scenario run` leaves them"
        )
    sources = tuple(folder.name for folder in resolved)
    return Study(
        tuple(runs),
        tuple(plans),
        sources,
        tuple(unreadable),
        tuple(damaged),
        tuple(shortened),
        duplicates,
        remarks=tuple(remarks),
    )


def _prepared_remarks(folder: Path) -> Iterator[Remark]:
    """What the records of preparations in ``folder`` say of themselves; a preparation is no run of a report."""
    prepared = folder / PREPARED_FOLDER
    found = sorted(prepared.iterdir()) if prepared.is_dir() else []
    for path in found[:MOST_PREPARED]:
        try:
            notes = _read_record(path).notes
        except RecordError:  # under way, or set aside: its scenario says so
            continue
        for note in notes[:MOST_PREPARED]:
            message = f"Preparation {path.name}: {note.rstrip('.')}."
            yield Remark("run-notes", "note", message, "It stands in the record of the preparation.")


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
    return read_json(RunRecord, run_folder / RECORD_FILE)


def first_results(results: Mapping[str, Any], most: int = MOST_RESULTS) -> tuple[dict[str, Any], int]:
    """The first so many results, and how many there are beyond them."""
    seen = 0

    def taken(value: Any) -> Any:
        nonlocal seen
        if isinstance(value, Mapping):
            return {key: inner for key, item in value.items() if (inner := taken(item)) is not _LEFT_OUT}
        if isinstance(value, list):
            return [inner for item in value if (inner := taken(item)) is not _LEFT_OUT]
        seen += 1
        return value if seen <= most else _LEFT_OUT

    found = taken(results)
    return found, max(0, seen - most)


_LEFT_OUT = object()


@dataclass(frozen=True)
class _PlannedCell:
    axes: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class _PlanFile:
    """What of a plan.json a report reads; a plan has more."""

    name: str | None = None
    title: str | None = None
    seed: int | None = None
    repeats: int | None = None
    cells: tuple[_PlannedCell, ...] = ()
    not_runnable: tuple[_PlannedCell, ...] = ()
    undivided: tuple[str, ...] = ()
    changes: dict[str, Change] = field(default_factory=dict)


def _read_plan(path: Path) -> PlanSummary:
    """The plan; unknown keys are ignored, missing ones stay empty.

    Raises:
        RecordError: it is not JSON, or a value in it has the wrong type.
    """
    held = read_json(_PlanFile, path, LIST_BYTES)
    return PlanSummary(
        name=_text(held.name),
        title=_text(held.title),
        seed=held.seed,
        repeats=held.repeats,
        cells=tuple(cell.axes for cell in held.cells if cell.axes),
        not_runnable=tuple(
            NotRunnable(cell.axes, cell.reason or "no reason was recorded") for cell in held.not_runnable
        ),
        undivided=held.undivided,
        changes=held.changes,
    )


def _text(value: str | None) -> str | None:
    return value if value and value.strip() else None


def _read_timeline(path: Path) -> dict[str, Any] | None:
    """The timeline shortened to TIMELINE_POINTS; ``None`` where there is none, or no point in it.

    Raises:
        RecordError: it is not JSON, or a value in it has the wrong type.
    """
    if not path.exists():
        return None
    course = read_json(Course, path)
    return shorten(course) if course.t_seconds else None


def shorten(course: Course, points: int = TIMELINE_POINTS) -> dict[str, Any]:
    """``course`` with at most ``points`` instants: each keeps the greatest value of its stretch."""
    times = course.t_seconds
    size = max(1, -(-len(times) // points))

    def greatest(series: Sequence[float | None]) -> list[float | None]:
        stretches = [series[i : i + size] for i in range(0, len(series), size)]
        return [max((round(v, 3) for v in stretch if v is not None), default=None) for stretch in stretches]

    return {
        "stretch_seconds": (course.interval_seconds or 0) * size,
        "t_seconds": [
            round(float(times[min(i + size, len(times)) - 1]), 3) for i in range(0, len(times), size)
        ],
        "cpu_percent_of_core": greatest(course.cpu_percent_of_core),
        "rss_bytes": greatest(course.rss_bytes),
        "gpus": [
            {
                "index": gpu.index,
                "memory_bytes": greatest(gpu.memory_bytes),
                "utilisation_percent": greatest(gpu.utilisation_percent),
            }
            for gpu in course.gpus
        ],
        "phases": [{"name": phase.name, "at_seconds": float(phase.at_seconds)} for phase in course.phases],
    }
