"""The copy of the tasks' code that a whole matrix runs: editing the checkout meanwhile changes nothing.

A snapshot is a folder for ``PYTHONPATH`` with any number of packages and modules at its top: the harness, the packages
whose workloads it may be asked to run, single files of the user's own. One folder per content,
``HOME/code/<digest>/``, made atomically and reused. It holds Python files only, so that nothing else of our
side's environment leaks into a stack.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stackyard.workloads.environment import clean_environment
from stackyard_task.records import Code

#: The package that runs a task, part of every snapshot.
HARNESS = "stackyard_task"
#: Runs in a stack's Python, 3.9 or later. What a run with another level of optimisation would read is removed: such a
#: run compiles for itself, and the others do not wait for what they never read.
_COMPILE = """
import importlib.util, os, pathlib, py_compile, sys
for source in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):
    stale = {importlib.util.cache_from_source(str(source), optimization=level) for level in ("", 1, 2)}
    try:
        stale.discard(py_compile.compile(str(source), doraise=True))
    except Exception:
        pass
    for path in stale:
        try:
            os.unlink(path)
        except OSError:
            pass
"""


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of all code in a snapshot's folder."""
    return _digest({path.relative_to(folder).as_posix(): path for path in files_of(folder)})


def files_of(folder: Path) -> list[Path]:
    """The files of a snapshot's folder, in a fixed order."""
    return [path for path in sorted(folder.rglob("*")) if _is_code(path)]


def taken(home: Path, packages: Sequence[Path], own: Sequence[Path] = ()) -> tuple[Path, Code]:
    """The folder to put on ``PYTHONPATH`` for a snapshot, and which code that is.

    Args:
        home: the folder below which snapshots are kept.
        packages: folders of packages; the commit and whether it was changed are theirs.
        own: the user's own files and folders of packages.

    Raises:
        OSError: something cannot be read, or the snapshot cannot be written.
    """
    code = code_of(packages, own)
    place = kept(home, code.digest or "")
    if place.is_dir() and not _is_whole(place, code.digest or ""):
        # somebody edited it or cut it short, and what runs shall be what is named
        place.rename(place.with_name(f".changed-{place.name}-{os.getpid()}-{time.monotonic_ns()}"))
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=".draft-"))
        try:
            for name, path in _named([*packages, *own]).items():
                target = draft / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            if digest_of(draft) != code.digest:
                # Saved in an editor between hashing and copying: what was copied has a digest of its own.
                shutil.rmtree(draft)
                return taken(home, packages, own)
            draft.chmod(0o755)
            try:
                draft.rename(place)
            except OSError:
                if not place.is_dir():  # otherwise another runner was faster with the same content
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return place, code


def code_of(packages: Sequence[Path], own: Sequence[Path] = ()) -> Code:
    """Which code a snapshot of these would be; nothing is written.

    Raises:
        OSError: something cannot be read.
    """
    mine = _named(own)
    version, dirty = _git_state(packages)
    return Code(version, dirty, _digest({**_named(packages), **mine}), _digest(mine) if mine else None)


def kept(home: Path, digest: str) -> Path:
    """Where the snapshot of that digest lies, or would."""
    return home / "code" / digest[:12]


def again(home: Path, code: Code) -> Path | None:
    """The folder of an earlier snapshot, or ``None`` where it is gone or was changed."""
    place = kept(home, code.digest or "")
    if code.digest and place.is_dir() and _is_whole(place, code.digest):
        return place
    return None


def compiled(code: Path, python: Path) -> None:
    """Compile the snapshot anew for one stack's Python, before it runs any of it.

    The snapshot's digest is its sources', so byte code that lies beside them is replaced, whoever made it, and removed
    where its source cannot be compiled, or where only a run with another level of optimisation would read it. What
    other Pythons made is left: they do not read each other's. No measured run pays for compiling. A Python that cannot
    be called is not an error here: starting a run will say so.
    """
    _called(python, ["-I", "-c", _COMPILE, str(code)], clean_environment(code))


def warm(code: Path, python: Path, environment: dict[str, str], modules: Sequence[str]) -> None:
    """Load a stack's heavy modules once.

    The first start of a stack on a machine reads hundreds of megabytes from disk: done here, no measured run
    pays for it. A failure is not an error: the runs themselves will say what is wrong, in their records.
    """
    names = "".join(f"\ntry:\n    import {name}\nexcept Exception:\n    pass" for name in modules)
    _called(python, ["-c", names], {**clean_environment(code), **environment})


def _called(python: Path, arguments: Sequence[str], environment: dict[str, str]) -> None:
    try:
        subprocess.run(
            [str(python), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return


def _is_code(path: Path) -> bool:
    return path.suffix == ".py" and "__pycache__" not in path.parts and path.is_file()


def _is_whole(place: Path, digest: str) -> bool:
    """Whether a snapshot's folder holds the code of that digest, and beside it byte code only; no links."""
    strange = (
        p
        for p in place.rglob("*")
        if p.is_symlink() or (not p.is_dir() and not _is_code(p) and p.parent.name != "__pycache__")
    )
    return next(strange, None) is None and digest_of(place) == digest


def _named(sources: Sequence[Path]) -> dict[str, Path]:
    """Name in the snapshot -> file, in a fixed order."""
    named: dict[str, Path] = {}
    for source in sources:
        paths = [source] if source.is_file() else files_of(source)
        named.update({path.relative_to(source.parent).as_posix(): path for path in paths})
    return dict(sorted(named.items()))


def _digest(named: Mapping[str, Path]) -> str:
    total = hashlib.sha256()
    for name, path in sorted(named.items()):
        content = path.read_bytes()
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _git_state(sources: Sequence[Path]) -> tuple[str | None, bool | None]:
    """Commit of the checkout that tracks all ``sources``, and whether any differs from it."""

    def git(folder: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
        return done.stdout.strip()

    try:
        states = set()
        for source in sources:
            folder, name = source.parent, source.name
            if not git(folder, "ls-files", "--", name):  # installed inside somebody else's checkout: not ours
                return None, None
            states.add(
                (git(folder, "rev-parse", "HEAD"), bool(git(folder, "status", "--porcelain", "--", name)))
            )
        if len({version for version, _ in states}) != 1:
            return None, None
        return states.copy().pop()[0], any(dirty for _, dirty in states)
    except (OSError, subprocess.SubprocessError):
        return None, None
