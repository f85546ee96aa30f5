"""A Python of this machine for hosts whose distribution lacks it: its folder, once a copy elsewhere was seen to run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from stackyard.errors import NotRunnableError
from stackyard.stacks import pythons
from stackyard.stacks.installation import Progress
from stackyard.stacks.process import clean_environment

#: Of no use to who runs programs.
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.pyc", "test", "tests", "idlelib", "tkinter", "turtledemo", "*.a"
)
_QUESTION = "import ssl, sqlite3, venv, ensurepip, ctypes, sys; print(sys.prefix)"


def made_from(minor: str) -> str:
    """Digest of which interpreter it is."""
    found = pythons.find(minor)
    return hashlib.sha256(f"{found.resolve()} {found.resolve().stat().st_mtime_ns}".encode()).hexdigest()


def fill(folder: Path, minor: str, say: Progress) -> None:
    """Put an interpreter of version ``minor`` into a folder.

    Raises:
        NotRunnableError: there is none here, it belongs to the system, or a copy of it does not run elsewhere.
    """
    found = pythons.find(minor).resolve()
    prefix = found.parent.parent
    if prefix in (Path("/usr"), Path("/usr/local"), Path("/")):
        raise NotRunnableError(
            f"Python {minor} of this machine is the system's, which runs nowhere else; get one that does: "
            f"uv python install {minor}"
        )
    say(f"copying Python {minor}")
    for name in ("bin", "include", "lib", "share"):
        if (prefix / name).is_dir():
            shutil.copytree(prefix / name, folder / name, symlinks=True, ignore=_LEFT_OUT)
    (site,) = folder.glob("lib/python3*/site-packages")
    shutil.rmtree(site)
    site.mkdir()
    for path in [
        path
        for path in (folder / "bin").iterdir()
        if not path.name.startswith("python") or "config" in path.name
    ]:
        path.unlink()
    python = folder / "bin" / f"python{minor}"
    seen = subprocess.run(
        [str(python), "-I", "-c", _QUESTION],
        env={name: value for name, value in clean_environment().items() if name != "LD_LIBRARY_PATH"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for leftover in folder.rglob("__pycache__"):
        shutil.rmtree(leftover)
    if seen.returncode != 0 or os.path.realpath(seen.stdout.strip()) != os.path.realpath(folder):
        said = (seen.stderr.strip() or seen.stdout.strip()).splitlines()
        raise NotRunnableError(
            f"Python {minor} at {prefix} does not run from another folder ({said[-1] if said else 'no word'}); get one "
            f"that does: uv python install {minor}"
        )
