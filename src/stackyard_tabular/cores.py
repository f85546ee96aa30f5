"""How many processes or threads a stage starts. Standard library only."""

from __future__ import annotations

import os
from typing import Optional


def jobs(wanted: Optional[int]) -> int:
    """``wanted``, else as many as the run's threads, else as the cores that this process may use."""
    if wanted is not None:
        return wanted
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdigit() and int(threads) else len(os.sched_getaffinity(0))
