"""The folders that containers of ordinary tasks see: what measures them, and its code, each named by its content.

A box stays as long as a container or a gate may use it; ``tidy`` removes the others. Reads /proc; asks no engine.
"""

from __future__ import annotations

import compileall
import contextlib
import hashlib
import os
import py_compile
import shutil
from collections.abc import Mapping
from pathlib import Path

from stackyard.agents.container_rules import BOX_TARGET

#: How a gate's process is known: by its module, and by its agent's policy in its environment.
_GATE = b"stackyard.agents.gate"


def made(top: Path, programs: Mapping[str, str]) -> Path:
    """The folder that containers see now, made where it is missing.

    A copy that anybody can read: under which number it is read there is the image's affair.

    Args:
        top: holds such folders.
        programs: name -> text of what is to be executable in it.
    """
    package = Path(__file__).resolve().parents[2] / "stackyard_task"
    digest = hashlib.sha256("".join(programs.values()).encode())
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes() + b"\0")
    folder = top / digest.hexdigest()[:16]
    if folder.is_dir():
        return folder
    draft = top / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(
        package, draft / "code" / package.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    compileall.compile_dir(
        draft,
        quiet=2,
        stripdir=str(draft),
        prependdir=BOX_TARGET,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    for name, text in programs.items():
        (draft / name).write_text(text, encoding="utf-8")
    for place in (draft, *draft.rglob("*")):
        place.chmod(0o755 if place.is_dir() or place.name in programs else 0o644)
    with contextlib.suppress(OSError):  # another has just made the same
        draft.rename(folder)
    shutil.rmtree(draft, ignore_errors=True)
    return folder


def tidy(top: Path, kept: Path, policy: Path, proc: Path = Path("/proc")) -> None:
    """Remove boxes of other code that nobody uses, and drafts of killed processes.

    A running container has its box mounted. A gate that has read an older policy may still start one: while any of
    this agent's runs, nothing is removed.

    Args:
        top: holds the boxes of one agent.
        kept: the one that stays.
        policy: the file that this agent's gates read.
        proc: where the kernel tells of processes.
    """
    others = [place for place in top.iterdir() if place != kept and not _drafting(place, proc)]
    if not others or _gate_runs(policy, proc):
        return
    mounted = _mounted(top.name, proc)
    for place in others:
        if place.name not in mounted:
            shutil.rmtree(place, ignore_errors=True)


def _drafting(place: Path, proc: Path) -> bool:
    """Whether it is a draft that somebody makes just now."""
    owner = place.name.rpartition(".")[2]
    return place.name.startswith(".") and owner.isdigit() and (proc / owner).exists()


def _gate_runs(policy: Path, proc: Path) -> bool:
    mark = b"=" + os.fsencode(str(policy)) + b"\0"
    for words in proc.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if _GATE in words.read_bytes() and mark in (words.parent / "environ").read_bytes() + b"\0":
                return True
    return False


def _mounted(name: str, proc: Path) -> set[str]:
    """Names of the folders below one of that name which are mounted anywhere, whatever stands before it there."""
    found = set()
    for file in proc.glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                root = line.split(" ", 4)[3] if line.count(" ") > 3 else ""
                before, _, last = root.rpartition("/")
                if before.endswith("/" + name):
                    found.add(last)
    return found
