"""What can be run, and the code that a run executes.

``packages`` finds what installed packages declare (read by ``declarations``), and why one cannot be used;
``catalogue`` knows all declared workloads and finds functions of the user's own (``own``);
``snapshot`` is the copy of their code for a whole matrix, ``wheel`` the same for a server; ``folder`` is the user's
folder that travels with a command. Knows no launcher, no scenario and no server, and imports no workload.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackyard.workloads.catalogue import Catalogue, load

__all__ = ["Catalogue", "load"]


def __getattr__(name: str) -> Any:
    # One run at a terminal asks git for a commit, and should not pay for finding every package of workloads.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.catalogue"), name)
