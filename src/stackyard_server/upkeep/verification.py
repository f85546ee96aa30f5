"""Proof that a data folder is whole: SQLite's own checks, every file against its row, nothing beside.

Works beside a running server: rows are one snapshot, and a file that went meanwhile is looked up again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import matching
from ..files.stored import StoredFiles
from ..store import Fault, Store, copies, files
from ..store.mark import digest_of

#: What is said of rows that cannot be read.
NOTHING: dict[str, Any] = {
    "rows": {},
    "files": 0,
    "bytes": 0,
    "unclaimed": {"count": 0, "names": []},
    "apart": False,
}


def verify(store: Store) -> dict[str, Any]:
    """Check rows, references and files.

    Returns:
        ``ok``, ``problems`` (sentences), ``rows`` (by table), ``files`` and ``bytes`` that were read, ``unclaimed``:
        contents that no file has, as a kill in the middle of an upload leaves them (their names, the first 100, and
        how many; ``gc`` takes them away after a day). Most contents without a file are a problem. ``apart``: rows and
        contents are not of one another, so nobody knows what is needed, and ``gc`` takes nothing.
    """
    problems: list[str] = []
    with store.reading() as tx:
        problems += [f"database: {fault}" for fault in copies.faults(tx)]
        try:
            rows, kept = copies.count_rows(tx), files.every(tx)
        except Fault:
            if not problems:
                raise
            return {"ok": False, "problems": matching.told(problems), **NOTHING}
    stored = StoredFiles(store)
    sides = matching.compare(stored)
    if sides.surplus:
        problems.append(sides.surplus)
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
        "problems": matching.told(problems),
        "rows": rows,
        "files": len(kept),
        "bytes": read,
        "unclaimed": {"count": len(sides.unclaimed), "names": sides.unclaimed[: matching.NAMED]},
        "apart": sides.apart is not None,
    }


def tell_apart(folder: Path, fault: str) -> dict[str, Any]:
    """What ``verify`` says of a folder whose database cannot be opened as that of its contents: the fault, and what
    is missing on either side."""
    sides = matching.compare_closed(folder)
    problems = [fault, *matching.told([f"{key}: the content is missing" for key in sides.missing])]
    if sides.unclaimed:
        problems.append(f"{len(sides.unclaimed)} of {sides.contents} contents belong to no file")
    unclaimed = {"count": len(sides.unclaimed), "names": sides.unclaimed[: matching.NAMED]}
    return {"ok": False, "problems": problems, **NOTHING, "unclaimed": unclaimed, "apart": True}


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
