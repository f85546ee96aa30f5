"""One environment's files in another: hard links where they are possible, else reflinks, else copies.

pip replaces a file by removing it and writing a new one, and Python renames a finished ``.pyc`` into place, so neither
writes through a link. What does write in place is not linked: scripts with the interpreter's path and ``.pth`` files
are copied. The virtual environment itself (interpreter, activation, ``pyvenv.cfg``) is each one's own. So is the
interpreter of a script: started by another environment's, pip would install there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

#: Linux's FICLONE of <linux/fs.h>: make a file of another's blocks, copied where one of them writes.
_FICLONE = 0x40049409
#: Answers that say that this way is not open between the two folders, whichever the file.
_CLOSED = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
#: Where a script names its interpreter: its first lines.
_HEAD_BYTES = 4096
#: What older kernels read of that line.
_KERNEL_BYTES = 127
#: How pip has a script start its interpreter: directly, or by sh where the kernel does not take that line.
_DIRECT = re.compile(rb"#!(?P<folder>/[^\n]*?/bin/)(?P<name>python[0-9.]*)(?P<options> -[^\n]*)?\n")
_BY_SH = re.compile(
    rb"#!/bin/sh\n'''exec' \"?(?P<folder>/[^\"\n]*?/bin/)(?P<name>python[0-9.]*)\"?(?P<options> -[^\"\n]*?)?"
    rb" \"\$0\" \"\$@\"\n' '''\n"
)
#: No environment's: a script that names a Python there means that one.
_SYSTEMS = (b"/bin/", b"/usr/bin/", b"/usr/local/bin/")

_Way = tuple[str, Callable[[str, str], None]]


def share(base: Path, folder: Path, without: Collection[str] = ()) -> str:
    """Put every file of the environment ``base`` into the new environment ``folder``, which has none of its own yet.

    Args:
        base: a complete environment; nothing in it is changed.
        folder: a virtual environment that was just made with the same interpreter.
        without: names right below ``base`` that are not shared.

    Returns:
        How the last file was shared: "hard links", "reflinks" or "copies".

    Raises:
        OSError: the disk is full, or a file cannot be read.
    """
    ways: list[_Way] = [("hard links", _link), ("reflinks", _reflink), ("copies", _copied)]
    names = {"pyvenv.cfg", "bin", "lib64", *without}
    left = [
        (entry, os.path.join(folder, entry.name)) for entry in os.scandir(base) if entry.name not in names
    ]
    while left:  # tens of thousands of files: names as texts, not as Paths
        source, target = left.pop()
        if source.is_symlink():
            if not os.path.islink(target):
                os.symlink(_moved(os.readlink(source.path), base, folder), target)
        elif source.is_dir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(target)
            left += [(entry, os.path.join(target, entry.name)) for entry in os.scandir(source.path)]
        elif source.name.endswith(".pth"):
            _copied(source.path, target)
        else:
            ways = _shared(source.path, target, ways)
    _scripts(base, folder)
    return ways[0][0]


def _shared(source: str, target: str, ways: list[_Way]) -> list[_Way]:
    """Share one file; the ways that are still open."""
    while True:
        try:
            ways[0][1](source, target)
            return ways
        except OSError as error:
            if error.errno == errno.EMLINK:  # this file has as many names as it can have; others have not
                _copied(source, target)
                return ways
            if error.errno not in _CLOSED or len(ways) == 1:
                raise
            ways = ways[1:]


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)


def _reflink(source: str, target: str) -> None:
    try:
        with open(source, "rb") as old, open(target, "xb") as new:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        shutil.copystat(source, target)  # a .pyc counts only beside a source of its time
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        raise


def _copied(source: str, target: str) -> None:
    shutil.copy2(source, target)


def _scripts(base: Path, folder: Path) -> None:
    """The programs that packages brought, started by the interpreter of ``folder``."""
    for source in (base / "bin").iterdir():
        target = folder / "bin" / source.name
        if target.exists() or target.is_symlink():
            continue  # the virtual environment's own
        if source.is_symlink():
            target.symlink_to(_moved(os.readlink(source), base, folder))
            continue
        content = source.read_bytes()
        old, new = (os.fsencode(str(place) + os.sep) for place in (base, folder))
        if content.startswith(b"#!"):
            content = content[:_HEAD_BYTES].replace(old, new) + content[_HEAD_BYTES:]
            content = _called(_started_by(folder, content))
        target.write_bytes(content)
        shutil.copystat(source, target)


def mend_scripts(folder: Path) -> None:
    """Have every program of an environment started by its own interpreter; in a copied home they name another.

    Each file is replaced whole, never written into: environments may share files by hard links.

    Raises:
        OSError: a script cannot be read or replaced.
    """
    folder = folder.resolve()  # a link to it may be gone tomorrow
    for path in (folder / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            if file.read(2) != b"#!":
                continue
            content = b"#!" + file.read()
        mended = _started_by(folder, content)
        if mended == content:
            continue
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as new:
                new.write(_called(mended))
            shutil.copystat(path, part)
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise


def _started_by(folder: Path, script: bytes) -> bytes:
    """A script of a Python of an environment, started by that of ``folder``; any other as it is."""
    found = _DIRECT.match(script) or _BY_SH.match(script)
    if found is None:
        return script
    own, name = os.fsencode(str(folder / "bin") + os.sep), found["name"]
    if found["folder"] in _SYSTEMS or os.path.realpath(found["folder"]) == os.path.realpath(own):
        return script
    name = name if os.path.lexists(own + name) else b"python"
    return b"#!" + own + name + (found["options"] or b"") + b"\n" + script[found.end() :]


def _called(script: bytes) -> bytes:
    """A script that the kernel can start: an interpreter whose path is too long for it is called by sh, as pip does."""
    first, _newline, rest = script.partition(b"\n")
    if len(first) <= _KERNEL_BYTES or b"python" not in first:
        return script
    path, dash, options = first[2:].strip().partition(b" -")
    return b"#!/bin/sh\n'''exec' \"" + path + b'"' + dash + options + b" \"$0\" \"$@\"\n' '''\n" + rest


def _moved(link: str, base: Path, folder: Path) -> str:
    """Where a symbolic link leads in the new place: a path into ``base`` becomes one into ``folder``."""
    return str(folder) + link[len(str(base)) :] if link.startswith(str(base) + os.sep) else link
