"""A task as a comparison sees it, from a server's document. What a server sends is checked, and bounded. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from stackyard.clearml.tasks.outcomes import RECORDS
from stackyard.comparing.near import printable
from stackyard_task.records import RecordError, RunRecord, from_json

#: What of a task is asked for, but for its scalars.
ASKED = (
    *("id", "name", "type", "status", "status_reason", "status_changed", "created", "started", "completed"),
    *("project.name", "user.name", "tags", "last_worker", "execution.queue.name", "execution.artifacts"),
    *("hyperparams", "runtime", "script.repository", "script.version_num", "script.entry_point"),
    "models.input",
)
#: The one of them that anybody may have given to an artifact of their own.
OF_ANYBODY = "record"
#: Sections of parameters that are no parameters of the task's own work.
NOTES = ("properties", "Datasets")
#: Parameters of a task that are looked at.
MOST_PARAMETERS = 1_000
#: Characters of a parameter's value that are looked at; what is longer is told apart by its digest.
LONGEST_VALUE = 200


@dataclass(frozen=True)
class _Named:
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class _Parameter:
    value: str | None = None


@dataclass(frozen=True)
class _Preview:
    preview: str | None = None


@dataclass(frozen=True)
class Artifact:
    """What a task left under a name."""

    key: str
    uri: str | None = None
    content_size: int | None = None
    type_data: _Preview = field(default_factory=_Preview)

    @property
    def preview(self) -> str:
        """Its beginning, as a server's pages show it."""
        return self.type_data.preview or ""


@dataclass(frozen=True)
class _Execution:
    queue: _Named | str | None = None
    artifacts: list[Artifact] | None = None


@dataclass(frozen=True)
class _Script:
    repository: str | None = None
    version_num: str | None = None
    entry_point: str | None = None


@dataclass(frozen=True)
class _Input:
    model: _Named | str | None = None


@dataclass(frozen=True)
class _Models:
    input: list[_Input] | None = None


@dataclass(frozen=True)
class _Document:
    id: str
    status: str
    name: str | None = None
    type: str | None = None
    status_reason: str | None = None
    status_changed: str | None = None
    created: str | None = None
    started: str | None = None
    completed: str | None = None
    project: _Named | str | None = None
    user: _Named | str | None = None
    tags: list[str] | None = None
    last_worker: str | None = None
    execution: _Execution = field(default_factory=_Execution)
    hyperparams: dict[str, dict[str, _Parameter]] | None = None
    runtime: dict[str, Any] | None = None
    script: _Script | None = None
    models: _Models | None = None


@dataclass
class Task:
    """One task."""

    id: str
    name: str
    #: Place of its server among those that were read.
    server: int
    status: str
    reason: str
    project: str | None
    user: str | None
    queue: str | None
    worker: str | None
    #: The machine's name, where anybody told.
    host: str | None
    tags: tuple[str, ...]
    started: str | None
    ended: str | None
    #: "Args/lr" -> its text.
    parameters: Mapping[str, str]
    #: The section "properties", which people set in the web app.
    properties: Mapping[str, str]
    #: Data sets and models that it was given, by name.
    data: Mapping[str, str]
    repository: str | None
    commit: str | None
    entry: str | None
    runtime: Mapping[str, str]
    artifact: Artifact | None
    #: (title, variant) -> what the server keeps of the series: value, min_value, max_value.
    series: Mapping[tuple[str, str], Mapping[str, Any]]
    #: SHA-256 of the uncommitted changes, or of the whole script; ``None``: there are none, or nobody looked.
    diff: str | None = None
    #: What tells its code from another's, as the record of a measured task has it; ``None``: none, or nobody looked.
    code: str | None = None
    #: Parameters beyond MOST_PARAMETERS.
    left_out: int = 0
    record: RunRecord | None = None

    @property
    def called(self) -> str:
        """Its name, told from others of that name."""
        return f"{self.name} ({self.id[:8]})"


Pair = tuple[str, str]


def task_of(
    document: Any,
    server: int,
    names: Mapping[Pair, Pair] | None = None,
    asked: Collection[str] = (),
) -> Task:
    """A task from what ``tasks.get_all_ex`` says of it.

    Args:
        document: its answer.
        server: the place of the server.
        names: key in ``last_metrics`` -> (title, variant); ``None``: it says the names itself.
        asked: parameters that are looked at wherever they stand, beyond MOST_PARAMETERS too.

    Raises:
        RecordError: it is no task's document.
    """
    if not isinstance(document, dict):
        raise RecordError(f"a task: expected an object, found {type(document).__name__}")
    where = f"task {str(document.get('id'))[:40]}"
    metrics = document.get("last_metrics")
    held = from_json(_Document, {k: v for k, v in document.items() if k != "last_metrics"}, where)
    given = held.hyperparams or {}
    runtime = {key: shortened(str(value)) for key, value in (held.runtime or {}).items() if value is not None}
    script = held.script or _Script()
    artifacts = {artifact.key: artifact for artifact in held.execution.artifacts or ()}
    models = (held.models.input if held.models else None) or []
    data = {f"data set {name}": text for name, text in _flat(given.get("Datasets", {})).items()}
    data |= {f"model {n}": id for n, each in enumerate(models, 1) if (id := _id(each.model))}
    parameters = [
        (f"{section}/{name}", text)
        for section, entries in given.items()
        if section not in NOTES
        for name, text in _flat(entries).items()
    ]
    return Task(
        id=held.id,
        name=shortened(held.name or "without a name"),
        server=server,
        status=held.status,
        reason=printable((held.status_reason or "")[:1000])[:500],
        project=_name(held.project),
        user=_name(held.user),
        queue=_name(held.execution.queue),
        worker=shortened(held.last_worker or "") or None,
        host=runtime.get("hostname") or shortened((held.last_worker or "").partition(":")[0]) or None,
        tags=tuple(sorted(map(shortened, held.tags or ()))),
        started=held.started,
        ended=held.completed or held.status_changed,
        parameters=dict(each for n, each in enumerate(parameters) if n < MOST_PARAMETERS or each[0] in asked),
        left_out=max(0, len(parameters) - MOST_PARAMETERS),
        properties=_flat(given.get("properties", {})),
        data=data,
        repository=script.repository or None,
        commit=script.version_num or None,
        entry=script.entry_point or None,
        runtime=runtime,
        artifact=next((artifacts[name] for name in RECORDS if name in artifacts), None),
        series=_series(metrics, names),
    )


def _series(metrics: Any, names: Mapping[Pair, Pair] | None) -> dict[Pair, Mapping[str, Any]]:
    """What of ``last_metrics`` has the form of a series; by hand, for there may be many."""
    found: dict[Pair, Mapping[str, Any]] = {}
    for first, variants in metrics.items() if isinstance(metrics, dict) else ():
        for second, series in variants.items() if isinstance(variants, dict) else ():
            if not isinstance(series, dict):
                continue
            if names is not None:
                pair: Any = names.get((first, second))
            else:
                pair = (series.get("metric"), series.get("variant"))
            if pair is not None and isinstance(pair[0], str) and isinstance(pair[1], str):
                found[pair] = series
    return found


def _flat(entries: Mapping[str, _Parameter]) -> dict[str, str]:
    return {name: shortened(entry.value or "") for name, entry in entries.items()}


def shortened(text: str) -> str:
    """A text on one line and of bounded length; a long one still differs from others that begin alike."""
    line = printable(text)
    if len(line) <= LONGEST_VALUE:
        return line
    return f"{line[:LONGEST_VALUE]}… ({hashlib.sha256(line.encode()).hexdigest()[:8]})"


def _name(held: _Named | str | None) -> str | None:
    return shortened(held.name) if isinstance(held, _Named) and held.name else None


def _id(held: _Named | str | None) -> str | None:
    return held.id if isinstance(held, _Named) else held
