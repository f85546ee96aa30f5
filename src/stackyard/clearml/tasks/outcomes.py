"""What a task came to: its record, figures, artifacts, models and where all that comes from. Reads, changes nothing.

May import the client and the seam's shapes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.clearml.client import Client
from stackyard_task import records
from stackyard_task.records import RecordError, RunRecord

#: The artifact that holds the record: of an ordinary task, and of one that Stackyard sent.
RECORDS = ("stackyard-record", "record")


@dataclass(frozen=True)
class Artifact:
    """A file that a task left."""

    name: str
    bytes: int | None
    sha256: str | None
    url: str


@dataclass(frozen=True)
class Model:
    """A model a task took or made."""

    id: str
    name: str
    #: "input" or "output".
    way: str


@dataclass(frozen=True)
class Outcome:
    """All there is to know of a task."""

    id: str
    name: str
    project: str
    status: str
    reason: str
    queue: str | None
    worker: str | None
    web_address: str
    record: RunRecord | None
    artifacts: tuple[Artifact, ...] = ()
    models: tuple[Model, ...] = ()
    #: Name -> id of the data set versions it used.
    datasets: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def of(client: Client, id: str) -> Outcome:
    """The outcome of a task so far.

    Raises:
        StackyardError: the server does not answer, or does not know the task.
    """
    joined = ["project.name", "execution", "execution.queue.name", "models.input.model.name"]
    task = client.call(
        "tasks.get_all_ex",
        id=[id],
        search_hidden=True,
        only_fields=[
            *(
                "id",
                "name",
                "status",
                "status_reason",
                "status_message",
                "last_worker",
                "hyperparams",
                "models",
            ),
            *joined,
            "models.output.model.name",
        ],
    )["tasks"][0]
    execution = task.get("execution") or {}
    artifacts = tuple(
        Artifact(a["key"], a.get("content_size"), a.get("hash"), a.get("uri") or "")
        for a in execution.get("artifacts") or []
    )
    project = task.get("project") or {}
    sections = task.get("hyperparams") or {}
    return Outcome(
        id=id,
        name=task["name"],
        project=project.get("name") or "",
        status=task["status"],
        reason=task.get("status_reason") or "",
        queue=_name(execution.get("queue")),
        worker=task.get("last_worker"),
        web_address=f"{client.connection.web}/projects/{project.get('id') or '*'}/tasks/{id}",
        record=_record(client, artifacts),
        artifacts=artifacts,
        models=tuple(
            Model(_id(entry["model"]) or "", _name(entry["model"]) or entry.get("name") or "", way)
            for way in ("input", "output")
            for entry in (task.get("models") or {}).get(way) or []
        ),
        datasets={name: entry.get("value") or "" for name, entry in sections.get("Datasets", {}).items()},
        parameters={
            f"{section}/{name}": entry.get("value") or ""
            for section, entries in sections.items()
            if section not in ("Datasets", "properties")
            for name, entry in entries.items()
        },
    )


def _record(client: Client, artifacts: tuple[Artifact, ...]) -> RunRecord | None:
    for artifact in sorted(artifacts, key=lambda one: one.name != RECORDS[0]):
        if artifact.name in RECORDS:
            with tempfile.TemporaryDirectory() as scratch:
                file = Path(scratch) / records.RECORD_FILE
                client.download(artifact.url, file)
                try:
                    return records.read_json(RunRecord, file)
                except RecordError:
                    return None  # another program's artifact of that name
    return None


def _name(joined: Any) -> str | None:
    return joined.get("name") if isinstance(joined, Mapping) else joined


def _id(joined: Any) -> str | None:
    return joined.get("id") if isinstance(joined, Mapping) else joined
