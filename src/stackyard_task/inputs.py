"""What a task's parameters name on a server, brought here before the child starts.

A parameter value that begins with one of SCHEMES stands for a file or folder:

    clearml-file:<sha256>:<url>                        one file on the file server
    clearml-folder:<sha256>:<url>                      a folder: a list of such files (JSON) with their places in it
    clearml-dataset:<id or project/name[@version]>/<path>   a file of a data set; no path: its folder
    clearml-model:<model id>                           a registered model: the folder it was stored as
    clearml-artifact:<task id>/<name>[/<path>]         what another task left

Who fetches is told by a Fetcher: this module talks to nobody. Files are kept by their digest, which is looked at
again on each use, so a copy that a task changed is fetched anew. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from stackyard_task.records import LIST_BYTES, RecordError, read_json

FILE, FOLDER, DATASET = "clearml-file", "clearml-folder", "clearml-dataset"
MODEL, ARTIFACT = "clearml-model", "clearml-artifact"
SCHEMES = (FILE, FOLDER, DATASET, MODEL, ARTIFACT)
#: Names a folder for what is used again: files, the code of tasks.
CACHE_VARIABLE = "STACKYARD_CACHE"
#: The hyperparameter section in which ClearML's pages look for the data sets of a task.
DATASETS_SECTION = "Datasets"
_PIECE_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


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


@dataclass(frozen=True)
class Used:
    """Something a run was given, for whoever asks later where its results come from."""

    #: "data set", "model" or "task".
    kind: str
    id: str
    name: str
    version: Optional[str] = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


def references(used: Sequence[Used], kind: str) -> List[Tuple[str, str]]:
    """(name with version, id) of what was used of that kind."""
    return [(str(one), one.id) for one in used if one.kind == kind]


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


def resolved(value: Any, fetcher: Fetcher, scratch: Optional[Path] = None) -> Any:
    """``value`` with every reference in it replaced by a local path.

    Args:
        value: A parameter's value, or all of them.
        fetcher: Brings what is named.
        scratch: Where folders are put together, for this run alone; ``None``: a temporary folder.

    Raises:
        InputError: a reference is malformed, or what it names cannot be had.
    """
    if isinstance(value, dict):
        return {key: resolved(item, fetcher, scratch) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, fetcher, scratch) for item in value]
    if isinstance(value, str):
        scheme, _, rest = value.partition(":")
        if scheme == FOLDER:
            return str(_folder(rest, fetcher, scratch or Path(tempfile.gettempdir())))
        if scheme in SCHEMES:
            return str(_READERS[scheme](rest, fetcher))
    return value


def files_cache(variables: Mapping[str, str]) -> Optional[Path]:
    """Where the agent keeps files for its tasks; ``None``: it does not say."""
    top = variables.get(CACHE_VARIABLE)
    return Path(top) / "files" if top else None


def held(cache: Path, sha256: str, name: str) -> Optional[Path]:
    """The file of that digest in ``cache``; ``None``: it is missing, or is not what it should be."""
    place = cache / sha256 / (PurePosixPath(name).name or "file")
    return place if place.is_file() and digest_of(place) == sha256 else None


def kept(cache: Path, sha256: str, name: str, fetch: Callable[[], Path]) -> Path:
    """The file of that digest in ``cache``, fetched where it is missing or not what it should be.

    Args:
        cache: Holds one folder per digest; made if missing.
        sha256: What the content must have, on each use.
        name: The file's name there.
        fetch: Brings a copy that is ours: it is moved, or removed where it is not what was asked for.

    Raises:
        InputError: what was fetched has another digest.
        OSError: the cache cannot be written.
    """
    name = PurePosixPath(name).name or "file"
    place = held(cache, sha256, name)
    if place is not None:
        return place
    place = cache / sha256 / name
    copy = fetch()
    found = digest_of(copy)
    if found != sha256:
        with contextlib.suppress(OSError):
            copy.unlink()
        raise InputError(f"{name} has SHA-256 {found}, but {sha256} was asked for", "infrastructure")
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.parent / f".{os.getpid()}"
    shutil.move(str(copy), str(draft))
    draft.chmod(0o444)  # a task that writes into its input by mistake is told so
    draft.replace(place)
    return place


def copied(path: Path, cache: Path) -> Path:
    """A copy below ``cache`` of a file that is not ours to move.

    Raises:
        InputError: it is no regular file, or cannot be read.
        OSError: the cache cannot be written.
    """
    if not path.is_file():  # a device or a pipe would never end
        raise InputError(f"{path} is not a file")
    try:
        source = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    cache.mkdir(parents=True, exist_ok=True)
    with source, tempfile.NamedTemporaryFile(dir=str(cache), prefix=".copy-", delete=False) as target:
        copy = Path(target.name)
        try:
            shutil.copyfileobj(source, target, _PIECE_BYTES)
        except BaseException:
            copy.unlink()
            raise
    return copy


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, read piece by piece."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while True:
            piece = stream.read(_PIECE_BYTES)
            if not piece:
                return total.hexdigest()
            total.update(piece)


def _file(rest: str, fetcher: Fetcher) -> Path:
    sha256, _, url = rest.partition(":")
    if not _DIGEST.match(sha256) or not url:
        raise InputError(f"{FILE}:{rest} is not {FILE}:<sha256>:<url>")
    return fetcher.file(url, sha256)


@dataclass
class _Listed:
    path: str
    url: str
    sha256: str


@dataclass
class _Listing:
    files: List[_Listed]


def _folder(rest: str, fetcher: Fetcher, scratch: Path) -> Path:
    """A folder of links to kept files: its list names each by digest, address and place."""
    sha256, _, url = rest.partition(":")
    if not _DIGEST.match(sha256) or not url:
        raise InputError(f"{FOLDER}:{rest} is not {FOLDER}:<sha256>:<url>")
    try:
        files = read_json(_Listing, fetcher.file(url, sha256), LIST_BYTES).files
    except RecordError as error:
        raise InputError(f"{FOLDER}:{url} is not a list of files ({error})") from error
    name = url.rsplit("/", 1)[-1]
    folder = Path(tempfile.mkdtemp(dir=str(scratch), prefix="folder-")) / (
        name[: -len(".json")] if name.endswith(".json") else name
    )
    folder.mkdir()
    for file in files:
        place = PurePosixPath(file.path)
        if place.is_absolute() or ".." in place.parts or not place.parts or "\\" in file.path:
            raise InputError(f"{FOLDER}:{url} names {file.path!r}, which leads outside")
        target = folder.joinpath(*place.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(fetcher.file(file.url, file.sha256).resolve())
    return folder


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
    # by name, not by where links lead: what a version has from its parent is linked to the parent's copy
    found = Path(os.path.normpath(str(folder / path)))
    if Path(os.path.normpath(str(folder))) not in found.parents:
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
