"""What is put on a ClearML server for a run: its task, its code, its input files.

Everything that is uploaded is named by the SHA-256 of its content, so that it travels once and the machine that uses
it can tell whether it is what was sent. May import the client, the wheel and the records of the seam.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.clearml.client import ALREADY_THERE, Client, ServerError
from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard.workloads import wheel
from stackyard_task import records, studies, workloads
from stackyard_task.records import SUPERVISION_BYTES, TaskSpec

#: Where what travels with tasks lies on the file server.
CODE_FOLDER = "Stackyard/code"
INPUTS_FOLDER = "Stackyard/inputs"
#: ClearML project of the tasks a scenario makes.
RUNS_PROJECT = studies.RUNS_PROJECT
#: The configuration object that carries the TaskSpec (``stackyard_task.clearml_link`` reads it).
SPEC = "Stackyard"
ENTRY = "dispatched.py"
#: ClearML refuses shorter names of tasks.
SHORTEST_NAME = 3
#: A folder that is a parameter travels file by file; one with more files than this is a data set.
MOST_FILES = 2000
#: Section of a task's form that holds what a command reads; ``stackyard_task.clearml_link`` reads it.
INPUTS_SECTION = "Inputs"
#: How references are written; ``stackyard_task.inputs`` reads them.
FILE_SCHEME, FOLDER_SCHEME = "clearml-file", "clearml-folder"
#: What a task's form says beside the fields of its section "Run".
RUN_FIELDS = {
    "stack": "the pinned stack to run on; the queue's machine must have it",
    "threads": "threads of the workload; empty: as many as the limits allow",
    "time_limit_seconds": "longest wall time; empty: the queue's limit",
    "cores": "greatest CPU use in cores, such as 0.5; empty: no limit of its own",
    "memory_bytes": "greatest memory; empty: no limit of its own",
}
_PLACEHOLDER = 'CODE = {"url": "", "sha256": ""}'


@dataclass(frozen=True)
class Repository:
    """Where agents clone the code from, instead of the wheel that travels with the task."""

    #: As git takes it, readable by the agents: https://..., ssh..., file://...
    url: str
    #: The full hash of the commit to run.
    commit: str
    #: A branch that holds the commit; ``None``: the remote's own default.
    branch: str | None = None


@dataclass(frozen=True)
class Filing:
    """Where people find the tasks that are made."""

    #: Name of the project.
    project: str = RUNS_PROJECT
    tags: tuple[str, ...] = ()
    #: Id of the task that they are parts of; ``None``: of none.
    parent: str | None = None


@dataclass
class Sender:
    """Puts tasks and what they need on a server; remembers what is there already."""

    client: Client
    #: Of tasks of which nothing else is said.
    filing: Filing = Filing()
    _projects: dict[str, str] = field(default_factory=dict)
    _uploaded: dict[str, str] = field(default_factory=dict)
    #: (path, size, time of change) -> digest, so that the runs of a matrix do not read their data each time.
    _digests: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def script(self, code: Path) -> dict[str, Any]:
        """The script field of a task that runs the snapshot in ``code``: the entry script, with its wheel's digest."""
        built = wheel.built(code)
        url = self.uploaded(built.content, f"{CODE_FOLDER}/{built.sha256}/{built.name}", built.sha256)
        text = entry_text().replace(
            _PLACEHOLDER, f"CODE = {json.dumps({'url': url, 'sha256': built.sha256})}"
        )
        return _script(entry_point=ENTRY, diff=text)

    def script_in(self, repository: Repository) -> dict[str, Any]:
        """The script field of a task whose code an agent clones, as ClearML's own tasks do."""
        return _script(
            repository=repository.url,
            version_num=repository.commit,
            branch=repository.branch or "",
            entry_point=f"tasks/{ENTRY}",
            diff="",
        )

    def uploaded(self, content: bytes, path: str, sha256: str) -> str:
        """The address of that content on the file server, put there unless it is."""
        with tempfile.NamedTemporaryFile() as draft:
            draft.write(content)
            draft.flush()
            return self._put(Path(draft.name), path, sha256)

    def sent(self, value: Any) -> Any:
        """``value`` with every path of a local file or folder replaced by a reference to its copy on the file server.

        Raises:
            BadInputError: a folder holds too many files.
            OSError: a file cannot be read.
        """
        if isinstance(value, Mapping):
            return {key: self.sent(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.sent(item) for item in value]
        if isinstance(value, str) and value.startswith("/"):
            path = Path(value)
            if path.is_file():
                digest, url = self.file(path)
                return f"{FILE_SCHEME}:{digest}:{url}"
            if path.is_dir():
                digest, url = self.folder(path)
                return f"{FOLDER_SCHEME}:{digest}:{url}"
        return value

    def file(self, path: Path) -> tuple[str, str]:
        """Digest and address of a local file's copy on the file server, put there unless it is."""
        facts = path.stat()
        known = (str(path.resolve()), facts.st_size, facts.st_mtime_ns)
        if known not in self._digests:
            self._digests[known] = digest_of(path)
        digest = self._digests[known]
        return digest, self._put(path, f"{INPUTS_FOLDER}/{digest}/{_plain(path.name)}", digest)

    def folder(self, path: Path) -> tuple[str, str]:
        """Digest and address of the list of a local folder's files, each put on the file server unless it is."""
        listed = []
        for found in _files(path):
            digest, url = self.file(found)
            listed.append({"path": found.relative_to(path).as_posix(), "sha256": digest, "url": url})
        content = json.dumps({"files": listed}, indent=1).encode()
        digest = hashlib.sha256(content).hexdigest()
        url = self.uploaded(content, f"{INPUTS_FOLDER}/{digest}/{_plain(path.name)}.json", digest)
        return digest, url

    def project(self, name: str) -> str:
        """The id of a project, made if it is missing."""
        if name not in self._projects:
            self._projects[name] = self._project(name) or self._made(name)
        return self._projects[name]

    def _project(self, name: str) -> str | None:
        asked = {"name": f"^{re.escape(name)}$", "only_fields": ["id", "name"]}
        found = self.client.call("projects.get_all", **asked)["projects"]
        return str(found[0]["id"]) if found else None

    def _made(self, name: str) -> str:
        try:
            return str(self.client.call("projects.create", name=name, description="")["id"])
        except ServerError as error:  # somebody else makes it at the same moment
            found = self._project(name) if error.subcode == ALREADY_THERE else None
            if found is None:
                raise
            return found

    def create(self, spec: TaskSpec, script: Mapping[str, Any], name: str, **fields: Any) -> str:
        """A task on the server that runs ``spec``; its id."""
        filed: dict[str, Any] = {} if self.filing.parent is None else {"parent": self.filing.parent}
        if self.filing.tags:
            filed["tags"] = list(self.filing.tags)
        fields = {**filed, **fields}
        return str(
            self.client.call(
                "tasks.create",
                name=name if len(name) >= SHORTEST_NAME else f"run {name}",
                project=self.project(fields.pop("project", self.filing.project)),
                type=fields.pop("type", "training"),
                script=dict(script),
                configuration={
                    SPEC: {"name": SPEC, "type": "json", "value": json.dumps(records.to_json(spec), indent=1)}
                },
                hyperparams=hyperparameters(spec),
                **fields,
            )["id"]
        )

    def _put(self, file: Path, path: str, sha256: str) -> str:
        if sha256 not in self._uploaded:
            url = f"{self.client.connection.files}/{path}"
            if not self.client.holds(url):
                self.client.upload(file, path)
            self._uploaded[sha256] = url
        return self._uploaded[sha256]


def hyperparameters(spec: TaskSpec) -> dict[str, dict[str, dict[str, str]]]:
    """A task's parameters in ClearML's form: typed, described, in sections."""
    described = {p.name: p for p in spec.declared.parameters} if spec.declared else {}
    sections: dict[str, dict[str, dict[str, str]]] = {"Run": {}}
    for name, value in spec.parameters.items():
        parameter = described.get(name)
        section = getattr(parameter, "section", None) or "Parameters"
        sections.setdefault(section, {})[name] = {
            "section": section,
            "name": name,
            "value": workloads.as_text(value),
            "type": parameter.kind if parameter else "",
            "description": parameter.description if parameter else "",
        }
    for name, text in spec.inputs.items():
        sections.setdefault(INPUTS_SECTION, {})[name] = {
            "section": INPUTS_SECTION,
            "name": name,
            "value": text,
            "type": "",
            "description": "what the command reads",
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
            "description": RUN_FIELDS.get(name, ""),
        }
    return sections


def container_arguments(task: TaskSpec) -> list[str]:
    """The limits of a run, as the engine is to hold them.

    The supervisor and the agent's Python live in the same container: it gets room for them beyond the task's limit,
    which the supervisor holds the workload to, as in the other deployments.
    """
    arguments = []
    if task.limits.cores is not None:
        arguments.append(f"--cpus={task.limits.cores:g}")
    if task.limits.memory_bytes is not None:
        arguments.append(f"--memory={task.limits.memory_bytes + SUPERVISION_BYTES}b")
    return arguments


def entry_text() -> str:
    """The text of the entry script."""
    return (base() / "tasks" / ENTRY).read_text(encoding="utf-8")


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, read piece by piece."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _script(**fields: str) -> dict[str, Any]:
    same = {"binary": "python3", "working_dir": ".", "repository": "", "requirements": {"pip": ""}}
    return {**same, **fields}


def _files(folder: Path) -> list[Path]:
    """The files of a folder in a fixed order; links are followed to files, never to folders."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(root) / name for name in sorted(names) if (Path(root) / name).is_file()]
        if len(found) > MOST_FILES:
            raise BadInputError(
                f"{folder}: holds more than {MOST_FILES} files, too many to travel with a task; "
                "register it as a data set and name that"
            )
    return found


def _plain(name: str) -> str:
    """A file's name in letters that need no quoting in an address; its suffix, which readers look at, stays."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[-100:] or "file"
