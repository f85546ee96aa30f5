"""Plots, debug images and vectors: events with an identity and a body, of which the latest iterations are asked for.

The identity is (task, kind, metric, variant, iteration, key): a later report replaces the earlier. An image whose URL
a later iteration uses again is no longer there to see, so only its newest iteration counts. Imports the store only.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from . import Transaction, metrics
from .documents import as_json
from .scalars import Wanted, is_wanted

PLOT = "plot"
IMAGE = "training_debug_image"
VECTOR = "training_stats_vector"
#: Bodies from this size on are compressed, bytes.
COMPRESS_FROM = 100_000
STEP_BYTES = 256 * 1024
#: A plot with images from elsewhere is no longer, characters: a longer one is not looked through for them.
LONGEST_WITH_IMAGES = 1024 * 1024

_COLUMNS = "owner, kind, metric, variant, iter, key, timestamp, received, worker, length, extra, body"
_UPSERT = (
    f"INSERT INTO sample({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (owner, kind, metric, variant, iter, key) DO UPDATE SET timestamp=excluded.timestamp, "
    "received=excluded.received, worker=excluded.worker, length=excluded.length, extra=excluded.extra, "
    "body=excluded.body"
)

Row = tuple[Any, ...]


def weight(row: Row) -> int:
    """The bytes that an event's body has once it is unpacked."""
    body, length = row[-1], row[-3]
    return length if isinstance(body, bytes) and length else len(body or "")


@dataclass(frozen=True, slots=True)
class Packed:
    """A plot's body that was made ready before it is written."""

    body: str | bytes
    length: int
    source_urls: list[str]


def pack(text: str) -> Packed:
    """A plot's body, made ready; what takes long is done in steps, so that a thread lets others go on."""
    return Packed(packed(text), len(text), source_urls(text))


def packed(text: str) -> str | bytes:
    """A body as it is kept."""
    if len(text) < COMPRESS_FROM:
        return text
    packer, view = zlib.compressobj(6), memoryview(text.encode())
    parts = [packer.compress(view[at : at + STEP_BYTES]) for at in range(0, len(view), STEP_BYTES)]
    return b"".join((*parts, packer.flush()))


def unpacked(body: str | bytes) -> str:
    """A body as it came."""
    return zlib.decompress(body).decode() if isinstance(body, bytes) else body


def source_urls(plot: str) -> list[str]:
    """The images a plot shows from elsewhere; one that shows images is short."""
    if len(plot) > LONGEST_WITH_IMAGES or '"source"' not in plot:
        return []
    try:
        images = orjson.loads(plot)["layout"]["images"]
        return [i["source"] for i in images if isinstance(i.get("source"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def store_samples(tx: Transaction, rows: Sequence[Row]) -> None:
    """Write events: (owner, kind, metric, variant, iter, key, timestamp, received, worker, length, extra, body)."""
    tx.connection.executemany(_UPSERT, rows)


def shown(row: Row) -> dict[str, Any]:
    """One event in ClearML's form."""
    owner, kind, metric, variant, iteration, key, timestamp, received, worker, length, extra, body = row
    event = {
        "type": kind, "task": owner, "metric": metric, "variant": variant, "iter": iteration, "timestamp": timestamp,
        "received": received, "worker": worker,
    }  # fmt: skip
    if key:
        event["key"] = key
    if body is None:
        pass
    elif kind == PLOT:
        event |= {"plot_str": unpacked(body), "plot_len": length}
    elif kind == IMAGE:
        event["url"] = body
    else:
        event["values"] = orjson.loads(body)
    if extra != "{}":
        event |= orjson.loads(extra)
    return event


def pairs(
    tx: Transaction, owners: Iterable[str], kind: str, wanted: Wanted = None
) -> list[tuple[str, str, str]]:
    """(owner, metric, variant) for which there are events of a kind, by metric and variant."""
    found = []
    for owner in dict.fromkeys(owners):
        here = ("", "")
        sql = (
            "SELECT metric, variant FROM sample WHERE owner=? AND kind=? AND (metric, variant){}(?, ?) "
            "ORDER BY metric, variant LIMIT 1"
        )
        row = tx.one(sql.format(">="), (owner, kind, *here))
        while row is not None:
            metric, variant = row
            if is_wanted(wanted, metric, variant):
                found.append((owner, metric, variant))
            row = tx.one(sql.format(">"), (owner, kind, metric, variant))
    return sorted(found, key=lambda p: (p[1], p[2]))


def latest(tx: Transaction, kind: str, pair: tuple[str, str, str], iterations: int) -> list[tuple[int, int]]:
    """(row number, bytes) of the events of the newest iterations of one metric and variant, newest first."""
    owner, metric, variant = pair
    where = "owner=? AND kind=? AND metric=? AND variant=?"
    return tx.all(
        f"SELECT number, coalesce(length, length(body), 0) FROM sample WHERE {where} AND iter IN "
        f"(SELECT DISTINCT iter FROM sample WHERE {where} ORDER BY iter DESC LIMIT ?) ORDER BY iter DESC, key",
        (owner, kind, metric, variant, owner, kind, metric, variant, iterations),
    )


def rows(tx: Transaction, numbers: Iterable[int]) -> list[Row]:
    """The events of these row numbers, in their order."""
    wanted = list(numbers)
    found = tx.weighed(
        f"SELECT number, {_COLUMNS} FROM sample WHERE number IN (SELECT value FROM json_each(?))",
        (as_json(wanted),),
        weight,
    )
    by_number = {row[0]: row[1:] for row in found}
    return [by_number[number] for number in wanted if number in by_number]


def places(tx: Transaction, kind: str, owner: str, wanted: Wanted = None) -> list[tuple[int, str, str]]:
    """(iter, metric, variant) of the events that can be seen, ascending."""
    found: set[tuple[int, str, str]] = set()
    for _, metric, variant in pairs(tx, [owner], kind, wanted):
        where = "owner=? AND kind=? AND metric=? AND variant=?"
        sql = f"SELECT DISTINCT iter FROM sample WHERE {where}"
        if kind == IMAGE:
            sql = f"SELECT max(iter) FROM sample WHERE {where} GROUP BY body"
        found |= {(row[0], metric, variant) for row in tx.all(sql, (owner, kind, metric, variant))}
    return sorted(found)


def at(
    tx: Transaction, kind: str, owner: str, iteration: int, metric: str, variants: Iterable[str]
) -> list[Row]:
    """The events of one iteration of a metric, by variant."""
    return tx.weighed(
        f"SELECT {_COLUMNS} FROM sample WHERE owner=? AND kind=? AND metric=? AND "
        "variant IN (SELECT value FROM json_each(?)) AND iter=? ORDER BY variant, key",
        (owner, kind, metric, as_json(variants), iteration),
        weight,
    )


def page(
    tx: Transaction,
    kind: str,
    owner: str,
    size: int,
    after: int | None = None,
    descending: bool = False,
    wanted: Wanted = None,
) -> list[Row]:
    """The next events of a kind by iteration; those of one iteration stay together."""
    compare, order = ("<", "DESC") if descending else (">", "ASC")
    only, named = metrics.among(wanted)
    bound = f"AND {only}"
    parameters: list[str | int] = [owner, kind, *named]
    if after is not None:
        bound, parameters = f"{bound} AND iter{compare}?", [*parameters, after]
    order_by = f"ORDER BY iter {order}, timestamp {order}, number {order}"
    keys = tx.all(f"SELECT iter FROM sample WHERE owner=? AND kind=? {bound} ORDER BY iter {order} LIMIT ?",
                  [*parameters, size])  # fmt: skip
    if not keys:
        return []
    last = keys[-1][0]
    reach = ">=" if descending else "<="
    return tx.weighed(
        f"SELECT {_COLUMNS} FROM sample WHERE owner=? AND kind=? {bound} AND iter{reach}? {order_by}",
        [*parameters, last],
        weight,
    )


def count(tx: Transaction, kind: str, owner: str, wanted: Wanted = None) -> int:
    """The number of events of a kind."""
    only, named = metrics.among(wanted)
    sql = f"SELECT count(*) FROM sample WHERE owner=? AND kind=? AND {only}"
    return int(tx.value(sql, (owner, kind, *named)))


def vector(tx: Transaction, owner: str, metric: str, variant: str) -> list[tuple[int, Any]]:
    """(iter, values) of one vector series."""
    rows = tx.all(
        "SELECT iter, body FROM sample WHERE owner=? AND kind=? AND metric=? AND variant=? ORDER BY iter",
        (owner, VECTOR, metric, variant),
    )
    return [(iteration, orjson.loads(body)) for iteration, body in rows]


def urls(tx: Transaction, owners: Iterable[str]) -> list[str]:
    """Every file that debug images and plots of these tasks or models point to."""
    rows = tx.all(
        "SELECT kind, CASE kind WHEN 'plot' THEN extra ELSE body END FROM sample WHERE owner IN "
        "(SELECT value FROM json_each(?)) AND body IS NOT NULL AND (kind=? OR (kind=? AND extra LIKE '%source_urls%'))",
        (as_json(owners), IMAGE, PLOT),
    )
    found: list[str] = []
    for kind, text in rows:
        found += [text] if kind == IMAGE else orjson.loads(text).get("source_urls", [])
    return list(dict.fromkeys(found))


def count_all(tx: Transaction, owner: str) -> int:
    """The number of an owner's samples of every kind."""
    return int(tx.value("SELECT count(*) FROM sample WHERE owner=?", (owner,)))


def delete_for(tx: Transaction, owners: Iterable[str]) -> None:
    """Remove every sample of these tasks and models."""
    tx.run("DELETE FROM sample WHERE owner IN (SELECT value FROM json_each(?))", (as_json(owners),))
