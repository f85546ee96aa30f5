"""The words of event requests: whose events, which metrics, how many; and how one event is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import moments
from ..calls import Call
from ..listing.scrolls import Scrolls
from ..protocol.error_table import error, field_error
from ..store.documents import MODEL, TASK
from ..store.scalars import Wanted

#: The most events of one answer.
LONGEST_PAGE = 10_000


def scrolls_of(call: Call) -> Scrolls:
    """The open scrolls of event requests, kept while the server runs."""
    scrolls: Scrolls = call.services.memory.setdefault("events.scrolls", Scrolls())
    return scrolls


def names(call: Call, ids: Iterable[str], model: bool | None = None) -> dict[str, str]:
    """The names of these tasks (or models, where ``model_events`` is set), by id in the order asked for.

    Raises:
        ApiError: 400/101 or 400/201 naming those that do not exist.
    """
    if model is None:
        model = call.get("model_events", False)
    wanted = list(dict.fromkeys(ids))
    found = (MODEL if model else TASK).names(call.tx, wanted)
    if missing := [i for i in wanted if i not in found]:
        raise error("invalid_model_id" if model else "invalid_task_id", ids=missing)
    return {i: found[i] or "" for i in wanted}


def task(call: Call) -> str:
    """The task (or model) of a call that is about one."""
    task: str = call.data["task"]
    names(call, [task])
    return task


def tasks(call: Call) -> dict[str, str]:
    """The tasks (or models) of a call that is about several: their names by id."""
    return names(call, call.data["tasks"])


def wanted(metrics: Any) -> Wanted:
    """``[{metric, variants}]`` of a request, or names of metrics, as ``{metric: variants}``; without variants, all.

    Raises:
        ApiError: 400/12.
    """
    if not metrics:
        return None
    found: dict[str, dict[str, None]] = {}
    whole: set[str] = set()
    for given in metrics if isinstance(metrics, list) else [metrics]:
        item = {"metric": given} if isinstance(given, str) else given
        metric = item.get("metric") if isinstance(item, dict) else None
        variants = (item.get("variants") if isinstance(item, dict) else None) or []
        if not isinstance(metric, str) or not isinstance(variants, list):
            raise field_error("metrics", ": objects with metric and variants were expected.")
        known = found.setdefault(metric, {})
        if not variants:
            whole.add(metric)
        known.update((variant, None) for variant in variants if isinstance(variant, str))
    return {metric: {} if metric in whole else variants for metric, variants in found.items()}


def size(call: Call, name: str, default: int, most: int) -> int:
    """A count of the request, brought into 1 to ``most``."""
    value: int = call.get(name, default)
    return max(1, min(value, most))


def instant(milliseconds: int) -> str:
    """``2026-11-21T20:42:48.712Z``, the form of instants in events."""
    return moments.iso(milliseconds)[:23] + "Z"


def shown(event: dict[str, Any], model: bool = False) -> dict[str, Any]:
    """An event in ClearML's form."""
    event["@timestamp"] = instant(event.pop("received"))
    event["model_event"] = model
    return event
