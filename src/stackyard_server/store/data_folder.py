"""The data folder: what it may lie on, and the lock that keeps it to one server.

SQLite's write-ahead log needs shared memory and locks that hold, which network file systems do not give. The lock
is the kernel's (flock on ``server.lock``): it ends with the process, whatever ends it. The file's content says who
holds it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import time
from pathlib import Path
from typing import IO, Any

from . import StoreError

log = logging.getLogger(__name__)

LOCK_NAME = "server.lock"
PATIENCE_TRIES = 5
#: File systems that lie behind a network, by their type in /proc/mounts.
NETWORKED = (
    *(
        "nfs",
        "nfs4",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "gpfs",
    ),
    *("orangefs", "ocfs2", "gfs2", "ncpfs", "davfs", "moosefs", "quobyte"),
)
#: What stands behind "fuse." of those.
NETWORKED_FUSE = (
    *(
        "sshfs",
        "s3fs",
        "gcsfuse",
        "goofys",
        "rclone",
        "glusterfs",
        "ceph",
        "davfs2",
        "juicefs",
        "nfs",
        "smbnetfs",
    ),
    *("curlftpfs", "blobfuse", "blobfuse2", "mfs", "seaweedfs", "weed"),
)


def check_file_system(folder: Path, mounts: str | None = None) -> None:
    """Refuse a folder on a network file system.

    Args:
        folder: An existing folder.
        mounts: The text of /proc/mounts; read where it is not given.

    Raises:
        StoreError: It is on one; the message says which.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(errors="surrogateescape")
        except OSError:  # not Linux: nothing to go by
            return
    place, kind = mount_of(folder.resolve(), mounts)
    if networked(kind):
        raise StoreError(
            f"{folder} is on a network file system ({kind}, mounted at {place}), where SQLite loses data: "
            "choose a folder on a local disk."
        )


def networked(kind: str) -> bool:
    """Whether a type of file system lies behind a network."""
    if kind.startswith("fuse."):
        return kind.removeprefix("fuse.").lower() in NETWORKED_FUSE
    return kind.lower() in NETWORKED


def mount_of(folder: Path, mounts: str) -> tuple[str, str]:
    """(mount point, type) of the file system a folder is on."""
    best = ("/", "unknown")
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].encode("latin-1", "surrogateescape").decode("unicode_escape", "replace")
        # A later mount on the same place hides the earlier one.
        inside = folder == Path(place) or Path(place) in folder.parents
        if inside and len(place) >= len(best[0]):
            best = (place, fields[2])
    return best


def close_to_others(folder: Path) -> None:
    """Take from a data folder what others than its owner may do with it: it may have been made by hand.

    One that others share (its sticky bit is set), or that is somebody else's, is left as it is, and the log says so.
    """
    about = folder.stat()
    if not stat.S_IMODE(about.st_mode) & 0o077:
        return
    if about.st_mode & stat.S_ISVTX or about.st_uid != os.geteuid():
        log.warning(
            "%s can be opened by others: make it a folder that only the server's user can open", folder
        )
        return
    folder.chmod(stat.S_IMODE(about.st_mode) & 0o700)


class FolderLock:
    """The data folder, held by this process until ``release`` or its end.

    Raises:
        StoreError: Another server holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[str] | None = (folder / LOCK_NAME).open("a+")
        os.chmod(folder / LOCK_NAME, 0o600)
        try:
            self._take()
        except OSError:
            self._file.close()
            self._file = None
            holder = read_lock(folder) or {}
            who = f"process {holder['pid']}" if holder.get("pid") else "another process"
            raise StoreError(
                f"{folder} is in use by {who}: stop that server, or choose another folder."
            ) from None
        self.note()

    def _take(self) -> None:
        assert self._file is not None
        for _ in range(PATIENCE_TRIES):  # ``held`` takes the lock for a moment to see whether it can
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def note(self, **about: Any) -> None:
        """Say who holds the folder, and what else ``status`` should show."""
        assert self._file is not None
        text = json.dumps({"pid": os.getpid(), "started": started_at(os.getpid()), **about})
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()

    def release(self) -> None:
        """Let the next server in."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def read_lock(folder: Path) -> dict[str, Any] | None:
    """What the holder of a folder says about itself; None when it says nothing."""
    try:
        said = json.loads((folder / LOCK_NAME).read_text())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def held(folder: Path) -> bool:
    """Whether a server holds the folder now."""
    try:
        with (folder / LOCK_NAME).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def started_at(pid: int) -> int | None:
    """When a process started, in the kernel's ticks since boot; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
