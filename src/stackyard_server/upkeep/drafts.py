"""Folders in which something is made before it is moved into place, held while it is made.

The hold is the kernel's (flock): it ends with the process, whatever ends it. So a draft that nobody holds was broken
off, and may go.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import UpkeepError


class HeldError(UpkeepError):
    """Another process works in the folder."""


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Inside, the folder is this process's; whether that is sure: some file systems have no locks.

    Raises:
        HeldError: It is another's.
        OSError: It is no folder, or cannot be opened.
    """
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        sure = True
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(f"Another process works in {folder}: wait until it has ended.") from None
        except OSError:
            sure = False
        yield sure
    finally:
        os.close(number)
