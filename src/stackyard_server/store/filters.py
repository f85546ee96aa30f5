"""ClearML's filters as SQL conditions: from the fields of a ``get_all`` request to text and parameters. Pure.

What clients may say: a pattern for texts, lists with ``-x``, null and the ``__$`` operators for everything matched
whole, pairs for ranges, ``>=``-like comparisons for instants, ``_any_`` / ``_all_`` over several fields, ``filters``,
``search_text``. Keys nobody knows are ignored: that is what clients are used to. Values and names never become SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from .. import moments
from ..error_table import error, field_error
from . import patterns
from .documents import Collection
from .paths import LISTS, Keys, extract, keys_of

#: Columns whose value may pick few rows through an index.
INDEXED = {
    "task": frozenset({"id", "project", "parent", "status", "name"}),
    "model": frozenset({"id", "project", "task", "uri"}),
    "project": frozenset({"id", "name", "parent"}),
    "queue": frozenset({"id", "name"}),
    "user": frozenset({"id"}),
}
#: Asked for as [from, to]; the other instants take comparisons.
RANGES = frozenset({"created", "started", "active_duration", "last_iteration"})
#: What search_text looks through.
SEARCHED = {
    "task": ("id", "name", "comment", "report"),
    "model": ("id", "name", "comment", "uri", "framework"),
    "project": ("id", "name", "description"),
    "queue": ("id", "name", "display_name"),
    "user": ("id", "name"),
}
#: Collections whose members can be hidden by a system tag.
HIDEABLE = frozenset({"task", "project", "queue"})
METRIC_NUMBERS = frozenset(
    {"value", "min_value", "min_value_iteration", "max_value", "max_value_iteration", "first_value"}
    | {"first_value_iteration", "count", "mean_value"}
)
COMPARISON = re.compile(r"^\s*(>=|<=|==|>|<|=)?\s*(.*?)\s*$", re.DOTALL)
#: More words than these of a search are not looked for.
MOST_WORDS = 20
NOTHING = "0"


@dataclass(frozen=True, slots=True)
class Condition:
    """One SQL condition on the row ``d``."""

    sql: str
    parameters: list[Any] = field(default_factory=list)
    #: The same condition, written so that no index is used for it; None: there is only one way.
    unindexed: str | None = None
    #: The column it compares, where an index answers it.
    column: str | None = None
    #: Whether it takes all of that index to answer: cheaper than all of the rows, dearer than a look-up.
    scans: bool = False
    #: Whether it allows a single value only.
    single: bool = False


def visible(collection: Collection, name: str) -> bool:
    """Whether a field may be asked for, filtered by and sorted by."""
    return (name in collection.fields and name not in collection.private) or name in collection.virtual


def lookup_error(name: str) -> Exception:
    """400/14: a field that is not there."""
    return error("lookup", err=f'Cannot resolve field "{name}"')


def conditions(collection: Collection, data: Mapping[str, Any]) -> list[Condition]:
    """Every condition a request's fields make.

    Raises:
        ApiError: 400/12 a value of a wrong type; 400/14 an unknown field of ``_any_``; 400/21 a bad pattern.
    """
    found: list[Condition] = []
    for key, value in data.items():
        if value is None:
            continue
        if key in ("_any_", "_or_"):
            found.append(_several(collection, key, value, " OR "))
        elif key in ("_all_", "_and_"):
            found.append(_several(collection, key, value, " AND "))
        elif key == "filters":
            found += _nested_filters(collection, value)
        elif key == "search_text":
            found += _search(collection, value)
        elif visible(collection, key.partition(".")[0]):
            found += _field(collection, key, value, data)
    found += _hidden(collection, data)
    if collection.name == "project" and data.get("shallow_search") and not data.get("parent"):
        found.append(Condition("d.parent IS NULL"))
    return found


def _field(collection: Collection, key: str, value: Any, data: Mapping[str, Any]) -> list[Condition]:
    keys = keys_of(key)
    if keys[0] == "last_metrics":
        return _metric(keys, value)
    kind = collection.fields.get(keys[0])
    if kind is None or (len(keys) > 1) != (kind == "object"):
        return []
    column = f"d.{keys[0]}"
    if kind == "text":
        if not isinstance(value, str):
            raise wrong_type(key, value, "str")
        sql, parameters = patterns.condition(column, value)
        if keys[0] not in INDEXED[collection.name] or value in ("", ".*"):
            return [Condition(sql, list(parameters))]
        plain = patterns.literals(value)
        scans = plain is None or not all(p.from_start and p.text for p in plain)
        return [Condition(sql, list(parameters), sql.replace(column, f"+{column}"), keys[0], scans)]
    if kind == "flag":
        if not isinstance(value, bool):
            raise wrong_type(key, value, "bool")
        return [Condition(f"{column} IS ?", [value])]
    if kind in ("date", "number"):
        if keys[0] in RANGES:
            return _range(column, value, kind == "date")
        return [_comparisons(column, key, value)] if kind == "date" else _range(column, value, False)
    if keys == ("parent",) and collection.name == "project":
        return _below(value, bool(data.get("shallow_search")))
    if keys == ("project",) and data.get("include_subprojects"):
        return _with_children(column, key, value)
    return _list(collection, keys, key, value)


# --- lists -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Group:
    """Values under one operator."""

    joiner: str
    includes: list[Any] = field(default_factory=list)
    excludes: list[Any] = field(default_factory=list)


def grouped(key: str, value: Any) -> list[Group]:
    """A list with its operators as groups, all of which must hold.

    Without an operator the values are alternatives and the exclusions (``-x``, or ``__$not`` before a value) all hold;
    ``__$all``/``__$and`` and ``__$any``/``__$or`` apply to what follows, up to the next one or ``__$nop``.

    Raises:
        ApiError: 400/12.
    """
    if not isinstance(value, list):
        value = [value]
    groups = [Group("")]
    negated = False
    for item in value:
        if isinstance(item, (dict, list)):
            raise wrong_type(key, item, "str")
        if isinstance(item, str) and item.startswith("__$"):
            if item in ("__$all", "__$and"):
                groups.append(Group(" AND "))
            elif item in ("__$any", "__$or"):
                groups.append(Group(" OR "))
            elif item == "__$nop":
                groups.append(Group(""))
            negated = item == "__$not"
        elif negated:
            groups[-1].excludes.append(item)
            negated = False
        elif isinstance(item, str) and len(item) > 1 and item[0] == "-":
            groups[-1].excludes.append(item[1:])
        else:
            groups[-1].includes.append(item)
    return [g for g in groups if g.includes or g.excludes]


def _list(collection: Collection, keys: Keys, key: str, value: Any) -> list[Condition]:
    found = []
    for group in grouped(key, value):
        if keys == ("type",):
            group.includes = [v.lower() if isinstance(v, str) else v for v in group.includes]
        single = len(keys) == 1 and collection.fields[keys[0]] == "choice"
        if single and group.joiner != " AND " and not group.excludes and None not in group.includes:
            found.append(_equal(collection, keys[0], group.includes))
        else:
            found.append(_combined(group, lambda values: _among(collection, keys, values)))
    return found


def _equal(collection: Collection, name: str, values: list[Any]) -> Condition:
    """A column is one of these values: what an index can answer."""
    marks, parameters = _marks(values)
    sql = f"d.{name} IN ({marks})"
    if name not in INDEXED[collection.name]:
        return Condition(sql, parameters)
    return Condition(sql, parameters, f"+{sql}", name, single=len(values) == 1)


def _marks(values: list[Any]) -> tuple[str, list[Any]]:
    if len(values) <= 20:
        return ", ".join("?" * len(values)), values
    return "SELECT value FROM json_each(?)", [orjson.dumps(values).decode()]


Among = Callable[[list[Any]], tuple[str, list[Any]]]


def _combined(group: Group, among: Among) -> Condition:
    """A group's condition, given how "has one of these values" is written (an empty list: has none at all)."""
    parts: list[str] = []
    parameters: list[Any] = []

    def add(values: list[Any], negate: bool) -> None:
        sql, found = among(values)
        parts.append(f"NOT {sql}" if negate else sql)
        parameters.extend(found)

    empty = None in group.includes
    includes = [v for v in group.includes if v is not None]
    if group.joiner == " AND ":
        for value in includes:
            add([value], False)
        if empty:
            add([], False)
    elif includes and empty:
        some, first = among(includes)
        none, second = among([])
        parts.append(f"({some} OR {none})")
        parameters += [*first, *second]
    elif includes or empty:
        add(includes, False)
    for value in group.excludes:
        add([] if value is None else [value], True)
    return Condition(f"({(group.joiner or ' AND ').join(parts)})", parameters)


def _among(collection: Collection, keys: Keys, values: list[Any]) -> tuple[str, list[Any]]:
    """ "The field has one of these values", never NULL itself."""
    column = f"d.{keys[0]}"
    marks, parameters = _marks(values)
    if len(keys) == 1 and collection.fields[keys[0]] == "texts":
        if not values:
            return f"ifnull({column}, '[]') = '[]'", []
        # most lists are empty, and that is seen without opening them
        inside = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN ({marks}))"
        return f"(ifnull({column}, '[]') <> '[]' AND {inside})", parameters
    if keys[:2] in LISTS and len(keys) > 2:
        path, bound = extract("value", keys[2:])
        rows = f"FROM json_each({column}, '$.{keys[1]}')"
        if not values:
            return f"NOT EXISTS (SELECT 1 {rows})", []
        return f"EXISTS (SELECT 1 {rows} WHERE {path} IN ({marks}))", [*bound, *parameters]
    expression, bound = (column, []) if len(keys) == 1 else extract(column, keys[1:])
    if not values:
        return f"({expression} IS NULL OR {expression} IN ('', '[]', '{{}}'))", [*bound, *bound]
    return f"ifnull({expression} IN ({marks}), 0)", [*bound, *parameters]


# --- numbers and instants ---------------------------------------------------------------------------------------------


def _range(column: str, value: Any, dates: bool) -> list[Condition]:
    """[from, to], both inclusive, null is open; anything else is a list of values."""
    if not isinstance(value, list):
        value = [value]
    try:
        bounds = [_instant(v) if dates and v is not None else _number(v) for v in value]
    except ValueError:
        return [Condition(NOTHING)]
    if len(bounds) != 2:
        marks, parameters = _marks(bounds)
        return [Condition(f"{column} IN ({marks})", parameters)] if bounds else []
    return [
        Condition(sql, [b]) for sql, b in zip((f"{column} >= ?", f"{column} <= ?"), bounds) if b is not None
    ]


def _number(value: Any) -> float | int | None:
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return float(value)
    raise ValueError(value)


def _instant(value: Any) -> int:
    """Epoch milliseconds of ISO text, or of an epoch in seconds or milliseconds."""
    if isinstance(value, str):
        if not value.lstrip("-").replace(".", "", 1).isdigit():
            return moments.parse(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise ValueError(value)
    return int(value if abs(value) >= 1e11 else value * 1000)


def _comparisons(column: str, key: str, value: Any) -> Condition:
    """[">=2026-01-01T00:00:00", "<..."]: all hold."""
    parts, parameters = [], []
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        if not isinstance(item, str):
            raise wrong_type(key, item, "str")
        operator, text = COMPARISON.match(item).groups()  # type: ignore[union-attr]  # matches every text
        try:
            parameters.append(_instant(text))
        except (ValueError, OverflowError):
            raise field_error(key, f": invalid date {item!r}.") from None
        parts.append(f"{column} {'=' if operator in (None, '==') else operator} ?")
    return Condition(f"({' AND '.join(parts)})" if parts else "1", parameters)


def _metric(keys: Keys, value: Any) -> list[Condition]:
    """A range of one number of one scalar series."""
    if len(keys) != 4 or keys[3] not in METRIC_NUMBERS:
        return []
    inside = _range(f"m.{keys[3]}", value, False)
    sql = "EXISTS (SELECT 1 FROM metric m WHERE m.owner = d.id AND m.metric_hash = ? AND m.variant_hash = ?"
    wanted = "".join(f" AND {c.sql}" for c in inside)
    return [Condition(f"{sql}{wanted})", [keys[1], keys[2], *(p for c in inside for p in c.parameters)])]


# --- projects and what is hidden --------------------------------------------------------------------------------------


def _below(value: Any, shallow: bool) -> list[Condition]:
    """Projects below these: children only when shallow, else all descendants."""
    found = []
    for group in grouped("parent", value):
        if shallow:
            found.append(_combined(group, _children))
        else:
            found.append(_combined(group, _descendants))
    return found


def _children(values: list[Any]) -> tuple[str, list[Any]]:
    marks, parameters = _marks(values)
    return (f"ifnull(d.parent IN ({marks}), 0)", parameters) if values else ("(d.parent IS NULL)", [])


def _descendants(values: list[Any]) -> tuple[str, list[Any]]:
    if not values:
        return "(d.parent IS NULL)", []
    marks, parameters = _marks(values)
    return f"d.id IN ({_below_sql(f'SELECT id FROM project WHERE parent IN ({marks})')})", parameters


def _below_sql(start: str) -> str:
    """The ids of the projects that start selects and of all below them."""
    step = "SELECT p.id FROM project p JOIN below ON p.parent = below.id"
    return f"WITH RECURSIVE below(id) AS ({start} UNION {step}) SELECT id FROM below"


def _with_children(column: str, key: str, value: Any) -> list[Condition]:
    """In these projects or in any below them."""

    def among(values: list[Any]) -> tuple[str, list[Any]]:
        if not values:
            return f"({column} IS NULL)", []
        marks, parameters = _marks(values)
        found = _below_sql(f"SELECT id FROM project WHERE id IN ({marks})")
        return f"ifnull({column} IN ({found}), 0)", parameters

    found = []
    for group in grouped(key, value):
        if group.joiner != " AND " and not group.excludes and None not in group.includes:
            sql, parameters = among(group.includes)
            sql = sql.removeprefix("ifnull(").removesuffix(", 0)")
            found.append(Condition(sql, parameters, f"+{sql}", "project"))
        else:
            found.append(_combined(group, among))
    return found


def _hidden(collection: Collection, data: Mapping[str, Any]) -> list[Condition]:
    """What is tagged hidden stays out, unless it was asked for."""
    if collection.name not in HIDEABLE or data.get("search_hidden"):
        return []
    if collection.name != "task" and data.get("id"):
        return []
    tagged = "EXISTS (SELECT 1 FROM json_each({0}.system_tags) WHERE value = 'hidden')"
    hidden = f"ifnull({{0}}.system_tags, '[]') <> '[]' AND {tagged}"
    shown = f"NOT ({hidden.format('d')})"
    projects = data.get("project") if collection.name == "task" else None
    asked = [p for p in projects if isinstance(p, str)] if isinstance(projects, list) else []
    if not asked:
        return [Condition(shown)]
    marks, parameters = _marks(asked)
    inside = f"EXISTS (SELECT 1 FROM project p WHERE p.id IN ({marks}) AND {hidden.format('p')})"
    return [Condition(f"({shown} OR {inside})", parameters)]


# --- several fields at once -------------------------------------------------------------------------------------------


def _several(collection: Collection, key: str, value: Any, joiner: str) -> Condition:
    """``_any_`` and ``_all_``: a pattern, or comparisons of instants, on several fields."""
    if not isinstance(value, dict):
        raise wrong_type(key, value, "dict")
    names, pattern, dates = value.get("fields"), value.get("pattern"), value.get("datetime")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise wrong_type(f"{key}.fields", names, "list")
    if pattern is not None and not isinstance(pattern, str):
        raise wrong_type(f"{key}.pattern", pattern, "str")
    parts: list[str] = []
    parameters: list[Any] = []
    for name in dict.fromkeys(names):
        keys = keys_of(name)
        if not visible(collection, keys[0]):
            raise lookup_error(keys[0])
        if dates is not None:
            if collection.fields.get(keys[0]) != "date":
                raise lookup_error(name)
            found = _comparisons(f"d.{keys[0]}", key, dates)
            parts.append(found.sql)
            parameters += found.parameters
        elif pattern is not None and keys[0] in collection.fields:
            sql, bound = _pattern(collection, keys, pattern)
            parts.append(f"ifnull({sql}, 0)")
            parameters += bound
    return Condition(f"({joiner.join(parts)})" if parts else "1", parameters)


def _pattern(collection: Collection, keys: Keys, pattern: str) -> tuple[str, list[Any]]:
    column = f"d.{keys[0]}"
    if len(keys) == 1 and collection.fields[keys[0]] == "texts":
        sql, parameters = patterns.condition("value", pattern)
        return f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {sql})", list(parameters)
    if keys[:2] in LISTS and len(keys) > 2:
        inner, bound = extract("e.value", keys[2:])
        sql, parameters = patterns.condition("v", pattern)
        rows = f"SELECT {inner} AS v FROM json_each({column}, '$.{keys[1]}') e"
        return f"EXISTS (SELECT 1 FROM ({rows}) WHERE {sql})", [*bound, *parameters]
    if len(keys) == 1:
        sql, parameters = patterns.condition(column, pattern)
        return sql, list(parameters)
    inner, bound = extract(column, keys[1:])
    sql, parameters = patterns.condition("v", pattern)
    return f"(SELECT {sql} FROM (SELECT {inner} AS v))", [*parameters, *bound]


def _nested_filters(collection: Collection, value: Any) -> Iterator[Condition]:
    """``filters``: {field: {"any" | "all": {"include": [...], "exclude": [...]}, "op": "and" | "or"}}."""
    if not isinstance(value, dict):
        raise wrong_type("filters", value, "dict")
    for key, wanted in value.items():
        keys = keys_of(key)
        kind = collection.fields.get(keys[0])
        if wanted is None or not visible(collection, keys[0]):
            continue
        if not isinstance(wanted, dict):
            raise wrong_type(f"filters.{key}", wanted, "dict")
        if kind not in ("choice", "texts", "object", "text") or (len(keys) > 1) != (kind == "object"):
            continue
        parts: list[str] = []
        parameters: list[Any] = []
        for name, joiner in (("any", " OR "), ("all", " AND ")):
            group = _include_exclude(f"filters.{key}.{name}", wanted.get(name), joiner)
            if group is not None:
                made = _combined(group, lambda values: _among(collection, keys, values))  # noqa: B023  # used at once
                parts.append(made.sql)
                parameters += made.parameters
        if parts:
            yield Condition(f"({(' OR ' if wanted.get('op') == 'or' else ' AND ').join(parts)})", parameters)


def _include_exclude(key: str, value: Any, joiner: str) -> Group | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise wrong_type(key, value, "dict")
    lists = [value.get(name) or [] for name in ("include", "exclude")]
    for items in lists:
        if not isinstance(items, list) or any(isinstance(i, (dict, list)) for i in items):
            raise wrong_type(key, items, "list")
    group = Group(joiner, *lists)
    return group if group.includes or group.excludes else None


def _search(collection: Collection, value: Any) -> Iterator[Condition]:
    """``search_text``: any of the words, every "quoted phrase", none of the -words; case does not matter."""
    if not isinstance(value, str):
        raise wrong_type("search_text", value, "str")
    columns = [f"d.{name}" for name in SEARCHED[collection.name]]
    phrases = [p for p in re.findall(r'"([^"]+)"', value) if p.strip()][:MOST_WORDS]
    words = re.sub(r'"[^"]*"?', " ", value).split()[:MOST_WORDS]
    some = [w for w in words if w[0] != "-"]
    if some and not phrases:
        found = [_contains(columns, word) for word in some]
        yield Condition(f"({' OR '.join(c.sql for c in found)})", [p for c in found for p in c.parameters])
    for phrase in phrases:
        yield _contains(columns, phrase)
    for word in words:
        if word[0] == "-" and len(word) > 1:
            found_one = _contains(columns, word[1:])
            yield Condition(f"NOT {found_one.sql}", found_one.parameters)


def _contains(columns: Iterable[str], text: str) -> Condition:
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    parts = [f"ifnull({column} LIKE ? ESCAPE '\\', 0)" for column in columns]
    return Condition(f"({' OR '.join(parts)})", [f"%{escaped}%"] * len(parts))


def wrong_type(key: str, value: Any, expected: str) -> Exception:
    """400/12: a value of a wrong type, in ClearML's words."""
    return field_error(key, f": ('value is wrong, expected type \"{expected}\"', {value!r}).")
