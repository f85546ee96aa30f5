"""What a run leaves with its task: figures, plot, artifacts, models with their lineage; the record last of all.

Everything is uploaded first and then registered at once, the record as the last, so a task that holds a record holds
everything. Files only, never a pickle. Made of the parts of ``handing_in``; the SDK is loaded only where the task's
files go to a store of somebody else's, such as s3://...
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple
from urllib.parse import urlsplit

from stackyard_task import figures, handing_in, records
from stackyard_task.api import ApiError, Server
from stackyard_task.handing_in import table
from stackyard_task.inputs import Used, references
from stackyard_task.records import RunRecord

#: Names of the artifacts; our side asks for them by these.
RECORD, TIMELINE, SERIES = "record", "timeline", "series"
OUTPUT_LOG, OUTPUTS = "output-log", "outputs"
#: What belongs to a model folder. Nothing that could hold code.
MODEL_SUFFIXES = (".safetensors", ".json")
FRAMEWORK = "PyTorch"
#: ClearML's mark of a model that is a folder, packed.
PACKAGE_TAG = "package"
_PREVIEW_CHARACTERS = 4000
#: Events in one call.
_BATCH = 1000
#: A file is packed as it is where so much of it does not get smaller by a tenth: weights, archives, pictures.
_SAMPLE_BYTES = 64 << 10


class NotDelivered(Exception):
    """The results could not be left with the task; the message says why."""


@dataclass(frozen=True)
class Upload:
    """A file on its way to the file server."""

    name: str
    file: Path
    kind: str
    preview: str


class Results:
    """Leaves a run's results.

    Args:
        server: where the task is.
        task: its document: id, name, project, output.destination.
        used: What the run was given.
        left: events of the run that have not been sent yet.
    """

    def __init__(
        self,
        server: Server,
        task: Mapping[str, Any],
        used: Sequence[Used] = (),
        left: Sequence[Dict[str, Any]] = (),
    ) -> None:
        self._server = server
        self._task = task
        self._id = str(task["id"])
        self._used = list(used)
        self._left = list(left)
        self._folder = handing_in.folder_of(task)
        to = str(table(task, "output").get("destination") or server.where.output).rstrip("/")
        #: Where files go other than the server's own; "": there.
        self._elsewhere = "" if _is_same(to, server.where.files) else to

    def deliver(self, record: RunRecord, folder: Path) -> None:
        """Leave the record and its companions.

        Args:
            record: As it stands in the folder.
            folder: The run folder; archives are made in it.

        Raises:
            NotDelivered: the server does not take them; there is no artifact ``record`` then.
        """
        try:
            for model in model_folders(folder) if record.status == "completed" else []:
                self._register_model(model, record, folder)
            sent = [self._sent(upload) for upload in companions(folder)]
            events = [*self._left, *handing_in.shown(self._id, record, folder)]
            for begin in range(0, len(events), _BATCH):
                self._server.call_lines("events.add_batch", events[begin : begin + _BATCH])
            handing_in.register(self._server, self._id, [*sent, self._sent(_record(folder))])
        except (ApiError, OSError) as error:
            raise NotDelivered(f"the results could not be uploaded ({_sentence(error)})") from error

    def leave(self, uploads: Sequence[Upload]) -> None:
        """Leave files alone, of a task that has no run.

        Raises:
            NotDelivered: the server does not take them.
        """
        try:
            handing_in.register(self._server, self._id, [self._sent(upload) for upload in uploads])
        except (ApiError, OSError) as error:
            raise NotDelivered(f"what it found could not be uploaded ({_sentence(error)})") from error

    def _sent(self, upload: Upload) -> Dict[str, Any]:
        """The artifact, once its file is on the server."""
        url = self._put(upload.file, f"artifacts/{upload.name}/{upload.file.name}")
        return handing_in.artifact(upload.name, upload.kind, upload.file, url, upload.preview)

    def _put(self, file: Path, path: str) -> str:
        if not self._elsewhere:
            return self._server.upload(file, f"{self._folder}/{path}")
        from stackyard_task import clearml_sdk  # stores of others are its business

        url = f"{self._elsewhere}/{self._folder}/{path}"
        try:
            there = clearml_sdk.uploaded(file, url)
        except Exception as error:  # the SDK's and its drivers' many errors
            raise NotDelivered(f"{file.name} could not be uploaded to {url} ({_sentence(error)})") from error
        if not there:
            raise NotDelivered(f"{file.name} could not be uploaded to {url}")
        return url

    def _register_model(self, model: Path, record: RunRecord, folder: Path) -> None:
        """Upload a model folder as one package and register it, with what it was made from."""
        archive = _packed(model, folder / f"{model.name}.zip", model_files(model))
        url = self._put(archive, f"models/{archive.name}")
        called = str(self._task["name"])
        name = called if model.name == "model" else f"{called} {model.name}"
        made = self._server.call(
            "models.create",
            name=name,
            uri=url,
            framework=FRAMEWORK,
            project=table(self._task, "project").get("id"),
            task=self._id,
            tags=[f"data:{text}" for text, _ in references(self._used, "data set")],
            system_tags=[PACKAGE_TAG],
            comment=f"{record.workload}, run {record.run_id}; packed folder of {', '.join(MODEL_SUFFIXES)}",
            labels={},
            ready=True,
        )
        id = str(made.get("id"))
        about = [
            {"key": key, "value": value, "type": kind} for key, value, kind in about_model(record, self._used)
        ]
        self._server.call("models.add_or_update_metadata", model=id, metadata=about)
        self._server.call(
            "tasks.add_or_update_model",
            task=self._id,
            name=model.name,
            model=id,
            type="output",
            iteration=0,
        )


def about_model(record: RunRecord, used: Sequence[Used]) -> List[Tuple[str, str, str]]:
    """(key, value, kind) of what a model's page says about where it comes from and what it is worth."""
    found = [("workload", record.workload, "str"), ("run", record.run_id, "str")]
    for kind in ("data set", "model", "task"):
        found += [(f"{kind} {name}", id, "str") for name, id in references(list(used), kind)]
    environment = record.environment
    for key, value in (
        ("stack", environment.stack),
        ("stack digest", environment.stack_digest),
        ("torch", environment.torch),
        ("code", environment.code_version),
        ("code digest", environment.code_digest),
    ):
        if value:
            found.append((key, str(value), "str"))
    found += [(name, f"{value:g}", "float") for name, value in figures.numbers(record.results).items()]
    return found


def model_folders(folder: Path) -> List[Path]:
    """The folders among a run's outputs that hold a model."""
    return sorted({weights.parent for weights in (folder / records.OUTPUTS_FOLDER).glob("*/*.safetensors")})


def model_files(model: Path) -> List[Path]:
    """The files of a model folder that make up the model."""
    return sorted(path for path in model.iterdir() if path.is_file() and path.suffix in MODEL_SUFFIXES)


def companions(folder: Path) -> List[Upload]:
    """Everything but the record, ready to be sent."""
    found = []
    timeline, log = folder / records.TIMELINE_FILE, folder / records.LOG_FILE
    if timeline.is_file():
        found.append(Upload(TIMELINE, timeline, "JSON", "CPU, RAM and GPU over the seconds of the run"))
    series = folder / records.SERIES_FILE
    if series.is_file():
        found.append(Upload(SERIES, series, "JSON", "the values of its figures, step by step"))
    if log.is_file():
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _PREVIEW_CHARACTERS))
            text = stream.read(_PREVIEW_CHARACTERS).decode("utf-8", "replace")
        found.append(Upload(OUTPUT_LOG, log, "text", text or "(the run printed nothing)"))
    outputs = folder / records.OUTPUTS_FOLDER
    top = outputs.resolve()
    files = sorted(
        path
        for path in (outputs.rglob("*") if outputs.is_dir() else ())
        if path.is_file() and top in path.resolve().parents  # a link that leads out delivers nothing
    )
    if files:
        listed = "\n".join(f"{path.relative_to(outputs)} - {path.stat().st_size} bytes" for path in files)
        archive = _packed(outputs, folder / f"{OUTPUTS}.zip", files)
        found.append(Upload(OUTPUTS, archive, "archive", listed[:_PREVIEW_CHARACTERS]))
    return found


def _record(folder: Path) -> Upload:
    file = folder / records.RECORD_FILE
    return Upload(RECORD, file, "JSON", file.read_text(encoding="utf-8"))


def _packed(base: Path, archive: Path, files: Sequence[Path]) -> Path:
    """A zip of files, named as they lie below ``base``."""
    with zipfile.ZipFile(archive, "w", compresslevel=1) as packed:
        for path in files:
            method = zipfile.ZIP_DEFLATED if _shrinks(path) else zipfile.ZIP_STORED
            packed.write(path, path.relative_to(base).as_posix(), method)
    return archive


def _shrinks(file: Path) -> bool:
    """Whether it is worth the time to compress a file: judged by a piece of its middle."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _SAMPLE_BYTES) // 2)
        sample = stream.read(_SAMPLE_BYTES)
    return len(zlib.compress(sample, 1)) < 0.9 * len(sample)


def _is_same(address: str, files: str) -> bool:
    """Whether files that go to ``address`` go to the server's own file server: it says so, or says nothing."""
    return not address or urlsplit(address)[:3] == urlsplit(files)[:3]


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
