"""What a document must meet to be found, as SQL.

Conditions speak of the row ``d``. Values and names are bound as parameters, never part of the SQL; what a request may
ask for is in ``listing.filters``, which hands over names that the collection has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from . import functions
from .documents import Collection, as_json
from .parameters import kept_of, number_of

#: Columns whose value may pick few rows through an index.
INDEXED = {
    "task": frozenset({"id", "project", "parent", "status", "name"}),
    "model": frozenset({"id", "project", "task", "uri"}),
    "project": frozenset({"id", "name", "parent"}),
    "queue": frozenset({"id", "name"}),
    "user": frozenset({"id"}),
}
#: Lists of embedded documents, by their path; where tasks name models, an index of its own tells which do.
LISTS = frozenset({("models", "input"), ("models", "output"), ("execution", "artifacts")})
MODELS = frozenset({("models", "input", "model"), ("models", "output", "model")})
#: The numbers kept of a scalar series.
METRIC_NUMBERS = frozenset(
    {"value", "min_value", "min_value_iteration", "max_value", "max_value_iteration", "first_value"}
    | {"first_value_iteration", "count", "mean_value"}
)

#: Those of them that an index has in order.
WALKED_NUMBERS = frozenset({"value", "min_value", "max_value"})

Keys = tuple[str, ...]
Parameters = list[Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """One SQL condition on the row ``d``."""

    sql: str
    parameters: Parameters = field(default_factory=list)
    #: The same condition, written so that no index is used for it; None: there is only one way.
    unindexed: str | None = None
    #: The column it compares, where an index answers it.
    column: str | None = None
    #: Whether it takes all of that index to answer: cheaper than all of the rows, dearer than a look-up.
    scans: bool = False
    #: Whether it allows a single value only.
    single: bool = False
    #: The same condition as an index answers it, where that is written otherwise.
    driving: Condition | None = None
    #: The JSON path of the parameter whose values must be kept for that (``parameters``).
    parameter: str | None = None

    def without_index(self) -> Condition:
        """The same condition, answered without an index."""
        return self if self.unindexed is None else Condition(self.unindexed, self.parameters)

    def never_null(self) -> Condition:
        """The same condition, false where it cannot be told."""
        return Condition(f"ifnull({self.sql}, 0)", self.parameters)


#: What every row, and what no row meets.
EVERYTHING, NOTHING = Condition("1"), Condition("0")


@dataclass(slots=True)
class Group:
    """Values a field is to have (any of them; all of them after " AND ") or not to have; None is an empty field."""

    joiner: Literal["", " AND ", " OR "]
    includes: list[Any] = field(default_factory=list)
    excludes: list[Any] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but alternatives."""
        return self.joiner != " AND " and not self.excludes and None not in self.includes


def any_of(conditions: Sequence[Condition]) -> Condition:
    """One of these; where there are none, everything."""
    return _together(conditions, " OR ")


def all_of(conditions: Sequence[Condition]) -> Condition:
    """All of these."""
    return _together(conditions, " AND ")


def _together(conditions: Sequence[Condition], joiner: str) -> Condition:
    if not conditions:
        return EVERYTHING
    return Condition(
        f"({joiner.join(c.sql for c in conditions)})", [p for c in conditions for p in c.parameters]
    )


def none_of(condition: Condition) -> Condition:
    """What does not meet a condition that is never NULL."""
    return Condition(f"NOT {condition.sql}", condition.parameters)


def marks(values: list[Any]) -> tuple[str, Parameters]:
    """What stands in the brackets of ``IN (...)``, and its parameters."""
    if len(values) <= 20:
        return ", ".join("?" * len(values)), values
    return "SELECT value FROM json_each(?)", [as_json(values)]


def extract(column: str, keys: Sequence[str]) -> tuple[str, Parameters]:
    """The SQL expression of the value at these names below a JSON column, and its parameters."""
    path = json_path(keys)
    if path is None:
        return f"member({column}, ?)", [orjson.dumps(list(keys)).decode()]
    return f"json_extract({column}, ?)", [path]


def json_path(keys: Sequence[str]) -> str | None:
    """SQLite's JSON path of these names; None where it has no way to write one of them."""
    if any('"' in key or "\\" in key or not key.isprintable() for key in keys):
        return None
    return "$" + "".join(f'."{key}"' for key in keys)


def _items(column: str, keys: Keys) -> tuple[str, str, Parameters]:
    """The items of a list of embedded documents (``LISTS``) as rows, and the value at the names inside each."""
    value, bound = extract(f"json_extract({column}, e.fullkey)", keys[2:])
    # an item that is no object has no fields
    value = f"CASE e.type WHEN 'object' THEN {value} END"
    return f"FROM json_each({column}, '$.{keys[1]}') e", value, bound


# Values


def has(collection: Collection, keys: Keys, group: Group) -> Condition:
    """The field at these names has the values asked for."""
    whole = len(keys) == 1 and collection.fields[keys[0]] == "choice"
    if whole and group.is_plain:
        inside, parameters = marks(group.includes)
        sql = f"d.{keys[0]} IN ({inside})"
        if keys[0] not in INDEXED[collection.name]:
            return Condition(sql, parameters)
        return Condition(sql, parameters, f"+{sql}", keys[0], single=len(group.includes) == 1)
    if collection.name == "task" and keys in MODELS and group.is_plain:
        inside, parameters = marks(group.includes)
        sql = f"d.id IN (SELECT task FROM task_model WHERE model IN ({inside}) AND kind = '{keys[1]}')"
        return Condition(sql, parameters, f"+{sql}", "models")
    held = holds(collection, keys, group)
    path = json_path(keys[1:]) if collection.name == "task" and keys[0] == "hyperparams" else None
    if path is None or not group.is_plain:
        return held
    sql = (
        "d.number IN (SELECT v.task FROM parameter p CROSS JOIN json_each(?) w CROSS JOIN parameter_value v "
        f"ON v.parameter = p.number AND v.number IS {number_of('w.value')} AND v.value = {kept_of('w.value')} "
        "WHERE p.path = ?)"
    )
    driving = Condition(sql, [as_json(group.includes), path])
    return replace(held, column="hyperparams", driving=driving, parameter=path)


def holds(collection: Collection, keys: Keys, group: Group) -> Condition:
    """As ``has``, without an index."""
    column = f"d.{keys[0]}"
    if len(keys) == 1 and collection.fields[keys[0]] == "texts":
        return _combined(group, lambda values: _in_texts(column, values))
    if keys[:2] in LISTS and len(keys) > 2:
        return _combined(group, lambda values: _in_items(column, keys, values))

    def one(values: list[Any]) -> Condition:
        expression, bound = (column, []) if len(keys) == 1 else extract(column, keys[1:])
        if not values:
            return Condition(f"(ifnull({expression}, '') IN ('', '[]', '{{}}'))", bound)
        inside, parameters = marks(values)
        return Condition(f"ifnull({expression} IN ({inside}), 0)", [*bound, *parameters])

    return _combined(group, one)


def _combined(group: Group, among: Callable[[list[Any]], Condition]) -> Condition:
    """A group's condition, given how having one of some values (of none: being empty) is written, never NULL."""
    includes = [v for v in group.includes if v is not None]
    excludes = [v for v in group.excludes if v is not None]
    parts: list[Condition] = []
    if group.joiner == " AND ":
        parts += [among([value]) for value in includes]
        if None in group.includes:
            parts.append(among([]))
    elif includes and None in group.includes:
        parts.append(any_of([among(includes), among([])]))
    elif group.includes:
        parts.append(among(includes))
    if group.joiner == " OR ":
        parts += [none_of(among([value])) for value in excludes]
    elif excludes:
        parts.append(none_of(among(excludes)))
    if None in group.excludes:
        parts.append(none_of(among([])))
    return _together(parts, group.joiner or " AND ")


def _in_texts(column: str, values: list[Any]) -> Condition:
    if not values:
        return Condition(f"(ifnull({column}, '[]') = '[]')")
    inside, parameters = marks(values)
    # most lists are empty, and that is seen without opening them
    some = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN ({inside}))"
    return Condition(f"(ifnull({column}, '[]') <> '[]' AND {some})", parameters)


def _in_items(column: str, keys: Keys, values: list[Any]) -> Condition:
    source, value, bound = _items(column, keys)
    if not values:
        return Condition(f"NOT EXISTS (SELECT 1 {source})")
    inside, parameters = marks(values)
    return Condition(f"EXISTS (SELECT 1 {source} WHERE {value} IN ({inside}))", [*bound, *parameters])


def tagged(tag: str) -> Condition:
    """Has a system tag."""
    return Condition(_tagged("d", tag))


def _tagged(row: str, tag: str) -> str:
    some = f"EXISTS (SELECT 1 FROM json_each({row}.system_tags) WHERE value = '{tag}')"
    return f"(ifnull({row}.system_tags, '[]') <> '[]' AND {some})"


_NOT_HIDDEN = none_of(tagged("hidden"))


def shown(asked: list[str]) -> Condition:
    """Is not tagged hidden, or is in one of these projects and that one is."""
    if not asked:
        return _NOT_HIDDEN
    inside, parameters = marks(asked)
    hidden = f"EXISTS (SELECT 1 FROM project p WHERE p.id IN ({inside}) AND {_tagged('p', 'hidden')})"
    return Condition(f"(NOT {_tagged('d', 'hidden')} OR {hidden})", parameters)


# Numbers and instants


def is_flag(name: str, value: bool) -> Condition:
    """A column is true, or false."""
    return Condition(f"d.{name} IS ?", [value])


def compares(name: str, operator: str, instant: int) -> Condition:
    """A column's instant (epoch milliseconds), compared by one of SQL's operators."""
    return Condition(f"d.{name} {operator} ?", [instant])


def within(name: str, bounds: Sequence[float | None]) -> list[Condition]:
    """A column is within two bounds, both inclusive, None is open; any other number of them are values it may have."""
    return _within(f"d.{name}", bounds)


def _within(column: str, bounds: Sequence[float | None]) -> list[Condition]:
    if len(bounds) != 2:
        inside, parameters = marks(list(bounds))
        return [Condition(f"{column} IN ({inside})", parameters)] if bounds else []
    limits = zip((f"{column} >= ?", f"{column} <= ?"), bounds)
    return [Condition(sql, [limit]) for sql, limit in limits if limit is not None]


def series(metric: str, variant: str, number: str, bounds: Sequence[float | None]) -> Condition:
    """There is a scalar series of these hashes with a number (``METRIC_NUMBERS``) as ``within`` says."""
    wanted = _within(f"m.{number}", bounds)
    same = "m.owner = d.id AND m.metric_hash = ? AND m.variant_hash = ?"
    bounded = "".join(f" AND {c.sql}" for c in wanted)
    parameters = [metric, variant, *(p for c in wanted for p in c.parameters)]
    sql = f"EXISTS (SELECT 1 FROM metric m WHERE {same}{bounded})"
    if number not in WALKED_NUMBERS or not wanted:
        return Condition(sql, parameters)
    owners = f"SELECT m.owner FROM metric m WHERE m.metric_hash = ? AND m.variant_hash = ?{bounded}"
    return Condition(sql, parameters, column="series", driving=Condition(f"d.id IN ({owners})", parameters))


# Texts


def matches(collection: Collection, keys: Keys, pattern: str) -> Condition:
    """The field's text contains a regular expression; of a list, one of its texts.

    Raises:
        BadPattern: It is malformed, too long, or cannot run in linear time.
    """
    column = f"d.{keys[0]}"
    if len(keys) == 1 and collection.fields[keys[0]] == "texts":
        sql, parameters = matching("value", pattern)
        some = f"SELECT 1 FROM json_each({column}) WHERE typeof(value) = 'text' AND {sql}"
        return Condition(f"EXISTS ({some})", parameters)
    if keys[:2] in LISTS and len(keys) > 2:
        source, inner, bound = _items(column, keys)
        sql, parameters = matching("v", pattern)
        rows = f"SELECT {inner} AS v {source}"
        some = f"SELECT 1 FROM ({rows}) WHERE typeof(v) = 'text' AND {sql}"
        return Condition(f"EXISTS ({some})", [*bound, *parameters])
    if len(keys) == 1:
        sql, parameters = matching(column, pattern)
        return Condition(sql, parameters)
    inner, bound = extract(column, keys[1:])
    sql, parameters = matching("v", pattern)
    text = f"CASE typeof(v) WHEN 'text' THEN {sql} ELSE 0 END"
    return Condition(f"(SELECT {text} FROM (SELECT {inner} AS v))", [*parameters, *bound])


def matches_name(collection: Collection, name: str, pattern: str) -> Condition:
    """As ``matches``, of one column, by its index where it has one.

    Raises:
        BadPattern: As ``matches``.
    """
    column = f"d.{name}"
    sql, parameters = matching(column, pattern)
    if name not in INDEXED[collection.name] or pattern in ("", ".*"):
        return Condition(sql, parameters)
    literals = functions.literals(pattern)
    scans = literals is None or not all(p.from_start and p.text for p in literals)
    return Condition(sql, parameters, sql.replace(column, f"+{column}"), name, scans)


def matching(column: str, pattern: str) -> tuple[str, Parameters]:
    """The SQL of "this expression's text contains the pattern", and its parameters.

    Raises:
        BadPattern: As ``matches``.
    """
    plain = functions.literals(functions.checked(pattern))
    if plain is None:
        functions.compiled(pattern)
        needed = functions.needed(pattern)
        if not needed:
            return f"{column} REGEXP ?", [pattern]
        # most texts are told apart without calling back into Python
        there = " AND ".join([f"instr({column}, ?) > 0"] * len(needed))
        return f"CASE WHEN {there} THEN {column} REGEXP ? ELSE 0 END", [*needed, pattern]
    if all(p.from_start and p.to_end for p in plain):
        return f"{column} IN ({', '.join('?' * len(plain))})", [p.text for p in plain]
    found = [_literal(column, literal) for literal in plain]
    parts = [sql for sql, _ in found]
    parameters = [p for _, bound in found for p in bound]
    return (parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"), parameters


def _literal(column: str, literal: functions.Literal) -> tuple[str, Parameters]:
    text = literal.text
    if literal.from_start and literal.to_end:
        return f"{column} = ?", [text]
    if not text:
        return f"{column} IS NOT NULL", []
    # as bytes: of a text SQLite's functions see what stands before its first U+0000 only
    data = text.encode()
    if literal.to_end:
        return f"substr(CAST({column} AS BLOB), -{len(data)}) = ?", [data]
    if not literal.from_start:
        return f"instr({column}, ?) > 0", [text]
    after = functions.after(text)  # a prefix as a range, which an index can answer
    if after is None:
        return f"substr(CAST({column} AS BLOB), 1, {len(data)}) = ?", [data]
    return f"({column} >= ? AND {column} < ?)", [text, after]


def _contains(column: str, text: str) -> Condition:
    if not text.isascii():
        pattern = f"(?i){re.escape(text)}"
        functions.compiled(pattern)
        return Condition(f"ifnull({column} REGEXP ?, 0)", [pattern])
    # lower and LIKE know the case of ASCII only; LIKE is quicker, and ends at U+0000
    whole = f"instr(lower({column}), ?) > 0"
    if "\0" in text:
        return Condition(f"ifnull({whole}, 0)", [text.lower()])
    like = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    return Condition(
        f"CASE WHEN {column} LIKE ? ESCAPE '\\' THEN 1 WHEN instr({column}, char(0)) THEN {whole} ELSE 0 END",
        [like, text.lower()],
    )


def contains(collection: Collection, names: Iterable[str], texts: Iterable[str]) -> Condition:
    """The text of one of these columns contains one of these, whatever the case.

    Raises:
        BadPattern: A text that is not all ASCII is too long.
    """
    wanted = list(texts)

    def one(row: str, name: str) -> Condition:
        return any_of([_contains(f"{row}.{name}", text) for text in wanted])

    found = any_of([one("d", name) for name in names])
    if collection.name != "task":
        return found
    told = "t INDEXED BY task_told WHERE (ifnull(t.comment, '') <> '' OR ifnull(t.report, '') <> '')"
    parts = [
        ("t WHERE 1", [one("t", "name")]),
        ("t WHERE 1", [one("t", "id")]),
        (told, [one("t", "comment"), one("t", "report")]),
    ]
    selects = [(f"SELECT t.number FROM task {rows} AND", any_of(conditions)) for rows, conditions in parts]
    sql = " UNION ALL ".join(f"{select} {condition.sql}" for select, condition in selects)
    driving = Condition(f"d.number IN ({sql})", [p for _, condition in selects for p in condition.parameters])
    return replace(found, column="words", scans=True, driving=driving)


# Projects


def at_root() -> Condition:
    """A project has no parent."""
    return Condition("d.parent IS NULL")


def below(group: Group, shallow: bool) -> Condition:
    """A project is below these (shallow: right below)."""

    def among(values: list[Any]) -> Condition:
        if not values:
            return Condition("(d.parent IS NULL)")
        inside, parameters = marks(values)
        if shallow:
            return Condition(f"ifnull(d.parent IN ({inside}), 0)", parameters)
        started = f"SELECT id FROM project WHERE parent IN ({inside})"
        return Condition(f"d.id IN ({_and_below(started)})", parameters)

    return _combined(group, among)


def inside(name: str, group: Group) -> Condition:
    """The project that a column names is one of these or below one."""

    def among(values: list[Any]) -> Condition:
        if not values:
            return Condition(f"(d.{name} IS NULL)")
        listed, parameters = marks(values)
        started = f"SELECT id FROM project WHERE id IN ({listed})"
        return Condition(f"d.{name} IN ({_and_below(started)})", parameters)

    if group.is_plain:
        found = among(group.includes)
        return Condition(found.sql, found.parameters, f"+{found.sql}", "project")
    return _combined(group, lambda values: among(values).never_null())


def _and_below(start: str) -> str:
    """The ids of the projects that start selects and of all below them."""
    step = "SELECT p.id FROM project p JOIN below ON p.parent = below.id"
    return f"WITH RECURSIVE below(id) AS ({start} UNION {step}) SELECT id FROM below"


def owned() -> Condition:
    """Belongs to the company: nobody made it public."""
    return Condition("d.company <> ''")


def in_projects(ids: Iterable[str], column: str = "project") -> Condition:
    """A column names one of these projects."""
    return Condition(f"d.{column} IN (SELECT value FROM json_each(?))", [as_json(ids)])


def clause(wanted: Iterable[Condition]) -> tuple[str, Parameters]:
    """What stands behind WHERE for all of these conditions, and its parameters."""
    parts, parameters = [], []
    for condition in wanted:
        parts.append(condition.sql)
        parameters += condition.parameters
    return " AND ".join(parts) or "1", parameters
