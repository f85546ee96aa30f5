"""Workloads run as the harness runs them: declared parameters checked, a channel that remembers what it was told."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Dict, List, Tuple

from stackyard_task.channel import Channel
from stackyard_task.workloads import checked
from tests.stackyard_tabular.declared import WORKLOADS


class Told(Channel):
    """A channel that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Dict[str, Any] = {}
        self.points: List[Tuple[float, Dict[str, Any]]] = []
        self.losses: List[Tuple[int, Any, Any]] = []
        self.notes: List[str] = []
        self.phases: List[str] = []
        self.steps: List[float] = []

    def phase(self, name):
        self.phases.append(name)

    def step(self, seconds):
        self.steps.append(seconds)

    def loss(self, step, training=None, validation=None):
        self.losses.append((step, training, validation))

    def metrics(self, step, **values):
        self.points.append((step, values))

    def results(self, **values):
        self.found.update(values)

    def note(self, sentence):
        self.notes.append(sentence)


def run(name: str, folder: Path, **given: Any) -> Told:
    """Run a workload of the guest; what it told."""
    workload = WORKLOADS[name]
    module, function = workload.entry.split(":")
    told = Told()
    getattr(importlib.import_module(module), function)(checked(workload, given), told, folder)
    return told


def data(path: Path, **keys: Any) -> Dict[str, Any]:
    """A table of one CSV file."""
    return {"sources": [{"path": str(path), "format": "csv", **keys}]}
