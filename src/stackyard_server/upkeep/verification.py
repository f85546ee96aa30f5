"""Proof that a data folder is whole: SQLite's own checks, every file against its row, nothing beside.

Works beside a running server: rows are one snapshot, and a file that went meanwhile is looked up again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..files.stored import StoredFiles
from ..store import Store, copies, files

STEP_BYTES = 1024 * 1024
#: Faults that are named; more are counted.
NAMED = 100


def verify(store: Store) -> dict[str, Any]:
    """Check rows, references and files.

    Returns:
        ``ok``, ``problems`` (sentences), ``rows`` (by table), ``files`` and ``bytes`` that were read.
    """
    problems: list[str] = []
    with store.reading() as tx:
        problems += [f"database: {fault}" for fault in copies.faults(tx)]
        rows = copies.count_rows(tx)
        kept = files.every(tx)
    stored = StoredFiles(store)
    read = 0
    for file in kept:
        fault = check_file(stored.locate(file.blob), file.bytes, file.sha256)
        if fault is None:
            read += file.bytes
            continue
        with store.reading() as tx:
            if files.holds(tx, file.blob, file.path):
                problems.append(f"{file.path}: {fault}")
    return {
        "ok": not problems,
        "problems": problems[:NAMED]
        + ([f"... and {len(problems) - NAMED} more"] if len(problems) > NAMED else []),
        "rows": rows,
        "files": len(kept),
        "bytes": read,
    }


def check_file(path: Path, size: int, sha256: str) -> str | None:
    """What is wrong with a content; None when nothing is."""
    try:
        found, seen = digest_of(path)
    except FileNotFoundError:
        return "the content is missing"
    except OSError as fault:
        return f"the content cannot be read: {fault.strerror}"
    if seen != size:
        return f"the content has {seen} bytes, its row says {size}"
    return None if found == sha256 else "the content is not what was uploaded (SHA-256 differs)"


def digest_of(path: Path) -> tuple[str, int]:
    """(SHA-256, bytes) of a file."""
    digest, seen = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(STEP_BYTES):
            digest.update(data)
            seen += len(data)
    return digest.hexdigest(), seen
