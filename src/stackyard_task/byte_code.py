"""Compiled copies of the code that travels with tasks, kept on this machine: only the first task compiles it.

One archive for each wheel, beside the kept wheels: what the Pythons of its tasks have compiled so far. The entry script
(tasks/dispatched.py) puts it beside the sources. Nothing is kept in containers: their tasks can change each other's
cache, and byte code has no digest that a task knows. On a host, tasks are of one user anyway. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import zipfile
from pathlib import Path
from typing import List, Mapping, Optional, Sequence

from stackyard_task.inputs import CACHE_VARIABLE

_FOLDER = "code"
#: The package whose byte code is there when all is.
_SIGN = "stackyard_task"
#: Set by the agent in the containers it starts.
_CONTAINER_VARIABLE = "CLEARML_DOCKER_IMAGE"


class Compiling:
    """Byte code of ``places``, being made for a Python.

    Args:
        python: the interpreter.
        code: the folder that holds the package.
        places: what below it is compiled.
        wheel: SHA-256 of the wheel that ``code`` was unpacked from; ``None``: it is a clone, which is compiled each
            time.
        variables: name the folder of what is kept.
    """

    def __init__(
        self,
        python: str,
        code: Path,
        places: Sequence[Path],
        wheel: Optional[str],
        variables: Mapping[str, str],
    ) -> None:
        self._code = code
        self._tag = tag_of(python)
        self._kept: Optional[Path] = None
        cache = cache_of(variables)
        if wheel and cache and self._tag:
            self._kept = cache / f"{wheel}.pyc.zip"
            if (code / _SIGN / "__pycache__" / f"__init__.{self._tag}.pyc").is_file():
                self._process: Optional[subprocess.Popen] = None
                return
        # by content: what is unpacked once more has other times
        words = [python, "-m", "compileall", "-qq", "-f", "--invalidation-mode", "unchecked-hash"]
        self._process = subprocess.Popen(
            [*words, *map(str, places)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        """Wait until it is made, and keep it where a wheel is kept."""
        if self._process is None:
            return
        if self._process.wait() == 0 and self._kept is not None:
            with contextlib.suppress(OSError):  # the next task compiles, then
                keep(self._kept, self._code)
        self._process = None


def cache_of(variables: Mapping[str, str]) -> Optional[Path]:
    """Where byte code is kept; ``None``: nowhere."""
    cache = variables.get(CACHE_VARIABLE)
    return Path(cache) / _FOLDER if cache and not variables.get(_CONTAINER_VARIABLE) else None


def tag_of(python: str) -> Optional[str]:
    """The tag that a Python puts into the names of compiled files: "cpython-312"; ``None``: it is not told."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in (Path(python).parent.parent / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            parts = value.strip().split(".")
            if name.strip() in ("version", "version_info") and len(parts) > 1:
                return f"cpython-{parts[0]}{parts[1]}" if (parts[0] + parts[1]).isdigit() else None
    return None


def keep(kept: Path, code: Path) -> None:
    """Keep the byte code below ``code``.

    Raises:
        OSError: the folder cannot be written.
    """
    files: List[Path] = sorted(code.glob("**/__pycache__/*.pyc"))
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(draft, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(code).as_posix())
        draft.replace(kept)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
