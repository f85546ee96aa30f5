"""A run that is waited for elsewhere, in its run folder here: whose it is, and what is shown of it meanwhile."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard.launch import Place
from stackyard_task import records
from stackyard_task.records import RecordError, TaskSpec


def is_of(task: TaskSpec, place: Place) -> bool:
    """Whether the run that was left in a folder was started for this very task."""
    try:
        earlier = records.read_json(TaskSpec, place.folder / records.TASK_FILE)
    except RecordError:
        return False
    return records.to_json(earlier) == records.to_json(task)


def show(folder: Path, shown: Mapping[str, Any], elapsed_seconds: float) -> None:
    """Tell what a run does or waits for, as a supervisor on this machine would: ``progress.json``, whole or not at all.

    Args:
        folder: the run folder.
        shown: ``phase``, and what else is known of ``done``, ``total``, ``unit`` and ``loss``.
        elapsed_seconds: since it is waited for.
    """
    empty = {"done": None, "total": None, "unit": None, "loss": None}
    text = json.dumps({**empty, **shown, "elapsed_seconds": round(elapsed_seconds, 1)})
    part = folder / f".{records.PROGRESS_FILE}"
    with contextlib.suppress(OSError):  # a full disk is noticed when the record is written
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(folder / records.PROGRESS_FILE)
