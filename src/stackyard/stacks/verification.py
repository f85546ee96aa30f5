"""What a built environment really loads, against what its stack pins."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.stacks.contents import TOOLS
from stackyard.stacks.definition import StackSpec, canonical, packages, public_version
from stackyard.stacks.process import clean_environment
from stackyard_task.records import RecordError, from_json, parse

#: A cold import of torch on a busy machine takes tens of seconds.
VERIFY_SECONDS = 300

#: Prints what the Python it runs in loads.
SCRIPT = Path(__file__).parent / "inside" / "look.py"
#: Results of the script's operations, exact in any precision.
_RESULTS = {"operation": 83.0, "from_numpy": 15.0, "to_numpy": 15.0}


@dataclass(frozen=True)
class Mismatch:
    """One thing that is not as pinned."""

    what: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.seen}"


@dataclass(frozen=True)
class Verification:
    """What was found in an environment."""

    stack: str
    mismatches: tuple[Mismatch, ...]
    #: What the script printed: python, torch, cuda, installed...
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything is as pinned."""
        return not self.mismatches


def verify(stack: StackSpec, python: Path) -> Verification:
    """What ``python``, the interpreter of a built environment, loads, compared with ``stack``.

    Starts it once: Python, torch and CUDA versions, a tensor operation, an array through ``torch.from_numpy``
    where NumPy is pinned, and every installed package against the lock. Without torch, NumPy's product is tried.
    """
    return compare(stack, _look(python, arguments(stack)))


def arguments(stack: StackSpec) -> list[str]:
    """What SCRIPT is to be told for ``stack``: which of the packages it can try are pinned."""
    pinned = {canonical(package.name) for package in packages(stack)}
    tried = [name for name in ("torch", "numpy") if name in pinned]
    return tried + (["extensions"] if stack.base is not None and stack.torch is not None else [])


def compare(stack: StackSpec, seen: dict[str, Any]) -> Verification:
    """What SCRIPT saw, wherever it ran, compared with ``stack``.

    Args:
        stack: what is pinned.
        seen: what the script printed, or ``{"error": reason}`` if it could not.
    """
    pinned = {canonical(p.name): p for p in packages(stack)}
    found = []

    def check(what: str, expected: str, value: object) -> None:
        if value != expected:
            found.append(Mismatch(what, expected, "nothing" if value is None else str(value)))

    tried = [name for name in arguments(stack) if name != "extensions"]
    if "error" in seen:
        expected = f"torch {stack.torch} at work" if stack.torch else "its packages at work"
        found.append(Mismatch(f"loading {tried[0] if tried else 'it'}", expected, seen["error"]))
    if "python" in seen:
        check("Python", stack.python, ".".join(str(seen["python"]).split(".")[:2]))
    if "torch" in seen and stack.torch is not None and stack.cuda is not None:
        check("torch", stack.torch, public_version(seen["torch"]))
        check("CUDA of the build", stack.cuda, seen.get("cuda"))
    if "error" not in seen:
        for name, result in _RESULTS.items():
            if tried and (name == "operation" or len(tried) == 2):
                check(f"result of {name}", str(result), str(seen.get(name)))
    # A build for CUDA may need a GPU to load what was built against it.
    if stack.cuda == "cpu" or seen.get("gpus"):
        for name, reason in seen.get("refused", {}).items():
            found.append(Mismatch(f"loading {name}", f"a build for torch {seen['torch']}", str(reason)[:200]))
    installed = {canonical(name): version for name, version in seen.get("installed", {}).items()}
    if installed:
        for name, package in pinned.items():
            version = installed.get(name)
            if version is not None and "+" not in package.version:
                version = public_version(version)
            check(f"package {name}", package.version, version)
        for name in sorted(set(installed) - set(pinned) - TOOLS):
            found.append(Mismatch(f"package {name}", "none (not in the lock)", installed[name]))
    return Verification(stack.name, tuple(found), seen)


def answered(status: int, out: str, complaint: str) -> dict[str, Any]:
    """What SCRIPT printed last, or ``{"error": reason}`` if that is not what it prints."""
    lines = out.strip().splitlines()
    try:
        return from_json(dict[str, Any], parse(lines[-1], SCRIPT.name), SCRIPT.name)
    except (IndexError, RecordError):
        last = (complaint.strip().splitlines() or ["no output"])[-1]
        return {"error": f"exit {status}: {last[:200]}"}


def _look(python: Path, arguments: list[str]) -> dict[str, Any]:
    command = [str(python), "-I", str(SCRIPT), *arguments]
    try:
        finished = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERIFY_SECONDS,
            check=False,
        )
    except OSError as error:
        return {"error": f"{python} cannot be started ({error.strerror})"}
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {VERIFY_SECONDS} s"}
    return answered(finished.returncode, finished.stdout, finished.stderr)
