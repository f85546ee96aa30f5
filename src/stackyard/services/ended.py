"""What tasks of this machine's workers took that ended lately: asked of the server, kept for ``metrics``.

The figures are those that a task's record left among its single values. What a task was not measured for is ``None``.
A task is counted when its figures are there, or when it is old enough that none will come.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stackyard.clearml.client import Client
from stackyard.clearml.sending import SPEC
from stackyard.errors import StackyardError
from stackyard.services.watch import FIELDS, Task, task_of
from stackyard_task.figure_names import BESIDE_ITS_OWN

#: How often the server is asked; so many tasks of all workers in one look.
LOOK_SECONDS = 15.0
PAGE = 100
#: So many of this machine's tasks are shown one by one: the newest.
MOST_SHOWN = 50
#: So many kinds of tasks are told apart; the rest are one kind.
MOST_KINDS = 100
#: So long a task's figures are waited for.
PATIENCE_SECONDS = 90.0
OTHER = "(other)"
UNKNOWN = "(unknown)"
STATUSES = ("completed", "failed", "stopped")
_MOST_LABEL = 80
_MOST_SPEC = 1 << 20
#: Upper bounds of the histogram of run times, seconds: a second to a day.
BOUNDS_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
#: Names of a record's figures among single values, and what makes seconds or bytes of them.
_CPU, _RAM, _GPU = "CPU time (s)", "peak RAM (MB)", "peak memory (MB)"
_MB = 1e6
#: More than any of these figures can be.
_MOST_VALUE = 1e15


@dataclass(frozen=True)
class Kind:
    """What tasks are told apart by."""

    queue: str
    stack: str
    stage: str
    status: str


@dataclass(frozen=True)
class Took:
    """What one task took; ``None``: not known."""

    id: str
    name: str
    kind: Kind
    ended_at: float
    #: From start to end, as the server has it.
    run_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_rss_bytes: float | None = None
    #: Of all its GPUs together.
    peak_gpu_bytes: float | None = None


@dataclass
class Sums:
    """What all tasks of a kind took since this process began."""

    tasks: int = 0
    #: How many fell into each bucket, not cumulated; one more than there are bounds.
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    timed: int = 0
    run_seconds: float = 0.0
    #: ``None``: of no task it is known.
    cpu_seconds: float | None = None
    #: The last task's of which it is known.
    peak_rss_bytes: float | None = None
    peak_gpu_bytes: float | None = None

    def add(self, took: Took) -> None:
        """Count one more."""
        self.tasks += 1
        if took.run_seconds is not None:
            self.timed += 1
            self.run_seconds += took.run_seconds
            self.buckets[sum(took.run_seconds > bound for bound in BOUNDS_SECONDS)] += 1
        if took.cpu_seconds is not None:
            self.cpu_seconds = (self.cpu_seconds or 0.0) + took.cpu_seconds
        self.peak_rss_bytes = self.peak_rss_bytes if took.peak_rss_bytes is None else took.peak_rss_bytes
        self.peak_gpu_bytes = self.peak_gpu_bytes if took.peak_gpu_bytes is None else took.peak_gpu_bytes


class Ended:
    """Asks again and again, never twice at once.

    Args:
        client: the server, as it can be asked now.
        do: has a job done in another thread, one after the other.
        clock: monotonic seconds.
        wall: epoch seconds.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        do: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._do, self._clock, self._wall = client, do, clock, wall
        self._began_at = wall()
        self._looked_at = float("-inf")
        self._busy = False
        self._lock = threading.Lock()
        #: (id, when its status changed) of what was counted, the newest last.
        self._counted: OrderedDict[tuple[str, float], None] = OrderedDict()
        self._shown: dict[str, Took] = {}
        self._sums: dict[Kind, Sums] = {}

    def look(self, queues: Mapping[str, str]) -> None:
        """Have the server asked where it is time; called often, and soon back.

        Args:
            queues: id of each worker of this machine -> the queue it serves.
        """
        now = self._clock()
        if queues and not self._busy and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at, self._busy = now, True
            self._do(partial(self._ask, dict(queues)))

    def shown(self) -> list[Took]:
        """The newest tasks, the newest first."""
        with self._lock:
            return sorted(self._shown.values(), key=lambda took: took.ended_at, reverse=True)

    def sums(self) -> dict[Kind, Sums]:
        """What tasks took that ended since this process began, by kind."""
        with self._lock:
            return {
                kind: Sums(**{**vars(sums), "buckets": list(sums.buckets)})
                for kind, sums in self._sums.items()
            }

    def _ask(self, queues: Mapping[str, str]) -> None:
        try:
            self.take_in(queues)
        except StackyardError:
            pass  # asked again soon; that the server does not answer is told elsewhere
        finally:
            self._busy = False

    def take_in(self, queues: Mapping[str, str]) -> None:
        """Ask once.

        Raises:
            ServerError: the server refuses.
            UnreachableError: it does not answer.
        """
        found = self._client().call(
            "tasks.get_all",
            status=list(STATUSES),
            last_worker=sorted(queues),
            only_fields=list(FIELDS),
            order_by=["-status_changed"],
            page=0,
            page_size=PAGE,
            search_hidden=True,
        )["tasks"]
        new = [
            task
            for task in map(task_of, found)
            if task.worker in queues
            and task.changed is not None
            and (task.id, task.changed) not in self._counted
        ]
        if not new:
            return
        entries = self._client().call(
            "tasks.get_all",
            id=[task.id for task in new],
            only_fields=[
                "id",
                "script.entry_point",
                "hyperparams.Run",
                "configuration",
                "runtime",
                "last_metrics",
            ],
            search_hidden=True,
        )["tasks"]
        known = {str(entry["id"]): entry for entry in entries}
        with self._lock:
            for task in reversed(new):  # the oldest first
                if task.id in known:
                    self._take(task, known[task.id], queues[task.worker])

    def _take(self, task: Task, entry: Mapping[str, Any], queue: str) -> None:
        ended_at = task.changed or 0.0
        values = single_values(entry)
        if _CPU not in values and self._wall() - ended_at < PATIENCE_SECONDS:
            return  # its record may be under way
        took = took_of(task, entry, queue, values)
        self._counted[task.id, ended_at] = None
        while len(self._counted) > 4 * PAGE:
            self._counted.popitem(last=False)
        self._shown[task.id] = took
        for id in sorted(self._shown, key=lambda id: self._shown[id].ended_at)[:-MOST_SHOWN]:
            del self._shown[id]
        if ended_at >= self._began_at:
            kind = took.kind
            if kind not in self._sums and len(self._sums) >= MOST_KINDS:
                kind = Kind(OTHER, OTHER, OTHER, kind.status)
            self._sums.setdefault(kind, Sums()).add(took)


def took_of(task: Task, entry: Mapping[str, Any], queue: str, values: Mapping[str, float]) -> Took:
    """What a task took.

    Args:
        task: it.
        entry: its document: script, hyperparams, runtime.
        queue: the one that its worker serves.
        values: its single values.
    """
    ended = task.changed or 0.0
    gpus = [value for name, value in values.items() if name.startswith("GPU ") and name.endswith(f" {_GPU}")]
    rss = values.get(_RAM)
    return Took(
        task.id,
        label(task.name),
        Kind(queue, *stack_and_stage(task, entry), task.status),
        ended,
        None if task.started is None else max(0.0, ended - task.started),
        values.get(_CPU),
        None if rss is None else rss * _MB,
        sum(gpus) * _MB if gpus else None,
    )


def stack_and_stage(task: Task, entry: Mapping[str, Any]) -> tuple[str, str]:
    """The stack of a task, and what it does: its workload, else its script, else its name."""
    run = ((entry.get("hyperparams") or {}).get("Run")) or {}

    def told(name: str) -> str:
        return str((run.get(name) or {}).get("value") or "")

    stack = str((entry.get("runtime") or {}).get("stackyard_stack") or "") or told("stack")
    script = os.path.basename(str((entry.get("script") or {}).get("entry_point") or "").split(" ")[0])
    return label(stack), label(_workload(entry) or script or task.name)


def _workload(entry: Mapping[str, Any]) -> str:
    """What Stackyard sent the task to do; "" of an ordinary task."""
    try:
        spec = json.loads(str(entry["configuration"][SPEC]["value"])[:_MOST_SPEC])
    except (LookupError, TypeError, ValueError, RecursionError):
        return ""
    return str(spec.get("workload") or "") if isinstance(spec, dict) else ""


def single_values(entry: Mapping[str, Any]) -> dict[str, float]:
    """The single values of a task that its record left: name -> value."""
    found: dict[str, float] = {}
    try:
        for metric in (entry.get("last_metrics") or {}).values():
            for variant in metric.values():
                value = variant.get("value")
                # A task reports what it likes: what no measurement can be is none, and would spoil sums for good.
                if (
                    variant.get("metric") == "Summary"
                    and isinstance(value, (int, float))
                    and 0 <= value < _MOST_VALUE
                ):
                    found[str(variant.get("variant"))] = float(value)
    except AttributeError:  # not as a ClearML server says it
        return {}
    measured = {n.removesuffix(BESIDE_ITS_OWN): v for n, v in found.items() if n.endswith(BESIDE_ITS_OWN)}
    return {**found, **measured}


def label(text: str) -> str:
    """Words of others as a label's value: short, printable, never empty."""
    return "".join(char for char in text if char.isprintable())[:_MOST_LABEL] or UNKNOWN
