"""A folder of wheels for an image, made on the host: the stack's and the agent's packages for the image's Python.

With it an image is built without network. What pip would choose for this host need not fit the image: its C
library may be older. pip is told so by the ``_manylinux`` module that PEP 600 has for this.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import IO

from stackyard.counting import count
from stackyard.errors import StackyardError
from stackyard.stacks import indexes, installation, process, pythons
from stackyard.stacks.definition import LOCK_FILE, StackSpec, canonical, read_lock
from stackyard.stacks.installation import Progress, complaint

_OLDER_GLIBC = "def manylinux_compatible(major, minor, arch):\n    return (major, minor) <= {version!r}\n"


def fill(
    folder: Path,
    stack: StackSpec,
    agent_lock: Path | None,
    glibc: tuple[int, int],
    wheels: Path | None,
    log: IO[str],
    say: Progress,
) -> None:
    """Put a wheel of everything that the locks of ``stack`` and the agent pin into ``folder``.

    Args:
        folder: where; made if it is not there.
        stack: defined for the image's Python, which must be on this machine too.
        agent_lock: pins with hashes and markers; ``None``: the image it is built on has them.
        glibc: version of the image's C library.
        wheels: the user's folder of wheels, tried first; what it has everything of needs no network.
        log: where pip's output is kept.
        say: called with one line whenever there is something new to show.

    Raises:
        NotRunnableError: no such Python here, or no source with the wanted build of torch.
        StackyardError: pip failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(folder.name + ".tmp")
    venv = temporary / "venv"

    def run(what: str, command: list[str]) -> process.Finished:
        say(what)

        def show(line: str) -> None:
            words = line.split()
            if words and words[0] == "Downloading":
                say(f"{what}: downloading {words[1].rpartition('/')[2].replace('%2B', '+')}")

        return process.run(command, log, show, temporary=temporary)

    try:
        temporary.mkdir(parents=True)
        base = pythons.find(stack.python)
        made = run(f"making an environment with Python {stack.python}", [str(base), "-m", "venv", str(venv)])
        _check(stack, made, "making an environment")
        (site,) = venv.glob("lib/python3*/site-packages")
        (site / "_manylinux.py").write_text(_OLDER_GLIBC.format(version=glibc), encoding="utf-8")
        pip = [str(venv / "bin" / "python"), "-m", "pip", "wheel", "--use-pep517", "--no-deps"]
        pip += ["--progress-bar", "off", "--wheel-dir", str(folder)]
        locks: list[tuple[str, Path, list[str]]] = []
        locks += [("fetching the agent's packages", agent_lock, [])] if agent_lock else []
        own = read_lock(stack.folder / LOCK_FILE, may_be_empty=stack.base is not None)
        if stack.base is not None:
            what, options = f"fetching {count(len(own), 'package')}", indexes.options(stack.indexes)
        else:
            what, options = "fetching the stack's packages", []
            if stack.torch is not None:
                source = indexes.choose(stack, venv / "bin" / "python", wheels, say)
                size = f" ({source.bytes / 1e6:,.0f} MB)" if source.bytes else ""
                fetching = f"fetching torch {source.version}{size}"
                _check(stack, run(fetching, [*pip, f"torch @ {source.url}"]), fetching)
                what = "fetching the stack's other packages"
            own = [package for package in own if canonical(package.name) != "torch"]
        if own:
            listed = installation.requirements_file(
                temporary / "rest.txt", own, installation.hashes_hold(stack, own)
            )
            locks.insert(0, (what, Path(listed), options))
        for what, lock, options in locks:
            if wheels is not None:
                plain = _without_hashes(lock, temporary)
                held = run(
                    what, [*pip, "--no-index", "--find-links", str(wheels.absolute()), "-r", str(plain)]
                )
                if held.exit_code == 0:
                    continue
            _check(stack, run(what, [*pip, *options, "-r", str(lock)]), what)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _without_hashes(lock: Path, temporary: Path) -> Path:
    """The same pins for a folder whose owner may have built its files."""
    text = re.sub(r"\\\n", " ", lock.read_text(encoding="utf-8"))
    path = temporary / "plain.txt"
    path.write_text(re.sub(r" +--hash=\S+", "", text), encoding="utf-8")
    return path


def _check(stack: StackSpec, done: process.Finished, what: str) -> None:
    if done.exit_code != 0:
        raise StackyardError(f"{stack.name}: {what} failed: {complaint(done.lines)}")
