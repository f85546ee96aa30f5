"""The tar files of a backup: made of folders, and looked at from beginning to end before anything is unpacked.

Names inside an archive decide paths. So only plain files and folders are taken, under names that stay below the target,
each once; no links, no devices, no compression. Whoever unpacks says which names are expected.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from stackyard.errors import BadInputError

#: Whether a member may be there: its name below the target, and whether it is a folder.
Expected = Callable[[PurePosixPath, bool], bool]
#: Longest name of a file system, bytes.
LONGEST_NAME_BYTES = 255
STEP_BYTES = 1024 * 1024


def anything(name: PurePosixPath, is_folder: bool) -> bool:
    """Every name is expected."""
    return True


def pack(target: Path, folder: Path, *names: str) -> None:
    """Put what is under those names of a folder into a new archive, readable by its owner."""
    with private(target) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            archive.add(folder / name, arcname=name)


def check(path: Path, expected: Expected = anything) -> list[PurePosixPath]:
    """Look at every member of an archive.

    Returns:
        The names, folders too, in the archive's order; the folder it was made of is not among them.

    Raises:
        BadInputError: A member is no plain file or folder, its name leads out, is there twice or not expected.
    """
    names: dict[PurePosixPath, bool] = {}
    with open_regular(path) as file:
        for member in _members(path, file):
            name = _name(path, member)
            if name is None:
                continue
            if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
                raise BadInputError(f"{path}: {member.name!r} is neither a file nor a folder")
            if name in names or any(names.get(above) is False for above in name.parents):
                raise BadInputError(f"{path}: {member.name!r} is there twice")
            if not expected(name, member.isdir()):
                raise BadInputError(f"{path}: {member.name!r} is not expected in it")
            names[name] = member.isdir()
    above = {parent for name in names for parent in name.parents}
    for name, is_folder in names.items():
        if is_folder is False and name in above:
            raise BadInputError(f"{path}: {str(name)!r} is a file, and others lie below it")
    return list(names)


def unpack(path: Path, folder: Path, expected: Expected = anything, owned: bool = False) -> None:
    """Unpack an archive into a folder, once all of it was looked at; nothing that is there is replaced.

    Args:
        path: The archive.
        folder: Where to; exists.
        expected: Which names may be in it.
        owned: Whether files get the owners that the archive states (for root).

    Raises:
        BadInputError: The archive is not as it has to be, or something is there already. What was made is removed.
    """
    check(path, expected)
    made: list[Path] = []
    try:
        with open_regular(path) as file:
            for member in _members(path, file):
                name = _name(path, member)
                if name is None:
                    continue
                goal = folder / name
                _make(member, file, goal, made)
                if owned:
                    os.chown(goal, member.uid, member.gid, follow_symlinks=False)
    except BaseException as fault:
        for goal in reversed(made):
            if goal.is_dir() and not goal.is_symlink():
                shutil.rmtree(goal, ignore_errors=True)
            else:
                goal.unlink(missing_ok=True)
        if isinstance(fault, FileExistsError):
            raise BadInputError(f"{fault.filename} is there already; nothing was unpacked") from fault
        raise


def _make(member: tarfile.TarInfo, file: IO[bytes], goal: Path, made: list[Path]) -> None:
    for above in reversed(goal.parents):
        if above.is_symlink() and any(above == one or one in above.parents for one in made):
            raise FileExistsError(17, "a link", str(above))
        if not above.exists():
            above.mkdir(mode=0o700)
            made.append(above)
    if member.isdir():
        if not goal.is_dir() or goal.is_symlink():
            goal.mkdir(mode=0o700)
            made.append(goal)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(goal, flags, member.mode & 0o700), "wb") as new:
        made.append(goal)
        file.seek(member.offset_data)
        left = member.size
        while left and (data := file.read(min(left, STEP_BYTES))):
            new.write(data)
            left -= len(data)
        if left:
            raise BadInputError(f"{member.name!r} ends too soon")
        os.fchmod(new.fileno(), member.mode & 0o777)


def _members(path: Path, file: IO[bytes]) -> list[tarfile.TarInfo]:
    """Every member; the archive is read to its end without unpacking anything."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:  # plain: what is compressed has no size
            return archive.getmembers()
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as fault:
        raise BadInputError(f"{path}: no archive ({fault})") from fault


def _name(path: Path, member: tarfile.TarInfo) -> PurePosixPath | None:
    """Where a member goes, below the target; None for the folder that the archive was made of.

    Raises:
        BadInputError: Its name leads elsewhere, or means something to another system.
    """
    text = member.name.removeprefix("./")
    if text in ("", "."):
        if member.isdir():
            return None
        raise BadInputError(f"{path}: a member has no name")
    parts = text.rstrip("/").split("/") if member.isdir() else text.split("/")
    for part in parts:
        bad = part in ("", ".", "..") or "\\" in part or len(os.fsencode(part)) > LONGEST_NAME_BYTES
        if bad or any(unicodedata.category(c) == "Cc" for c in part):
            raise BadInputError(f"{path}: {member.name!r} may not be the name of a file")
    return PurePosixPath(*parts)


def open_regular(path: Path) -> BinaryIO:
    """A file that is none but a regular one, to be read.

    Raises:
        BadInputError: It is missing, a link, or of another kind.
    """
    if path.is_symlink() or not path.is_file():
        raise BadInputError(f"{path} is missing or no regular file")
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def private(path: Path) -> BinaryIO:
    """A new file that only its owner reads."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")
