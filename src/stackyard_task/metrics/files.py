"""The files of a run, found and read within bounds: their place, their age, their bytes, their lines.

Standard library only.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Optional

from stackyard_task.counting import are, count, were
from stackyard_task.metrics.figure import Nothing
from stackyard_task.metrics.terminal import parted
from stackyard_task.records import OUTPUTS_FOLDER, TASK_FILE

#: Bytes of one file that are read; of a longer one of lines, the first and the last half of them.
FILE_BYTES = 64 << 20
#: Bytes of one line that are looked at.
LINE_BYTES = 64 << 10
#: Entries of folders that are looked through for one source, and how deep.
ENTRIES_SEEN = 20_000
DEPTH = 8
_BLOCK_BYTES = 1 << 20
#: A file's time may lag behind the clock by so much.
_CLOCK_SECONDS = 0.05
#: Letters of a path that a hint names.
_NAME_LETTERS = 200
_NOT_OURS = (".git", ".hg", ".venv", "node_modules", "__pycache__", "site-packages")

#: Takes a sentence that the user should read beside the figures.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where a run leaves what it says."""

    #: stdout and stderr of the run, in its run folder.
    log: Path
    #: The folder that the run was given for its files.
    outputs: Path
    #: The folder in which it ran.
    working: Path
    #: When it began, as files say it (seconds since 1970): what is older is another run's. ``None``: unknown.
    since: Optional[float] = None


def find(name: str, places: Places) -> Path:
    """The file that a source names: in the outputs, else in the working folder, and of this run.

    With wildcards it is the one that was written last.

    Raises:
        Nothing: there is none.
    """
    old = False
    for folder in (places.outputs, places.working):
        found = _matching(folder, name) if any(c in name for c in "*?[") else [folder / name]
        regular = [path for path in found if _is_file(path)]
        new = [path for path in regular if is_new(path, places)]
        old = old or len(new) < len(regular)
        if new:
            return max(new, key=lambda path: path.stat().st_mtime_ns)
    if old:
        raise Nothing(f"{name} is older than the run, which did not write it")
    raise Nothing(f"there is no file {name} in the outputs or the working folder{_elsewhere(name, places)}")


def _elsewhere(name: str, places: Places) -> str:
    """Where a file of that name lies deeper in the folders that are looked in, as a hint."""
    wanted = name.rpartition("/")[2]
    for folder, called in ((places.outputs, "the outputs"), (places.working, "the working folder")):
        for path in walk(folder):
            if fnmatch.fnmatchcase(path.name, wanted) and _is_file(path) and is_new(path, places):
                inside = str(path.relative_to(folder))
                if inside.isprintable() and len(inside) <= _NAME_LETTERS:
                    return f"; {inside} is there, in {called}"
    return ""


def is_new(path: Path, places: Places) -> bool:
    """Whether the run may have written a file."""
    return places.since is None or path.stat().st_mtime >= places.since - _CLOCK_SECONDS


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, within bounds; none through links, and none of another run's folder."""
    seen = 0
    top = str(folder)
    for place, folders, files in os.walk(top):
        depth = place[len(top) :].count(os.sep)
        other_run = TASK_FILE in files and OUTPUTS_FOLDER in folders and depth > 0
        folders[:] = [] if depth >= DEPTH or other_run else sorted(f for f in folders if f not in _NOT_OURS)
        for name in [] if other_run else files:
            yield Path(place, name)
        seen += len(files) + len(folders)
        if seen > ENTRIES_SEEN:
            return


def _matching(folder: Path, pattern: str) -> List[Path]:
    return [path for path in walk(folder) if fits(str(path.relative_to(folder)), pattern)]


def fits(path: str, pattern: str) -> bool:
    """Whether a path matches, part by part; ``**`` is any number of folders."""

    def fit(parts: List[str], wanted: List[str]) -> bool:
        if not wanted:
            return not parts
        if wanted[0] == "**":
            return any(fit(parts[n:], wanted[1:]) for n in range(len(parts) + 1))
        return bool(parts) and fnmatch.fnmatchcase(parts[0], wanted[0]) and fit(parts[1:], wanted[1:])

    return fit(path.split("/"), pattern.split("/"))


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def opened(path: Path) -> int:
    """A descriptor that reads a file; what is no file, or waits for somebody, is refused.

    Raises:
        Nothing: it cannot be read.
    """
    try:
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except OSError as error:
        raise Nothing(f"{path.name} cannot be read ({error.strerror})") from error
    raise Nothing(f"{path.name} is no file")


def whole(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        Nothing: it is longer than FILE_BYTES, or cannot be read.
    """
    with os.fdopen(opened(path), "rb") as file:
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise Nothing(f"{path.name} is longer than {FILE_BYTES >> 20} MiB")
    return data


def lines(path: Path, say: Say, returns: bool = False, longest: int = LINE_BYTES) -> Iterator[List[bytes]]:
    """A file's lines, in batches, without their ends.

    Args:
        path: The file.
        say: Told what of the file is not looked at.
        returns: Whether a carriage return ends a line too, as a progress bar's does. A line begins then also where
            a terminal's cursor goes back; what takes it back is the line's beginning (``terminal``).
        longest: Bytes of a line that are looked at.

    Raises:
        Nothing: it cannot be read.
    """
    cut = 0
    with os.fdopen(opened(path), "rb", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        for begin, end in _windows(length):
            held = b""
            rest, skipping = b"", begin > 0  # the first line of a later window has lost its beginning
            file.seek(begin)
            while begin < end:
                data = file.read(min(_BLOCK_BYTES, end - begin))
                if not data:
                    break
                begin += len(data)
                if returns:
                    data, held = parted(held + data)
                *batch, rest = (rest + data).split(b"\n")
                if skipping and batch:
                    batch, skipping = batch[1:], False
                if len(rest) > longest:
                    if not skipping:
                        batch.append(rest)
                    rest, skipping = b"", True
                long = [n for n, line in enumerate(batch) if len(line) > longest]
                for n in long:
                    batch[n] = batch[n][:longest]
                cut += len(long)
                yield batch
            if rest and not skipping and end == length:
                yield [rest]
    if cut:
        say(
            f"{count(cut, 'line')} of {path.name} {are(cut)} longer than {longest >> 10} KiB and {were(cut)} cut"
        )
    if length > FILE_BYTES:
        half = FILE_BYTES >> 21
        say(f"{path.name} is {length >> 20} MiB long; its first and last {half} MiB were read")


def _windows(length: int) -> List[tuple[int, int]]:
    if length <= FILE_BYTES:
        return [(0, length)]
    return [(0, FILE_BYTES // 2), (length - FILE_BYTES // 2, length)]
