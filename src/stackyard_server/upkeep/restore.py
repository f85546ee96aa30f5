"""A backup becomes a data folder again: copied, and proven where asked.

The database gets its name last, so that a folder half restored is not taken for one of a server.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from .. import settings
from ..files.stored import sync_folder
from ..store import FILE_NAME, Fault, Store, copies, data_folder, schema
from . import UpkeepError, verification
from .backup import API_VERSION, MANIFEST, copy


def restore(source: Path, folder: Path, verify: bool) -> dict[str, Any]:
    """Put a backup into an empty folder.

    Args:
        source: What ``backup`` made.
        folder: The data folder to be; missing or empty.
        verify: Prove the copy: the database's hash, its rows, its references, each file's hash.

    Returns:
        ``files``, ``bytes``, ``made_at``; with ``verify`` also ``ok`` and ``problems``.

    Raises:
        UpkeepError: The backup or the folder cannot be used.
    """
    manifest = read_manifest(source)
    if folder.exists() and any(folder.iterdir()):
        raise UpkeepError(f"{folder} is not empty: restore into a new folder.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    data_folder.check_file_system(folder)
    copied = folder / f"{FILE_NAME}.restoring"
    copy(source / FILE_NAME, copied)
    problems = []
    sha256, size = verification.digest_of(copied)
    if verify and (sha256, size) != (manifest["database"]["sha256"], manifest["database"]["bytes"]):
        problems.append("database: it is not what the manifest says (SHA-256 or size differs)")
    files, bytes_ = _copy_files(source, folder, copied, problems)
    if (source / settings.FILE_NAME).is_file():
        shutil.copyfile(source / settings.FILE_NAME, folder / settings.FILE_NAME)
    copied.rename(folder / FILE_NAME)
    sync_folder(folder)
    restored: dict[str, Any] = {"files": files, "bytes": bytes_, "made_at": manifest["made_at"]}
    if problems and not verify:
        raise UpkeepError(f"The backup is not whole: {problems[0]} (of {len(problems)}).")
    if verify:
        problems += _verified(folder, manifest, sound=not problems)
        restored |= {"ok": not problems, "problems": problems}
    return restored


def _copy_files(source: Path, folder: Path, database: Path, problems: list[str]) -> tuple[int, int]:
    count = total = 0
    try:
        wanted = copies.files(database)
    except Fault as fault:
        problems.append(f"database: {fault}")
        return 0, 0
    for path, blob, size in wanted:
        goal = folder / "files" / blob[:2] / blob
        goal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            copy(source / "files" / blob[:2] / blob, goal)
        except OSError as fault:
            problems.append(f"{path}: {fault.strerror}")
            continue
        count += 1
        total += size
    return count, total


def _verified(folder: Path, manifest: dict[str, Any], sound: bool) -> list[str]:
    """What is wrong with a restored folder."""
    try:
        store = Store(folder)
    except Exception as fault:  # noqa: BLE001  # whatever a broken database does, the proof says so
        return [f"database: it cannot be opened: {fault}"]
    try:
        found = verification.verify(store)
    except Fault as fault:
        return [f"database: {fault}"]
    finally:
        store.close()
    problems: list[str] = found["problems"]
    if sound and manifest["schema"] == len(schema.MIGRATIONS):
        for table, count in manifest["rows"].items():
            if found["rows"].get(table) != count:
                problems.append(f"{table}: {found['rows'].get(table)} rows, the manifest says {count}")
    return problems


def read_manifest(source: Path) -> dict[str, Any]:
    """What a backup says about itself.

    Raises:
        UpkeepError: It is none, or of a newer release.
    """
    try:
        manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        version, release = manifest["api_version"], manifest["schema"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UpkeepError(f"{source} is no complete backup: {MANIFEST} is missing or malformed.") from fault
    if version > API_VERSION or release > len(schema.MIGRATIONS):
        raise UpkeepError(f"{source} was made by a newer release: restore it with that one.")
    found: dict[str, Any] = manifest
    return found
