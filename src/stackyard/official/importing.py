"""A bundle into a server: through the API of a running one (new ids), or as documents for the embedded one (same ids).

Through the API nobody can choose ids, users or times: tasks and models get new ids, which are put wherever old ones
stood, also in addresses of files and in parameters; the old id, start and end are noted in the task's ``runtime``.
An import that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import itertools
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.clearml.client import Client, ServerError
from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.official.bundle import HERE, Bundle, rename, walk
from stackyard_task.records import RecordError, from_json, parse

Say = Callable[[str], None]
#: Where ClearML's SDK keeps what a version of a data set consists of.
DATA_SET_STATE = re.compile(r"/artifacts/state/[^/]+\.json$")
#: Events in one call; ClearML's clients send about as many.
BATCH = 500
#: What a server that is asked for it may set; the rest is its own business.
TASK_FIELDS = (
    "comment",
    "tags",
    "system_tags",
    "script",
    "hyperparams",
    "configuration",
    "container",
    "execution",
)
MODEL_FIELDS = ("comment", "tags", "system_tags", "framework", "design", "labels", "metadata")
#: Status in a bundle -> the call that leads there; a task that ran elsewhere cannot run on here.
ENDINGS = {
    "in_progress": "tasks.stopped",
    "stopped": "tasks.stopped",
    "publishing": "tasks.completed",
    "completed": "tasks.completed",
    "published": "tasks.completed",
    "closed": "tasks.stopped",
    "failed": "tasks.failed",
}


@dataclass(frozen=True)
class _Step:
    """A line of a receipt: a document's old and new id, or a step that is done."""

    old: str | None = None
    new: str | None = None
    done: str | None = None


class Receipt:
    """What an import into one server has done so far: a file in the bundle, one line a step."""

    def __init__(self, bundle: Bundle, address: str) -> None:
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", address)
        self._path = bundle.folder / f"imported-{name}.jsonl"
        self.ids: dict[str, str] = {}
        self._done: set[str] = set()
        if self._path.is_symlink():
            raise BadInputError(f"{self._path} is a link; remove it, what it says is done again")
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    step = from_json(_Step, parse(line, str(self._path)), str(self._path))
                except RecordError as error:
                    raise BadInputError(f"{error}; remove that line, what it says is done again") from error
                if step.old is not None and step.new is not None:
                    self.ids[step.old] = step.new
                elif step.done is not None:
                    self._done.add(step.done)

    def made(self, old: str, new: str) -> None:
        """A document has an id there."""
        self.ids[old] = new
        self._note({"old": old, "new": new})

    def finished(self, what: str) -> None:
        """A step needs not be repeated."""
        self._done.add(what)
        self._note({"done": what})

    def has(self, what: str) -> bool:
        """Whether a step was finished."""
        return what in self._done

    def _note(self, step: dict[str, str]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(step) + "\n")


def take_in(client: Client, folder: Path, say: Say) -> dict[str, int]:
    """Put a bundle into a running server through its API.

    Args:
        client: speaks to the server; what is made belongs to its user.
        folder: the bundle.
        say: told what is done.

    Returns:
        How many of each kind were made or brought to their end now.

    Raises:
        BadInputError: no bundle, or a file of it changed.
        ServerError: the server refused a call.
        UnreachableError: it does not answer.
    """
    bundle = Bundle.read(folder)
    receipt = Receipt(bundle, client.connection.api)
    counts = {"projects": 0, "queues": 0, "tasks": 0, "models": 0, "events": 0, "files": 0}
    # all of it is looked at before anything is made
    named = {kind: bundle.documents(kind) for kind in ("projects", "queues")}
    tasks, models, files = bundle.documents("tasks"), bundle.documents("models"), list(bundle.files())
    for kind, documents in named.items():
        for document in documents:
            if document["id"] not in receipt.ids:
                receipt.made(document["id"], _named(client, kind, document, counts))
    for task in _parents_first(tasks):
        if task["id"] not in receipt.ids:
            fields = {"name": task["name"], "type": task.get("type") or "custom"}
            made = client.call("tasks.create", **fields, **_known(task, receipt.ids, "project", "parent"))
            receipt.made(task["id"], made["id"])
            counts["tasks"] += 1
    for model in models:
        if model["id"] not in receipt.ids:
            made = client.call(
                "models.create",
                name=model["name"],
                uri=_placed(client, receipt)(model.get("uri") or ""),
                ready=False,
                **_known(model, receipt.ids, "project", "task"),
            )
            receipt.made(model["id"], made["id"])
            counts["models"] += 1
    say(f"{count(counts['tasks'], 'task')} and {count(counts['models'], 'model')} have their new ids")
    change = _placed(client, receipt)
    renamed = rename(receipt.ids)
    for path, content in files:
        if not receipt.has(f"file {path}"):
            _upload(client, content, renamed(path), renamed)
            receipt.finished(f"file {path}")
            counts["files"] += 1
    say(f"{count(counts['files'], 'file')} uploaded")
    for model in models:
        if not receipt.has(f"model {model['id']}"):
            _fill_model(client, model, receipt.ids[model["id"]], change)
            receipt.finished(f"model {model['id']}")
    for task in tasks:
        if not receipt.has(f"task {task['id']}"):
            counts["events"] += _fill_task(client, bundle, task, receipt, change)
            receipt.finished(f"task {task['id']}")
    say(f"{count(counts['events'], 'event')} reported")
    for model in models:
        if model.get("ready") and not receipt.has(f"ready {model['id']}"):
            new = receipt.ids[model["id"]]
            if not client.call("models.get_by_id", model=new)["model"].get("ready"):  # its task took it along
                client.call("models.set_ready", model=new, publish_task=False)
            receipt.finished(f"ready {model['id']}")
    return counts


def documents_for(folder: Path, files_url: str) -> tuple[dict[str, Any], list[tuple[str, Path]]]:
    """A bundle as the embedded server takes documents over, ids and times as they were, and its files.

    Args:
        folder: the bundle.
        files_url: the address of that server's file server.

    Raises:
        BadInputError: no bundle, or what it holds is not in the API's form or changed.
    """
    bundle = Bundle.read(folder)

    def change(text: str) -> str:
        return text.replace(HERE, f"{files_url}/")

    documents: dict[str, Any] = {
        kind: [walk(document, change) for document in bundle.documents(kind)]
        for kind in ("users", "projects", "queues", "tasks", "models")
    }
    for queue in documents["queues"]:
        queue["entries"] = []
    for task in documents["tasks"]:
        if task.get("status") == "queued":
            task["status"] = "created"
        elif task.get("status") in ("in_progress", "publishing"):
            task.update(status="stopped", status_reason="moved from another server while it ran")
    documents["events"] = (
        walk(event, change) for task in documents["tasks"] for event in bundle.events(task["id"])
    )
    return documents, list(bundle.files())


def _named(client: Client, kind: str, document: dict[str, Any], counts: dict[str, int]) -> str:
    """The id of the project or queue of that name, made if there is none."""
    name = document["name"]
    hidden = {"search_hidden": True} if kind == "projects" else {}
    there = client.call(f"{kind}.get_all", name=f"^{re.escape(name)}$", **hidden)[kind]
    if there:
        return str(there[0]["id"])
    fields: dict[str, Any] = {"name": name, "tags": document.get("tags") or []}
    if kind == "projects":
        fields["description"] = document.get("description") or ""
    made = str(client.call(f"{kind}.create", **fields)["id"])
    if document.get("system_tags"):
        single = kind.removesuffix("s")
        client.call(f"{kind}.update", **{single: made}, system_tags=document["system_tags"])
    counts[kind] += 1
    return made


def _parents_first(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    waiting, ordered, known = list(tasks), [], set()
    ids = {task["id"] for task in tasks}
    while waiting:
        ready = [t for t in waiting if _id_of(t.get("parent")) not in ids or _id_of(t.get("parent")) in known]
        if not ready:
            raise BadInputError("the bundle's tasks are each other's parents in a circle")
        ordered += ready
        known |= {task["id"] for task in ready}
        waiting = [task for task in waiting if task["id"] not in known]
    return ordered


def _id_of(value: Any) -> str | None:
    return value.get("id") if isinstance(value, dict) else value


def _renamed_id(value: Any, ids: dict[str, str]) -> str | None:
    old = _id_of(value)
    return ids.get(old or "", old)


def _upload(client: Client, content: Path, path: str, renamed: Callable[[str], str]) -> None:
    """Upload a file; the state of a data set names its parents' ids, which are others now."""
    if not DATA_SET_STATE.search(path):
        client.upload(content, path)
        return
    try:
        text = content.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # the state of no data set
        client.upload(content, path)
        return
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.json"
        state.write_text(renamed(text), encoding="utf-8")
        client.upload(state, path)


def _known(document: dict[str, Any], ids: dict[str, str], *fields: str) -> dict[str, str]:
    """References to documents that came along."""
    found = {name: ids.get(_id_of(document.get(name)) or "") for name in fields}
    return {name: new for name, new in found.items() if new}


def _placed(client: Client, receipt: Receipt) -> Callable[[str], str]:
    """A change of texts: new ids, and this server's address for files."""
    renamed = rename(receipt.ids)
    return lambda text: renamed(text).replace(HERE, f"{client.connection.files}/")


def _fill_model(client: Client, model: dict[str, Any], new: str, change: Callable[[str], str]) -> None:
    fields = {
        name: walk(model[name], change) for name in MODEL_FIELDS if model.get(name) not in (None, [], {}, "")
    }
    metadata = fields.pop("metadata", None)
    client.call("models.edit", model=new, uri=change(model.get("uri") or ""), **fields)
    if metadata:
        entries = metadata if isinstance(metadata, list) else list(metadata.values())
        client.call("models.add_or_update_metadata", model=new, metadata=entries)


def _fill_task(
    client: Client, bundle: Bundle, task: dict[str, Any], receipt: Receipt, change: Callable[[str], str]
) -> int:
    """Everything a task holds, its events, and the status it ended in; how many events."""
    ids, new = receipt.ids, receipt.ids[task["id"]]
    fields = {
        name: walk(task[name], change) for name in TASK_FIELDS if task.get(name) not in (None, [], {}, "")
    }
    artifacts = fields.get("execution", {}).pop("artifacts", [])
    fields.get("execution", {}).pop("queue", None)
    fields.get("execution", {}).pop("parameters", None)
    moved = {"id": task["id"], "started": task.get("started"), "completed": task.get("completed")}
    runtime = {**walk(task.get("runtime") or {}, change)}
    runtime |= {f"moved_{name}": value for name, value in moved.items() if value}
    models = {
        side: [{**entry, "model": _renamed_id(entry.get("model"), ids)} for entry in entries]
        for side, entries in (task.get("models") or {}).items()
        if entries
    }
    if models:
        fields["models"] = models
    if (task.get("output") or {}).get("destination"):
        fields["output_dest"] = change(task["output"]["destination"])
    client.call("tasks.edit", task=new, force=True, runtime=runtime, **fields)
    if artifacts:
        client.call("tasks.add_or_update_artifacts", task=new, artifacts=artifacts, force=True)
    status = task.get("status", "created")
    if status in ENDINGS:
        client.call("tasks.started", task=new, force=True)
    reported = _report(client, bundle, task["id"], receipt, change)
    if status in ENDINGS:
        reason = task.get("status_reason") or ""
        if status in ("in_progress", "publishing"):
            reason = "moved from another server while it ran"
        message = task.get("status_message") or ""
        client.call(ENDINGS[status], task=new, force=True, status_reason=reason, status_message=message)
        if status == "published":
            client.call("tasks.publish", task=new, force=True)
    return reported


def _report(client: Client, bundle: Bundle, old: str, receipt: Receipt, change: Callable[[str], str]) -> int:
    """Report a task's events, a batch at a time; batches that arrived before are not reported again: console lines
    would stand there twice."""
    new, sent = receipt.ids[old], 0
    for number, batch in enumerate(_batches(bundle.events(old))):
        step = f"events {old} {number}"
        if receipt.has(step):
            continue
        lines = [
            {**walk({n: v for n, v in event.items() if _is_reported(n, v)}, change), "task": new}
            for event in batch
        ]
        added = client.call_lines("events.add_batch", lines)
        if added.get("errors"):
            raise ServerError(f"events of task {new} were refused: {added.get('errors_info')}")
        receipt.finished(step)
        sent += len(lines)
    return sent


def _is_reported(name: str, value: Any) -> bool:
    """Whether a field of an event is the reporter's; the server adds its own."""
    return value is not None and name != "id" and not name.startswith(("@", "_"))


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(events, BATCH)):
        yield batch
