"""Arrays that several processes of one machine map, and only the first of them makes.

Whoever starts the processes (a tuner) makes a folder in memory (``/dev/shm``), names it by ``STACKYARD_SHARED_DATA``
or the parameter ``shared``, and removes the folder when all have ended: nothing here removes what is whole. Each entry
is a folder of ``.npy`` files, named by what decides its content, written under another name and renamed when it is
whole. Pages that a process maps count among what it shares, not among its own. No pickle: neither written nor read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from stackyard_task.channel import BadInput

#: The variable that names the folder.
VARIABLE = "STACKYARD_SHARED_DATA"
#: All entries of a folder together take at most so many bytes, unless somebody says otherwise.
MOST_BYTES = 8 << 30
#: So much of the file system stays free.
KEPT_FREE_BYTES = 256 << 20
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ABOUT = "about.json"


def folder(parameter: Optional[str]) -> Optional[Path]:
    """The folder that ``parameter`` names, else the environment; ``None``: nothing is shared.

    Raises:
        BadInput: it is no folder that this process may write to.
    """
    named = parameter or os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    if not (path.is_absolute() and path.is_dir() and os.access(path, os.W_OK | os.X_OK)):
        raise BadInput(f"shared data: {named!r} is no absolute path of a folder that can be written to")
    return path


def arrays(
    place: Path,
    key: str,
    make: Callable[[], Tuple[Dict[str, Any], Mapping[str, Any]]],
    most_bytes: int = MOST_BYTES,
) -> Tuple[Dict[str, Any], Mapping[str, Any], bool]:
    """The arrays called ``key``, mapped read-only, and the facts beside them; ``make`` is called if nobody made them.

    Others that ask for the same key meanwhile wait. Where the entry would not fit, the arrays stay this process's own.

    Args:
        place: The folder.
        key: 64 hexadecimal digits, of all that decides the content.
        make: Answers arrays by name, and facts as JSON holds them.
        most_bytes: What all entries of the folder may take together.

    Returns:
        The arrays, the facts, and whether the arrays are shared.
    """
    assert _KEY.fullmatch(key), key
    entry = place / key
    with _locked(place / f"{key}.lock"):
        found = _mapped(entry)
        if found is not None:
            return (*found, True)
        made, facts = make()
        with _locked(place / "folder.lock"):  # what is written at once by two must fit together
            if not _fits(place, sum(array.nbytes for array in made.values()), most_bytes):
                return made, facts, False
            _write(entry, made, facts)
        del made  # from here on the pages of the files count, not this process's own
        found = _mapped(entry)
        if found is None:
            raise BadInput(f"shared data: {entry} was removed while it was made")
        return (*found, True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock ``path`` held; it ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fits(place: Path, wanted: int, most_bytes: int) -> bool:
    taken = sum(path.stat().st_size for path in place.glob("*/*.npy"))
    about = os.statvfs(place)
    return taken + wanted <= most_bytes and wanted + KEPT_FREE_BYTES <= about.f_bavail * about.f_frsize


def _write(entry: Path, made: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    import numpy as np

    unfinished = entry.with_suffix(".part")
    if unfinished.exists():  # of a process that was killed: the lock of this key is ours
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    try:
        for name, array in made.items():
            assert _NAME.fullmatch(name), name
            np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
        about = {"arrays": sorted(made), "facts": facts}
        (unfinished / _ABOUT).write_text(json.dumps(about, allow_nan=False), encoding="utf-8")
        if entry.exists():  # broken: an entry that is whole was found before
            shutil.rmtree(entry)
        unfinished.rename(entry)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _mapped(entry: Path) -> Optional[Tuple[Dict[str, Any], Mapping[str, Any]]]:
    """What a whole entry holds, mapped; ``None``: there is none."""
    import numpy as np

    try:
        about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
        names = [name for name in about["arrays"] if _NAME.fullmatch(name)]
        mapped = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        return mapped, about["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
