"""What a run leaves with its task: figures, plot, artifacts, models with their lineage; the record last of all.

Everything is uploaded side by side and registered once it is there; the record comes when all the rest has, so a
task that holds a record holds everything. Files only, never a pickle.
"""

from __future__ import annotations

import mimetypes
import os
import re
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Sequence, Tuple

import clearml
import requests
from clearml.backend_api.services import models, tasks
from clearml.storage.helper import StorageHelper

from stackyard_task import figures, records
from stackyard_task.clearml_inputs import Used, references
from stackyard_task.inputs import digest_of
from stackyard_task.records import RunRecord

#: Names of the artifacts; our side asks for them by these.
RECORD, TIMELINE, SERIES = "record", "timeline", "series"
OUTPUT_LOG, OUTPUTS = "output-log", "outputs"
#: What belongs to a model folder. Nothing that could hold code.
MODEL_SUFFIXES = (".safetensors", ".json")
FRAMEWORK = "PyTorch"
#: ClearML's mark of a model that is a folder, packed.
PACKAGE_TAG = "package"
#: How long a file server that is away is waited for: it is started again, or its proxy says so meanwhile.
PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
#: What a proxy says of a server that is away, as the SDK tells it.
_AWAY = re.compile(r"\((502|503|504)\)")
_PREVIEW_CHARACTERS = 4000
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
        task: The SDK's task.
        used: What the run was given.
        sleep: Waits so many seconds; tests bring their own.
    """

    def __init__(self, task: Any, used: Sequence[Used], sleep: Callable[[float], None] = time.sleep) -> None:
        self._task = task
        self._used = list(used)
        self._sleep = sleep
        self._base = _base(task)

    def deliver(self, record: RunRecord, folder: Path) -> None:
        """Leave the record and its companions.

        Args:
            record: As it stands in the folder.
            folder: The run folder; archives are made in it.

        Raises:
            NotDelivered: the server does not take them; there is no artifact ``record`` then.
        """
        # the SDK sets up its storage at the first use, which threads must not do at the same moment
        StorageHelper.get(self._base)
        with ThreadPoolExecutor(4, "deliver") as pool:
            shown = pool.submit(self._show, record, folder)
            registered = [
                pool.submit(self._register_model, model, record, folder)
                for model in (model_folders(folder) if record.failure is None else [])
            ]
            sent = [pool.submit(self._sent, upload) for upload in companions(folder)]
            try:
                shown.result()
                for one in registered:
                    one.result()
                self._register([one.result() for one in sent])
                self._register([self._sent(_record(folder))])
            except NotDelivered:
                raise
            except Exception as error:  # the SDK's and requests' many errors
                raise NotDelivered(f"the results could not be uploaded ({_sentence(error)})") from error

    def _show(self, record: RunRecord, folder: Path) -> None:
        """The figures and the plot."""
        logger = self._task.get_logger()
        for name, value in figures.figures(record).items():
            logger.report_single_value(name, value)
        try:
            course = records.read_json(records.Course, folder / records.TIMELINE_FILE)
        except records.RecordError:
            return
        plot = figures.timeline_plot(course)
        if plot is not None:
            logger.report_plotly("Resources", "timeline", plot, 0)

    def _sent(self, upload: Upload) -> Any:
        """The artifact, once its file is on the server."""
        return tasks.Artifact(
            key=upload.name,
            type=upload.kind,
            uri=self._put(upload.file, f"artifacts/{upload.name}/{upload.file.name}"),
            content_size=upload.file.stat().st_size,
            hash=digest_of(upload.file),
            timestamp=int(time.time()),
            type_data=tasks.ArtifactTypeData(
                preview=upload.preview, content_type=mimetypes.guess_type(upload.file.name)[0]
            ),
            mode="output",
        )

    def _put(self, file: Path, path: str) -> str:
        url = f"{self._base}/{path}"
        waited, pause = 0.0, FIRST_PAUSE_SECONDS
        while True:
            try:
                if clearml.StorageManager.upload_file(str(file), url, wait_for_upload=True):
                    return url
                raise NotDelivered(f"{file.name} could not be uploaded to {url}")
            except Exception as error:  # the SDK's and requests' many errors
                if waited >= PATIENCE_SECONDS or not _is_away(error):
                    raise
            self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _register(self, artifacts: List[Any]) -> None:
        if not artifacts:
            return
        done = self._task.send(
            tasks.AddOrUpdateArtifactsRequest(task=self._task.id, artifacts=artifacts, force=True)
        )
        if done is None or not done.ok():
            raise NotDelivered("the server refused the artifacts of the task")

    def _register_model(self, model: Path, record: RunRecord, folder: Path) -> None:
        """Upload a model folder as one package and register it, with what it was made from."""
        archive = _packed(model, folder / f"{model.name}.zip", model_files(model))
        url = self._put(archive, f"models/{archive.name}")
        task = self._task
        name = task.name if model.name == "model" else f"{task.name} {model.name}"
        created = task.send(
            models.CreateRequest(
                name=name,
                uri=url,
                framework=FRAMEWORK,
                project=task.project,
                task=task.id,
                tags=[f"data:{text}" for text, _ in references(self._used, "data set")],
                system_tags=[PACKAGE_TAG],
                comment=f"{record.workload}, run {record.run_id}; packed folder of {', '.join(MODEL_SUFFIXES)}",
                labels={},
                ready=True,
            )
        )
        if created is None or not created.ok():
            raise NotDelivered(f"the server refused the model {name}")
        id = created.response.id
        task.send(
            models.AddOrUpdateMetadataRequest(
                model=id,
                metadata=[
                    {"key": key, "value": value, "type": kind}
                    for key, value, kind in about_model(record, self._used)
                ],
            )
        )
        task.send(
            tasks.AddOrUpdateModelRequest(task=task.id, name=model.name, model=id, type="output", iteration=0)
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


def _is_away(error: Exception) -> bool:
    """Whether an upload failed for want of a server rather than of its consent."""
    return isinstance(error, requests.exceptions.ConnectionError) or bool(_AWAY.search(str(error)))


def _base(task: Any) -> str:
    """The folder of a task on the file server, as the SDK lays it out, in characters every server takes."""
    server = (task.output_uri or clearml.Logger.current_logger().get_default_upload_destination()).rstrip("/")
    path = f"{task.get_project_name() or 'none'}/{task.name}.{task.id}"
    return f"{server}/{re.sub(r'[^A-Za-z0-9._/-]+', '-', path)}"


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
