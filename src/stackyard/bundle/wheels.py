"""Wheels of a bundle: our side's for a host's Python, and what a stack and its image are built from."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import IO

from stackyard.errors import StackyardError
from stackyard.settings import base
from stackyard.stacks import definition, process, pythons, wheelhouse
from stackyard.stacks.definition import StackSpec
from stackyard.stacks.installation import Progress, complaint

#: What hosts get of our side: extras with a lock each in requirements/.
PARTS = ("clearml", "containers", "server", "tuning", "web")
#: The oldest C library among the distributions that the roles know: RHEL 9's.
GLIBC = (2, 34)
#: Installs our side on hosts; pinned with what provisions a lab.
_INSTALLER = re.compile(r"^uv==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+", re.MULTILINE)
_OLDER_GLIBC = "def manylinux_compatible(major, minor, arch):\n    return (major, minor) <= {version!r}\n"
_MOST_METADATA_BYTES = 1 << 20


def control_made_from(minor: str) -> str:
    """Digest of what our side's wheels are chosen by."""
    sha256 = hashlib.sha256(f"control {minor} {GLIBC}".encode())
    for part in PARTS:
        sha256.update(_lock(part).read_bytes())
    sha256.update(_installer().encode())
    return sha256.hexdigest()


def fill_control(folder: Path, minor: str, log: IO[str], say: Progress) -> None:
    """Put a wheel of everything that our side's locks pin into a folder, for one Python.

    Raises:
        NotRunnableError: no such Python here, and pip chooses for the one that runs it.
        StackyardError: pip failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(folder.name + ".work")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        venv = work / "venv"
        _run([str(pythons.find(minor)), "-m", "venv", str(venv)], log, "making an environment")
        (site,) = venv.glob("lib/python3*/site-packages")
        (site / "_manylinux.py").write_text(_OLDER_GLIBC.format(version=GLIBC), encoding="utf-8")
        installer = work / "installer.txt"
        installer.write_text(_installer(), encoding="utf-8")
        pip = [
            str(venv / "bin" / "python"),
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--require-hashes",
            "--progress-bar",
            "off",
        ]
        for lock in (*(_lock(part) for part in PARTS), installer):
            say(f"fetching wheels of {lock.stem} for Python {minor}")
            _run([*pip, "--wheel-dir", str(folder), "-r", str(lock)], log, f"fetching wheels of {lock.stem}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def stack_made_from(stack: StackSpec, minors: tuple[str, ...]) -> str:
    """Digest of what a stack's wheels are chosen by."""
    sha256 = hashlib.sha256(f"{GLIBC}".encode())
    for minor in minors:
        sha256.update(definition.read(stack.folder, running=minor).digest.encode())
    sha256.update((base() / "agents" / "requirements.lock").read_bytes())
    return sha256.hexdigest()


def fill_stack(
    folder: Path, stack: StackSpec, minors: tuple[str, ...], wheels: Path | None, log: IO[str], say: Progress
) -> None:
    """Put all wheels into a folder that ``stack build`` and ``stack image build`` need for these Pythons.

    Raises:
        NotRunnableError: no such Python here, or no source with the wanted build of torch.
        StackyardError: pip failed.
    """
    agent_lock = base() / "agents" / "requirements.lock"
    for minor in minors:
        spec = definition.read(stack.folder, running=minor)
        wheelhouse.fill(folder, spec, agent_lock, GLIBC, wheels, log, say)


def describe(folder: Path, path: str) -> tuple[str, str, str]:
    """Name, version and licence of a wheel, as its own METADATA states them."""
    try:
        with zipfile.ZipFile(folder / path) as wheel:
            name = next(
                n for n in wheel.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA")
            )
            with wheel.open(name) as file:
                told = HeaderParser().parsestr(file.read(_MOST_METADATA_BYTES).decode("utf-8", "replace"))
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise StackyardError(f"{path}: no wheel ({error})") from error
    classifiers = [
        text.rpartition(" :: ")[2] for text in told.get_all("Classifier", []) if text.startswith("License ::")
    ]
    short = " ".join((told["License"] or "").split())
    licence = told["License-Expression"] or (short if 0 < len(short) <= 80 else "") or ", ".join(classifiers)
    return told["Name"] or path, told["Version"] or "", licence or "not stated"


def _lock(part: str) -> Path:
    return base() / "requirements" / f"{part}.lock"


def _installer() -> str:
    found = _INSTALLER.search(_lock("lab").read_text(encoding="utf-8"))
    if found is None:
        raise StackyardError(f"{_lock('lab')}: pins no uv")
    return found[0].rstrip().rstrip("\\").rstrip() + "\n"


def _run(command: list[str], log: IO[str], what: str) -> None:
    done = process.run(command, log)
    if done.exit_code != 0:
        raise StackyardError(f"{what} failed: {complaint(done.lines)}")
