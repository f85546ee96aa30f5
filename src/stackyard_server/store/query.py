"""What a question for documents means in SQL: its order, and what drives the search.

``Query`` touches what is asked for, not what is stored. Where a condition picks few rows through an index (a project,
some ids), those rows are taken and sorted; otherwise the index of the order is walked and each row checked until the
page is full. A sort by a metric walks the series' values in order and then the documents that do not have it. Only row
numbers are found here first; the columns that were asked for are read for those alone. Its
conditions are in ``condition``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import Transaction, parameters
from .condition import Condition, Keys, Parameters, clause, extract, json_path
from .documents import Collection, Document, as_json, weight

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


# --- order ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order. Documents without it come last, whatever the direction."""

    sql: str
    descending: bool
    parameters: Parameters = field(default_factory=list)
    #: The column, where it is one.
    column: str | None = None
    #: (metric hash, variant hash, number), where it is one number of a scalar series.
    series: tuple[str, str, str] | None = None
    #: The JSON path, where it is a parameter of a task.
    parameter: str | None = None

    def term(self) -> str:
        """The ORDER BY term."""
        return f"{self.sql} {'DESC' if self.descending else 'ASC'} NULLS LAST"


def by_column(name: str, descending: bool) -> Key:
    """By a column."""
    return Key(f"d.{name}", descending, column=name)


def by_series(metric: str, variant: str, number: str, descending: bool) -> Key:
    """By one number (``METRIC_NUMBERS``) of a scalar series."""
    return Key("", descending, series=(metric, variant, number))


def by_reference(name: str, target: Collection, field: str, descending: bool) -> Key:
    """By a column of the document that a column names."""
    return Key(f'(SELECT r.{field} FROM "{target.name}" r WHERE r.id = d.{name})', descending)


def by_value(keys: Keys, descending: bool) -> Key:
    """By what lies below a JSON column. Values that start with a number sort as numbers, before all other text."""
    value, bound = extract(f"d.{keys[0]}", keys[1:])
    direction = "DESC" if descending else "ASC"
    sql = f"(SELECT {parameters.number_of('v')} FROM (SELECT {value} AS v))"
    path = json_path(keys[1:]) if keys[0] == "hyperparams" else None
    return Key(f"{sql} {direction} NULLS LAST, {value}", descending, [*bound, *bound], parameter=path)


@dataclass(frozen=True, slots=True)
class Walk:
    """A table that has the documents in an order: rows ``s`` of it, each with one document."""

    #: Table and the way to the document ``d``.
    source: str
    where: str
    parameters: Parameters
    keys: tuple[Key, ...]


def _walks(tx: Transaction, collection: Collection, first: Key) -> tuple[list[Walk], Condition] | None:
    """The tables to walk one after the other for a key of an order, and what is true of documents in none of them."""
    name = collection.name
    if first.series is not None:
        metric, variant, number = first.series
        seen = "INDEXED BY task_seen" if name == "task" else ""
        walk = Walk(
            f'metric s CROSS JOIN "{name}" d {seen} ON d.id = s.owner',
            f"s.metric_hash = ? AND s.variant_hash = ? AND s.{number} IS NOT NULL",
            [metric, variant],
            (Key(f"s.{number}", first.descending),),
        )
        missing = Condition(
            "NOT EXISTS (SELECT 1 FROM metric m WHERE m.owner = d.id AND m.metric_hash = ? AND m.variant_hash = ? "
            f"AND m.{number} IS NOT NULL)",
            [metric, variant],
        )
        return [walk], missing
    if first.parameter is None or (kept := parameters.find(tx, first.parameter)) is None:
        return None
    source = "parameter_value s CROSS JOIN task d ON d.number = s.task"
    number_key, value_key = (Key(f"s.{one}", first.descending) for one in ("number", "value"))
    # of texts that begin alike no more is kept
    longer = (
        f"CASE WHEN length(s.value) >= {parameters.KEPT_CHARACTERS} THEN json_extract(d.hyperparams, ?) END"
    )
    rest_key = Key(longer, first.descending, [first.parameter])
    number_there, text_there = "s.number IS NOT NULL", "s.number IS NULL AND s.value IS NOT NULL"
    walks = [
        Walk(source, f"s.parameter = ? AND {number_there}", [kept], (number_key, value_key, rest_key)),
        Walk(source, f"s.parameter = ? AND {text_there}", [kept], (value_key, rest_key)),
    ]
    there = "m.parameter = ? AND m.task = d.number AND m.value IS NOT NULL"
    missing = Condition(f"NOT EXISTS (SELECT 1 FROM parameter_value m WHERE {there})", [kept])
    return walks, missing


# --- search -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Query:
    """What to find, in which order."""

    collection: Collection
    conditions: list[Condition]
    order: list[Key] = field(default_factory=list)

    def count(self, tx: Transaction) -> int:
        """How many documents there are."""
        where, parameters = clause(self.conditions)
        found: int = tx.value(f'SELECT count(*) FROM "{self.collection.name}" d WHERE {where}', parameters)
        return found

    def texts(self, tx: Transaction, name: str) -> set[str]:
        """Every text in a list column of the documents found."""
        where, parameters = clause(self.conditions)
        # few different lists are kept: each is opened once
        lists = f'SELECT DISTINCT d.{name} AS texts FROM "{self.collection.name}" d WHERE {where}'
        sql = f"SELECT DISTINCT value FROM ({lists}), json_each(texts)"
        return {row[0] for row in tx.all(sql, parameters) if isinstance(row[0], str)}

    def numbers(self, tx: Transaction, limit: int, offset: int = 0) -> list[int]:
        """The row numbers of one page, in order."""
        few = self._few(tx)
        if few is not None:
            among = Condition("d.number IN (SELECT value FROM json_each(?))", [as_json(sorted(few))])
            rest = [c.without_index() for c in self.conditions]
            return self._select(tx, [among, *rest], self.order, limit, offset) if few else []
        found = _walks(tx, self.collection, self.order[0]) if self.order else None
        if found is not None:
            return self._walk(tx, *found, limit, offset)
        return self._select(tx, self._along_the_order(self.order), self.order, limit, offset)

    def _few(self, tx: Transaction) -> set[int] | None:
        """The rows that the conditions an index answers leave over, if they are few."""
        found: set[int] | None = None
        for condition in sorted(self.conditions, key=lambda c: c.scans):
            if condition.column is None or (condition.scans and found is not None):
                continue
            driving = self._driving(tx, condition)
            if driving is None:
                continue
            most = -1 if condition.column == "id" else FEW + 1
            sql = f'SELECT d.number FROM "{self.collection.name}" d WHERE {driving.sql} LIMIT ?'
            numbers = {row[0] for row in tx.all(sql, [*driving.parameters, most])}
            if len(numbers) <= FEW or most < 0:
                found = numbers if found is None else found & numbers
        return found

    def _driving(self, tx: Transaction, condition: Condition) -> Condition | None:
        """A condition as an index answers it; None where none does now."""
        if condition.parameter is None:
            return condition.driving or condition
        kept = parameters.find(tx, condition.parameter)
        return None if kept is None else condition.driving

    def _along_the_order(self, order: list[Key]) -> list[Condition]:
        """The conditions, written so that SQLite walks the index of the order."""
        first = order[0].column if order else "number"
        if first != "number" and first not in ORDERED[self.collection.name]:
            return self.conditions
        together = PAIRED.get(self.collection.name, frozenset()) if first == "last_update" else frozenset()
        wanted = [c for c in self.conditions if c.single and c.column in together][:1]
        return [*wanted, *(c.without_index() for c in self.conditions if c not in wanted)]

    def _select(
        self, tx: Transaction, wanted: list[Condition], order: list[Key], limit: int, offset: int
    ) -> list[int]:
        joins, join_bound, keys = _joined(order)
        where, bound = clause(wanted)
        sql = (
            f'SELECT d.number FROM "{self.collection.name}" d {joins} WHERE {where} '
            f"{_order_by(keys, self._newest_first)} LIMIT ? OFFSET ?"
        )
        return [row[0] for row in tx.all(sql, [*join_bound, *bound, *_bound(keys), limit, offset])]

    @property
    def _newest_first(self) -> bool:
        """Ties are in the order in which documents were made, its reverse after a descending key: an index's order."""
        return bool(self.order) and self.order[-1].descending

    def _walk(
        self, tx: Transaction, walks: list[Walk], missing: Condition, limit: int, offset: int
    ) -> list[int]:
        """Along tables that have the order, then the documents that are in none of them."""
        joins, join_bound, rest = _joined(self.order[1:])
        where, bound = clause([c.without_index() for c in self.conditions])
        found: list[int] = []
        for walk in walks:
            source = f"FROM {walk.source} {joins} WHERE {walk.where} AND {where}"
            among = [*join_bound, *walk.parameters, *bound]
            keys = [*walk.keys, *rest]
            sql = f"SELECT d.number {source} {_order_by(keys, self._newest_first)} LIMIT ? OFFSET ?"
            part = [row[0] for row in tx.all(sql, [*among, *_bound(keys), limit - len(found), offset])]
            found += part
            if len(found) == limit:
                return found
            if part or not offset:
                offset = 0
            else:
                offset -= tx.value(f"SELECT count(*) {source}", among)
        others = [missing, *self._along_the_order(self.order[1:])]
        return found + self._select(tx, others, self.order[1:], limit - len(found), offset)

    def fetch(self, tx: Transaction, numbers: Sequence[int], fields: Iterable[str]) -> list[Document]:
        """The documents of these row numbers, in that order, with these columns (and the id)."""
        names = [n for n in dict.fromkeys(["id", *fields]) if n in self.collection.fields]
        among = "number IN (SELECT value FROM json_each(?))"
        sql = f'SELECT number, {", ".join(names)} FROM "{self.collection.name}" WHERE {among}'
        rows = tx.weighed(sql, (as_json(numbers),), weight)
        by_number = {row[0]: self.collection.read(names, row[1:]) for row in rows}
        return [by_number[n] for n in numbers if n in by_number]


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


def _bound(keys: list[Key]) -> Parameters:
    return [parameter for key in keys for parameter in key.parameters]


def _order_by(keys: list[Key], newest_first: bool) -> str:
    terms = [*(key.term() for key in keys), f"d.number {'DESC' if newest_first else 'ASC'}"]
    return f"ORDER BY {', '.join(terms)}"
