"""Who makes something alone: a lock on a file, which the kernel lets go of when its last holder is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

#: Begins the name of a folder in which something is made; an old one is what a killed command left.
UNFINISHED = ".new-"


@contextlib.contextmanager
def held(path: Path, busy: Callable[[], None]) -> Iterator[int]:
    """Hold the lock at ``path``; yields its descriptor, which a child may inherit and so hold on to.

    The file may be removed by whoever holds it: others notice, and take the lock of the file that is there then.

    Args:
        path: the lock's file, made if it is not there; its folder is.
        busy: called once for every time that somebody else holds it, before it is waited for; may raise.

    Raises:
        OSError: the file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                busy()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(descriptor, path):  # removed while we waited: it guards nothing now
                continue
            yield descriptor
            return
        finally:
            os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
