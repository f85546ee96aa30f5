"""What tells whether the files that commands read are those that a matrix began with.

Reads files, whole where they are not too large. May import scenarios and workloads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stackyard.scenarios import Preparation, Scenario
from stackyard.scenarios.shape import WorkloadSpec
from stackyard.workloads import code_folders

#: Beyond so many bytes of an input its files' times of change stand for their contents.
MOST_BYTES = 1 << 30
#: Files of a folder that are looked at; beyond them their number stands for the rest.
MOST_FILES = 100_000


def of_scenario(scenario: Scenario, beside: Path) -> dict[str, str]:
    """Path as the file has it -> what differs where its content does, of every input that is a path and is there.

    Args:
        scenario: whose commands.
        beside: the folder that paths are seen from.

    Raises:
        OSError: one cannot be read.
    """
    specs: list[WorkloadSpec | Preparation] = [*scenario.workloads.values(), *scenario.preparations]
    names = {text for spec in specs for text in spec.inputs.values() if code_folders.is_path(text)}
    return {name: mark(beside / name) for name in sorted(names) if os.path.exists(beside / name)}


def mark(path: Path) -> str:
    """What differs where the content of a file or folder does: bytes, and a digest of contents or times of change.

    What is neither, such as a device, has no content that could be told.

    Raises:
        OSError: it cannot be read.
    """
    found = list(_files(path))
    size = sum(seen.st_size for _, _, seen in found)
    whole = size <= MOST_BYTES
    total = hashlib.sha256()
    for name, file, seen in found:
        total.update(f"{name}\0{seen.st_size}\0".encode("utf-8", "surrogateescape"))
        if whole:
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        else:
            total.update(str(seen.st_mtime_ns).encode())
    return f"{size:,} bytes, {'SHA-256' if whole else 'times'} {total.hexdigest()[:16]}"


def _files(path: Path) -> Iterable[tuple[str, Path, os.stat_result]]:
    """The regular files of a folder, or the file itself, in a fixed order."""
    if not path.is_dir():
        return [("", path, path.stat())] if path.is_file() else []
    return sorted(_inside(path), key=lambda found: found[0])


def _inside(folder: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    count = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(root, name)
            count += 1
            if count > MOST_FILES:
                return
            if file.is_file():
                yield file.relative_to(folder).as_posix(), file, file.stat()
