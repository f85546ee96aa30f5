"""A run sent through a ClearML server: create the task, enqueue it, watch it, bring its record here.

What the deployments ``agent`` and ``container`` share. They differ in the queue and in the image; the task, its
code, its parameters and its record are the same. May import the client and the records of the seam.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.clearml_client import Client, ServerError
from stackyard.launch import LaunchError, Place, wheel
from stackyard.settings import base
from stackyard_task import records, workloads
from stackyard_task.records import Dispatch, TaskSpec

#: Where what travels with tasks lies on the file server.
CODE_FOLDER = "Stackyard/code"
INPUTS_FOLDER = "Stackyard/inputs"
#: ClearML project of the tasks a scenario makes.
RUNS_PROJECT = "Stackyard/runs"
#: The configuration object that carries the TaskSpec (``stackyard_task.clearml_link`` reads it).
SPEC = "Stackyard"
ENTRY = "dispatched.py"
FINAL = ("completed", "failed", "stopped", "published", "closed")
POLL_SECONDS = 0.25
_PLACEHOLDER = 'CODE = {"url": "", "sha256": ""}'


@dataclass
class Sender:
    """Puts tasks and what they need on a server; remembers what is there already."""

    client: Client
    _projects: dict[str, str] = field(default_factory=dict)
    _uploaded: dict[str, str] = field(default_factory=dict)

    def script(self, code: Path) -> dict[str, Any]:
        """The script field of a task that runs the snapshot in ``code``: the entry script, with its wheel's digest."""
        built = wheel.built(code)
        url = self.uploaded(built.content, f"{CODE_FOLDER}/{built.sha256}/{built.name}", built.sha256)
        text = entry_text().replace(
            _PLACEHOLDER, f"CODE = {json.dumps({'url': url, 'sha256': built.sha256})}"
        )
        return {
            "binary": "python3",
            "entry_point": ENTRY,
            "working_dir": ".",
            "repository": "",
            "diff": text,
            "requirements": {"pip": ""},
        }

    def uploaded(self, content: bytes, path: str, sha256: str) -> str:
        """The address of that content on the file server, put there unless it is."""
        if sha256 not in self._uploaded:
            url = f"{self.client.connection.files}/{path}"
            if not self.client.holds(url):
                with tempfile.NamedTemporaryFile() as draft:
                    draft.write(content)
                    draft.flush()
                    self.client.upload(Path(draft.name), path)
            self._uploaded[sha256] = url
        return self._uploaded[sha256]

    def sent(self, value: Any) -> Any:
        """``value`` with every path of a local file replaced by a reference to its copy on the file server."""
        if isinstance(value, Mapping):
            return {key: self.sent(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.sent(item) for item in value]
        if isinstance(value, str) and value.startswith("/"):
            path = Path(value)
            if path.is_file():
                content = path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                url = self.uploaded(content, f"{INPUTS_FOLDER}/{digest}/{path.name}", digest)
                return f"clearml-file:{digest}:{url}"
        return value

    def project(self, name: str) -> str:
        """The id of a project, made if it is missing."""
        if name not in self._projects:
            found = self.client.call("projects.get_all", name=f"^{name}$", only_fields=["id", "name"])[
                "projects"
            ]
            self._projects[name] = (
                found[0]["id"]
                if found
                else self.client.call("projects.create", name=name, description="")["id"]
            )
        return self._projects[name]

    def create(self, spec: TaskSpec, script: Mapping[str, Any], name: str, **fields: Any) -> str:
        """A task on the server that runs ``spec``; its id."""
        return str(
            self.client.call(
                "tasks.create",
                name=name,
                project=self.project(fields.pop("project", RUNS_PROJECT)),
                type=fields.pop("type", "training"),
                script=dict(script),
                configuration={
                    SPEC: {"name": SPEC, "type": "json", "value": json.dumps(records.to_json(spec), indent=1)}
                },
                hyperparams=hyperparameters(spec),
                **fields,
            )["id"]
        )


class DispatchLauncher:
    """Starts runs through a queue.

    Args:
        sender: puts tasks on the server.
        queue: name of the queue.
        image_of: stack name -> the image to run in, or ``None``: on the host.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sender: Sender,
        queue: str,
        image_of: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._queue = queue
        self._image_of = image_of
        self._clock = clock
        self._scripts: dict[Path, dict[str, Any]] = {}

    def start(self, task: TaskSpec, place: Place) -> DispatchedRun:
        """Write ``task.json``, create the task and put it into the queue.

        Raises:
            LaunchError: the server refuses, or does not answer.
            OSError: the folder cannot be written.
        """
        records.write_json(task, place.folder / records.TASK_FILE)
        try:
            if place.code not in self._scripts:
                self._scripts[place.code] = self._sender.script(place.code)
            sent = dataclasses.replace(task, parameters=self._sender.sent(task.parameters))
            fields: dict[str, Any] = {}
            if self._image_of is not None and task.stack is not None:
                fields["container"] = {
                    "image": self._image_of(task.stack.name),
                    "arguments": " ".join(container_arguments(task)),
                }
            id = self._sender.create(sent, self._scripts[place.code], task.run_id, **fields)
            self._sender.client.call("tasks.enqueue", task=id, queue_name=self._queue)
            enqueued_at = self._sender.client.call("tasks.get_by_id", task=id)["task"].get("status_changed")
        except ServerError as error:
            raise LaunchError(str(error)) from error
        return DispatchedRun(self._sender.client, id, place.folder, self._queue, enqueued_at, self._clock)


class DispatchedRun:
    """A run that is a task on a server."""

    def __init__(
        self,
        client: Client,
        id: str,
        folder: Path,
        queue: str,
        enqueued_at: str | None,
        clock: Callable[[], float],
    ) -> None:
        self.id = id
        self._client = client
        self._folder = folder
        self._queue = queue
        self._enqueued_at = enqueued_at
        self._clock = clock

    def wait(self, seconds: float) -> int | None:
        """0 once the task has its final status and its results are in the run folder; ``None``: not yet."""
        end = self._clock() + seconds
        while True:
            task = self._client.call("tasks.get_by_id", task=self.id)["task"]
            if task["status"] in FINAL:
                self._collect(task)
                return 0 if task["status"] == "completed" else 1
            left = end - self._clock()
            if left <= 0:
                return None
            time.sleep(min(POLL_SECONDS, left))

    def interrupt(self) -> None:
        """Ask the agent to end the task."""
        self._client.call("tasks.stop", task=self.id)

    def kill(self) -> None:
        """Take the task from whoever has it."""
        self._client.call("tasks.stopped", task=self.id, force=True, status_reason="killed by its submitter")

    def _collect(self, task: Mapping[str, Any]) -> None:
        """Bring what the task left into the run folder, the record last."""
        artifacts = {a["key"]: a for a in task.get("execution", {}).get("artifacts", [])}
        for name, file in (("timeline", records.TIMELINE_FILE), ("output-log", records.LOG_FILE)):
            if name in artifacts:
                self._client.download(artifacts[name]["uri"], self._folder / file)
        if "outputs" in artifacts:
            archive = self._folder / "outputs.zip"
            self._client.download(artifacts["outputs"]["uri"], archive)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(self._folder / records.OUTPUTS_FOLDER)
            archive.unlink()
        if "record" not in artifacts:
            return
        draft = self._folder / f".{records.RECORD_FILE}"
        self._client.download(artifacts["record"]["uri"], draft)
        record = records.read_json(records.RunRecord, draft)
        draft.unlink()
        record.dispatch = record.dispatch or Dispatch()
        record.dispatch.queue = self._queue
        record.dispatch.enqueued_at = self._enqueued_at
        record.dispatch.pulled_at = task.get("started")
        record.dispatch.finished_at = task.get("completed") or task.get("status_changed")
        records.write_json(record, self._folder / records.RECORD_FILE)


def container_arguments(task: TaskSpec) -> list[str]:
    """The limits of a run, as the engine is to hold them."""
    arguments = []
    if task.limits.cores is not None:
        arguments.append(f"--cpus={task.limits.cores:g}")
    if task.limits.memory_bytes is not None:
        arguments.append(f"--memory={task.limits.memory_bytes}b")
    return arguments


def hyperparameters(spec: TaskSpec) -> dict[str, dict[str, dict[str, str]]]:
    """A task's parameters in ClearML's form: typed, described, in sections."""
    workload = workloads.WORKLOADS.get(spec.workload)
    described = {p.name: p for p in workload.parameters} if workload else {}
    sections: dict[str, dict[str, dict[str, str]]] = {"Run": {}}
    for name, value in spec.parameters.items():
        parameter = described.get(name)
        section = getattr(parameter, "section", None) or "Parameters"
        sections.setdefault(section, {})[name] = {
            "section": section,
            "name": name,
            "value": workloads.as_text(value),
            "type": parameter.kind if parameter else "",
            "description": parameter.help if parameter else "",
        }
    run = {
        "stack": spec.stack.name if spec.stack else None,
        "threads": spec.threads,
        "time_limit_seconds": spec.time_limit_seconds,
        "cores": spec.limits.cores,
        "memory_bytes": spec.limits.memory_bytes,
    }
    for name, value in run.items():
        sections["Run"][name] = {
            "section": "Run",
            "name": name,
            "value": workloads.as_text(value),
            "type": "",
        }
    return sections


def entry_text() -> str:
    """The text of the entry script."""
    return (base() / "tasks" / ENTRY).read_text(encoding="utf-8")
