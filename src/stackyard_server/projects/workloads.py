"""How long tasks of projects ran, day by day: by project, by user, by queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..calls import Call
from ..listing.filters import instant
from ..protocol.error_table import field_error
from ..store import projects, tasks
from ..store.documents import PROJECT, QUEUE, USER, Collection, Document
from ..store.tasks import Past

DAY_MS = 24 * 3600 * 1000
#: The days of one answer.
MOST_DAYS = 2000
#: Stands for every project.
EVERYWHERE = "*"
#: What work is told apart by: the word of the request, the key of the answer, whose names are shown.
BREAKDOWNS: dict[str, tuple[str, Collection]] = {
    "project": ("projects", PROJECT),
    "user": ("users", USER),
    "queue": ("queues", QUEUE),
}


@dataclass
class Spans:
    """Running time over days: the parts of days, and how many days begin or end being full."""

    days: int
    parts: list[int] = field(init=False)
    full: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.parts, self.full = [0] * self.days, [0] * (self.days + 1)

    def add(self, begin: int, end: int) -> None:
        """Take in a run; both in milliseconds since the first day began, within the days."""
        first, last = begin // DAY_MS, (end - 1) // DAY_MS
        if first == last:
            self.parts[first] += end - begin
            return
        self.parts[first] += (first + 1) * DAY_MS - begin
        self.parts[last] += end - last * DAY_MS
        self.full[first + 1] += 1
        self.full[last] -= 1

    def seconds(self) -> list[float]:
        """The running time of each day."""
        found, running = [], 0
        for part, change in zip(self.parts, self.full):
            running += change
            found.append((part + running * DAY_MS) / 1000)
        return found


def usage(call: Call) -> Document:
    """The running time between two instants, of the breakdowns and usages asked for (all, and the time alone).

    Raises:
        ApiError: 400/12 no instants, or too far from each other.
    """
    since = _instant(call, "from_date")
    until = call.now if call.get("to_date") is None else min(_instant(call, "to_date"), call.now)
    days = max(1, -(-(until - since) // DAY_MS))
    if days > MOST_DAYS:
        raise field_error("from_date", f": more than {MOST_DAYS} days.")
    named = call.data["projects"]
    inside = None if not named or EVERYWHERE in named else projects.subtree(call.tx, named)
    runs = tasks.runs_between(
        call.tx, inside, since, until, call.now, development=bool(call.get("include_development", False))
    )
    asked = call.get("breakdown_keys") or list(BREAKDOWNS)
    shown = call.get("usage_fields") or ["duration"]
    dates = [(since + n * DAY_MS) // 1000 for n in range(days)]
    found: Document = {}
    for name in asked:
        key, collection = BREAKDOWNS[name]
        found[key] = _series(call, collection, _spans(runs, name, since, until, days), dates, shown)
    return found


def _instant(call: Call, name: str) -> int:
    try:
        return instant(call.data[name])
    except (ValueError, OverflowError):
        raise field_error(name, f": invalid date {call.data[name]!r}.") from None


def _spans(runs: Iterable[Past], name: str, since: int, until: int, days: int) -> dict[str | None, Spans]:
    found: dict[str | None, Spans] = {}
    for run in runs:
        begin, end = max(run.started, since) - since, min(run.ended, until) - since
        if begin < end:
            found.setdefault(getattr(run, name), Spans(days)).add(begin, end)
    return found


def _series(
    call: Call,
    collection: Collection,
    spans: dict[str | None, Spans],
    dates: list[int],
    shown: list[str],
) -> Document:
    names = collection.names(call.tx, [id for id in spans if id])
    total: list[Document] = []
    series: list[Document] = []
    for id, span in sorted(spans.items(), key=lambda item: (names.get(item[0] or "") or "", item[0] or "")):
        seconds = span.seconds()
        who: Document = {"id": id, "name": names.get(id or "")}
        values: dict[str, Any] = {"duration": seconds}  # the others are not measured
        total.append({**who, **{u: sum(v) if (v := values.get(u)) else None for u in shown}})
        series.append({**who, "dates": dates, **{u: values.get(u) for u in shown}})
    return {"total": total, "series": series}
