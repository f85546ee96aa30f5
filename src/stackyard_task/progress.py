"""What a run under way does and uses, as it goes: for whoever watches, and in ``progress.json``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from stackyard_task.listener import Listener
from stackyard_task.measure.sampler import Sampler
from stackyard_task.records import PROGRESS_FILE, Point


@dataclass
class Moment:
    """What a run under way does and uses, for whoever watches. Not known yet is ``None``."""

    elapsed_seconds: float
    phase: str
    done: Optional[float] = None
    total: Optional[float] = None
    unit: Optional[str] = None
    loss: Optional[float] = None
    #: Mean of the steps since the last moment.
    step_seconds: Optional[float] = None
    steps: int = 0
    cpu_percent_of_core: Optional[float] = None
    rss_bytes: Optional[int] = None
    #: GPU index -> (memory in bytes, utilisation in percent).
    gpus: Dict[int, Any] = field(default_factory=dict)
    #: The last point of each metric that was told.
    metrics: Dict[str, Point] = field(default_factory=dict)
    #: All of it as ``progress.json`` has it.
    told: Dict[str, Any] = field(default_factory=dict)


#: Called about once a second while the child runs; what it costs is the supervisor's, and it must not wait.
Watcher = Callable[[Moment], None]


def shown(
    folder: Path,
    elapsed_seconds: float,
    listener: Listener,
    sampler: Sampler,
    watcher: Optional[Watcher] = None,
) -> None:
    """Refresh ``progress.json`` in a run folder, and tell the watcher; a full disk is noticed at the end.

    Args:
        folder: the run folder.
        elapsed_seconds: since the start of the run.
        listener: what the run said.
        sampler: what it uses.
        watcher: whom else to tell.
    """
    # nothing that runs has no memory: the kernel has not counted any yet
    moment = Moment(
        elapsed_seconds, listener.phases[-1]["name"], loss=listener.loss, rss_bytes=sampler.rss_bytes or None
    )
    for name, value in listener.progress.items():
        setattr(moment, name, value)
    told = {
        "phase": moment.phase,
        "done": moment.done,
        "total": moment.total,
        "unit": moment.unit,
        "loss": moment.loss,
        "elapsed_seconds": round(elapsed_seconds, 1),
        "cpu_seconds": sampler.cpu_seconds(),
        "most_rss_bytes": sampler.most_rss_bytes or None,
        "rss_bytes": moment.rss_bytes,
        "rss_minus_shared_bytes": sampler.minus_shared_bytes,
        "gpu_memory_bytes": sampler.gpu_memory_bytes,
        "steps": listener.pace.count or None,
        "step_seconds": listener.pace.last_seconds(),
        "metrics": {name: dataclasses.asdict(point) for name, point in listener.courses.last().items()},
    }
    if watcher is not None:
        moment.cpu_percent_of_core = sampler.cpu_percent_recent
        moment.steps, moment.step_seconds = listener.steps_since()
        moment.gpus = sampler.gpus_recent
        moment.metrics = listener.courses.last()
        moment.told = told
        watcher(moment)
    part = folder / f".{PROGRESS_FILE}"
    try:
        part.write_text(json.dumps(told) + "\n", encoding="utf-8")
        os.replace(str(part), str(folder / PROGRESS_FILE))
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
