"""A batch of events taken in: checked line by line, sorted to where each kind is kept, its tasks or models told.

Kinds live in ``scalars``, ``samples`` (plots, images, vectors) and ``logs``; what cannot be stored is counted by reason
and the rest is stored. Imports the store only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import orjson

from . import Transaction, logs, metrics, samples, scalars
from .scalars import Memory, Points, TooManySeries

#: The instants that have a date, milliseconds: 1970 to 9999.
LAST_INSTANT = 253402300799999
WIDEST = 2**63
#: The fields that have a column; everything else of an event is kept as JSON.
_NAMED = {"type", "task", "metric", "variant", "iter", "timestamp", "ts", "worker"}
PLAIN = {
    scalars.KIND: frozenset(_NAMED | {"value"}),
    samples.PLOT: frozenset(_NAMED | {"key", "plot_str"}),
    samples.IMAGE: frozenset(_NAMED | {"key", "url"}),
    samples.VECTOR: frozenset(_NAMED | {"key", "values"}),
    logs.KIND: frozenset({"type", "task", "msg", "level", "timestamp", "ts", "worker"}),
}
#: Of a metric's or variant's name, characters.
LONGEST_NAME = 4096
#: Told to the server, not part of the event.
UNKEPT = frozenset({"allow_locked", "model_event", "received", "@timestamp"})
#: What differs from one point of a series to the next.
FIGURES = ("iter", "value", "timestamp")
#: A task touched less than this ago is not touched again by events, milliseconds: three indexes hold its last_update.
TOUCH_AFTER = 200
LOCKED = ("published", "publishing")


#: How points are added to: iteration, value, timestamp, form, and the form's number.
Column = tuple[
    Callable[[int], None], Callable[[float | None], None], Callable[[int], None], Callable[[int], None], int
]
#: For events with the same fields: what names them, their figures, and where those of one name go.
Plan = tuple[Callable[[Any], Any], Callable[[Any], tuple[Any, Any, Any]], dict[Any, Column]]


class Refused(Exception):
    """An event that is not stored; the message is the reason it is counted under."""


@dataclass(slots=True)
class Owner:
    """A task or model of the batch."""

    id: str
    model: bool
    locked: bool
    #: When it was last touched, and how far it had come.
    last_update: int
    iteration: int | None = None
    #: (metric, kind) -> newest timestamp
    stats: dict[tuple[str, str], int] = field(default_factory=dict)


def owner(tx: Transaction, id: str, model: bool) -> Owner | None:
    """The task or model of that id."""
    columns = "ready, last_update" if model else "status, last_update"
    row = tx.one(f"SELECT {columns} FROM {'model' if model else 'task'} WHERE id=?", (id,))
    if row is None:
        return None
    return Owner(id, model, bool(row[0]) if model else row[0] in LOCKED, row[1] or 0)


def prepare(events: Iterable[dict[str, Any]]) -> None:
    """Make large plots ready to be written; touches no table, so any thread may do it."""
    for event in events:
        text = event.get("plot_str")
        if isinstance(text, str) and len(text) >= samples.COMPRESS_FROM and event.get("type") == samples.PLOT:
            event["plot_str"] = samples.pack(text)


class Batch:
    """Takes events in and writes them.

    Args:
        tx: A writing transaction.
        memory: The store's series.
        now: Epoch milliseconds.
        worker: Who reports, where an event does not say.
    """

    def __init__(self, tx: Transaction, memory: Memory, now: int, worker: str) -> None:
        self.tx, self.memory, self.now, self.worker = tx, memory, now, worker
        memory.refresh(tx)
        self.added = 0
        self.errors: Counter[str] = Counter()
        #: Whether a line came without its own timestamp.
        self.unstamped = False
        self.lines: list[tuple[Any, ...]] = []
        self._owners: dict[tuple[Any, bool], Owner | None] = {}
        self._points: dict[int, Points] = {}
        self._samples: list[tuple[Any, ...]] = []

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Check and sort events; those refused are counted in ``errors``."""
        # Scalars come by the thousand, and most differ from the one before in iteration, value and timestamp alone:
        # the rest of an event is looked up in one go, and says at once to which points it adds.
        plans: dict[tuple[str, ...], Plan] = {}
        now = self.now
        for event in events:
            try:
                if event.get("type") != scalars.KIND:
                    self._take_other(event)
                    continue
                shape = tuple(event)
                plan = plans.get(shape)
                if plan is None:
                    plan = plans[shape] = planned(shape)
                names, figures, opened = plan
                try:
                    key = names(event)
                    column = opened.get(key)
                except TypeError:  # a name or a further field is a list or an object
                    key = column = None
                if column is None:
                    column, lasting = self._open(event, (shape, key, self.worker))
                    if lasting:
                        opened[key] = column
                iteration, value, stamp = figures(event)
                if type(iteration) is not int or not -WIDEST <= iteration < WIDEST:
                    iteration = whole(iteration)
                if type(value) is not float:
                    value = number(event)
                if type(stamp) is not int or not 0 <= stamp <= LAST_INSTANT:
                    stamp = instant(event, now)
            except Refused as refused:
                self.errors[str(refused)] += 1
                continue
            add_iteration, add_value, add_stamp, add_form, form = column
            add_iteration(iteration)
            add_value(value)
            add_stamp(stamp)
            add_form(form)

    def _open(self, event: dict[str, Any], name: Any) -> tuple[Column, bool]:
        """Where the points of events of this name go, and whether that holds for all that compare equal to it."""
        id_ = self._owner(event).id
        known = None if name[1] is None else self.memory.named.get(name)
        lasting = known is not None
        if known is None:
            try:
                series = self.memory.series(self.tx, id_, named(event, "metric"), named(event, "variant"))
            except TooManySeries as full:
                raise Refused(f"A task or model has {full.most} series of scalars at most") from None
            plain = PLAIN[scalars.KIND]
            further = {n: v for n, v in event.items() if n not in plain and n not in UNKEPT}
            form = self.memory.form(self.tx, text(event.get("worker")) or self.worker, further)
            label = further.get("x_axis_label")
            known = series, form, label if isinstance(label, str) else None
            # 1, 1.0 and true are equal, but not the same
            kept = (event.get("worker", ""), *further.values())
            lasting = name[1] is not None and all(isinstance(v, str) for v in kept)
            if lasting:
                self.memory.named[name] = known
        series, form, label = known
        if label is not None:
            series.label = label
        points = self._points.setdefault(id(series), Points(series))
        return (
            points.iters.append,
            points.values.append,
            points.stamps.append,
            points.forms.append,
            form,
        ), lasting

    def _owner(self, event: dict[str, Any]) -> Owner:
        """The task or model of an event.

        Raises:
            Refused: It is missing, unknown or locked.
        """
        task, model = event.get("task"), event.get("model_event") is True
        if not task:
            raise Refused("Event must have a 'task' field")
        if not isinstance(task, str):
            raise Refused("Event 'task' must be a string")
        if (task, model) not in self._owners:
            self._owners[task, model] = owner(self.tx, task, model)
        found = self._owners[task, model]
        if found is None or (found.locked and event.get("allow_locked") is not True):
            raise Refused(f"Invalid {'model' if model else 'task'} id {task}")
        return found

    def _take_other(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if not kind:
            raise Refused("Event must have a 'type' field")
        if not isinstance(kind, str) or kind not in PLAIN:
            raise Refused(f"Invalid event type {kind}"[:200])
        whose = self._owner(event)
        stamp = instant(event, self.now)
        worker = text(event.get("worker")) or self.worker
        further = {n: v for n, v in event.items() if n not in PLAIN[kind] and n not in UNKEPT}
        if kind == logs.KIND:
            if whose.model:
                raise Refused("Event type log is not supported for models")
            if event.get("timestamp") is None and event.get("ts") is None:
                self.unstamped = True
            level, msg = text(event.get("level")), text(event.get("msg"))
            self.lines.append((whose.id, stamp, self.now, worker, level, msg, orjson.dumps(further).decode()))
            self._note(whose, "", kind, stamp)
        else:
            metric, variant, iteration = (
                named(event, "metric"),
                named(event, "variant"),
                whole(event.get("iter")),
            )
            body, length = self._body(kind, event, further)
            row = (
                whose.id,
                kind,
                metric,
                variant,
                iteration,
                text(event.get("key")) or "",
                stamp,
                self.now,
                worker,
            )
            self._samples.append((*row, length, orjson.dumps(further).decode(), body))
            self._note(whose, metric, kind, stamp)
            reach(whose, metric, iteration)
        self.added += 1

    def _body(
        self, kind: str, event: dict[str, Any], further: dict[str, Any]
    ) -> tuple[str | bytes | None, int | None]:
        name = {samples.PLOT: "plot_str", samples.IMAGE: "url", samples.VECTOR: "values"}[kind]
        value = event.get(name)
        if kind == samples.VECTOR:
            if not isinstance(value, list):
                raise Refused("Event must have a 'values' field")
            return orjson.dumps(value).decode(), None
        if kind == samples.PLOT:
            value = samples.pack(value) if isinstance(value, str) else value
            if isinstance(value, samples.Packed):
                if value.source_urls:
                    further["source_urls"] = value.source_urls
                return value.body, value.length
        if value is not None and not isinstance(value, str):
            raise Refused(f"Event '{name}' must be a string")
        return value, None

    @staticmethod
    def _note(owner: Owner, metric: str, kind: str, stamp: int) -> None:
        key = (metric, kind)
        owner.stats[key] = max(owner.stats.get(key, 0), stamp)

    def write(self, user: str) -> None:
        """Store what was taken in and bring the tasks and models up to date."""
        batches = [p for p in self._points.values() if p.iters]
        for points in batches:
            series = points.series
            whose = self._owners.get((series.owner, False)) or self._owners[series.owner, True]
            assert whose is not None  # or its points had been refused
            self.added += len(points.iters)
            self._note(whose, series.metric, scalars.KIND, max(points.stamps))
            reach(whose, series.metric, max(points.iters))
        if batches:
            scalars.store_points(self.tx, batches, self.now)
        if self._samples:
            samples.store_samples(self.tx, self._samples)
        if self.lines:
            logs.store_lines(self.tx, self.lines)
        for touched in self._owners.values():
            if touched is not None and touched.stats:
                self._touch(touched, user)

    def _touch(self, owner: Owner, user: str) -> None:
        changes = ["metric_stats=:stats"]
        if not 0 <= self.now - owner.last_update < TOUCH_AFTER:
            changes += ["last_update=:now", "last_change=:now", "last_changed_by=:user"]
            if not owner.model:
                changes.append(
                    "active_duration=CASE WHEN started IS NULL OR completed IS NOT NULL THEN active_duration "
                    "ELSE max(0, :now-started)/1000 END"
                )
        elif not owner.model:  # the first events of a run show at once that it goes on
            changes.append(
                "active_duration=CASE WHEN started IS NULL OR completed IS NOT NULL OR active_duration IS NOT NULL "
                "THEN active_duration ELSE max(0, :now-started)/1000 END"
            )
        if owner.iteration is not None:
            changes.append(
                "last_iteration=CASE WHEN last_iteration>=:iteration THEN last_iteration ELSE :iteration END"
            )
        self.tx.run(
            f"UPDATE {'model' if owner.model else 'task'} SET {', '.join(changes)} WHERE id=:id",
            {
                "now": self.now,
                "user": user,
                "stats": stats_json(owner.stats),
                "iteration": owner.iteration,
                "id": owner.id,
            },
        )


def planned(shape: tuple[str, ...]) -> Plan:
    """How events with these fields are read."""
    names = [n for n in shape if n not in FIGURES and n != "ts"]
    complete = all(n in shape for n in FIGURES)
    return itemgetter(*names), itemgetter(*FIGURES) if complete else figures, {}


def figures(event: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Iteration, value and timestamp of an event that may lack some."""
    return event.get("iter"), event.get("value"), event.get("timestamp")


def stats_json(stats: dict[tuple[str, str], int]) -> str:
    """``metric_stats`` of a batch, which is all the real server keeps: ``{hash: {metric, event_stats_by_type}}``."""
    shown: dict[str, Any] = {}
    for (metric, kind), stamp in stats.items():
        entry = shown.setdefault(metrics.name_hash(metric), {"metric": metric, "event_stats_by_type": {}})
        entry["event_stats_by_type"][kind] = {"last_update": stamp}
    return orjson.dumps(shown).decode()


def reach(owner: Owner, metric: str, iteration: int) -> None:
    """Let an iteration count for the owner's last; those of machine monitors and single values do not."""
    if iteration > scalars.SINGLE_VALUE and not metric.startswith(":monitor:"):
        owner.iteration = iteration if owner.iteration is None else max(owner.iteration, iteration)


def text(value: Any) -> str | None:
    """A field that should be text, as text."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def named(event: dict[str, Any], name: str) -> str:
    """Metric or variant; nothing is the empty name.

    Raises:
        Refused: It is no string.
    """
    value = event.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"Event '{name}' must be a string")
    if len(value) > LONGEST_NAME:
        raise Refused(f"Event '{name}' must have {LONGEST_NAME} characters at most")
    return value


def whole(value: Any) -> int:
    """An iteration; nothing is 0.

    Raises:
        Refused: It is no whole number of 64 bits.
    """
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -WIDEST <= value < WIDEST:
        raise Refused("Event 'iter' must be a 64-bit integer")
    return value


def number(event: dict[str, Any]) -> float | None:
    """The value of a scalar; None for one that has none, or no finite number.

    Raises:
        Refused: It is nothing like a number.
    """
    value = event.get("value")
    if value is None:
        return None
    try:
        if isinstance(value, (int, float, str)):
            value = float(value)
            return value if abs(value) < float("inf") else None
    except (ValueError, OverflowError):
        pass
    raise Refused("Event 'value' must be a number")


def instant(event: dict[str, Any], now: int) -> int:
    """The timestamp of an event in milliseconds (also called ``ts``); now where it has none.

    Raises:
        Refused: It is none between 1970 and 9999.
    """
    value = event.get("timestamp")
    if value is None:
        value = event.get("ts")
    if value is None:
        return now
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LAST_INSTANT:
        return int(value)
    raise Refused("Event 'timestamp' must be milliseconds since 1970")


def count(tx: Transaction, owner: str) -> int:
    """How many events a task or model has."""
    return metrics.count_points(tx, [owner]) + samples.count_all(tx, owner) + logs.count(tx, owner)


def delete_for(tx: Transaction, owner_ids: Iterable[str]) -> None:
    """Remove every event of these tasks and models, and with the scalars what ``last_metrics`` shows."""
    ids = list(owner_ids)
    metrics.delete_for(tx, ids)
    samples.delete_for(tx, ids)
    logs.delete_for(tx, ids)
