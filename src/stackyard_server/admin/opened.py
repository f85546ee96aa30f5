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
from ..program import COMMAND, hint
from ..protocol.error_table import ApiError
from ..store import (
    FILE_NAME,
    ApartError,
    ChangedError,
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


#: Codes and subcodes of the API: another has that value; a value cannot be accepted.
TAKEN, NOT_ACCEPTED = (400, 801), (400, 800)


class AdminError(Exception):
    """What was asked cannot be done; the message says why and what to do. ``usage``: the input is at fault."""

    def __init__(self, message: str, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@contextmanager
def sentences(*places: Path, of: Path | None = None) -> Iterator[None]:
    """Every error of the rooms below as one kind.

    Args:
        places: What is written there; the one whose disk is full is named.
        of: The data folder, for the commands that help; the first place, where it is not said.
    """
    folder = of or (places[0] if places else Path("DIR"))
    try:
        yield
    except settings.SettingsError as fault:
        raise AdminError(str(fault), usage=True) from fault
    except ApiError as fault:
        raise AdminError(_said(fault), usage=True) from fault
    except ApartError as fault:
        raise AdminError(f"{fault}. {_ways_on(fault, folder)}") from fault
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
            f"{FILE_NAME} is damaged ({fault}): see {hint('verify', folder)}, and restore a backup into a new folder "
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


def _ways_on(fault: ApartError, folder: Path) -> str:
    """What to do about a database and contents that are apart."""
    restore = f"restore a backup into a new folder ({COMMAND} restore BACKUP --folder NEW)"
    reconcile = hint("reconcile", folder)
    if isinstance(fault, ChangedError):
        return (
            f"Nothing was changed: {restore}, or, where only you changed the database, "
            f"take it as it is with {reconcile}."
        )
    if isinstance(fault, DamagedError):
        return (
            f"Nothing was changed: {restore}; without one move {FILE_NAME} and its -wal away, then call {reconcile}: "
            "the files stay, all else is lost."
        )
    return (
        f"Nothing was changed: put back what is missing, {restore}, or go on with what is there: {reconcile}."
    )


def _said(fault: ApiError) -> str:
    """A refusal of the API's rooms for somebody who typed a command: no code, no ``key=value``."""
    named = {name.replace("_", " "): value for name, value in fault.details.items()}
    if named and (fault.code, fault.subcode) == TAKEN:
        return f"{' and '.join(f'the {name} {value!r}' for name, value in named.items())} is taken; choose another"
    if named and (fault.code, fault.subcode) == NOT_ACCEPTED:
        return "; ".join(f"{name}: {why}" for name, why in named.items())
    return fault.message


def check_there(folder: Path, usage: bool = True) -> None:
    """Refuse a folder that no server ever had; one that lost its database is told so by the store.

    Args:
        folder: The data folder.
        usage: Whether it is a mistake to name such a folder.
    """
    with sentences(of=folder):
        check_restored(folder)
    if not (folder / FILE_NAME).is_file() and not opening.belongs_to_server(folder):
        raise AdminError(f"{folder} holds no server yet: {hint('start', folder)}", usage)


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
