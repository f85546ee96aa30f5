"""What lets every template run as cloned: a small data set of simulated sessions and a detector trained on it.

Made here, bare, with the same workloads as any run, and put on the server once; seeds are fixed, so making them again
makes the same. What a detector reaches on simulated sessions says nothing about a real network. Who calls
it says how a run is made. May import datasets and the seam's shapes.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.clearml import datasets
from stackyard.clearml.sending import Sender, digest_of
from stackyard.errors import StackyardError
from stackyard_task import records
from stackyard_task.records import RunRecord, StackPin, TaskSpec
from stackyard_task.workloads import Workload

PROJECT = "Stackyard"
DATA_SET = "simulated-firewall"
MODEL = "simulated-firewall-detector"
#: 1 more of the first part whenever the sessions themselves change.
VERSION = "2.0.0"
SESSIONS = {"sessions": 1000, "seed": 7}
TRAINING = {"epochs": 8, "batch_size": 64, "seed": 1}
_ABOUT = "Simulated firewall and IPS sessions (seed 7): benign.txt to train on, test.csv labelled. Not a recording."

Say = Callable[[str], None]


@dataclass(frozen=True)
class Workshop:
    """Where examples are made."""

    #: (task, an empty run folder, a Python) -> the record of that run, made here and now.
    run: Callable[[TaskSpec, Path, Path], RunRecord]
    #: The stack that trains the example model, and its Python; ``None``: it is not built here.
    stack: StackPin
    python: Path | None
    environment: Mapping[str, str]
    #: Any Python >= 3.9: simulating needs no stack.
    plain_python: Path
    #: Declared workloads, by name.
    declared: Mapping[str, Workload]


def presets() -> dict[str, dict[str, Any]]:
    """Workload -> parameters that let its template run on the examples."""
    benign, test = data("benign.txt"), data("test.csv")
    model = f"clearml-model:{PROJECT}/{MODEL}"
    return {
        "detector-prepare": {"data": benign},
        "detector-train": {"data": benign, "epochs": 3},
        "detector-infer": {"data": test, "model": model},
        "detector-evaluate": {"data": test, "model": model},
    }


def data(file: str) -> dict[str, Any]:
    """A file of the example data set, as a parameter."""
    path = f"clearml-dataset:{PROJECT}/{DATA_SET}@{VERSION}//{file}"
    if file.endswith(".txt"):
        return {"sources": [{"path": path, "format": "sequences", "label": 0}]}
    return {
        "sources": [
            {
                "path": path,
                "format": "csv-sequences",
                "key_column": "key",
                "label_column": "label",
                "attack_column": "attack_starts_at",
                "event_column": "events",
                "time_column": "started_at",
            }
        ]
    }


def publish(sender: Sender, workshop: Workshop, say: Say) -> list[str]:
    """Put the examples on the server that are not there; what is still missing and why, in sentences.

    Raises:
        StackyardError: one could not be made, or the server does not take it.
    """
    held = {version.version for version in datasets.versions(sender.client, PROJECT, DATA_SET)}
    model = _holds_model(sender)
    if VERSION in held and model:
        return []
    with tempfile.TemporaryDirectory(prefix="stackyard-examples-") as scratch:
        say("simulating sessions")
        sessions = Path(scratch) / "sessions"
        simulate = "simulate-firewall"
        spec = TaskSpec("example/sessions", simulate, dict(SESSIONS), declared=workshop.declared[simulate])
        _run(sessions, spec, workshop, None)
        files = sessions / records.OUTPUTS_FOLDER
        if VERSION not in held:
            say(f"publishing data set {PROJECT}/{DATA_SET} {VERSION}")
            datasets.publish(
                sender.client,
                files,
                PROJECT,
                DATA_SET,
                version=VERSION,
                tags=["simulated"],
                description=_ABOUT,
            )
        if model:
            return []
        if workshop.python is None:
            return [
                f"no example model: stack {workshop.stack.name} is not built here, so detector-infer and "
                f"detector-evaluate need a model named in their form (stackyard stack build {workshop.stack.name}, "
                "then publish again)"
            ]
        say(f"training the example model on {workshop.stack.name}")
        local = {"sources": [{"path": str(files / "benign.txt"), "format": "sequences", "label": 0}]}
        trained = Path(scratch) / "model"
        spec = TaskSpec(
            "example/model",
            "detector-train",
            {**TRAINING, "data": local},
            declared=workshop.declared["detector-train"],
            stack=workshop.stack,
            environment=dict(workshop.environment),
        )
        record = _run(trained, spec, workshop, workshop.python)
        _register(sender, trained / records.OUTPUTS_FOLDER / "model", record)
    return []


def _run(folder: Path, spec: TaskSpec, workshop: Workshop, python: Path | None) -> RunRecord:
    folder.mkdir()
    record = workshop.run(spec, folder, python or workshop.plain_python)
    if record.failure is not None:
        raise StackyardError(f"{spec.run_id}: {record.failure.kind}: {record.failure.message}")
    return record


def _holds_model(sender: Sender) -> bool:
    found = sender.client.call(
        "models.get_all",
        project=[sender.project(PROJECT)],
        name=f"^{re.escape(MODEL)}$",
        # one that was trained on other sessions is no example any more
        tags=[f"data:{PROJECT}/{DATA_SET}@{VERSION}"],
        only_fields=["id"],
        page=0,
        page_size=1,
    )
    return bool(found["models"])


def _register(sender: Sender, folder: Path, record: RunRecord) -> None:
    archive = folder.parent / "model.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.iterdir()):
            packed.write(path, path.name)
    url = sender.client.upload(archive, f"{PROJECT}/examples/{digest_of(archive)}/model.zip")
    project = sender.project(PROJECT)
    dataset = datasets.newest(sender.client, PROJECT, DATA_SET)
    named = f"{PROJECT}/{DATA_SET}@{VERSION}"
    created = sender.client.call(
        "models.create",
        name=MODEL,
        uri=url,
        framework="PyTorch",
        project=project,
        tags=["simulated", f"data:{named}"],
        system_tags=["package"],
        comment="Example: trained on simulated sessions, for trying the templates.",
        labels={},
        ready=True,
    )
    about = {
        f"data set {named}": "" if dataset is None else dataset.id,
        "parameters": json.dumps(TRAINING),
        "stack": record.environment.stack or "",
        "code digest": record.environment.code_digest or "",
    }
    sender.client.call(
        "models.add_or_update_metadata",
        model=created["id"],
        metadata=[{"key": key, "value": value, "type": "str"} for key, value in about.items() if value],
    )
