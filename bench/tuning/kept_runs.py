"""Runs on tables that were done before, kept by what made them: a bench that time cut short goes on where it was.

A run depends on its tuner, table, seed and settings alone, and on the code of both sides. A file of runs is named by
that code and by the versions of the packages, so what changes is run anew.
"""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from bench.tuning import environments

_BENCH = ("replay.py", "tables.py", "tuners.py", "worker.py")
#: Of ours, what decides which trial is next and which ends.
_OURS = ("samplers/*.py", "pruners/*.py", "prediction/one_thread.py", "space.py", "trial.py")
#: What makes a run one and the same.
_KEY = ("tuner", "table", "seed", "with_stop", "most_trials")


class KeptRuns:
    """Those below a folder. Safe for threads.

    Args:
        folder: the bench's cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._files: Dict[str, Path] = {}
        self._runs: Dict[str, Dict[Tuple[Any, ...], Dict[str, Any]]] = {}

    def find(self, job: Mapping[str, Any]) -> Dict[str, Any] | None:
        """The run of a job; ``None``: it was not done yet."""
        with self._lock:
            return self._of(job["tuner"]).get(_key(job))

    def keep(self, run: Dict[str, Any]) -> None:
        """Add a run that is done."""
        with self._lock:
            self._of(run["tuner"])[_key(run)] = run
            with self._file(run["tuner"]).open("a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")

    def _of(self, tuner: str) -> Dict[Tuple[Any, ...], Dict[str, Any]]:
        if tuner not in self._runs:
            file = self._file(tuner)
            lines: List[str] = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
            self._runs[tuner] = {}
            for line in lines:
                try:
                    run = json.loads(line)
                except ValueError:  # a bench that was killed while it wrote
                    continue
                self._runs[tuner][_key(run)] = run
        return self._runs[tuner]

    def _file(self, tuner: str) -> Path:
        if tuner not in self._files:  # once: what runs is the code as it was when this began
            self._files[tuner] = self._folder / f"runs-{tuner}-{_digest(tuner)}.jsonl"
        return self._files[tuner]


def _digest(tuner: str) -> str:
    sources = [Path(__file__).with_name(name) for name in _BENCH]
    if tuner == "ours":
        room = environments.ROOT / "src" / "stackyard" / "tuning"
        sources += sorted(file for pattern in _OURS for file in room.glob(pattern))
    digest = hashlib.sha256(" ".join(environments.PACKAGES[tuner]).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _key(run: Mapping[str, Any]) -> Tuple[Any, ...]:
    return tuple(run[name] for name in _KEY)
