"""Data as ClearML data sets: versions with parents, published from a folder; which there are.

A version that builds on another holds only what changed; nothing is published where nothing changed. What a data
set looks like on a server is the SDK's business (``dataset_upload``, in a process of its own). May import the client.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.clearml import dataset_upload
from stackyard.clearml.client import Client
from stackyard.clearml.connection import Connection
from stackyard.clearml.dataset_upload import Request
from stackyard.errors import BadInputError, StackyardError
from stackyard_task.records import LIST_BYTES, RecordError, from_json, parse, read_json

#: The SDK's name of the part of a project's path that holds the versions of a data set.
_HIDDEN = "/.datasets/"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_FIELDS = ["id", "name", "project.name", "status", "created", "runtime", "configuration"]
_PATIENCE_SECONDS = 3600


@dataclass(frozen=True)
class Version:
    """A version of a data set as the server holds it."""

    id: str
    project: str
    name: str
    version: str
    status: str
    created: str
    parents: tuple[str, ...]
    bytes: int | None
    files: int | None

    @property
    def reference(self) -> str:
        """How a task's parameter names this version; a file of it: reference + "//" + path."""
        return f"clearml-dataset:{self.project}/{self.name}@{self.version}"


@dataclass(frozen=True)
class Changes:
    """What a folder is against the version it builds on: paths."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    same: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.changed or self.removed)


@dataclass(frozen=True)
class Published:
    """What publishing came to."""

    version: Version
    changes: Changes
    #: False: the newest version holds exactly these files, so there is no new one.
    new: bool


def versions(client: Client, project: str | None = None, name: str | None = None) -> list[Version]:
    """The finished versions on the server, the newest of a data set first.

    Raises:
        StackyardError: the server does not answer or refuses.
    """
    fields: dict[str, Any] = {}
    if name is not None:
        fields["name"] = f"^{re.escape(name)}$"
    found = [
        _version(task)
        for task in client.pages(
            "tasks.get_all_ex",
            "tasks",
            system_tags=["dataset", "-archived"],
            status=["completed", "published", "closed"],
            search_hidden=True,
            order_by=["-created"],
            only_fields=_FIELDS,
            **fields,
        )
    ]
    return [version for version in found if project is None or version.project == project]


def newest(client: Client, project: str, name: str) -> Version | None:
    """The newest finished version of a data set, or ``None``."""
    found = versions(client, project, name)
    return max(found, key=lambda version: _ordered(version.version), default=None)


def publish(
    client: Client,
    folder: Path,
    project: str,
    name: str,
    *,
    version: str | None = None,
    parent: str | None = None,
    tags: Sequence[str] = (),
    description: str = "",
) -> Published:
    """Make the files of ``folder`` a version of a data set.

    Args:
        client: of the server that is to hold it.
        folder: its files, with all below it.
        project: the project it belongs to.
        name: the data set's name.
        version: "major.minor.patch"; ``None``: one more than the newest.
        parent: the version it builds on; ``None``: the newest.
        tags: shown with it.
        description: one or a few sentences.

    Raises:
        BadInputError: the folder is missing or empty, or name, version or parent cannot be used.
        StackyardError: the server does not take it.
    """
    _check_name(project, name)
    files = _digests(folder)
    held = {each.version: each for each in versions(client, project, name)}
    known = ", ".join(sorted(held, key=_ordered)) or "none"
    if version is not None and not _VERSION.fullmatch(version):
        raise BadInputError(f"version {version!r} is not of the form 1.2.3")
    if version in held:
        raise BadInputError(f"{project}/{name} already has version {version}; it has: {known}")
    if parent is not None and parent not in held:
        raise BadInputError(f"{project}/{name} has no version {parent} to build on; it has: {known}")
    base = held[parent] if parent else max(held.values(), key=lambda v: _ordered(v.version), default=None)
    changes = _changes(files, {} if base is None else _files_of(client, base))
    if base is not None and changes.none and version is None:
        return Published(base, changes, new=False)
    request = Request(project, name, version, [base.id] if base else [], list(tags), description)
    made = _uploaded(client.connection, folder, request)
    task = client.call("tasks.get_all_ex", id=[made.id], search_hidden=True, only_fields=_FIELDS)["tasks"][0]
    return Published(_version(task), changes, new=True)


def _check_name(project: str, name: str) -> None:
    for part in (*project.split("/"), name):
        if len(part) < 3 or not re.fullmatch(r"[\w][\w .-]*", part):
            raise BadInputError(
                f"{project}/{name}: each part of a data set's name has at least 3 letters, digits, "
                "dots, dashes or underscores"
            )


def _digests(folder: Path) -> dict[str, str]:
    """Path below the folder -> SHA-256 of the file."""
    if not folder.is_dir():
        raise BadInputError(f"{folder}: no such folder")
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found:
        raise BadInputError(f"{folder}: holds no file")
    return found


def _changes(files: Mapping[str, str], held: Mapping[str, str]) -> Changes:
    return Changes(
        added=tuple(path for path in files if path not in held),
        changed=tuple(path for path in files if path in held and held[path] != files[path]),
        removed=tuple(path for path in held if path not in files),
        same=tuple(path for path in files if held.get(path) == files[path]),
    )


def _files_of(client: Client, version: Version) -> dict[str, str]:
    """Path -> SHA-256 of a version's files, as its state says."""
    task = client.call("tasks.get_by_id", task=version.id)["task"]
    state = [a for a in (task.get("execution") or {}).get("artifacts") or [] if a["key"] == "state"]
    if not state:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "state.json"
        client.download(state[0].get("uri") or "", file)
        try:
            held = read_json(_HeldFiles, file, LIST_BYTES).dataset_file_entries or []
        except RecordError:
            return {}  # written by another version of the SDK: everything counts as changed
    return {entry.relative_path: entry.hash for entry in held}


@dataclass(frozen=True)
class _HeldFile:
    relative_path: str
    hash: str


@dataclass(frozen=True)
class _HeldFiles:
    """What of a version's state is read here; the SDK keeps more in it."""

    dataset_file_entries: list[_HeldFile] | None = None


def _uploaded(connection: Connection, folder: Path, request: Request) -> dataset_upload.Made:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "TRAINS_"))
    }
    environment |= {
        "CLEARML_API_HOST": connection.api,
        "CLEARML_WEB_HOST": connection.web,
        "CLEARML_FILES_HOST": connection.files,
        "CLEARML_API_ACCESS_KEY": connection.access_key,
        "CLEARML_API_SECRET_KEY": connection.secret_key,
        "CLEARML_CONFIG_FILE": os.devnull,
        "CLEARML_LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", dataset_upload.__name__],
            input=json.dumps(dataclasses.asdict(request)),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        said = done.stdout.strip().splitlines()[-1]
        answer = from_json(dict[str, str], parse(said, "the answer"), "the answer")
    except (OSError, subprocess.TimeoutExpired, RecordError, IndexError) as error:
        raise StackyardError(f"{request.project}/{request.name}: not published ({error})") from error
    if "error" in answer:
        raise StackyardError(f"{request.project}/{request.name}: not published ({answer['error']})")
    return dataset_upload.Made(**answer)


def _version(task: Mapping[str, Any]) -> Version:
    project = (task.get("project") or {}).get("name") or ""
    runtime = task.get("runtime") or {}
    return Version(
        id=task["id"],
        project=project.partition(_HIDDEN)[0],
        name=task["name"],
        version=str(runtime.get("version") or ""),
        status=task["status"],
        created=task.get("created") or "",
        parents=_parents(task["id"], task.get("configuration") or {}),
        bytes=_whole(runtime.get("ds_total_size")),
        files=_whole(runtime.get("ds_file_count")),
    )


def _parents(id: str, configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids a version directly builds on, from the structure the SDK keeps with it."""
    try:
        struct = json.loads(configuration["Dataset Struct"]["value"])
        return tuple(
            parent
            for node in struct.values()
            if node.get("job_id") == id
            for parent in (struct[place]["job_id"] for place in node.get("parents") or [])
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return ()


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, int | float) or (isinstance(value, str) and value.isdigit()) else None
    )


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
