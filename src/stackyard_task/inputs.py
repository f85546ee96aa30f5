"""What a task's parameters name on a server, brought here before the child starts.

A parameter value that begins with one of SCHEMES stands for a file or folder:

    clearml-file:<sha256>:<url>                        one file on the file server
    clearml-dataset:<id or project/name[@version]>/<path>   a file of a data set; no path: its folder
    clearml-model:<model id>                           a registered model: the folder it was stored as
    clearml-artifact:<task id>/<name>[/<path>]         what another task left

Who fetches is told by a Fetcher: this module talks to nobody. Standard library only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Protocol

FILE, DATASET, MODEL, ARTIFACT = "clearml-file", "clearml-dataset", "clearml-model", "clearml-artifact"
SCHEMES = (FILE, DATASET, MODEL, ARTIFACT)


class InputError(Exception):
    """Something a parameter names cannot be had; the message names it and says why.

    Args:
        message: One sentence.
        kind: Of ``records.FAILURE_KINDS``: "bad_input" where nothing is there under that name, "infrastructure"
            where it is and does not arrive.
    """

    def __init__(self, message: str, kind: str = "bad_input") -> None:
        super().__init__(message)
        self.kind = kind


class Fetcher(Protocol):
    """Brings what a reference names to this machine."""

    def file(self, url: str, sha256: str) -> Path:
        """The file at ``url``, whose content has that digest."""

    def dataset(self, name: str) -> Path:
        """The folder of a data set: its id, or project/name[@version]."""

    def model(self, model_id: str) -> Path:
        """The folder of a registered model."""

    def artifact(self, task_id: str, name: str) -> Path:
        """The file or unpacked folder of an artifact."""


def resolved(value: Any, fetcher: Fetcher) -> Any:
    """``value`` with every reference in it replaced by a local path.

    Raises:
        InputError: a reference is malformed, or what it names cannot be had.
    """
    if isinstance(value, dict):
        return {key: resolved(item, fetcher) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, fetcher) for item in value]
    if isinstance(value, str):
        scheme, _, rest = value.partition(":")
        if scheme in SCHEMES:
            return str(_READERS[scheme](rest, fetcher))
    return value


def _file(rest: str, fetcher: Fetcher) -> Path:
    sha256, _, url = rest.partition(":")
    if len(sha256) != 64 or not url:
        raise InputError(f"{FILE}:{rest} is not {FILE}:<sha256>:<url>")
    return fetcher.file(url, sha256)


def _dataset(rest: str, fetcher: Fetcher) -> Path:
    """The longest leading part is tried last: ids hold no slash, project/name is split at the first '//'.

    A path inside is parted from the name by a double slash: ``project/name@1.0//file``; ids need only one.
    """
    name, parted, path = rest.partition("//")
    if not parted:
        head, _, tail = rest.partition("/")
        name, path = (head, tail) if len(head) == 32 and head.isalnum() else (rest, "")
    return _inside(fetcher.dataset(name), path, f"{DATASET}:{rest}")


def _model(rest: str, fetcher: Fetcher) -> Path:
    return fetcher.model(rest)


def _artifact(rest: str, fetcher: Fetcher) -> Path:
    task_id, _, rest_of_it = rest.partition("/")
    name, _, path = rest_of_it.partition("/")
    if not task_id or not name:
        raise InputError(f"{ARTIFACT}:{rest} is not {ARTIFACT}:<task id>/<name>[/<path>]")
    return _inside(fetcher.artifact(task_id, name), path, f"{ARTIFACT}:{rest}")


def _inside(folder: Path, path: str, reference: str) -> Path:
    """A path below ``folder``, never outside it."""
    if not path:
        return folder
    found = (folder / path).resolve()
    if folder.resolve() not in found.parents:
        raise InputError(f"{reference}: the path leads outside")
    if not found.exists():
        raise InputError(f"{reference}: there is no {path!r} in it")
    return found


_READERS: Dict[str, Callable[[str, Fetcher], Path]] = {
    FILE: _file,
    DATASET: _dataset,
    MODEL: _model,
    ARTIFACT: _artifact,
}
