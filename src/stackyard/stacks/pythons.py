"""Interpreters on this machine: which one runs a stack's Python version, or how to get it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from stackyard.errors import NotRunnableError
from stackyard.stacks.process import clean_environment

#: An interpreter that takes longer to say its version is not one to build on.
ANSWER_SECONDS = 10

#: Those that the task's side runs on.
MINORS = tuple(f"3.{number}" for number in range(9, 15))

_QUESTION = (
    "import sys\n"
    "print('%d.%d' % sys.version_info[:2])\n"
    "print(getattr(sys, '_base_executable', None) or sys.executable)\n"
    "try:\n    import venv, ensurepip\n    print('venv')\n"
    "except ImportError as error:\n    print(error)\n"
)


def find(minor: str, environment: Mapping[str, str] | None = None) -> Path:
    """An interpreter of version ``minor`` ("3.9") that runs and can make virtual environments.

    Looks at this process's own interpreter, PATH, pyenv and uv. A candidate counts only after it has been
    run: pyenv puts shims on PATH for versions that are installed but not switched on.

    Args:
        minor: the wanted Python, as "3.9".
        environment: environment variables; ``None``: this process's.

    Raises:
        NotRunnableError: there is none; the message says how to get it.
    """
    environment = os.environ if environment is None else environment
    without_venv: Path | None = None
    for candidate in _candidates(minor, environment):
        answer = _ask(candidate, environment)
        if answer is None or answer[0] != minor:
            continue
        executable = Path(answer[1]) if Path(answer[1]).is_file() else candidate
        if answer[2] == "venv":
            return executable
        without_venv = without_venv or executable
    if without_venv is not None:
        raise NotRunnableError(
            f"Python {minor} at {without_venv} lacks its venv module; "
            f"install it (Debian, Ubuntu: apt install python{minor}-venv)"
        )
    raise NotRunnableError(
        f"no Python {minor} that runs was found (PATH, pyenv and uv were asked); "
        f"get it with `uv python install {minor}` or `pyenv install {minor}`"
    )


def every() -> dict[str, Path]:
    """The interpreters of this machine that can make environments: "3.11" -> its path."""
    found = {}
    for minor in MINORS:
        with contextlib.suppress(NotRunnableError):
            found[minor] = find(minor)
    return found


def has_pip(python: Path) -> bool:
    """Whether ``python`` has a pip of its own; distributions may leave it out."""
    return _output([str(python), "-c", "import pip"], clean_environment()) is not None


def _candidates(minor: str, environment: Mapping[str, str]) -> Iterator[Path]:
    if "{}.{}".format(*sys.version_info[:2]) == minor:
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
    for folder in environment.get("PATH", "").split(os.pathsep):
        for name in (f"python{minor}", "python3"):
            path = Path(folder) / name
            if folder and path.is_file():
                yield path
    versions = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(versions.glob(f"{minor}.*/bin/python"), key=_patch, reverse=True)
    uv = shutil.which("uv", path=environment.get("PATH"))
    if uv:
        found = _output([uv, "python", "find", minor], {**environment, "UV_PYTHON_DOWNLOADS": "never"})
        if found:
            yield Path(found.strip())


def _patch(path: Path) -> tuple[int, ...]:
    """(3, 9, 18) for ".../versions/3.9.18/bin/python"; pre-releases last."""
    return tuple(int(part) if part.isdigit() else -1 for part in path.parents[1].name.split("."))


def _ask(candidate: Path, environment: Mapping[str, str]) -> list[str] | None:
    """[version, executable, "venv" or what is missing], or ``None`` if the candidate does not run."""
    output = _output([str(candidate), "-I", "-c", _QUESTION], environment)
    lines = (output or "").splitlines()
    return lines if len(lines) == 3 else None


def _output(command: list[str], environment: Mapping[str, str]) -> str | None:
    try:
        finished = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return finished.stdout if finished.returncode == 0 else None
