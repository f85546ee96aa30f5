"""Installing a stack into a folder: the venv, torch from its source, the rest of the lock, the checks.

Knows nothing of digests, locks between builders or markers: that is ``environment``, which calls ``install``.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from stackyard.errors import StackyardError
from stackyard.machine import hardware
from stackyard.stacks import indexes, process, pythons, verification
from stackyard.stacks.definition import LOCK_FILE, LockedPackage, StackSpec, canonical, read_lock

#: Free disk a build needs, as a multiple of the built size: the downloads lie beside it until it is done.
_ROOM = 1.6

#: First words of the lines of pip's output that a waiting user wants to see.
_WORTH_SHOWING = ("Downloading", "Using", "Installing", "Building", "Processing")

Progress = Callable[[str], None]


def install(
    stack: StackSpec, folder: Path, wheels: Path | None, say: Progress, keep_open: list[int]
) -> dict[str, str]:
    """Make the environment of ``stack`` in ``folder``, checked; what it is and where it came from.

    Args:
        stack: what to install.
        folder: where; whatever is there is cleared away.
        wheels: a local folder of wheels, or ``None``.
        say: called with one line whenever there is something new to show.
        keep_open: descriptors that the commands inherit.

    Raises:
        NotRunnableError: no Python, or no source with the wanted build.
        StackyardError: no disk space, pip failed, or what got installed is not what is pinned.
    """
    packages = read_lock(stack.folder / LOCK_FILE)
    base = pythons.find(stack.python)
    _check_disk(stack, folder)
    if folder.exists():
        say("clearing what an interrupted build left")
        shutil.rmtree(folder)
    log_path = folder.with_name(folder.name + ".log")
    temporary = folder / "tmp"
    with log_path.open("w", encoding="utf-8") as log:

        def run(what: str, command: list[str]) -> None:
            say(what)
            shown = _Shown(what, folder, say)
            done = process.run(command, log, shown.line, shown.tick, keep_open=keep_open, temporary=temporary)
            if done.exit_code != 0:
                raise StackyardError(
                    f"{stack.name}: {what} failed: {complaint(done.lines)}; whole output: {log_path}"
                )

        say(f"looking for torch {stack.torch} ({indexes.build_name(stack.cuda)})")
        asker = base if pythons.has_pip(base) else None
        source = indexes.choose(stack, asker, wheels, say) if asker else None
        folder.mkdir()
        temporary.mkdir()
        run(f"making an environment with Python {stack.python}", [str(base), "-m", "venv", str(folder)])
        python = folder / "bin" / "python"
        source = source or indexes.choose(stack, python, wheels, say)
        size = f" ({source.bytes / 1e6:,.0f} MB)" if source.bytes else ""
        pip = [str(python), "-m", "pip", "install", "--no-deps", "--progress-bar", "off"]
        run(f"installing torch {source.version}{size}", [*pip, f"torch @ {source.url}"])
        rest = [package for package in packages if canonical(package.name) != "torch"]
        for what, options in _rest(rest, source, temporary):
            run(what, [*pip, *options])
        run("checking that the packages fit each other", [str(python), "-m", "pip", "check"])
        say("verifying: versions, a tensor operation, every package")
        checked = verification.verify(stack, python)
        if not checked.ok:
            raise StackyardError(f"{stack.name}: " + "; ".join(str(m) for m in checked.mismatches))
        shutil.rmtree(temporary)
    return {
        "python": checked.seen["python"],
        "torch": checked.seen["torch"],
        "cuda": checked.seen["cuda"],
        "source": indexes.without_login(source.index),
        "file": source.filename,
    }


def size_bytes(folder: Path) -> int:
    """Disk space a folder takes; a file with several names counts once."""
    seen = set()
    total = 0
    for parent, _folders, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # removed while we look
                status = os.lstat(os.path.join(parent, name))
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
    return total


class _Shown:
    """Turns pip's output and the growth of a folder into lines for a waiting user."""

    def __init__(self, what: str, folder: Path, say: Progress) -> None:
        self._what = what
        self._latest = what
        self._folder = folder
        self._say = say

    def line(self, text: str) -> None:
        """Take one line of pip's output."""
        words = text.split()
        if words and words[0] in _WORTH_SHOWING:
            doing = "unpacking" if words[0] == "Installing" else f"{words[0].lower()} {words[-1]}"
            file = next((word for word in words if word.endswith((".whl", ".tar.gz"))), None)
            if file is not None:
                doing = f"{words[0].lower()} {file.rpartition('/')[2].replace('%2B', '+')}"
            self._latest = f"{self._what}: {doing}"
            self._say(self._latest)

    def tick(self) -> None:
        """Say how much there is by now."""
        self._say(f"{self._latest} · {size_bytes(self._folder) / 1e6:,.0f} MB on disk")


def _rest(
    rest: list[LockedPackage], source: indexes.Source, temporary: Path
) -> Iterator[tuple[str, list[str]]]:
    """pip's options for everything but torch: from the wheel folder what it has, else from pip's own index.

    Two steps, because pip prefers an index to a local folder that has the same file. Hashes hold for files of
    an index on the platform the lock was made on; a wheel folder may hold files its owner built.
    """
    held, asked = [], rest
    if source.folder is not None:
        lacking = _lacking(rest, source.folder)
        held, asked = [p for p in rest if p not in lacking], lacking
    if held:
        listed = _requirements(temporary / "held.txt", held, hashed=False)
        folder = str(Path(source.folder or ".").absolute())
        options = ["--no-index", "--find-links", folder, "-r", listed]
        yield f"installing {len(held)} other packages from the wheel folder", options
    if asked:
        what = f"installing {len(asked)} other packages"
        if source.folder is not None:
            what = f"installing {', '.join(p.name for p in asked)} (not in the wheel folder)"
        hashed = all(p.hashes for p in asked) and platform.machine() == "x86_64"
        yield what, ["-r", _requirements(temporary / "asked.txt", asked, hashed)]


def _requirements(path: Path, packages: list[LockedPackage], hashed: bool) -> str:
    lines = [p.line + "".join(f" --hash={h}" for h in p.hashes if hashed) for p in packages]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _lacking(packages: list[LockedPackage], folder: Path) -> list[LockedPackage]:
    """Pinned packages that ``folder`` has no wheel of."""
    held = set()
    for path in folder.glob("*.whl"):
        name, version = [*path.name.split("-"), ""][:2]
        held.add((canonical(name), version))
    return [p for p in packages if (canonical(p.name), p.version) not in held]


def _check_disk(stack: StackSpec, folder: Path) -> None:
    if stack.installed_bytes is None:
        return
    free = hardware.disk_free_bytes(folder.parent)
    needed = int(stack.installed_bytes * _ROOM)
    if free < needed:
        raise StackyardError(
            f"{stack.name} needs {needed / 1e9:.1f} GB of disk to be built, {free / 1e9:.1f} GB are free at "
            f"{folder.parent}; free some, or set STACKYARD_HOME to a larger disk"
        )


def complaint(lines: tuple[str, ...]) -> str:
    """The line of pip's output that says what went wrong."""
    errors = [line for line in lines if line.startswith(("ERROR", "Error", "error"))] or list(lines[-1:])
    return indexes.without_login(errors[-1] if errors else "no output")[:300]
