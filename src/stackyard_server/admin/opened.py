"""A data folder opened for one command, beside a running server or without one; every error of the rooms below becomes
a sentence that says what to do.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import security_log, settings
from ..program import COMMAND
from ..protocol.error_table import ApiError
from ..store import (
    FILE_NAME,
    ApartError,
    DamagedError,
    Fault,
    Store,
    StoreError,
    check_restored,
    data_folder,
    is_damage,
    is_full,
    opening,
)
from ..upkeep import UpkeepError
from . import processes

LOG_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: Room on the disk without which a start or a command may fail: a log, the log's index and the mark.
NEEDED_BYTES = 1024 * 1024
#: What a write says that finds no room.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class AdminError(Exception):
    """What was asked cannot be done; the message says why and what to do. ``usage``: the input is at fault."""

    def __init__(self, message: str, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@contextmanager
def sentences(*places: Path) -> Iterator[None]:
    """Every error of the rooms below as one kind.

    Args:
        places: What is written there; the one whose disk is full is named.
    """
    try:
        yield
    except settings.SettingsError as fault:
        raise AdminError(str(fault), usage=True) from fault
    except ApiError as fault:
        raise AdminError(fault.message, usage=True) from fault
    except ApartError as fault:
        raise AdminError(f"{fault}. {_ways_on(fault)}") from fault
    except (StoreError, processes.ProcessError, UpkeepError) as fault:
        raise AdminError(str(fault)) from fault
    except (Fault, OSError) as fault:
        if full := _full(fault, places):
            raise AdminError(f"{full}: make room, and call it again.") from fault
        if isinstance(fault, OSError):
            raise
        if not is_damage(fault):
            raise AdminError(f"The database could not be read or written: {fault}.") from fault
        raise AdminError(
            f"{FILE_NAME} is damaged ({fault}): see {COMMAND} verify, and restore a backup into a new folder "
            f"({COMMAND} restore BACKUP --folder NEW)."
        ) from fault


def _full(fault: Fault | OSError, places: tuple[Path, ...]) -> str | None:
    """Which place has no room, where that is why; SQLite says "disk I/O error" where it cannot make its index."""
    there = [(free_bytes(place), place) for place in places]
    if not there or (isinstance(fault, OSError) and fault.errno not in FULL):
        return None
    free, place = min(there)
    if isinstance(fault, Fault) and not is_full(fault) and free >= NEEDED_BYTES:
        return None
    return f"{place} could not be written, its disk is full ({free} bytes are free)"


def free_bytes(place: Path) -> int:
    """What is free on the disk of a place that is there or is to be."""
    there = next((path for path in (place, *place.absolute().parents) if path.is_dir()), Path("/"))
    return shutil.disk_usage(there).free


def _ways_on(fault: ApartError) -> str:
    """What to do about a database and contents that are apart."""
    restore = f"restore a backup into a new folder ({COMMAND} restore BACKUP --folder NEW)"
    if isinstance(fault, DamagedError):
        return (
            f"Nothing was changed: {restore}, or, where only you changed the database, "
            f"take it as it is with {COMMAND} reconcile."
        )
    return (
        f"Nothing was changed: put back what is missing, {restore}, "
        f"or go on with what is there: {COMMAND} reconcile."
    )


def check_there(folder: Path) -> None:
    """Refuse a folder that no server ever had; one that lost its database is told so by the store."""
    with sentences():
        check_restored(folder)
    if not (folder / FILE_NAME).is_file() and not opening.belongs_to_server(folder):
        raise AdminError(f"{folder} holds no server yet: {COMMAND} start", usage=True)


@contextmanager
def opened(folder: Path, *others: Path) -> Iterator[tuple[Store, int]]:
    """The store of an existing folder, beside a running server or without one, and the moment.

    Args:
        folder: The data folder.
        others: Where else the command writes.
    """
    check_there(folder)
    with sentences(folder, *others):
        data_folder.check_file_system(folder)
        with _security_log(folder):
            store = Store(folder)
            try:
                yield store, int(time.time() * 1000)
            finally:
                store.close()


@contextmanager
def _security_log(folder: Path) -> Iterator[None]:
    """What the command line does to users and keys stands in the server's log, too."""
    handler = logging.FileHandler(folder / processes.LOG_NAME, delay=True)
    handler.setFormatter(logging.Formatter(LOG_FORM))
    old = security_log.log.level
    security_log.log.addHandler(handler)
    security_log.log.setLevel(logging.INFO)
    try:
        yield
    finally:
        security_log.log.removeHandler(handler)
        security_log.log.setLevel(old)
        handler.close()
