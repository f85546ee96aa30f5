"""What a command left in its working folder: moved to the run's outputs, the rest removed.

Whatever the command left, this follows no link and raises nothing. What is new is told by the archive that the folder
was unpacked from. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Dict, List, Optional, Set, Tuple

from stackyard_task import archives
from stackyard_task.counting import count
from stackyard_task.emptying import MOST_NAMES, OPEN_FOLDER, entered, removed_below

#: Below the outputs: what a command left in its working folder.
WORK_FOLDER = "work"
#: Bounds on what is moved there, all files together.
MOST_MOVED, MOST_MOVED_BYTES = 10_000, 4 << 30
#: Of names there: what lies deeper, or is called longer, is no path for those who read outputs.
DEEPEST, NAME_BYTES, PART_BYTES = 64, 1024, 255
#: Entries that are looked at; the rest is removed.
_MOST_LOOKED = 100_000
_PIECE_BYTES = 1 << 20
_CACHES = (b"__pycache__", b".ipynb_checkpoints")


@dataclass
class Gathered:
    """What became of the files that a command left in its working folder."""

    #: Files and links that now lie below the outputs.
    moved: int = 0
    bytes: int = 0
    #: What was new or changed, and was removed: files, links, pipes, sockets and devices. Caches are not counted.
    dropped: int = 0
    #: One sentence about what was dropped or could not be removed; ``None``: nothing was.
    sentence: Optional[str] = None


def gathered(folder: Path, archive: Optional[Path], outputs: Path) -> Gathered:
    """Move what is new or changed in ``folder`` to ``outputs/work``, and remove the rest with the folder.

    Byte code and caches are removed uncounted. A link is kept where it leads to what is kept. Names that are no UTF-8,
    or hold control characters, are kept as ``%XX``. Call it when the command's processes have ended.

    Args:
        folder: the working folder.
        archive: what was unpacked there; ``None``: nothing, so all is new.
        outputs: the run's outputs; ``work`` is made in it where there is something to keep.
    """
    result = Gathered()
    try:
        if stat.S_ISDIR(os.lstat(folder).st_mode):
            os.chmod(folder, 0o700)
        top = os.open(str(folder), OPEN_FOLDER)
    except OSError as error:
        if error.errno != errno.ENOENT:
            result.sentence = (
                f"{folder} cannot be looked at ({error.strerror}), so what the command left there stays"
            )
        return result
    try:
        _Gathering(top, outputs, result).all(archive)
    finally:
        os.close(top)
        with contextlib.suppress(OSError):
            os.rmdir(str(folder))
    return result


@dataclass
class _Gathering:
    top: int
    outputs: Path
    result: Gathered
    target: Optional[int] = None
    reasons: Set[str] = field(default_factory=set)
    left: int = 0
    looked: int = 0
    #: Links to be moved when all files are, as (parts, name).
    links: List[Tuple[Tuple[bytes, ...], bytes]] = field(default_factory=list)

    def all(self, archive: Optional[Path]) -> None:
        """Go through the folder, then empty it."""
        original = _Original(archive)
        try:
            self._folder(self.top, (), original)
            self._settle_links()
        except OSError as error:
            self.reasons.add(f"something could not be read ({error.strerror or error})")
        finally:
            original.close()
            if self.target is not None:
                os.close(self.target)
        removed, self.left = removed_below(self.top)
        self.result.dropped += removed
        self._say()

    def _say(self) -> None:
        said = []
        if self.result.dropped:
            why = f" ({'; '.join(sorted(self.reasons))})" if self.reasons else ""
            said.append(
                f"of what the command left, {count(self.result.dropped, 'file')} could not be kept{why}"
            )
        elif self.reasons:
            said.append("; ".join(sorted(self.reasons)))
        if self.left:
            said.append(f"{self.left} could not be removed")
        self.result.sentence = ", and ".join(said) or None

    # -- the walk ------------------------------------------------------------------------------------

    def _folder(self, descriptor: int, parts: Tuple[bytes, ...], original: _Original) -> None:
        for name in _names(descriptor):
            try:
                self._entry(descriptor, parts, name, original)
            except OSError as error:
                self.reasons.add(f"something could not be read or moved: {error.strerror or error}")

    def _entry(self, descriptor: int, parts: Tuple[bytes, ...], name: bytes, original: _Original) -> None:
        self.looked += 1
        if self.looked > _MOST_LOOKED:
            self.reasons.add(f"at most {_MOST_LOOKED} are looked at")
            return
        seen = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        here = (*parts, name)
        if stat.S_ISDIR(seen.st_mode):
            if name in _CACHES:
                inner = entered(descriptor, name)
                try:
                    removed_below(inner)
                finally:
                    os.close(inner)
                return
            if len(here) >= DEEPEST:
                self.reasons.add(f"at most {DEEPEST} folders deep")
                return
            inner = entered(descriptor, name)
            try:
                self._folder(inner, here, original)
            finally:
                os.close(inner)
        elif stat.S_ISLNK(seen.st_mode):
            target = os.readlink(name, dir_fd=descriptor)
            if original.is_link(here, target):
                os.unlink(name, dir_fd=descriptor)
            else:
                self.links.append((parts, name))
        elif stat.S_ISREG(seen.st_mode):
            if original.is_file(here, descriptor, seen):
                os.unlink(name, dir_fd=descriptor)
            elif self._room(seen.st_size):
                self._move(descriptor, parts, name, seen)
        else:
            os.unlink(name, dir_fd=descriptor)
            self.result.dropped += 1
            self.reasons.add("pipes, sockets and devices have no content")

    def _room(self, size: int) -> bool:
        if self.result.moved >= MOST_MOVED:
            self.reasons.add(f"at most {MOST_MOVED} files are")
        elif self.result.bytes + size > MOST_MOVED_BYTES:
            self.reasons.add(f"at most {MOST_MOVED_BYTES >> 30} GiB are")
        else:
            return True
        return False

    # -- moving --------------------------------------------------------------------------------------

    def _move(self, descriptor: int, parts: Tuple[bytes, ...], name: bytes, seen: os.stat_result) -> None:
        names = [_plain(part) for part in (*parts, name)]
        if any(len(part) > PART_BYTES for part in names) or len(b"/".join(names)) > NAME_BYTES:
            self.reasons.add(f"names of at most {NAME_BYTES} bytes")
            return
        place = self._place(names[:-1])
        try:
            if _is_there(names[-1], place):
                self.reasons.add("where the outputs have a file of that name, that one stays")
                return
            _moved(descriptor, name, place, names[-1], seen)
        finally:
            os.close(place)
        self.result.moved += 1
        self.result.bytes += seen.st_size

    def _place(self, names: List[bytes]) -> int:
        """A descriptor of the folder of these names below ``outputs/work``, made where it is missing.

        Raises:
            OSError: something else is in its place.
        """
        if self.target is None:
            with contextlib.suppress(FileExistsError):
                self.outputs.mkdir()
            outputs = os.open(str(self.outputs), OPEN_FOLDER)
            try:
                self.target = _made(outputs, WORK_FOLDER.encode())
            finally:
                os.close(outputs)
        place = os.dup(self.target)
        for name in names:
            try:
                inner = _made(place, name)
            finally:
                os.close(place)
            place = inner
        return place

    def _settle_links(self) -> None:
        """Move links, as long as they lead to what was moved."""
        moved: List[Tuple[Tuple[bytes, ...], bytes]] = []
        for parts, name in self.links:
            if not self._room(0):
                break
            descriptor = self._walked(parts)
            try:
                seen = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                before = self.result.moved
                self._move(descriptor, parts, name, seen)
                if self.result.moved > before:
                    self.result.bytes -= seen.st_size
                    moved.append((parts, name))
            except OSError as error:
                self.reasons.add(f"something could not be moved: {error.strerror or error}")
            finally:
                os.close(descriptor)
        work = self.outputs / WORK_FOLDER
        stay = True
        while stay and moved:  # one that is taken away may be what another leads to
            stay = False
            for parts, name in list(moved):
                names = [_plain(part) for part in (*parts, name)]
                path = os.path.join(os.fsencode(work), *names)
                if not _leads_inside(path, os.fsencode(work)):
                    with contextlib.suppress(OSError):
                        os.unlink(path)
                    moved.remove((parts, name))
                    self.result.moved -= 1
                    self.result.dropped += 1
                    self.reasons.add("links are kept where they lead to a file that is")
                    stay = True

    def _walked(self, parts: Tuple[bytes, ...]) -> int:
        place = os.dup(self.top)
        for part in parts:
            try:
                inner = os.open(part, OPEN_FOLDER, dir_fd=place)
            finally:
                os.close(place)
            place = inner
        return place


class _Original:
    """What the archive held, to tell what is new."""

    def __init__(self, archive: Optional[Path]) -> None:
        self._archive: Optional[zipfile.ZipFile] = None
        self._stream: Optional[BinaryIO] = None
        self._entries: Dict[bytes, zipfile.ZipInfo] = {}
        if archive is None:
            return
        try:
            self._stream = archives.opened(archive)
            self._archive = zipfile.ZipFile(self._stream)
            self._entries = {name.encode(): entry for name, entry in archives.entries(self._archive).items()}
        except (OSError, *archives.BAD):  # gone or damaged: then all is new
            self._entries = {}

    def close(self) -> None:
        """Let the archive go."""
        for opened in (self._archive, self._stream):
            if opened is not None:
                opened.close()

    def is_link(self, parts: Tuple[bytes, ...], target: bytes) -> bool:
        """Whether the archive held this link."""
        entry = self._entry(parts, link=True)
        return entry is not None and self._content(entry) == target

    def is_file(self, parts: Tuple[bytes, ...], folder: int, seen: os.stat_result) -> bool:
        """Whether a file of a folder is as it was unpacked; one that was written again is not, whatever it holds."""
        entry = self._entry(parts, link=False)
        if entry is None or entry.file_size != seen.st_size or self._archive is None:
            return False
        if seen.st_mtime > archives.UNPACKED_AT:
            return False
        try:
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError:  # made unreadable: then it is not as it was
            return False
        try:
            with os.fdopen(descriptor, "rb") as mine, self._archive.open(entry) as theirs:
                while True:
                    piece = theirs.read(_PIECE_BYTES)
                    if mine.read(len(piece) or 1) != piece:
                        return False
                    if not piece:
                        return True
        except (OSError, *archives.BAD):
            return False

    def _entry(self, parts: Tuple[bytes, ...], link: bool) -> Optional[zipfile.ZipInfo]:
        entry = self._entries.get(b"/".join(parts))
        return entry if entry is not None and stat.S_ISLNK(entry.external_attr >> 16) == link else None

    def _content(self, entry: zipfile.ZipInfo) -> Optional[bytes]:
        try:
            return None if self._archive is None else self._archive.read(entry)
        except (OSError, *archives.BAD):
            return None


def _names(descriptor: int) -> List[bytes]:
    """The names in a folder, in a fixed order, as bytes; of very many some."""
    with os.scandir(descriptor) as scan:
        return sorted(os.fsencode(entry.name) for entry in itertools.islice(scan, MOST_NAMES))


def _made(folder: int, name: bytes) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    return os.open(name, OPEN_FOLDER, dir_fd=folder)


def _is_there(name: bytes, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _moved(source: int, name: bytes, target: int, new: bytes, seen: os.stat_result) -> None:
    """Move a file or link; where the outputs lie on another file system, copy it and remove it."""
    if stat.S_ISREG(seen.st_mode) and not seen.st_mode & stat.S_IRUSR:
        os.chmod(name, stat.S_IMODE(seen.st_mode) | stat.S_IRUSR, dir_fd=source)
    try:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if stat.S_ISLNK(seen.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
        else:
            _copied(source, name, target, new, seen)
        os.unlink(name, dir_fd=source)


def _copied(source: int, name: bytes, target: int, new: bytes, seen: os.stat_result) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    with os.fdopen(reading, "rb") as origin:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        writing = os.open(new, flags, stat.S_IMODE(seen.st_mode) & 0o777, dir_fd=target)
        try:
            with os.fdopen(writing, "wb") as copy:
                left = seen.st_size
                while left > 0:
                    piece = origin.read(min(left, _PIECE_BYTES))
                    if not piece:
                        break
                    copy.write(piece)
                    left -= len(piece)
        except BaseException:
            os.unlink(new, dir_fd=target)
            raise


def _plain(name: bytes) -> bytes:
    """A name as text that all may show: odd bytes and control characters as ``%XX``."""
    text = name.decode("utf-8", "surrogateescape")
    return "".join(
        "".join(f"%{byte:02X}" for byte in os.fsencode(letter))
        if ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000
        else letter
        for letter in text
    ).encode()


def _leads_inside(path: bytes, folder: bytes) -> bool:
    """Whether a link ends at something below ``folder``."""
    try:
        top, end = os.path.realpath(folder), os.path.realpath(path)
        return os.path.exists(end) and (end == top or end.startswith(top + b"/"))
    except OSError:
        return False
