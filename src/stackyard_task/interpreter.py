"""Stands where a ClearML agent looks for Python: an ordinary task's script is measured, everything else is Python's.

An agent asks its interpreter for its version, has it install and list packages, and at last starts the task's script
with it. Only that last is measured. Tasks that Stackyard itself sends measure themselves. Standard library only.
"""

from __future__ import annotations

import os
import sys
import time
from typing import List, Optional

BEGUN = time.time()  # before anything else is imported

#: Modules that an agent runs for itself.
AGENTS_MODULES = ("pip", "virtualenv", "venv", "ensurepip", "nbconvert", "clearml_agent", "poetry", "uv")
#: Options of Python that take no value and may stand before a script.
_PLAIN_OPTIONS = ("-u", "-O", "-OO", "-B", "-s", "-S", "-E", "-I", "-x", "-q", "-v", "-b", "-d", "-P")
_TASK_VARIABLE, _PYTHON_VARIABLE = "CLEARML_TASK_ID", "STACKYARD_PYTHON"
#: The script of the tasks that Stackyard sends, and what it says.
_OWN_SCRIPT, _OWN_WORDS = "dispatched.py", b"from stackyard_task import dispatched"
_HEAD_BYTES = 16 << 10


def main(arguments: Optional[List[str]] = None) -> int:
    """Measure the task, or become Python.

    Args:
        arguments: as Python takes them; ``None``: this process' own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not measures(words):
        python = os.environ.get(_PYTHON_VARIABLE) or sys.executable
        os.execv(python, [python, *words])
    from stackyard_task import ordinary  # loaded by those who need it: probes are waited for

    return ordinary.main(words, BEGUN)


def measures(words: List[str]) -> bool:
    """Whether this is how an agent starts the script or module of an ordinary task."""
    if not os.environ.get(_TASK_VARIABLE):
        return False
    left = list(words)
    while left and left[0] in _PLAIN_OPTIONS:
        left.pop(0)
    if not left:
        return False
    if left[0] == "-m":
        return len(left) > 1 and left[1].partition(".")[0] not in AGENTS_MODULES
    return not left[0].startswith("-") and not _is_own(left[0])


def _is_own(script: str) -> bool:
    """Whether a script is that of the tasks which Stackyard sends."""
    if os.path.basename(script) != _OWN_SCRIPT:
        return False
    try:
        with open(script, "rb") as stream:
            return _OWN_WORDS in stream.read(_HEAD_BYTES)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
