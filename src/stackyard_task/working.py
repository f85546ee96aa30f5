"""The folder that a command runs in: unpacked from the archive that travelled, gathered when the command has ended.

Whoever made the archive, nothing is written outside the folder, and no more than a manifest may name. ``gathering``
has the other end, which is offered here too. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Set

from stackyard_task import archives, manifest
from stackyard_task.emptying import emptied
from stackyard_task.gathering import WORK_FOLDER, Gathered, gathered
from stackyard_task.manifest import FileFacts

__all__ = ["WORK_FOLDER", "Gathered", "WorkingError", "gathered", "unpacked"]

_PIECE_BYTES = 1 << 20


class WorkingError(Exception):
    """The folder to work in cannot be made; the message is one sentence. Never the command's fault."""


def unpacked(archive: Path, folder: Path, digest: Optional[str]) -> None:
    """Unpack an archive into ``folder``, which is empty or made here; nothing stays of what cannot be unpacked.

    Args:
        archive: a zip as our side makes it, of anybody.
        folder: where to; it and its files can be written to afterwards.
        digest: what the manifest of what was unpacked must have; ``None``: whatever it has.

    Raises:
        WorkingError: it is no such archive, larger than allowed, or of another digest; or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise WorkingError(f"{folder} is not empty, so no code is unpacked there")
        try:
            _unpack(archive, folder, digest)
        except BaseException:
            emptied(folder)
            raise
    except OSError as error:
        raise WorkingError(
            f"the code in {archive} cannot be unpacked into {folder} ({error.strerror or error})"
        ) from error
    except archives.BAD as error:
        raise WorkingError(f"{archive}: is no archive of code ({str(error)[:200]})") from error


def _unpack(archive: Path, folder: Path, digest: Optional[str]) -> None:
    with archives.opened(archive) as stream, zipfile.ZipFile(stream) as opened:
        entries = archives.entries(opened)
        made: Set[str] = {""}
        files: Dict[str, FileFacts] = {}
        for name, entry in entries.items():
            parent = name.rpartition("/")[0]
            for place in _ancestors(parent):
                if place not in made:
                    (folder / place).mkdir()
                    made.add(place)
            if stat.S_ISLNK(entry.external_attr >> 16):
                with opened.open(entry) as source:
                    text = source.read()
                files[name] = FileFacts(
                    len(text), hashlib.sha256(text).hexdigest(), target=text.decode("utf-8")
                )
            else:
                files[name] = _file(opened, entry, folder / name)
        links = {name: facts.target for name, facts in files.items() if facts.target is not None}
        names, folders = set(files) - set(links), manifest.folders_of(files)
        for name, target in links.items():
            if manifest.leads_to(name, links, names, folders) is None:
                raise ValueError(f"{name} is a link that leads out, or to what is not there")
            os.symlink(target, folder / name)
    found = manifest.digest_of(files)
    if digest is not None and found != digest:
        raise WorkingError(f"the code in {archive} has digest {found[:12]}, and {digest[:12]} was asked for")


def _ancestors(place: str) -> List[str]:
    parts = place.split("/") if place else []
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> FileFacts:
    total, size = hashlib.sha256(), 0
    executable = bool(entry.external_attr >> 16 & stat.S_IXUSR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(str(path), flags, 0o600)
    with os.fdopen(descriptor, "wb") as target, archive.open(entry) as source:
        while True:
            piece = source.read(_PIECE_BYTES)
            if not piece:
                break
            size += len(piece)
            total.update(piece)
            target.write(piece)
        target.flush()
        os.fchmod(descriptor, 0o755 if executable else 0o644)
        os.utime(descriptor, (archives.UNPACKED_AT, archives.UNPACKED_AT))
    if size != entry.file_size:
        raise ValueError(f"{entry.filename} is shorter than it says")
    return FileFacts(size, total.hexdigest(), executable)
