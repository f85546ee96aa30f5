"""The one file that has the tasks of any clearml-agent measured: our wrapper and all that it needs, as a program.

A zip archive behind a line of shell. It unpacks itself once into the user's cache, because Python compiles nothing that
it reads from an archive. Reads the task side's sources; writes that one file.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

from stackyard.errors import BadInputError

#: What of the task's side such an agent does not run: what imports the SDK, what only tasks that we sent need, and what
#: stays beside the containers of our own agents.
_LEFT_OUT = (
    "clearml_*.py",
    "dispatched.py",
    "child.py",
    "telemetry.py",
    "box.py",
    "attendance.py",
    "measure/container_use.py",
)
#: What an older file had unpacked goes when nothing used it for so long.
UNUSED_SECONDS = 90 * 86400
_HEAD = """#!/bin/sh
# Measures the tasks of a clearml-agent; see docs/measure-any-agent.md.
[ -n "$STACKYARD_PYTHON" ] || STACKYARD_PYTHON=$(command -v python3)
export STACKYARD_PYTHON STACKYARD_WRAPPER="$0"
exec "${STACKYARD_MEASURING_PYTHON:-python3}" -I -S "$0" "$@"
"""
_MAIN = """import os, sys, tempfile, zipfile
DIGEST = {digest!r}
top = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
place = os.path.join(top, "stackyard", "measuring-" + DIGEST)
def drop_older(folder):
    import shutil, time
    for name in os.listdir(folder):
        other = os.path.join(folder, name)
        if name.startswith(("measuring-", ".measuring-")) and time.time() - os.lstat(other).st_mtime > {seconds}:
            shutil.rmtree(other, ignore_errors=True)
if not os.path.isdir(place):
    try:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        draft = tempfile.mkdtemp(prefix=".measuring-", dir=os.path.dirname(place))
        with zipfile.ZipFile(sys.argv[0]) as packed:
            packed.extractall(draft)
        try:
            os.rename(draft, place)
        except OSError:  # another was there first
            import shutil
            shutil.rmtree(draft, ignore_errors=True)
        drop_older(os.path.dirname(place))
    except OSError:  # no cache: then from the archive
        pass
if os.path.isdir(place) and os.stat(place).st_uid == os.getuid():
    sys.path[0] = place
    try:
        os.utime(place)  # it is in use; what nothing used for long goes when a newer file comes
    except OSError:
        pass
from stackyard_task.interpreter import main
sys.exit(main())
"""
#: Of every member, so that the same sources make the same file.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def write(path: Path) -> int:
    """Write the file; its size in bytes.

    Args:
        path: where; what is there is replaced.

    Raises:
        BadInputError: it cannot be written there.
    """
    content = built()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.chmod(0o755)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadInputError(f"{path}: cannot be written ({error.strerror})") from error
    return len(content)


def built() -> bytes:
    """The file's content."""
    package = Path(__file__).resolve().parents[2] / "stackyard_task"
    left_out = {path for pattern in _LEFT_OUT for path in package.glob(pattern)}
    sources = {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for path in sorted(package.rglob("*.py"))
        if path not in left_out
    }
    digest = hashlib.sha256(b"".join(name.encode() + text for name, text in sources.items())).hexdigest()[:16]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        main = _MAIN.format(digest=digest, seconds=UNUSED_SECONDS).encode()
        for name, text in {**sources, "__main__.py": main}.items():
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), text, zipfile.ZIP_DEFLATED)
    return _HEAD.encode() + packed.getvalue()
