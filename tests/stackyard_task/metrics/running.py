"""A run's places, for the tests of its metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from stackyard_task.metrics import Places


def places(folder: Path, log: bytes = b"", since: Optional[float] = None) -> Places:
    """Empty outputs and working folder, and a log."""
    for name in ("outputs", "working"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "output.log").write_bytes(log)
    return Places(folder / "output.log", folder / "outputs", folder / "working", since)
