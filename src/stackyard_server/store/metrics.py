"""The newest of every scalar series, as ClearML's documents show it: ``last_metrics``.

Written by ``scalars`` with every batch; here it is read, and removed together with its points. Imports the store only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from . import Transaction
from .documents import as_json

#: The columns that are shown, in ClearML's order; ``x_axis_label`` only where there is one.
SHOWN = (
    "metric", "variant", "value", "min_value", "min_value_iteration", "max_value", "max_value_iteration",
    "first_value", "first_value_iteration", "count", "mean_value", "x_axis_label",
)  # fmt: skip

LastMetrics = dict[str, dict[str, dict[str, Any]]]

#: So many points are removed at a time; the series of more have an owner of this form until theirs are.
AT_ONCE, GONE = 20_000, "gone:"

_generation = 0


def among(
    wanted: Mapping[str, Collection[str]] | None, metric: str = "metric", variant: str = "variant"
) -> tuple[str, list[str]]:
    """The condition that two expressions are of these metrics, or variants of them, and what is bound in it."""
    if wanted is None:
        return "1", []
    whole = [name for name, variants in wanted.items() if not variants]
    single = [[name, one] for name, variants in wanted.items() for one in variants]
    sql = (
        f"({metric} IN (SELECT value FROM json_each(?)) OR json_array({metric}, {variant}) IN "
        "(SELECT value FROM json_each(?)))"
    )
    return sql, [as_json(whole), as_json(single)]


@lru_cache(maxsize=20_000)
def name_hash(name: str) -> str:
    """The key under which a metric or variant stands in ``last_metrics``: the MD5 of its name, as ClearML's clients
    compute it."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def last_metrics(
    tx: Transaction,
    ids: Iterable[str],
    series: Iterable[tuple[str, str]] | None = None,
    shown_only: Collection[str] | None = None,
) -> dict[str, LastMetrics]:
    """``{id: {metric hash: {variant hash: {...}}}}`` for the ids that have any.

    Args:
        tx: Where to read.
        ids: Tasks or models.
        series: Only these (metric hash, variant hash), as far as the index can tell: there may be others among them.
        shown_only: Only these of a series' values; None: all of them.
    """
    where, parameters = "owner IN (SELECT value FROM json_each(?))", [as_json(ids)]
    if series is not None:
        for column, hashes in zip(("metric_hash", "variant_hash"), zip(*series)):
            where += f" AND {column} IN (SELECT value FROM json_each(?))"
            parameters.append(as_json(set(hashes)))
    columns = [name for name in SHOWN if shown_only is None or name in shown_only] or ["value"]
    names = ", ".join(columns)
    sql = f"SELECT owner, metric_hash, variant_hash, {names} FROM metric WHERE {where} ORDER BY owner, metric, variant"
    found: dict[str, LastMetrics] = {}
    for owner, metric_hash, variant_hash, *values in tx.all(sql, parameters):
        shown = dict(zip(columns, values))
        if shown.get("mean_value") is not None:
            shown["mean_value"] = round(shown["mean_value"], 2)
        if shown.get("x_axis_label", "") is None:
            del shown["x_axis_label"]
        found.setdefault(owner, {}).setdefault(metric_hash, {})[variant_hash] = shown
    return found


def put(tx: Transaction, owner: str, series: Iterable[tuple[tuple[str, str], Mapping[str, Any]]]) -> None:
    """Set the newest of series as ``last_metrics`` shows them; a series that has points here keeps them.

    Args:
        tx: A writing transaction.
        owner: A task or model.
        series: ((metric hash, variant hash), what is shown of the series).
    """
    names = ("owner", "metric_hash", "variant_hash", *SHOWN, "total", "finite")
    kept = ", ".join(f"{name}=excluded.{name}" for name in names[3:])
    rows = []
    for path, shown in series:
        count, mean = shown.get("count") or 0, shown.get("mean_value")
        values = {**{name: shown.get(name) for name in SHOWN}, "count": count}
        finite = count if mean is not None else 0
        rows.append([owner, *path, *values.values(), (mean or 0.0) * count, finite])
    tx.many(
        f"INSERT INTO metric({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT(owner, metric_hash, variant_hash) DO UPDATE SET {kept}",
        rows,
    )


def unique_metrics(tx: Transaction, ids: Iterable[str]) -> dict[str, list[str]]:
    """``{id: []}``: the field exists in every task, and the real server leaves it empty."""
    return {id: [] for id in ids}


def count_points(tx: Transaction, ids: Iterable[str]) -> int:
    """How many points the series of these tasks and models have."""
    sql = "SELECT coalesce(sum(count), 0) FROM metric WHERE owner IN (SELECT value FROM json_each(?))"
    counted: int = tx.value(sql, (as_json(ids),))
    return counted


def delete_for(tx: Transaction, ids: Iterable[str]) -> None:
    """Remove every series of these tasks and models with all of its points; of many, the points go later."""
    global _generation
    _generation += 1
    whose = list(ids)
    owners = as_json(whose)
    series = "SELECT number FROM metric WHERE owner IN (SELECT value FROM json_each(?))"
    if count_points(tx, whose) > AT_ONCE and not all(id.startswith(GONE) for id in whose):
        # nobody finds them any more; ``clear_gone`` removes them, so that no other request waits for it
        tx.run(
            f"UPDATE metric SET owner='{GONE}' || number WHERE owner IN (SELECT value FROM json_each(?))",
            (owners,),
        )
        return
    tx.run(f"DELETE FROM scalar WHERE series IN ({series})", (owners,))
    tx.run("DELETE FROM metric WHERE owner IN (SELECT value FROM json_each(?))", (owners,))


def has_gone(tx: Transaction) -> bool:
    """Whether points are left of series that were removed."""
    return _gone(tx) is not None


def clear_gone(tx: Transaction) -> None:
    """Remove some of the points that are left of a series that was removed, and the series with the last of them."""
    number = _gone(tx)
    last = "SELECT iter FROM scalar WHERE series=? ORDER BY iter LIMIT 1 OFFSET ?"
    bound = None if number is None else tx.value(last, (number, AT_ONCE - 1))
    if bound is not None:
        tx.run("DELETE FROM scalar WHERE series=? AND iter<=?", (number, bound))
    elif number is not None:
        tx.run("DELETE FROM scalar WHERE series=?", (number,))
        tx.run("DELETE FROM metric WHERE number=?", (number,))


def _gone(tx: Transaction) -> int | None:
    # an owner of this form sorts before the character behind its colon
    number: int | None = tx.value(
        f"SELECT number FROM metric WHERE owner>='{GONE}' AND owner<'gone;' LIMIT 1"
    )
    return number


def generation() -> int:
    """A number that changes whenever this process removes series: what is remembered of them is worth nothing then."""
    return _generation
