"""A backup, looked at before it is believed; nothing is written here.

Names inside a backup decide paths, its database is opened by SQLite and later by a server, and its contents are given
out to users. So everything is checked: each name by the rule that serving uses, each kind (regular files only, no
links), each size and digest, and that the database has this server's tables and nothing beside them, no trigger of
somebody else's. That the backup is the one that was made is known only by the digest that ``backup`` printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .. import settings
from ..files import matching
from ..files.stored import BLOB, key_of
from ..store import FILE_NAME, Fault, copies, schema
from ..store.mark import digest_of_rest
from . import UpkeepError

MANIFEST = "manifest.json"
API_VERSION = 1
MOST_MANIFEST_BYTES = 1024 * 1024
MOST_SETTINGS_BYTES = 64 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a backup: where it lies in it and where it goes in a data folder, in parts, and what it has to be."""

    path: tuple[str, ...]
    sha256: str
    bytes: int


@dataclass
class Inspection:
    """What was found: ``parts`` to copy, the database last, and ``problems`` as sentences; usable without any."""

    digest: str
    manifest: dict[str, Any]
    parts: list[Part] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def told(self) -> list[str]:
        """The problems, the first hundred of them."""
        return matching.told(self.problems)


def inspect(source: Path, digest: str | None = None) -> Inspection:
    """Look at everything in a backup.

    Args:
        source: What ``backup`` made.
        digest: What it printed then, where somebody kept it.

    Raises:
        UpkeepError: It is no backup, one of a newer release, or not the one of that digest.
    """
    text, manifest = _read_manifest(source)
    found = Inspection(f"sha256:{hashlib.sha256(text).hexdigest()}", manifest)
    if digest is not None and digest.strip().lower().removeprefix("sha256:") != found.digest[7:]:
        raise UpkeepError(
            f"{source} is not the backup of that digest: its own is {found.digest}. Nothing was written."
        )
    stated = manifest["database"]
    database = _look(source, (FILE_NAME,), found, stated["sha256"], stated["bytes"])
    if database:
        _look_at_rows(source, found)
    about = manifest.get("settings")
    if about:
        settled = _look(source, (settings.FILE_NAME,), found, about["sha256"], about["bytes"])
    elif "settings" in manifest or not os.path.lexists(source / settings.FILE_NAME):
        settled = None
    else:  # made before manifests named the settings
        settled = _look(source, (settings.FILE_NAME,), found, None, None, MOST_SETTINGS_BYTES)
    found.parts += [part for part in (settled, database) if part]
    return found


def _read_manifest(source: Path) -> tuple[bytes, dict[str, Any]]:
    fault = UpkeepError(f"{source} is no complete backup: {MANIFEST} is missing or malformed.")
    try:
        with open_part(source, (MANIFEST,)) as file:
            text = file.read(MOST_MANIFEST_BYTES + 1)
        manifest = json.loads(text) if len(text) <= MOST_MANIFEST_BYTES else None
    except (OSError, ValueError, RecursionError):
        raise fault from None
    if not isinstance(manifest, dict):
        raise fault
    version, release = manifest.get("api_version"), manifest.get("schema")
    if type(version) is not int or type(release) is not int or release < 1:
        raise fault
    if version > API_VERSION or release > len(schema.MIGRATIONS):
        raise UpkeepError(f"{source} was made by a newer release: restore it with that one.")
    rows = manifest.get("rows")
    sound = isinstance(rows, dict) and all(type(count) is int for count in rows.values())
    sound = sound and isinstance(manifest.get("made_at"), str) and _is_about(manifest.get("database"))
    if not sound or (manifest.get("settings") is not None and not _is_about(manifest["settings"])):
        raise fault
    return text, manifest


def _is_about(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("sha256"), str)
        and SHA256.fullmatch(value["sha256"]) is not None
        and type(value.get("bytes")) is int
        and value["bytes"] >= 0
    )


def _look(
    source: Path,
    path: tuple[str, ...],
    found: Inspection,
    sha256: str | None,
    size: int | None,
    most: int | None = None,
    shown: str | None = None,
) -> Part | None:
    """Read a file to its end; None, and a problem, where it is not what it has to be."""
    name = shown or "/".join(path)
    try:
        with open_part(source, path) as file:
            length = os.fstat(file.fileno()).st_size
            if size is not None and length != size:
                found.problems.append(f"{name}: it has {length} bytes, {size} are stated")
                return None
            if most is not None and length > most:
                found.problems.append(f"{name}: it has {length} bytes; at most {most} are expected")
                return None
            read = digest_of_rest(file)
    except UpkeepError as fault:
        found.problems.append(f"{name}: {fault}")
        return None
    except FileNotFoundError:
        found.problems.append(f"{name}: it is missing")
        return None
    except OSError as fault:
        found.problems.append(f"{name}: it cannot be read: {fault.strerror}")
        return None
    if sha256 is not None and read != (sha256, size):
        found.problems.append(f"{name}: it is not what is stated (SHA-256 differs)")
        return None
    return Part(path, *read)


def _look_at_rows(source: Path, found: Inspection) -> None:
    try:
        with copies.opened(source / FILE_NAME) as copied:
            strange = copies.strange_structure(copied, found.manifest["schema"])
            if strange:
                found.problems += [f"database: {sentence}" for sentence in strange]
                return
            faults = copies.faults(copied)
            found.problems += [f"database: {sentence}" for sentence in faults]
            counts = copies.count_rows(copied)
            for table, count in found.manifest["rows"].items():
                if counts.get(table) != count:
                    found.problems.append(f"{table}: {counts.get(table)} rows, the manifest says {count}")
            rows = copies.files(copied)
    except Fault as fault:
        found.problems.append(f"database: {fault}")
        return
    seen: set[str] = set()
    for path, blob, size, sha256 in rows:
        if not isinstance(path, str) or key_of(path) != path:
            found.problems.append(f"database: {path!r} may not be the path of a file")
        elif not isinstance(blob, str) or not BLOB.fullmatch(blob) or blob in seen:
            found.problems.append(f"{path}: {blob!r} may not be the name of its content")
        elif type(size) is not int or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            found.problems.append(f"{path}: its row states no size and SHA-256")
        else:
            seen.add(blob)
            part = _look(source, ("files", blob[:2], blob), found, sha256, size, shown=path)
            found.parts += [part] if part else []


@contextmanager
def open_part(source: Path, path: tuple[str, ...]) -> Iterator[IO[bytes]]:
    """A regular file of a backup, reached without following a link below the backup's own folder.

    Raises:
        UpkeepError: It is no regular file, or a folder on the way is none.
        OSError: It is not there or cannot be read.
    """
    folder = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path[:-1]:
            below = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        about = os.stat(path[-1], dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(about.st_mode):
            raise UpkeepError("it is no regular file")
        # it may have become another kind since: a pipe must not keep anybody waiting
        number = os.open(path[-1], os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise UpkeepError("it is no regular file")
            yield file
    except NotADirectoryError:
        raise UpkeepError("a folder on the way to it is none") from None
    finally:
        os.close(folder)
