"""Database and contents that are apart become of one another again, as they are: nothing is removed from the disk.

Contents without a file become files below ``recovered/``; files without a content are forgotten, by name. Where there
is no database, a new one is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import matching
from ..files.stored import StoredFiles
from ..store import FILE_NAME, Store, check_alone, files
from ..store.files import StoredFile
from ..store.mark import digest_of

RECOVERED = "recovered"
#: Rows written in one transaction.
AT_ONCE = 1000


def reconcile(folder: Path, now: int, dry_run: bool) -> dict[str, Any]:
    """Take database and contents of a folder as they are found.

    Args:
        folder: A data folder that no server has.
        now: Epoch milliseconds.
        dry_run: Only say what would be done.

    Returns:
        ``recovered`` and ``forgotten`` ({count, paths: the first 100}), ``new_database``, ``dry_run``.

    Raises:
        ApartError: The database is damaged: SQLite cannot say what is in it. Nothing was changed.
    """
    check_alone(folder)
    there = (folder / FILE_NAME).exists() and (folder / FILE_NAME).stat().st_size > 0
    if dry_run:
        sides = matching.compare_closed(folder)
    else:
        store = Store(folder, reconciled=True)
        try:
            sides = matching.compare(StoredFiles(store))
            _recover(store, sides.unclaimed, now)
            _forget(store, sides.missing)
        finally:
            store.close()
    return {
        "recovered": {
            "count": len(sides.unclaimed),
            "paths": [f"{RECOVERED}/{blob}" for blob in sides.unclaimed[: matching.NAMED]],
        },
        "forgotten": {"count": len(sides.missing), "paths": sides.missing[: matching.NAMED]},
        "new_database": not there,
        "dry_run": dry_run,
    }


def _recover(store: Store, blobs: list[str], now: int) -> None:
    stored = StoredFiles(store)
    for begin in range(0, len(blobs), AT_ONCE):
        found = []
        for blob in blobs[begin : begin + AT_ONCE]:
            sha256, size = digest_of(stored.locate(blob))
            found.append(StoredFile(f"{RECOVERED}/{blob}", blob, size, sha256, now))
        with store.writing() as tx:
            files.add(tx, found)


def _forget(store: Store, keys: list[str]) -> None:
    for begin in range(0, len(keys), AT_ONCE):
        with store.writing() as tx:
            files.forget_keys(tx, keys[begin : begin + AT_ONCE])
