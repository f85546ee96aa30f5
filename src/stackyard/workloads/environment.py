"""The environment of a supervisor that is started here: made from nothing, the same for every run.

PATH, HOME, LANG, TMPDIR and the code's folder; nothing else of the user's shell (tokens, proxies, PYTHONPATH).
"""

from __future__ import annotations

import os
from pathlib import Path

#: Variables of ours that reach the supervisor: how it is to measure.
PASSED = ("STACKYARD_MEASURE", "STACKYARD_ENERGY")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment(code: Path) -> dict[str, str]:
    """The environment of a supervisor: explicit, the same for every run, without the user's variables."""
    told = {name: os.environ[name] for name in PASSED if name in os.environ}
    return told | {
        "PATH": os.environ.get("PATH", _SYSTEM_PATH),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        "PYTHONPATH": str(code),
        "PYTHONNOUSERSITE": "1",
        # The snapshot is compiled before the matrix: no run pays for it, none writes into it.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
