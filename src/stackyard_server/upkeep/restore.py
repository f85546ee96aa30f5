"""A backup becomes a data folder again: looked at first (``inspection``), then copied, and proven where asked.

Nothing is written before everything was looked at. The copy is made in a folder of its own inside the target, compared
with what was looked at, and moved into place with the database last: a folder half restored is not taken for one of a
server. A restore that was broken off leaves its draft; nothing but another restore goes on there, and clears it first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import settings
from ..files.stored import sync_folder
from ..store import FILE_NAME, Fault, Store, copies, data_folder
from ..store.mark import digest_of_rest
from ..store.opening import DRAFT
from . import UpkeepError, drafts, inspection, verification

#: What is moved into place; the database last.
MOVED = ("files", settings.FILE_NAME, FILE_NAME)
#: What a start leaves that was refused.
LEFT_BY_STARTS = (data_folder.LOCK_NAME, "server.log")


def restore(source: Path, folder: Path, verify: bool, digest: str | None = None) -> dict[str, Any]:
    """Put a backup into an empty folder.

    Args:
        source: What ``backup`` made.
        folder: The data folder to be; missing or empty.
        verify: Prove the copy: read back what was written, rows and contents.
        digest: What ``backup`` printed: proof that this is what was made then.

    Returns:
        ``ok`` and ``problems``; ``files``, ``bytes``, ``made_at``; ``digest`` of the backup and whether it was
        ``checked`` against one that somebody kept. With problems of the backup itself nothing was written.

    Raises:
        UpkeepError: It is no backup, not the one of that digest, or the folder cannot be used.
    """
    if folder.exists() and any(folder.iterdir()) and not _was_broken_off(folder):
        raise UpkeepError(f"{folder} is not empty: restore into a new folder.")
    found = inspection.inspect(source, digest)
    told: dict[str, Any] = {
        "ok": not found.problems,
        "problems": found.told(),
        "files": 0,
        "bytes": 0,
        "made_at": found.manifest["made_at"],
        "digest": found.digest,
        "checked": digest is not None,
    }
    if found.problems:
        return told
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    data_folder.check_file_system(folder)
    try:
        _check_room(folder, found)
        with _draft(folder) as draft:
            for part in found.parts:
                _copy(source, part, draft.joinpath(*part.path))
                if part.path[0] == "files":
                    told["files"] += 1
                    told["bytes"] += part.bytes
            copies.rename(draft / FILE_NAME)
            copies.make_mark(draft)
            for below in (path for path in draft.rglob("*") if path.is_dir()):
                sync_folder(below)
            sync_folder(draft)
            for name in MOVED:
                if (draft / name).exists():
                    sync_folder(folder)  # the database is there only where all else is
                    (draft / name).rename(folder / name)
            draft.rmdir()
            sync_folder(folder)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    if verify:
        problems = _verified(folder)
        told |= {"ok": not problems, "problems": problems}
    return told


def _was_broken_off(folder: Path) -> bool:
    """Whether a folder holds what a restore left that did not come to its end, and nothing of anybody else's."""
    draft, names = folder / DRAFT, {path.name for path in folder.iterdir()}
    return (
        draft.is_dir()
        and not draft.is_symlink()
        and (FILE_NAME not in names or (folder / FILE_NAME).stat().st_size == 0)
        and names <= {DRAFT, *MOVED, *LEFT_BY_STARTS}
    )


def _check_room(folder: Path, found: inspection.Inspection) -> None:
    """Look whether the disk has room for a backup.

    Raises:
        UpkeepError: It has not.
    """
    needed, free = sum(part.bytes for part in found.parts), _bytes_of(folder) + shutil.disk_usage(folder).free
    if needed > free:
        raise UpkeepError(
            f"{folder}: its disk has {free} bytes free, the backup needs {needed}: make room, or choose another "
            "folder. Nothing was written."
        )


def _bytes_of(folder: Path) -> int:
    """What a broken-off restore takes that is cleared."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.name not in LEFT_BY_STARTS)


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """The draft, empty and this process's; what an earlier restore left is gone, and after an error all of it.

    Raises:
        UpkeepError: Another restore works in the folder.
    """
    draft = folder / DRAFT
    draft.mkdir(mode=0o700, exist_ok=True)
    with drafts.held(draft):
        for path in [*draft.iterdir(), *(folder / name for name in MOVED)]:
            _remove(path)
        try:
            yield draft
        except BaseException:
            if not (folder / FILE_NAME).exists():
                for name in MOVED:
                    _remove(folder / name)
                shutil.rmtree(draft, ignore_errors=True)
            raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, part: inspection.Part, goal: Path) -> None:
    """Copy a file to the disk, readable by its owner.

    Raises:
        UpkeepError: It is not what was looked at any more.
    """
    goal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with inspection.open_part(source, part.path) as old, goal.open("xb") as new:
        os.fchmod(new.fileno(), 0o600)
        read = digest_of_rest(old, new)
        new.flush()
        os.fsync(new.fileno())
    if read != (part.sha256, part.bytes):
        raise UpkeepError(f"{'/'.join(part.path)} of the backup changed while it was read.")


def _verified(folder: Path) -> list[str]:
    """What is wrong with a restored folder."""
    try:
        store = Store(folder, migrates=True)
    except Exception as fault:  # noqa: BLE001  # whatever a broken database does, the proof says so
        return [f"database: it cannot be opened: {fault}"]
    try:
        problems: list[str] = verification.verify(store)["problems"]
    except Fault as fault:
        return [f"database: {fault}"]
    finally:
        store.close()
    return problems
