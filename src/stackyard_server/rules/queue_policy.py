"""What a queue asks for its tasks, read from its metadata: time limit, retries, allowed silence. Pure.

Metadata is ClearML's: items of key, type and value, set by ``queues.add_or_update_metadata``. A value that is no number
of the right kind counts for nothing, and ``unread`` names it, so that a page can say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .fate import MOST_RETRIES

TIME_LIMIT = "time_limit_seconds"
RETRIES = "retries"
SILENCE = "silence_seconds"
#: The section and the name of a task's own limit among its hyperparameters.
TASK_TIME_LIMIT = ("Run", TIME_LIMIT)


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """What one queue asks for; None where it says nothing."""

    #: How long a task may run, seconds.
    time_limit_seconds: float | None = None
    #: How often a task whose worker vanished is tried again.
    retries: int | None = None
    #: How long a task's worker may be silent, seconds.
    silence_seconds: float | None = None
    #: Keys whose values cannot be used.
    unread: tuple[str, ...] = ()


def read(metadata: Mapping[str, Any] | None) -> QueuePolicy:
    """A queue's policy from its metadata (``{key: {"value": text, ...}}``)."""
    values = {
        key: item.get("value")
        for key in (TIME_LIMIT, RETRIES, SILENCE)
        if isinstance(item := (metadata or {}).get(key), Mapping)
    }
    retries = seconds(values.get(RETRIES), zero=True)
    if retries is not None and (retries != int(retries) or retries > MOST_RETRIES):
        retries = None
    policy = QueuePolicy(
        seconds(values.get(TIME_LIMIT)),
        None if retries is None else int(retries),
        seconds(values.get(SILENCE)),
    )
    read_as = {
        TIME_LIMIT: policy.time_limit_seconds,
        RETRIES: policy.retries,
        SILENCE: policy.silence_seconds,
    }
    unread = tuple(key for key, value in values.items() if value not in (None, "") and read_as[key] is None)
    return QueuePolicy(policy.time_limit_seconds, policy.retries, policy.silence_seconds, unread)


def seconds(value: Any, *, zero: bool = False) -> float | None:
    """A finite number above 0 (or 0, where ``zero``) from a text or a number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and (number > 0 or (zero and number == 0)) else None
