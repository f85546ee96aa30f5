"""What starts an ordinary task's script, and whether the script is there. Standard library only.

An agent runs what names Python with Python, and what names a shell with its user's shell, whichever that is; anything
else it runs with Python too, and says so. Here a task gets the shell that it names, and what is neither is refused.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, List, Mapping, Optional

from stackyard_task.chosen import NotMet
from stackyard_task.interpreter import SHELLS, words_from_script

#: Beginnings of names under which Python is known.
_PYTHONS = ("python", "pypy", "ipython", "jupyter")
_MOST_SHOWN = 120


def shell_of(script: Mapping[str, Any], path: str) -> str:
    """The shell that a task's script names.

    Args:
        script: of its document.
        path: where programs are looked for.

    Raises:
        NotMet: it is not here.
    """
    binary = str(script.get("binary") or "").strip()
    name = os.path.basename(binary)
    if os.path.isabs(binary) and os.access(binary, os.X_OK):
        return binary
    found = shutil.which(name, path=path) if name in SHELLS else None
    if found is None:
        here = [one for one in SHELLS if shutil.which(one, path=path)]
        raise NotMet(
            f"the task's script names the shell {_shown(binary)}, which is not on this machine; here are: "
            f"{', '.join(here) or 'none'}"
        )
    return found


def check(script: Mapping[str, Any], words: List[str], folder: Path, *, shell: bool = False) -> None:
    """Whether the script can be started at all: before anything is made ready for it.

    Args:
        script: of the task's document.
        words: what the agent wants of Python, or of the shell.
        folder: where it is to run.
        shell: whether a shell runs it.

    Raises:
        NotMet: it names another program than agents run, or is not there.
    """
    binary = os.path.basename(str(script.get("binary") or "").strip())
    if not shell and binary and not binary.lower().startswith(_PYTHONS):
        raise NotMet(
            f"the task's script names the program {_shown(binary)}; agents run scripts with Python, "
            f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}: set the script's binary to one of them"
        )
    first = words_from_script(words)
    if first[:1] in (["-m"], ["-c"]):
        _check_changes(script, None)
        return
    named = first[0] if first else ""
    if not named:
        raise NotMet("the task names no script; give it an entry point, or a script of its own")
    if not _there(folder / named):
        where = "in its repository" if script.get("repository") else "there, and the task has no repository"
        below = str(script.get("working_dir") or ".")
        below = f" below {_shown(below)}" if script.get("repository") and below.strip("./") else ""
        raise NotMet(f"the task's entry point {_shown(named)} is not {where}{below}; correct it")
    _check_changes(script, folder / named)


def _check_changes(script: Mapping[str, Any], file: Optional[Path]) -> None:
    """Refuse changes that the agent has left out: what does not begin as git writes it, it takes for a whole script.

    Args:
        script: of the task's document.
        file: the task's script; ``None``: it is a module.
    """
    changes = str(script.get("diff") or "")
    begins = changes.lstrip().lower()
    if not script.get("repository") or not begins or begins.startswith(("diff ", "submodule ")):
        return
    with contextlib.suppress(OSError):
        if file is not None and file.read_text(encoding="utf-8", errors="replace") == changes:
            return  # the repository has no such file: the whole script was written there
    raise NotMet(
        "the task's uncommitted changes do not begin with `diff`, so the agent leaves them out; take them from "
        "`git diff`, or clear them"
    )


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _shown(text: str) -> str:
    """Somebody else's word in a sentence."""
    clean = "".join(one if one.isprintable() else "?" for one in text[: _MOST_SHOWN + 1])
    return clean if len(clean) <= _MOST_SHOWN else clean[: _MOST_SHOWN - 1] + "…"


def python_first(path: str, python: Optional[str]) -> str:
    """A PATH whose first entry is where ``python`` is, so that a shell's script finds its environment's programs."""
    entries = [one for one in path.split(os.pathsep) if one]
    folder = os.path.dirname(python) if python else ""
    return os.pathsep.join([folder, *(one for one in entries if one != folder)] if folder else entries)
