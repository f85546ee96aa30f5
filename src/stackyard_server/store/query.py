"""Finding documents: conditions, order and paging as SQL that touches what is asked for, not what is stored.

``Query`` decides what drives the search. Where a condition picks few rows through an index (a project, some ids), those
rows are taken and sorted; otherwise the index of the order is walked and each row checked until the page is full. A
sort by a metric walks the series' values in order and then the documents that do not have it. Only row numbers are
found here first; the columns that were asked for are read for those alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import Transaction
from .conditions import Condition, bounded, lookup_error, visible, wrong_type
from .documents import Collection, Document, as_json
from .filters import conditions
from .paths import extract, keys_of
from .spans import METRIC_NUMBERS

#: Conditions that an index answers with at most this many rows drive the search; above it, the order does.
FEW = 1000
#: Columns with an index of their own, or (project, status) together with one value of that column.
ORDERED = {
    "task": frozenset({"last_update", "created", "started", "name"}),
    "model": frozenset({"last_update", "created"}),
    "project": frozenset({"name"}),
    "queue": frozenset({"name"}),
    "user": frozenset[str](),
}
PAIRED = {"task": frozenset({"project", "status"}), "model": frozenset({"project"})}
#: More keys than these of an order are not looked at.
MOST_KEYS = 8


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order. Documents without it come last, whatever the direction."""

    sql: str
    descending: bool
    parameters: list[Any] = field(default_factory=list)
    #: The column, where it is one.
    column: str | None = None
    #: (metric hash, variant hash, number), where it is one number of a scalar series.
    series: tuple[str, str, str] | None = None

    def term(self) -> str:
        """The ORDER BY term."""
        return f"{self.sql} {'DESC' if self.descending else 'ASC'} NULLS LAST"


def order_keys(collection: Collection, wanted: Any, references: Mapping[str, Collection | None]) -> list[Key]:
    """The keys of ``order_by``.

    Args:
        collection: What is listed.
        wanted: The request's value: names, "-" in front for descending.
        references: Where a dotted name leads into another document, by field.

    Raises:
        ApiError: 400/12 or 400/14.
    """
    if wanted is None:
        return []
    if not isinstance(wanted, (str, list)):
        raise wrong_type("order_by", wanted, "list")
    keys = []
    for name in ([wanted] if isinstance(wanted, str) else wanted)[:MOST_KEYS]:
        if not isinstance(name, str):
            raise wrong_type("order_by", name, "str")
        if name.lstrip("-") != "@text_score":
            keys.append(_key(collection, name.removeprefix("-"), name.startswith("-"), references))
    return keys


def _key(
    collection: Collection, name: str, descending: bool, references: Mapping[str, Collection | None]
) -> Key:
    keys = keys_of(bounded(name))
    root = keys[0]
    if not visible(collection, root):
        raise lookup_error(root)
    if root == "last_metrics":
        if len(keys) != 4 or keys[3] not in METRIC_NUMBERS:
            raise lookup_error(keys[-1])
        return Key("", descending, series=(keys[1], keys[2], keys[3]))
    if root not in collection.fields:
        raise lookup_error(root)
    if len(keys) == 1:
        return Key(f"d.{root}", descending, column=root)
    if collection.fields[root] == "object":
        value, parameters = extract(f"d.{root}", keys[1:])
        return Key(*_collated(value, parameters, descending))
    target = references.get(root)
    if target is None or len(keys) > 2 or not visible(target, keys[1]) or keys[1] not in target.fields:
        raise lookup_error(keys[1])
    return Key(f'(SELECT r.{keys[1]} FROM "{target.name}" r WHERE r.id = d.{root})', descending)


def _collated(value: str, parameters: list[Any], descending: bool) -> tuple[str, bool, list[Any]]:
    """Values that start with a number sort as numbers, before all other text."""
    direction = "DESC" if descending else "ASC"
    number = (
        "typeof(v) IN ('integer', 'real') OR v GLOB '[0-9]*' OR v GLOB '[-+.][0-9]*' OR v GLOB '-.[0-9]*'"
    )
    sql = f"(SELECT CASE WHEN {number} THEN CAST(v AS REAL) END FROM (SELECT {value} AS v))"
    return f"{sql} {direction} NULLS LAST, {value}", descending, [*parameters, *parameters]


@dataclass(slots=True)
class Query:
    """What to find, in which order."""

    collection: Collection
    conditions: list[Condition]
    order: list[Key] = field(default_factory=list)

    def count(self, tx: Transaction) -> int:
        """How many documents there are."""
        where, parameters = _where(self.conditions)
        found: int = tx.value(f'SELECT count(*) FROM "{self.collection.name}" d WHERE {where}', parameters)
        return found

    def texts(self, tx: Transaction, name: str) -> set[str]:
        """Every text in a list column of the documents found."""
        where, parameters = _where(self.conditions)
        # few different lists are kept: each is opened once
        lists = f'SELECT DISTINCT d.{name} AS texts FROM "{self.collection.name}" d WHERE {where}'
        sql = f"SELECT DISTINCT value FROM ({lists}), json_each(texts)"
        return {row[0] for row in tx.all(sql, parameters) if isinstance(row[0], str)}

    def numbers(self, tx: Transaction, limit: int, offset: int = 0) -> list[int]:
        """The row numbers of one page, in order."""
        few = self._few(tx)
        if few is not None:
            among = Condition("d.number IN (SELECT value FROM json_each(?))", [as_json(sorted(few))])
            rest = [_unindexed(c) for c in self.conditions]
            return self._select(tx, [among, *rest], self.order, limit, offset) if few else []
        if self.order and self.order[0].series is not None:
            return self._walk_series(tx, self.order[0], limit, offset)
        return self._select(tx, self._along_the_order(self.order), self.order, limit, offset)

    def _few(self, tx: Transaction) -> set[int] | None:
        """The rows that the conditions an index answers leave over, if they are few."""
        found: set[int] | None = None
        for condition in sorted(self.conditions, key=lambda c: c.scans):
            if condition.column is None or (condition.scans and found is not None):
                continue
            most = -1 if condition.column == "id" else FEW + 1
            sql = f'SELECT d.number FROM "{self.collection.name}" d WHERE {condition.sql} LIMIT ?'
            numbers = {row[0] for row in tx.all(sql, [*condition.parameters, most])}
            if len(numbers) <= FEW or most < 0:
                found = numbers if found is None else found & numbers
        return found

    def _along_the_order(self, order: list[Key]) -> list[Condition]:
        """The conditions, written so that SQLite walks the index of the order."""
        first = order[0].column if order else "number"
        if first != "number" and first not in ORDERED[self.collection.name]:
            return self.conditions
        together = PAIRED.get(self.collection.name, frozenset()) if first == "last_update" else frozenset()
        wanted = [c for c in self.conditions if c.single and c.column in together][:1]
        return [*wanted, *(_unindexed(c) for c in self.conditions if c not in wanted)]

    def _select(
        self, tx: Transaction, wanted: list[Condition], order: list[Key], limit: int, offset: int
    ) -> list[int]:
        joins, join_bound, keys = _joined(order)
        where, bound = _where(wanted)
        sql = (
            f'SELECT d.number FROM "{self.collection.name}" d {joins} WHERE {where} '
            f"{_order_by(keys, self._newest_first)} LIMIT ? OFFSET ?"
        )
        return [row[0] for row in tx.all(sql, [*join_bound, *bound, *_bound(keys), limit, offset])]

    @property
    def _newest_first(self) -> bool:
        """Ties are in the order in which documents were made, its reverse after a descending key: an index's order."""
        return bool(self.order) and self.order[-1].descending

    def _walk_series(self, tx: Transaction, first: Key, limit: int, offset: int) -> list[int]:
        """Along the values of a series, then the documents without it."""
        assert first.series is not None
        metric, variant, number = first.series
        joins, join_bound, rest = _joined(self.order[1:])
        where, bound = _where([_unindexed(c) for c in self.conditions])
        bound = [*join_bound, metric, variant, *bound]
        source = (
            f'FROM metric s CROSS JOIN "{self.collection.name}" d ON d.id = s.owner {joins} '
            f"WHERE s.metric_hash = ? AND s.variant_hash = ? AND s.{number} IS NOT NULL AND {where}"
        )
        keys = [Key(f"s.{number}", first.descending), *rest]
        sql = f"SELECT d.number {source} {_order_by(keys, self._newest_first)} LIMIT ? OFFSET ?"
        found = [row[0] for row in tx.all(sql, [*bound, *_bound(keys), limit, offset])]
        if len(found) == limit:
            return found
        before = offset + len(found)
        if not found and offset:
            before = tx.value(f"SELECT count(*) {source}", bound)
        missing = Condition(
            "NOT EXISTS (SELECT 1 FROM metric m WHERE m.owner = d.id AND m.metric_hash = ? AND m.variant_hash = ? "
            f"AND m.{number} IS NOT NULL)",
            [metric, variant],
        )
        others = [missing, *self._along_the_order(self.order[1:])]
        return found + self._select(tx, others, self.order[1:], limit - len(found), max(0, offset - before))

    def fetch(self, tx: Transaction, numbers: Sequence[int], fields: Iterable[str]) -> list[Document]:
        """The documents of these row numbers, in that order, with these columns (and the id)."""
        names = [n for n in dict.fromkeys(["id", *fields]) if n in self.collection.fields]
        among = "number IN (SELECT value FROM json_each(?))"
        sql = f'SELECT number, {", ".join(names)} FROM "{self.collection.name}" WHERE {among}'
        rows = tx.all(sql, (as_json(numbers),))
        by_number = {row[0]: self.collection.read(names, row[1:]) for row in rows}
        return [by_number[n] for n in numbers if n in by_number]


def query(
    collection: Collection,
    data: Mapping[str, Any],
    references: Mapping[str, Collection | None],
    where: str = "",
    parameters: Sequence[Any] = (),
) -> Query:
    """The query a ``get_all`` request stands for.

    Args:
        collection: What is listed.
        data: The request's fields.
        references: Where dotted names of the order may lead.
        where: A further SQL condition on the row ``d``.
        parameters: Its parameters.

    Raises:
        ApiError: 400/12, 400/14 or 400/21.
    """
    wanted = conditions(collection, data)
    if where:
        wanted.append(Condition(f"({where})", list(parameters)))
    return Query(collection, wanted, order_keys(collection, data.get("order_by"), references))


def _unindexed(condition: Condition) -> Condition:
    if condition.unindexed is None:
        return condition
    return Condition(condition.unindexed, condition.parameters)


def _where(wanted: Iterable[Condition]) -> tuple[str, list[Any]]:
    parts, parameters = [], []
    for condition in wanted:
        parts.append(condition.sql)
        parameters += condition.parameters
    return " AND ".join(parts) or "1", parameters


def _joined(order: list[Key]) -> tuple[str, list[Any], list[Key]]:
    """The joins that bring the series of an order, their parameters, and the keys that use them."""
    joins: list[str] = []
    bound: list[Any] = []
    keys = []
    for at, key in enumerate(order):
        if key.series is None:
            keys.append(key)
            continue
        metric, variant, number = key.series
        same = f"m{at}.owner = d.id AND m{at}.metric_hash = ? AND m{at}.variant_hash = ?"
        joins.append(f"LEFT JOIN metric m{at} ON {same}")
        bound += [metric, variant]
        keys.append(Key(f"m{at}.{number}", key.descending))
    return " ".join(joins), bound, keys


def _bound(keys: list[Key]) -> list[Any]:
    return [parameter for key in keys for parameter in key.parameters]


def _order_by(keys: list[Key], newest_first: bool) -> str:
    terms = [*(key.term() for key in keys), f"d.number {'DESC' if newest_first else 'ASC'}"]
    return f"ORDER BY {', '.join(terms)}"
