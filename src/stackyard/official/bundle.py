"""A bundle: one server's projects, queues, tasks, models, events and files in a folder, for another server.

``manifest.json``, ``projects.jsonl`` and so on (documents in the API's form), ``events/<id>.jsonl``, ``files.jsonl``
(path on the file server, SHA-256, where it lies) and ``files/``. Where an address of the source's file server stood,
``HERE`` stands; ids are the source's. Knows no server.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard.official import lines
from stackyard_task.records import LIST_BYTES, RecordError, read_json

API_VERSION = 1
KINDS = ("users", "projects", "queues", "tasks", "models")
#: Stands for the address of a file server.
HERE = "stackyard-bundle:/"
_ID = re.compile(r"[0-9a-f]{32}")

Json = Any


@dataclass
class Bundle:
    """The folder and what its manifest says."""

    folder: Path
    manifest: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def new(cls, folder: Path) -> Bundle:
        """An empty one.

        Raises:
            BadInputError: the folder exists.
        """
        if folder.exists():
            raise BadInputError(f"{folder} exists; a bundle is a new folder")
        for part in ("events", "files"):
            (folder / part).mkdir(parents=True, mode=0o700)
        folder.chmod(0o700)
        return cls(folder)

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        """One that is complete.

        Raises:
            BadInputError: it is none, or its export did not end.
        """
        try:
            manifest = read_json(dict[str, Any], folder / "manifest.json", LIST_BYTES)
        except RecordError as error:
            raise BadInputError(
                f"{folder} holds no manifest.json: no bundle, or an unfinished one"
            ) from error
        if manifest.get("api_version") != API_VERSION:
            raise BadInputError(
                f"{folder}: api_version {manifest.get('api_version')!r}; expected {API_VERSION}"
            )
        return cls(folder, manifest)

    def write(self, kind: str, documents: list[dict[str, Any]]) -> None:
        """Keep documents of a kind."""
        _write_lines(self.folder / f"{kind}.jsonl", documents)

    def documents(self, kind: str) -> list[dict[str, Any]]:
        """The documents of a kind, in the order of their lines.

        Raises:
            BadInputError: One is not in the API's form; the message names file, line and field.
        """
        found = []
        for place, document in lines.read(self.folder / f"{kind}.jsonl"):
            lines.check_document(place, kind, document)
            found.append(document)
        return found

    def write_events(self, owner: str, events: list[dict[str, Any]]) -> None:
        """Keep the events of a task or model."""
        if events:
            _write_lines(self.folder / "events" / f"{owner}.jsonl", events)

    def events(self, owner: str) -> Iterator[dict[str, Any]]:
        """The events of a task or model.

        Raises:
            BadInputError: A line is no event of it.
        """
        if not lines.ID.fullmatch(owner):
            raise BadInputError(f"{owner!r} is no id, and names no file of events")
        path = self._folder("events") / f"{owner}.jsonl"
        if not os.path.lexists(path):
            return
        for place, event in lines.read(path):
            if event.get("task") != owner:
                raise BadInputError(f"{place}: task is {event.get('task')!r}; expected {owner}")
            yield event

    def files(self) -> Iterator[tuple[str, Path]]:
        """Path on the file server and content, each checked against its SHA-256.

        Raises:
            BadInputError: a file is missing or changed.
        """
        for place, entry in lines.read(self.folder / "files.jsonl"):
            lines.check_file(place, entry)
            path = self._folder("files") / entry["name"]
            if path.is_symlink() or not path.is_file() or digest(path) != entry["sha256"]:
                raise BadInputError(f"{path} ({entry['path']}) is missing or not what it was when exported")
            yield entry["path"], path

    def _folder(self, name: str) -> Path:
        path = self.folder / name
        if path.is_symlink():
            raise BadInputError(f"{path} is a link; a bundle holds all of its files itself")
        return path

    def write_files(self, entries: list[dict[str, Any]]) -> None:
        """Keep the list of files."""
        _write_lines(self.folder / "files.jsonl", entries)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Say what it holds; without this it is not a bundle."""
        self.manifest = {"api_version": API_VERSION, **manifest}
        draft = self.folder / ".manifest.json"
        draft.write_text(json.dumps(self.manifest, indent=1), encoding="utf-8")
        draft.replace(self.folder / "manifest.json")


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def walk(value: Json, change: Callable[[str], str]) -> Json:
    """The same value with every text in it, keys too, changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): walk(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [walk(item, change) for item in value]
    return value


def rename(ids: dict[str, str]) -> Callable[[str], str]:
    """A change of texts that puts new ids where old ones stand, also inside of addresses and parameters."""
    return lambda text: _ID.sub(lambda found: ids.get(found[0], found[0]), text)


def _write_lines(path: Path, values: list[dict[str, Any]]) -> None:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        for value in values:
            file.write(json.dumps(value, separators=(",", ":")) + "\n")
