"""A folder in memory for the trials of one study on one machine: what the first of them loads, the others map.

A workload that shares its data finds the folder by ``STACKYARD_SHARED_DATA`` (docs/tabular.md); others never see it.
Its name comes from the study's own, so that a study that goes on after its tuner was killed finds and removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

#: What names the folder to a trial.
VARIABLE = "STACKYARD_SHARED_DATA"
#: Memory as a file system, where a machine has one.
MEMORY = Path("/dev/shm")


def size(place: Path) -> int:
    """Bytes of what lies in the folder now; what is gone meanwhile counts nothing."""
    found = 0
    for parent, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(OSError):
                found += os.lstat(os.path.join(parent, name)).st_size
    return found


@contextlib.contextmanager
def folder(study: Path, memory: Path = MEMORY) -> Iterator[Path | None]:
    """The folder of a study while its trials run; it is removed at the end. ``None``: there is no such memory here.

    Args:
        study: the study's folder, which only one tuner holds.
        memory: where to make it.
    """
    name = hashlib.sha256(os.fsencode(study.resolve())).hexdigest()[:16]
    place = memory / f"stackyard-{os.getuid()}-{name}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        ours = place.lstat()
        usable = not place.is_symlink() and ours.st_uid == os.getuid()
    except OSError:
        usable = False
    if not usable:  # no such file system, or somebody else took the name
        yield None
        return
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
