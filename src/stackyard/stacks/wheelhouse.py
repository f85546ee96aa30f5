"""A folder of wheels for an image, made on the host: the stack's and the agent's packages for the image's Python.

With it an image is built without network. What pip would choose for this host need not fit the image: its C
library may be older. pip is told so by the ``_manylinux`` module that PEP 600 has for this.
"""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path
from typing import IO

from stackyard.errors import StackyardError
from stackyard.stacks import indexes, process, pythons
from stackyard.stacks.definition import LOCK_FILE, StackSpec, canonical, read_lock
from stackyard.stacks.installation import Progress, complaint

_OLDER_GLIBC = "def manylinux_compatible(major, minor, arch):\n    return (major, minor) <= {version!r}\n"


def fill(
    folder: Path,
    stack: StackSpec,
    agent_lock: Path,
    glibc: tuple[int, int],
    wheels: Path | None,
    log: IO[str],
    say: Progress,
) -> None:
    """Put a wheel of everything that ``stack`` and ``agent_lock`` pin into ``folder``.

    Args:
        folder: where; made if it is not there.
        stack: defined for the image's Python, which must be on this machine too.
        agent_lock: pins with hashes and markers.
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
        source = indexes.choose(stack, venv / "bin" / "python", wheels, say)
        size = f" ({source.bytes / 1e6:,.0f} MB)" if source.bytes else ""
        what = f"fetching torch {source.version}{size}"
        _check(stack, run(what, [*pip, f"torch @ {source.url}"]), what)
        for what, lock in (
            ("fetching the stack's other packages", _without_torch(stack, temporary)),
            ("fetching the agent's packages", agent_lock),
        ):
            if wheels is not None:
                plain = _without_hashes(lock, temporary)
                held = run(
                    what, [*pip, "--no-index", "--find-links", str(wheels.absolute()), "-r", str(plain)]
                )
                if held.exit_code == 0:
                    continue
            _check(stack, run(what, [*pip, "-r", str(lock)]), what)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _without_torch(stack: StackSpec, temporary: Path) -> Path:
    rest = [p for p in read_lock(stack.folder / LOCK_FILE) if canonical(p.name) != "torch"]
    hashed = all(p.hashes for p in rest) and platform.machine() == "x86_64"
    path = temporary / "rest.txt"
    lines = [p.line + "".join(f" --hash={h}" for h in p.hashes if hashed) for p in rest]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _without_hashes(lock: Path, temporary: Path) -> Path:
    """The same pins for a folder whose owner may have built its files."""
    text = re.sub(r"\\\n", " ", lock.read_text(encoding="utf-8"))
    path = temporary / "plain.txt"
    path.write_text(re.sub(r" +--hash=\S+", "", text), encoding="utf-8")
    return path


def _check(stack: StackSpec, done: process.Finished, what: str) -> None:
    if done.exit_code != 0:
        raise StackyardError(f"{stack.name}: {what} failed: {complaint(done.lines)}")
