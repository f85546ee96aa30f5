"""Stands where a ClearML agent looks for Python: an ordinary task's script is measured, everything else is Python's.

An agent asks its interpreter for its version, has it make an environment, install and list packages, and at last starts
the task's script with it. Only that last is measured. An environment that is made through us gets us as its ``python``
too, so the script that the agent starts there is measured as well. Tasks that Stackyard itself sends measure
themselves. Standard library only.
"""

from __future__ import annotations

import os
import sys
import time
from typing import List, MutableMapping, Optional

BEGUN = time.time()  # before anything else is imported

#: Modules that make an environment, and others that an agent runs for itself.
MAKERS = ("virtualenv", "venv")
AGENTS_MODULES = (*MAKERS, "pip", "ensurepip", "nbconvert", "clearml_agent", "poetry", "uv")
#: Options of Python that take no value and may stand before a script.
_PLAIN_OPTIONS = ("-u", "-O", "-OO", "-B", "-s", "-S", "-E", "-I", "-x", "-q", "-v", "-b", "-d", "-P")
#: The real Python, and the program that stands for it: this one.
PYTHON_VARIABLE, WRAPPER_VARIABLE = "STACKYARD_PYTHON", "STACKYARD_WRAPPER"
#: The Python of the agent, for the tasks that Stackyard sends; the real one where it is not set.
AGENTS_PYTHON_VARIABLE = "STACKYARD_AGENTS_PYTHON"
_TASK_VARIABLE = "CLEARML_TASK_ID"
#: The shell that an agent would have started without us; empty: it has none of its own.
SHELL_VARIABLE = "STACKYARD_SHELL"
#: What agents take for a shell, by its name.
SHELLS = ("bash", "sh", "zsh")
#: The task that is measured already: whatever its script starts is.
MEASURED_VARIABLE = "STACKYARD_MEASURED"
#: The script of the tasks that Stackyard sends, and what it says.
OWN_SCRIPT, OWN_WORDS = "dispatched.py", b"from stackyard_task import dispatched"
#: The configuration object of theirs that says what is to be run (``clearml_link`` reads it).
OWN_CONFIGURATION = "Stackyard"
_HEAD_BYTES = 16 << 10
#: ``python`` of an environment: us, for the interpreter beside it.
_LAID = """#!/bin/sh
# Measures the script of a ClearML task; anything else is done by python3 beside it.
STACKYARD_PYTHON="${{0%/*}}/python3" exec {wrapper} "$@"
"""


def main(arguments: Optional[List[str]] = None) -> int:
    """Measure the task, or become Python.

    Args:
        arguments: as Python takes them; ``None``: this process' own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    python = os.environ.get(PYTHON_VARIABLE) or sys.executable
    first = words_from_script(words)
    if first[:1] == ["-m"] and first[1:2] and first[1] in MAKERS and os.environ.get(WRAPPER_VARIABLE):
        return _made(python, words, first[2:])
    task = os.environ.get(_TASK_VARIABLE)
    if not task or task == os.environ.get(MEASURED_VARIABLE) or not _is_task(first):
        os.execv(python, [python, *words])
    if first[0] != "-m" and _is_own(first[0]):
        python = os.environ.get(AGENTS_PYTHON_VARIABLE) or python
        restore_shell(os.environ)
        os.execv(python, [python, *words])
    from stackyard_task import ordinary  # loaded by those who need it: probes are waited for

    return ordinary.main(words, BEGUN)


def shell(arguments: Optional[List[str]] = None) -> int:
    """Measure the task whose script a shell runs.

    Args:
        arguments: as the shell takes them; ``None``: this process' own.
    """
    from stackyard_task import ordinary

    return ordinary.main(sys.argv[1:] if arguments is None else arguments, BEGUN, shell=True)


def restore_shell(variables: MutableMapping[str, str]) -> None:
    """Have ``SHELL`` say what it would say without us."""
    before = variables.pop(SHELL_VARIABLE, None)
    if before:
        variables["SHELL"] = before
    elif before is not None:
        variables.pop("SHELL", None)


def words_from_script(words: List[str]) -> List[str]:
    """The words from the script, or from the option that says what to run."""
    left = list(words)
    while left and left[0] in _PLAIN_OPTIONS:
        left.pop(0)
    return left


def _is_task(first: List[str]) -> bool:
    """Whether this is how an agent starts the script or module of a task."""
    if not first:
        return False
    if first[0] == "-m":
        return len(first) > 1 and first[1].partition(".")[0] not in AGENTS_MODULES
    return not first[0].startswith("-")


def _is_own(script: str) -> bool:
    """Whether a script is that of the tasks which Stackyard sends."""
    if os.path.basename(script) != OWN_SCRIPT:
        return False
    try:
        with open(script, "rb") as stream:
            return OWN_WORDS in stream.read(_HEAD_BYTES)
    except OSError:
        return False


def _made(python: str, words: List[str], options: List[str]) -> int:
    """Have an environment made, and stand in it for its Python."""
    import subprocess

    status = subprocess.call([python, *words])
    places = [option for option in options if not option.startswith("-")]
    if status == 0 and places:
        lay(places[-1], os.path.abspath(os.environ[WRAPPER_VARIABLE]))
    return status


def lay(environment: str, wrapper: str) -> None:
    """Put the wrapper in the place of an environment's ``python``; its other names stay the real one's.

    Args:
        environment: the folder; nothing happens where it is none that is known.
        wrapper: the program that stands for Python.
    """
    import shlex

    folder = os.path.join(environment, "bin")
    python = os.path.join(folder, "python")
    if not os.path.lexists(python):
        return
    real = os.readlink(python) if os.path.islink(python) else None
    others = [name for name in os.listdir(folder) if name.startswith("python3")]
    for name in {*others, "python3"}:
        path = os.path.join(folder, name)
        if name in others and (not os.path.islink(path) or os.readlink(path) not in ("python", python)):
            continue  # it does not hang on the name that we take
        if name in others:
            os.unlink(path)
        if real is None:
            os.link(python, path)
        else:
            os.symlink(real, path)
    draft = python + ".new"
    with open(draft, "w", encoding="utf-8") as script:
        script.write(_LAID.format(wrapper=shlex.quote(wrapper)))
    os.chmod(draft, 0o755)
    os.replace(draft, python)


if __name__ == "__main__":
    sys.exit(main())
