"""A copy of a data folder, taken while the server runs.

Rows come first, in one snapshot (SQLite's backup API), then the contents they name: as hard links where source and
target share a disk (contents never change), else as copies. A file that was deleted in between is left out with its
row. The copy appears under its name when it is complete. It holds password hashes and the signing key: it is
readable by its owner only, and to be kept like the server itself.

Its manifest states the digests of database and settings, and the database those of the contents. So the digest of the
manifest stands for all of it: who keeps it elsewhere knows the backup again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import moments, settings
from ..files.stored import StoredFiles, sync_folder
from ..store import FILE_NAME, Store, copies, schema
from ..store.documents import new_id
from ..store.mark import digest_of
from . import UpkeepError, drafts
from .inspection import API_VERSION, MANIFEST


def backup(store: Store, target: Path, now: int) -> dict[str, Any]:
    """Copy a data folder.

    Args:
        store: The folder's store.
        target: Where to; must not exist.
        now: Epoch milliseconds.

    Returns:
        The manifest: ``made_at``, ``schema``, ``database`` and ``settings`` (bytes, sha256; None without
        server.toml), ``rows`` (by table), ``files``, ``bytes``, ``linked``, ``left_out`` (files that went meanwhile);
        and its ``digest``, to be kept elsewhere.

    Raises:
        UpkeepError: The target cannot be used, or the database is damaged.
        OSError, Fault: The disk is full, say; nothing is left of the copy.
    """
    target = target.absolute()
    if target.exists():
        raise UpkeepError(f"{target} exists: a backup goes to a new folder.")
    if store.folder.resolve() in target.resolve().parents:
        raise UpkeepError(f"{target} is inside the data folder: choose a folder elsewhere.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _draft(target) as partial:
        copies.copy(store, partial / FILE_NAME)
        with copies.opened(partial / FILE_NAME) as copied:
            faults, wanted = copies.torn(copied), copies.files(copied)
        if faults:
            raise UpkeepError(
                f"{store.path} is damaged, and no backup was made: {faults[0]} ({len(faults)} found)."
            )
        counts = _copy_files(StoredFiles(store), partial, wanted)
        stated = store.folder / settings.FILE_NAME
        if stated.is_file():
            copy(stated, partial / settings.FILE_NAME)
        manifest = _manifest(partial, now, counts)
        partial.rename(target)
        sync_folder(target.parent)
    return manifest


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A new folder beside the target, removed after an error; what broken-off backups left there is gone."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}")
    for path in target.parent.iterdir():
        if ours.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            with suppress(OSError, drafts.HeldError), drafts.held(path) as sure:
                if sure:  # nobody works there: its backup was killed
                    shutil.rmtree(path)
    partial = target.with_name(f".{target.name}.{new_id()}")
    partial.mkdir(mode=0o700)
    try:
        with drafts.held(partial):
            yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _copy_files(stored: StoredFiles, folder: Path, wanted: list[tuple[Any, Any, Any, Any]]) -> dict[str, int]:
    counts = {"files": 0, "bytes": 0, "linked": 0, "left_out": 0}
    made: set[Path] = set()
    gone = []
    for key, blob, size, _ in wanted:
        goal = folder / "files" / blob[:2] / blob
        if goal.parent not in made:
            goal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made.add(goal.parent)
        try:
            counts["linked"] += link_or_copy(stored.locate(blob), goal)
        except FileNotFoundError:
            gone.append(key)
            continue
        counts["files"] += 1
        counts["bytes"] += size
    copies.forget_files(folder / FILE_NAME, gone)
    counts["left_out"] = len(gone)
    for parent in (*made, *({folder / "files"} if made else ())):
        sync_folder(parent)
    return counts


def link_or_copy(source: Path, goal: Path) -> bool:
    """Put a content at another place; whether as a link.

    Raises:
        FileNotFoundError: There is none.
    """
    try:
        os.link(source, goal)
        return True
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without links
        copy(source, goal)
        return False


def copy(source: Path, goal: Path) -> None:
    """Copy a file's content to the disk, readable by its owner."""
    with source.open("rb") as old, goal.open("xb") as new:
        os.fchmod(new.fileno(), 0o600)
        shutil.copyfileobj(old, new, 1024 * 1024)
        new.flush()
        os.fsync(new.fileno())


def _manifest(folder: Path, now: int, counts: dict[str, int]) -> dict[str, Any]:
    database, stated = folder / FILE_NAME, folder / settings.FILE_NAME
    with copies.opened(database) as copied:
        rows = copies.count_rows(copied)
    manifest = {
        "api_version": API_VERSION,
        "made_at": moments.iso(now),
        "schema": len(schema.MIGRATIONS),
        "database": _about(database),
        "settings": _about(stated) if stated.is_file() else None,
        "rows": rows,
        **counts,
    }
    path = folder / MANIFEST
    text = json.dumps(manifest, indent=1).encode()
    path.write_bytes(text)
    for file in (database, path):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    sync_folder(folder)
    return {**manifest, "digest": f"sha256:{hashlib.sha256(text).hexdigest()}"}


def _about(path: Path) -> dict[str, Any]:
    sha256, size = digest_of(path)
    return {"bytes": size, "sha256": sha256}
