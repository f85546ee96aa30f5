"""Scalars that a script reports through the ClearML SDK, which stays offline and keeps them in the run folder.

In its offline mode the SDK (``clearml/backend_interface/metrics/interface.py``) writes what it would send into
``offline/TASK/metrics.jsonl`` below its cache: a JSON list of events a line. Standard library only; no SDK is needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

from stackyard_task.counting import are, count
from stackyard_task.metric_sources import Source
from stackyard_task.metrics.figure import Figure, Nothing, from_json_value, step_from
from stackyard_task.metrics.files import Places, Say, lines

#: The SDK's cache in a run folder.
FOLDER = "clearml"
#: A line holds many events.
_LINE_BYTES = 16 << 20
#: Tasks that one script may make.
_TASKS = 100
#: The iteration of what is no course but one value.
_NO_ITERATION = -(1 << 31)


def variables(run_folder: Path) -> Dict[str, str]:
    """What a script's environment holds so that its SDK reports into the run folder and reaches no server."""
    return {"CLEARML_OFFLINE_MODE": "1", "CLEARML_CACHE_DIR": str(run_folder / FOLDER)}


def read(source: Source, places: Places, say: Say) -> Figure:
    """The values of "title/series", with their iterations. A single value is called "Summary/NAME", as ClearML has it.

    Raises:
        Nothing: the SDK reported no such scalar, or nothing at all.
    """
    kept = (places.log.parent / FOLDER).glob("offline/*/metrics.jsonl")
    written = sorted(kept, key=lambda path: path.stat().st_mtime_ns)
    if not written:
        raise Nothing("the ClearML SDK reported nothing: no task was initialised, or it did not end in order")
    figure, seen = Figure(), set()
    for path in written[:_TASKS]:
        for name, iteration, value in _scalars(path, say):
            seen.add(name)
            if name == source.key:
                figure.add(
                    from_json_value(value), None if iteration == _NO_ITERATION else step_from(iteration)
                )
    if figure.last is None:
        shown = ", ".join(sorted(seen)[:20]) or "none"
        raise Nothing(f"the ClearML SDK reported no scalar {source.key!r}; it reported {shown[:300]}")
    return figure


def _scalars(path: Path, say: Say) -> List[Tuple[str, Any, Any]]:
    found: List[Tuple[str, Any, Any]] = []
    broken = 0
    for batch in lines(path, say, longest=_LINE_BYTES):
        for line in batch:
            try:
                events = json.loads(line) if line.strip() else []
                for event in events:
                    if event.get("type") == "training_stats_scalar" and _is_figure(event.get("value")):
                        name = f"{event.get('metric')}/{event.get('variant')}"
                        found.append((name, event.get("iter"), event["value"]))
            except (ValueError, TypeError, AttributeError, RecursionError):
                broken += 1
    if broken:
        say(f"{count(broken, 'line')} of the ClearML SDK's {path.name} {are(broken)} no events")
    return found


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float, str))
