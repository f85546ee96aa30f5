"""On what kind of file system a folder lies, and whether other machines may see it there. Linux; reads /proc/mounts."""

from __future__ import annotations

import os
from pathlib import Path

#: File systems that several machines mount at once, as the kernel names them.
_SHARED = (
    *(
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "cifs",
        "smb3",
        "afs",
        "orangefs",
        "pvfs2",
    ),
    *("ocfs2", "gfs2", "wekafs", "panfs"),
)


def kind_of(folder: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The type of the file system that ``folder`` is or will be on; ``None``: it cannot be told."""
    place = Path(os.path.realpath(folder))
    best, found = -1, None
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        parts = line.split()
        if len(parts) < 3:
            continue
        point = Path(parts[1].encode("ascii", "replace").decode("unicode_escape"))  # blanks are written \040
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), parts[2]
    return found


def is_shared(kind: str) -> bool:
    """Whether a file system of that type is one that other machines see as a rule."""
    return kind in _SHARED or kind.startswith("fuse.")
