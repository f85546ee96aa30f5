"""The user's folder of code, or git repository, that travels with a command: what of it travels, and its archive.

What git tracks travels, and of the rest what no ``.gitignore`` excludes. A ``.stackyardignore`` is read after them: it
excludes more, or brings back. Looking writes nothing. An archive is a zip named by the digest, with modes and links
kept and the same bytes for the same content. ``stackyard_task.working`` unpacks it where the run is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads.left_out import foremost
from stackyard.workloads.listing import Changing, Listed, listed, refused
from stackyard_task import manifest
from stackyard_task.manifest import FileFacts

#: Contents that are kept between looking and archiving, so that most code is read once.
_KEPT_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
#: The earliest instant a zip archive can name: the same code gives the same bytes at any time.
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: Of a file's beginning, to see whether packing it is worth the time.
_SAMPLE_BYTES = 1 << 16
_LFS_POINTER, _LFS_BYTES = b"version https://git-lfs.github.com/spec/v1\n", 1024
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True)
class Folder:
    """What of a folder travels."""

    path: Path
    #: Name, with "/" -> what it is, in the order of names.
    files: Mapping[str, FileFacts]
    #: SHA-256 over names, modes and contents.
    digest: str
    #: Of the repository it is or lies in; ``None``: there is none, it has no commit, or it tracks nothing here.
    commit: str | None = None
    #: Whether what travels is not what the commit holds: a tracked file differs, or an untracked one travels.
    dirty: bool | None = None
    #: How tracked files differ from the commit, as ``git diff`` says it; ``None``: not known, or too long.
    diff: bytes | None = None
    #: Reason -> how many files and folders it kept here.
    left_out: Mapping[str, int] = field(default_factory=dict)
    #: Reason -> the first thousand of them, a folder's name with a slash behind it.
    left_out_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Sentences about what could not be found out.
    notes: tuple[str, ...] = ()
    #: Contents by name as far as they are small; taken by ``archived``.
    contents: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(facts.size for facts in self.files.values())

    def foremost(self, reason: str) -> list[str]:
        """Of what a reason kept here the few that matter most, for a sentence; "..." stands for the rest."""
        few = foremost(self.path, self.left_out_names.get(reason, ()))
        return few + (["..."] if self.left_out.get(reason, 0) > len(few) else [])

    @property
    def marks(self) -> dict[str, str]:
        """Name -> text that differs where the file does, for ``differences``."""
        return manifest.marks_of(self.files)


def looked_at(path: Path, *, leave_out: Collection[Path] = ()) -> Folder:
    """What of ``path`` travels; every file is read once, nothing is written.

    Args:
        path: the folder.
        leave_out: files and folders in it that travel otherwise or not at all: inputs, the folder of the runs.

    Raises:
        BadInputError: it is no folder, too large, or something in it cannot travel.
    """
    try:
        root = path.resolve(strict=True)
        if not root.is_dir():
            raise BadInputError(f"{path} is no folder; code names the folder whose files travel with the run")
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInputError(f"{str(path)[:200]!r}: the folder of code cannot be looked at ({why})") from error
    try:
        return _looked_at(root, leave_out)
    except Changing:
        pass
    try:
        return _looked_at(root, leave_out)
    except Changing as changing:
        raise BadInputError(
            f"{changing} changes while it is read; wait until what writes it has ended, or exclude it in "
            ".stackyardignore"
        ) from changing


def _looked_at(root: Path, leave_out: Collection[Path]) -> Folder:
    found = listed(root, leave_out)
    contents: dict[str, bytes] = {}
    room = _KEPT_BYTES
    files: dict[str, FileFacts] = {}
    for name in sorted([*found.files, *found.links]):
        if name in found.links:
            target = found.links[name]
            text = os.fsencode(target)
            files[name] = FileFacts(len(text), hashlib.sha256(text).hexdigest(), target=target)
            continue
        seen = found.files[name]
        keep = seen.st_size <= min(room, _PIECE_BYTES)
        sha256, content = _read(root, name, seen, keep)
        files[name] = FileFacts(seen.st_size, sha256, bool(seen.st_mode & stat.S_IXUSR))
        if content is not None:
            contents[name] = content
            room -= len(content)
    return Folder(
        path=root,
        files=files,
        digest=manifest.digest_of(files),
        commit=found.commit,
        dirty=_dirty(found),
        diff=found.diff,
        left_out=dict(sorted(found.left_out.items())),
        left_out_names={reason: tuple(names) for reason, names in found.left_out_names.items()},
        notes=found.notes,
        contents=contents,
    )


def _dirty(found: Listed) -> bool | None:
    if found.commit is None or found.tracked is None:
        return None
    if any(name not in found.tracked for name in [*found.files, *found.links]):
        return True
    if found.diff is None:
        # too long is a difference; not known is not
        return True if found.diff_cut else None
    return bool(found.diff)


def _read(root: Path, name: str, seen: os.stat_result, keep: bool) -> tuple[str, bytes | None]:
    """SHA-256 of a file and, if wanted, its content.

    Raises:
        BadInputError: it cannot be read, or is only a pointer to its content.
        Changing: it is not the file that was seen.
    """
    total, size, pieces = hashlib.sha256(), 0, []
    try:
        with _opened(root / name) as stream:
            if _identity(os.fstat(stream.fileno())) != _identity(seen):
                raise Changing(root / name)
            while piece := stream.read(_PIECE_BYTES):
                if not size and len(piece) < _LFS_BYTES and piece.startswith(_LFS_POINTER):
                    raise refused(
                        root / name,
                        "is a pointer of Git LFS and not the file itself",
                        "run `git lfs pull` first",
                    )
                total.update(piece)
                size += len(piece)
                if size > seen.st_size:
                    break
                if keep:
                    pieces.append(piece)
            if size != seen.st_size or _identity(os.fstat(stream.fileno())) != _identity(seen):
                raise Changing(root / name)
    except FileNotFoundError as error:
        raise Changing(root / name) from error
    except OSError as error:
        raise refused(root / name, f"cannot be read ({error.strerror or error})") from error
    return total.hexdigest(), b"".join(pieces) if keep else None


def _opened(path: Path) -> BinaryIO:
    """A file for reading; a pipe that took its place is not waited for."""
    return open(os.open(path, _READ), "rb", buffering=0)


def _identity(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns


def archived(folder: Folder, home: Path) -> Path:
    """The archive of a folder, ``<digest>.zip`` below ``work`` in ``home``: made if it is not there or not whole.

    Raises:
        BadInputError: the folder was changed since it was looked at.
        StackyardError: the archive cannot be written.
    """
    place = kept(home, folder.digest)
    if _is_whole(place, folder.digest):
        folder.contents.clear()
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=place.parent, prefix=".draft-")
        try:
            with open(descriptor, "wb") as stream:
                _write(folder, stream)
            os.chmod(draft, 0o600)  # the code may be private, and others may read the home
            os.replace(draft, place)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        raise StackyardError(
            f"{home}: cannot be written ({error.strerror or error}); set STACKYARD_HOME to a folder that can"
        ) from error
    folder.contents.clear()
    return place


def kept(home: Path, digest: str) -> Path:
    """Where the archive of that digest lies, or would."""
    return home / "work" / f"{digest[:12]}.zip"


def again(home: Path, digest: str) -> Path | None:
    """An earlier archive of that digest, or ``None`` where it is gone or not whole."""
    place = kept(home, digest)
    return place if _is_whole(place, digest) else None


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What is apart between two folders, one text a file ("changed: train.py"), in the order of names.

    Args:
        old: name -> SHA-256, or what ``Folder.marks`` says.
        new: the same of the other.
    """

    def what(name: str) -> str | None:
        if name not in old:
            return f"new: {name}"
        if name not in new:
            return f"gone: {name}"
        return None if old[name] == new[name] else f"changed: {name}"

    return [said for name in sorted({*old, *new}) if (said := what(name)) is not None]


def _write(folder: Folder, stream: BinaryIO) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        for name, facts in folder.files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix: so modes mean something
            if facts.target is not None:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(entry, os.fsencode(facts.target))
                continue
            entry.external_attr = (stat.S_IFREG | (0o755 if facts.executable else 0o644)) << 16
            entry.file_size = facts.size
            content = folder.contents.get(name)
            if content is not None:
                entry.compress_type = _packing(content[:_SAMPLE_BYTES])
                archive.writestr(entry, content)
            else:
                _copy(folder.path / name, facts, archive, entry)


def _copy(path: Path, facts: FileFacts, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    total, size = hashlib.sha256(), 0
    try:
        source = _opened(path)
    except OSError as error:
        raise _changed(path) from error
    with source:
        piece = source.read(_PIECE_BYTES)
        entry.compress_type = _packing(piece[:_SAMPLE_BYTES])
        with archive.open(entry, "w") as target:
            while piece and size <= facts.size:
                total.update(piece)
                size += len(piece)
                target.write(piece)
                piece = source.read(_PIECE_BYTES)
    if size != facts.size or total.hexdigest() != facts.sha256:
        raise _changed(path)


def _changed(path: Path) -> BadInputError:
    return BadInputError(
        f"{path} was changed after it was looked at; run again, and leave it alone meanwhile"
    )


def _packing(sample: bytes) -> int:
    """How a file that begins so is stored: what is packed already is not packed again."""
    return zipfile.ZIP_DEFLATED if len(zlib.compress(sample, 1)) < 0.9 * len(sample) else zipfile.ZIP_STORED


def _is_whole(place: Path, digest: str) -> bool:
    """Whether an archive is there and holds the files of that digest."""
    try:
        if not stat.S_ISREG(place.lstat().st_mode):
            return False
        with zipfile.ZipFile(place) as archive:
            files = dict(_inside(archive))
        return manifest.digest_of(files) == digest
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False


def _inside(archive: zipfile.ZipFile) -> Iterator[tuple[str, FileFacts]]:
    entries = archive.infolist()
    if len(entries) > manifest.MOST_FILES or sum(e.file_size for e in entries) > manifest.MOST_BYTES:
        raise ValueError("too large")
    for entry in entries:
        total = hashlib.sha256()
        mode, target = entry.external_attr >> 16, None
        with archive.open(entry) as stream:
            while piece := stream.read(_PIECE_BYTES):
                total.update(piece)
                target = os.fsdecode(piece) if stat.S_ISLNK(mode) else None
        executable = target is None and bool(mode & stat.S_IXUSR)
        yield entry.filename, FileFacts(entry.file_size, total.hexdigest(), executable, target)
