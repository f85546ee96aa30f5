"""Files of another ClearML server put into a data folder, beside the documents that name them (``documents``)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from .. import moments
from ..files import stored
from ..store import Store
from ..store import files as rows

_PIECE_BYTES = 1024 * 1024


class UploadedError(ValueError):
    """A file cannot be taken over; the message names it."""


def check_files(files: Iterable[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The files, each under a path that may be one.

    Raises:
        UploadedError: A path may not be one.
    """
    checked = list(files)
    for path, _ in checked:
        if stored.key_of(path) is None:
            raise UploadedError(f"{path!r} may not be the path of a file")
    return checked


def load_files(
    store: Store, files: Iterable[tuple[str, Path]], *, clock: moments.Clock = time.time
) -> dict[str, int]:
    """Put files under the paths their addresses have on a file server; a path that is taken stays as it is.

    Args:
        store: The open store of a server that is not running.
        files: Path on the file server, decoded, and where the content lies.
        clock: When they arrive.

    Returns:
        ``written`` and ``kept``: how many files.

    Raises:
        UploadedError: A path may not be one.
        OSError: The disk is full.
    """
    kept_files, counts = stored.StoredFiles(store), {"written": 0, "kept": 0}
    for path, source in files:
        key = stored.key_of(path)
        if key is None:
            raise UploadedError(f"{path!r} may not be the path of a file")
        with store.reading() as tx:
            taken = rows.find(tx, key) is not None
        if taken:
            counts["kept"] += 1
            continue
        incoming = kept_files.begin(key)
        try:
            with source.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    incoming.write(piece)
            settled = kept_files.settle(incoming, int(clock() * 1000), None)
        except BaseException:
            incoming.discard()
            raise
        with store.writing() as tx:
            rows.record(tx, settled)
        counts["written"] += 1
    return counts
