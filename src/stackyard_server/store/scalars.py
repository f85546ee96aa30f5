"""Scalar points: their identity (task, metric, variant, iteration), the running figures of their series, and reading
them back.

A point reported again replaces the earlier one, and the figures of its series (count, mean, least, greatest, newest)
stay those of distinct points: the same batch twice changes nothing. What is known of a series is remembered between
batches, so that a batch that only appends looks nothing up. Imports the store only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import lt
from typing import Any

import orjson

from . import Store, Transaction, metrics
from .documents import as_json

KIND = "training_stats_scalar"
#: The iteration of single values ("Summary"), as clients send it.
SINGLE_VALUE = -(2**31)
#: Series, forms and names remembered at most; all are forgotten beyond.
REMEMBERED = 50_000
#: A sum is taken anew from the points when replacing values made it this much smaller than what went through it.
CANCELLED = 2.0**20
#: Points grouped at a time where no index orders them.
SLICE = 100_000

FIGURES = (
    "value", "min_value", "min_value_iteration", "max_value", "max_value_iteration", "first_value",
    "first_value_iteration", "count", "mean_value", "total", "finite", "x_axis_label",
)  # fmt: skip
_UPDATE = f"UPDATE metric SET {', '.join(f'{n}=?' for n in FIGURES)} WHERE number=?"
#: Where least and greatest stay, the indexes of them are left alone.
_UPDATE_REST = f"UPDATE metric SET {', '.join(f'{n}=?' for n in (FIGURES[0], *FIGURES[5:]))} WHERE number=?"
_INSERT = (
    f"INSERT INTO metric(owner, metric_hash, variant_hash, metric, variant, {', '.join(FIGURES)}) "
    f"VALUES ({', '.join('?' * (5 + len(FIGURES)))})"
)
_POINTS = "INSERT INTO scalar(series, iter, value, timestamp, delay, form) VALUES (?, ?, ?, ?, ?, ?)"
_REPLACE = _POINTS.replace("INSERT", "INSERT OR REPLACE", 1)


class TooManySeries(Exception):
    """A task or model has as many series as one may have."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class Series:
    """What is known of one series: its number (None before its first point) and its figures."""

    __slots__ = ("count", "finite", "first", "first_iter", "greatest", "greatest_iter", "label", "least", "least_iter",
                 "metric", "newest", "number", "owner", "total", "value", "variant")  # fmt: skip

    def __init__(self, owner: str, metric: str, variant: str) -> None:
        self.owner, self.metric, self.variant = owner, metric, variant
        self.number: int | None = None
        self.newest = -(2**63)
        self.value: float | None = None
        self.least: float | None = None
        self.least_iter = 0
        self.greatest: float | None = None
        self.greatest_iter = 0
        self.first: float | None = None
        self.first_iter = 0
        self.count = self.finite = 0
        self.total = 0.0
        self.label: str | None = None

    def figures(self) -> tuple[Any, ...]:
        """The values of ``FIGURES``."""
        mean = self.total / self.finite if self.finite else None
        return (
            self.value, self.least, self.least_iter, self.greatest, self.greatest_iter, self.first, self.first_iter,
            self.count, mean, self.total, self.finite, self.label,
        )  # fmt: skip

    def see(self, value: float, iteration: int) -> None:
        """Let one value count for least and greatest."""
        if self.least is None or value < self.least:
            self.least, self.least_iter = value, iteration
        if self.greatest is None or value > self.greatest:
            self.greatest, self.greatest_iter = value, iteration


@dataclass(slots=True)
class Points:
    """The points of one series in one batch, column by column. A value that is no finite number is None."""

    series: Series
    iters: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    forms: list[int] = field(default_factory=list)


class Memory:
    """Series and forms remembered between batches; one for each store, used by the writing thread alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._series: dict[tuple[str, str, str], Series] = {}
        self._forms: dict[Any, int] = {}
        #: How many series tasks and models have, of those that got new ones.
        self._counts: dict[str, int] = {}
        #: Series, form and axis label by what names them in an event.
        self.named: dict[Any, tuple[Series, int, str | None]] = {}
        self._valid: tuple[Any, ...] = ()

    def refresh(self, tx: Transaction) -> None:
        """Forget everything if anyone else wrote, something was undone, or series were removed."""
        valid = (tx.value("PRAGMA data_version"), self._store.rolled_back, metrics.generation())
        if valid != self._valid or len(self._series) + len(self._forms) + len(self.named) > REMEMBERED:
            self._series.clear()
            self._forms.clear()
            self._counts.clear()
            self.named.clear()
            self._valid = valid

    def series(self, tx: Transaction, owner: str, metric: str, variant: str) -> Series:
        """The series of that name, with its figures.

        Raises:
            TooManySeries: There is none, and its owner may have no more.
        """
        key = (owner, metric, variant)
        known = self._series.get(key)
        if known is None:
            known = self._load(tx, Series(*key))
            if known.number is None:
                self._count(tx, owner)
            self._series[key] = known
        return known

    def _count(self, tx: Transaction, owner: str) -> None:
        """Note that a task or model gets another series."""
        count = self._counts.get(owner)
        if count is None:
            count = int(tx.value("SELECT count(*) FROM metric WHERE owner=?", (owner,)))
            self._counts[owner] = count
        if tx.largest is not None and count >= tx.largest.most_series:
            raise TooManySeries(tx.largest.most_series)
        self._counts[owner] = count + 1

    def _load(self, tx: Transaction, series: Series) -> Series:
        row = tx.one(
            f"SELECT number, {', '.join(FIGURES)} FROM metric WHERE owner=? AND metric_hash=? AND variant_hash=?",
            (series.owner, metrics.name_hash(series.metric), metrics.name_hash(series.variant)),
        )
        if row is not None:
            (
                series.number, series.value, series.least, series.least_iter, series.greatest, series.greatest_iter,
                series.first, series.first_iter, series.count, _, series.total, series.finite, series.label,
            ) = row  # fmt: skip
            newest = tx.value("SELECT max(iter) FROM scalar WHERE series=?", (series.number,))
            if newest is not None:  # a series taken over from another server may have figures and no points
                series.newest = newest
        return series

    def form(self, tx: Transaction, worker: str, extra: dict[str, Any]) -> int:
        """The number under which a worker and further fields are kept."""
        text = orjson.dumps(extra).decode()
        key = (worker, text)
        number = self._forms.get(key)
        if number is None:
            tx.run("INSERT OR IGNORE INTO scalar_form(worker, extra) VALUES (?, ?)", key)
            number = tx.value("SELECT number FROM scalar_form WHERE worker=? AND extra=?", key)
            self._forms[key] = number
        return number


def store_points(tx: Transaction, batch: Iterable[Points], now: int) -> None:
    """Write the points of a batch and bring the figures of their series up to date."""
    updates, rest, fresh, replaced = [], [], [], []
    for points in batch:
        series, iters = points.series, points.iters
        bounds = series.figures()[1:5]
        if series.number is None:
            owner, metric, variant = series.owner, series.metric, series.variant
            names = (owner, metrics.name_hash(metric), metrics.name_hash(variant), metric, variant)
            series.number = tx.connection.execute(_INSERT, (*names, *series.figures())).lastrowid
        rows = zip(
            repeat(series.number),
            iters,
            points.values,
            points.stamps,
            [now - s for s in points.stamps],
            points.forms,
        )
        if iters[0] > series.newest and (len(iters) == 1 or all(map(lt, iters, iters[1:]))):
            _append(series, iters, points.values)
            fresh.append(rows)
        else:
            _replace(tx, series, iters, points.values)
            replaced.append(rows)
        figures = series.figures()
        if figures[1:5] == bounds:
            rest.append((figures[0], *figures[5:], series.number))
        else:
            updates.append((*figures, series.number))
    if fresh:
        tx.connection.executemany(_POINTS, chain.from_iterable(fresh))
    if replaced:
        tx.connection.executemany(_REPLACE, chain.from_iterable(replaced))
    if updates:
        tx.connection.executemany(_UPDATE, updates)
    if rest:
        tx.connection.executemany(_UPDATE_REST, rest)


def _append(series: Series, iters: list[int], values: list[float | None]) -> None:
    if series.count == 0:
        series.first, series.first_iter = values[0], iters[0]
    series.value, series.newest = values[-1], iters[-1]
    series.count += len(iters)
    if None in values:
        pairs = [(v, i) for v, i in zip(values, iters) if v is not None]
        if not pairs:
            if series.count == len(iters):
                series.least_iter = series.greatest_iter = iters[0]
            return
        finite, iters = [p[0] for p in pairs], [p[1] for p in pairs]
    else:
        finite = values  # type: ignore[assignment]  # none is None
    least, greatest = min(finite), max(finite)
    series.see(least, iters[finite.index(least)])
    series.see(greatest, iters[finite.index(greatest)])
    series.finite += len(finite)
    series.total = kept(series.total + sum(finite))


def _replace(tx: Transaction, series: Series, iters: list[int], values: list[float | None]) -> None:
    """The general case: some points may be there already, or come twice in the batch."""
    wanted = dict(zip(iters, values))
    held = dict(
        tx.all(
            "SELECT iter, value FROM scalar WHERE series=? AND iter IN (SELECT value FROM json_each(?))",
            (series.number, orjson.dumps(list(wanted)).decode()),
        )
    )
    fresh = {i: v for i, v in wanted.items() if i not in held or held[i] != v}
    if not fresh:
        return
    if series.count == 0:
        series.first_iter = iters[0]
        series.first = wanted[series.first_iter]
    last = max(fresh)
    series.value, series.newest = fresh[last], max(series.newest, last)
    total, passed = series.total, abs(series.total)
    for iteration, value in fresh.items():
        before = held.get(iteration)
        series.count += iteration not in held
        series.finite += (value is not None) - (before is not None)
        if value is not None:
            total += value
            series.see(value, iteration)
        if before is not None:
            total -= before
            passed = max(passed, abs(before))
    if passed > CANCELLED * abs(total) or not math.isfinite(total):
        untouched = tx.value(
            "SELECT total(value) FROM scalar WHERE series=? AND iter NOT IN (SELECT value FROM json_each(?))",
            (series.number, orjson.dumps(list(fresh)).decode()),
        )
        total = (untouched or 0.0) + sum(v for v in fresh.values() if v is not None)
    series.total = kept(total)


def kept(total: float) -> float:
    """A sum as it can be kept: beyond what a float holds, the greatest float."""
    return total if math.isfinite(total) else math.copysign(1.7976931348623157e308, total)


# Reading


@dataclass(frozen=True, slots=True)
class Name:
    """One series as readers see it."""

    number: int
    owner: str
    metric: str
    variant: str
    #: What its axis of iterations is called; None: nothing else.
    label: str | None = None


#: {metric: its variants, or nothing for all}; None for every metric.
Wanted = Mapping[str, Collection[str]] | None


def is_wanted(wanted: Wanted, metric: str, variant: str) -> bool:
    """Whether a series is among those asked for; a metric without variants stands for all of its."""
    return wanted is None or (metric in wanted and (not wanted[metric] or variant in wanted[metric]))


def names(tx: Transaction, owners: Iterable[str], wanted: Wanted = None) -> list[Name]:
    """The series of these tasks or models, ordered by metric and variant."""
    rows = tx.all(
        "SELECT number, owner, metric, variant, x_axis_label FROM metric "
        "WHERE owner IN (SELECT value FROM json_each(?)) ORDER BY metric, variant",
        (as_json(owners),),
    )
    found = [Name(*row) for row in rows]
    if wanted is None:
        return found
    return [n for n in found if is_wanted(wanted, n.metric, n.variant)]


def histogram(
    tx: Transaction, series: int, samples: int, key: str = "iter"
) -> tuple[list[int], list[float | None]]:
    """A series in at most about ``samples`` points: all of it, or averages over stretches of equal width.

    A stretch starts at a whole multiple of its width, as ClearML's do.

    Args:
        tx: Any transaction.
        series: Its number.
        samples: Points wanted.
        key: "iter" or "timestamp".

    Returns:
        x (iterations, or milliseconds) and y. Single values are left out.
    """
    ends = tx.one("SELECT min(iter), count(*) FROM (SELECT iter FROM scalar WHERE series=? AND iter>? LIMIT ?)",
                  (series, SINGLE_VALUE, samples + 1))  # fmt: skip
    if not ends or not ends[1]:
        return [], []
    if ends[1] <= samples:
        rows = tx.all(
            f"SELECT {key}, value FROM scalar WHERE series=? AND iter>? ORDER BY {key}",
            (series, SINGLE_VALUE),
        )
        return [r[0] for r in rows], [r[1] for r in rows]
    if key == "iter":
        low, high = ends[0], tx.value("SELECT max(iter) FROM scalar WHERE series=?", (series,))
        width = -(-(high - low + 1) // samples)
        return _averages(tx, series, low, high, width)
    return _averages_over_time(tx, series, samples)


def _averages(
    tx: Transaction, series: int, low: int, high: int, width: int
) -> tuple[list[int], list[float | None]]:
    """By ranges of the primary key: nothing is sorted."""
    stretch = "FROM scalar WHERE series=:series AND iter>=j.value AND iter<j.value+:width"
    starts = range(low // width * width, high + 1, width)
    rows = tx.all(
        f"SELECT j.value, (SELECT avg(value) {stretch}), EXISTS (SELECT 1 {stretch}) FROM json_each(:starts) j",
        {"series": series, "width": width, "starts": orjson.dumps(list(starts)).decode()},
    )
    filled = [r for r in rows if r[2]]
    return [r[0] for r in filled], [r[1] for r in filled]


def _averages_over_time(tx: Transaction, series: int, samples: int) -> tuple[list[int], list[float | None]]:
    """By slices of iterations, so that sorting never holds more than one slice."""
    low, high = tx.one("SELECT min(timestamp), max(timestamp) FROM scalar WHERE series=? AND iter>?",
                       (series, SINGLE_VALUE))  # type: ignore[misc]  # fmt: skip
    width = -(-(high - low + 1) // samples)
    sums: dict[int, list[Any]] = {}
    start = SINGLE_VALUE
    while True:
        rows = tx.all(
            "SELECT timestamp/:width, total(value), count(value), max(iter) FROM (SELECT iter, value, timestamp FROM "
            "scalar WHERE series=:series AND iter>:start ORDER BY iter LIMIT :slice) GROUP BY 1",
            {"width": width, "series": series, "start": start, "slice": SLICE},
        )
        if not rows:
            break
        for bucket, total, count, last in rows:
            into = sums.setdefault(bucket, [0.0, 0])
            into[0] += total
            into[1] += count
            start = max(start, last)
    ordered = sorted(sums.items())
    return [b * width for b, _ in ordered], [t / c if c else None for _, (t, c) in ordered]


def page(
    tx: Transaction, series: Sequence[Name], size: int, after: int | None = None, descending: bool = False
) -> list[tuple[Any, ...]]:
    """The next points of several series by iteration; points of one iteration stay together.

    Args:
        tx: Any transaction.
        series: Which.
        size: Points wanted; more where the last iteration has more.
        after: The last iteration of the page before.
        descending: From the newest backwards.

    Returns:
        (iter, series number, value, timestamp, delay, form) in the order asked for.
    """
    compare, order = ("<", "DESC") if descending else (">", "ASC")
    bound = (2**63 - 1 if descending else -(2**63)) if after is None else after
    equal = "=" if after is None else ""
    found: list[tuple[Any, ...]] = []
    for name in series:
        found += tx.all(
            "SELECT iter, series, value, timestamp, delay, form FROM scalar "
            f"WHERE series=? AND iter{compare}{equal}? ORDER BY iter {order} LIMIT ?",
            (name.number, bound, size),
        )
    places = {name.number: place for place, name in enumerate(series)}
    found.sort(key=lambda r: (-r[0] if descending else r[0], places[r[1]]))
    if len(found) <= size:
        return found
    last = found[size - 1][0]
    end = size
    while end < len(found) and found[end][0] == last:
        end += 1
    return found[:end]


def count(tx: Transaction, series: Iterable[Name]) -> int:
    """The number of points."""
    numbers = orjson.dumps([n.number for n in series]).decode()
    sql = "SELECT coalesce(sum(count), 0) FROM metric WHERE number IN (SELECT value FROM json_each(?))"
    return int(tx.value(sql, (numbers,)))


def forms(tx: Transaction, numbers: Iterable[int]) -> dict[int, tuple[str, dict[str, Any]]]:
    """Worker and further fields by number."""
    wanted = orjson.dumps(sorted(set(numbers))).decode()
    rows = tx.all(
        "SELECT number, worker, extra FROM scalar_form WHERE number IN (SELECT value FROM json_each(?))",
        (wanted,),
    )
    return {number: (worker, orjson.loads(extra)) for number, worker, extra in rows}


def newest(tx: Transaction, series: int) -> tuple[Any, ...] | None:
    """(iter, value, timestamp) of the greatest iteration."""
    return tx.one(
        "SELECT iter, value, timestamp FROM scalar WHERE series=? ORDER BY iter DESC LIMIT 1", (series,)
    )


def single_values(tx: Transaction, owners: Iterable[str]) -> list[tuple[Any, ...]]:
    """(owner, metric, variant, value, timestamp) of the values without an iteration."""
    return tx.all(
        "SELECT m.owner, m.metric, m.variant, s.value, s.timestamp FROM metric m JOIN scalar s ON s.series=m.number "
        "WHERE m.owner IN (SELECT value FROM json_each(?)) AND s.iter=? ORDER BY m.metric, m.variant",
        (as_json(owners), SINGLE_VALUE),
    )
