"""The copy of the task's code that a whole matrix runs: editing the checkout meanwhile changes nothing.

One folder per content, ``HOME/code/<digest>/stackyard_task``, made atomically and reused. It holds Python
files only, so that nothing else of our side's environment leaks into a stack.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stackyard.launch.bare import clean_environment
from stackyard_task import records
from stackyard_task.records import Code

PACKAGE = "stackyard_task"


def installed_package() -> Path:
    """The folder of the ``stackyard_task`` this process imports."""
    return Path(records.__file__).resolve().parent


def digest_of(package: Path) -> str:
    """SHA-256 over the names and contents of the package's Python files."""
    total = hashlib.sha256()
    for path in _files(package):
        content = path.read_bytes()
        total.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def taken(home: Path, package: Path | None = None) -> tuple[Path, Code]:
    """The folder to put on ``PYTHONPATH`` for a snapshot of ``package``, and which code that is.

    Args:
        home: the folder below which snapshots are kept.
        package: the package's folder; default: the one this process imports.
    """
    source = package or installed_package()
    digest = digest_of(source)
    place = kept(home, digest)
    if not (place / PACKAGE).is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=".draft-"))
        try:
            for path in _files(source):
                target = draft / PACKAGE / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            if digest_of(draft / PACKAGE) != digest:
                # Saved in an editor between hashing and copying: what was copied has a digest of its own.
                shutil.rmtree(draft)
                return taken(home, package)
            draft.chmod(0o755)
            try:
                draft.rename(place)
            except OSError:
                if not (
                    place / PACKAGE
                ).is_dir():  # otherwise another runner was faster with the same content
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    version, dirty = _git_state(source)
    return place, Code(version=version, dirty=dirty, digest=digest)


def kept(home: Path, digest: str) -> Path:
    """Where the snapshot of that digest lies, or would."""
    return home / "code" / digest[:12]


def again(home: Path, code: Code) -> Path | None:
    """The folder of an earlier snapshot, or ``None`` where it is gone or was changed."""
    place = kept(home, code.digest or "")
    if code.digest and (place / PACKAGE).is_dir() and digest_of(place / PACKAGE) == code.digest:
        return place
    return None


def warm(code: Path, python: Path, environment: dict[str, str], modules: Sequence[str]) -> None:
    """Compile the snapshot for one stack's Python and load its heavy modules once.

    The first start of a stack on a machine reads hundreds of megabytes from disk: done here, no measured run
    pays for it. A failure is not an error: the runs themselves will say what is wrong, in their records.
    """
    names = "".join(f"\ntry:\n    import {name}\nexcept Exception:\n    pass" for name in modules)
    script = f"import compileall, sys\ncompileall.compile_dir(sys.argv[1], quiet=2){names}"
    try:
        subprocess.run(
            [str(python), "-c", script, str(code)],
            env={**clean_environment(code), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return


def _files(package: Path) -> list[Path]:
    return sorted(p for p in package.rglob("*.py") if "__pycache__" not in p.parts)


def _git_state(package: Path) -> tuple[str | None, bool | None]:
    """Commit of the checkout that tracks ``package``, and whether the package differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(package), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "records.py"
        )  # installed inside somebody else's checkout: not ours
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return None, None
