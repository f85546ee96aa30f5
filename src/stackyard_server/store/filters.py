"""ClearML's filters as SQL conditions: from the fields of a ``get_all`` request to text and parameters. Pure.

What clients may say: a pattern for texts, lists with ``-x``, null and the ``__$`` operators for everything matched
whole, pairs for ranges, ``>=``-like comparisons for instants, ``_any_`` / ``_all_`` over several fields, ``filters``,
``search_text``. Keys nobody knows are ignored: that is what clients are used to. Values and names never become SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import patterns
from .choices import INDEXED, Group, among, chosen, combined, grouped, items, plain
from .conditions import Condition, bounded, check_parts, lookup_error, marks, visible, wrong_type
from .documents import Collection
from .paths import LISTS, Keys, extract, keys_of
from .spans import compared, series, within

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
#: More words and characters than these of a search are not looked for.
MOST_WORDS = 20
LONGEST_SEARCH = 2000


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
            found += _field(collection, bounded(key), value, data)
    found += _hidden(collection, data)
    if collection.name == "project" and data.get("shallow_search") and not data.get("parent"):
        found.append(Condition("d.parent IS NULL"))
    check_parts("filters", len(found))
    return found


def _field(collection: Collection, key: str, value: Any, data: Mapping[str, Any]) -> list[Condition]:
    keys = keys_of(key)
    if keys[0] == "last_metrics":
        return series(keys, value)
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
        literals = patterns.literals(value)
        scans = literals is None or not all(p.from_start and p.text for p in literals)
        return [Condition(sql, list(parameters), sql.replace(column, f"+{column}"), keys[0], scans)]
    if kind == "flag":
        if not isinstance(value, bool):
            raise wrong_type(key, value, "bool")
        return [Condition(f"{column} IS ?", [value])]
    if kind in ("date", "number"):
        if keys[0] in RANGES:
            return within(column, value, kind == "date")
        return [compared(column, key, value)] if kind == "date" else within(column, value, False)
    if keys == ("parent",) and collection.name == "project":
        return _below(value, bool(data.get("shallow_search")))
    if keys == ("project",) and data.get("include_subprojects"):
        return _with_children(column, key, value)
    return chosen(collection, keys, key, value)


# --- projects and what is hidden --------------------------------------------------------------------------------------


def _below(value: Any, shallow: bool) -> list[Condition]:
    """Projects below these: children only when shallow, else all descendants."""
    found = []
    for group in grouped("parent", value):
        found.append(combined(group, _children if shallow else _descendants))
    return found


def _children(values: list[Any]) -> tuple[str, list[Any]]:
    inside, parameters = marks(values)
    return (f"ifnull(d.parent IN ({inside}), 0)", parameters) if values else ("(d.parent IS NULL)", [])


def _descendants(values: list[Any]) -> tuple[str, list[Any]]:
    if not values:
        return "(d.parent IS NULL)", []
    inside, parameters = marks(values)
    return f"d.id IN ({_below_sql(f'SELECT id FROM project WHERE parent IN ({inside})')})", parameters


def _below_sql(start: str) -> str:
    """The ids of the projects that start selects and of all below them."""
    step = "SELECT p.id FROM project p JOIN below ON p.parent = below.id"
    return f"WITH RECURSIVE below(id) AS ({start} UNION {step}) SELECT id FROM below"


def _with_children(column: str, key: str, value: Any) -> list[Condition]:
    """In these projects or in any below them."""

    def inside_of(values: list[Any]) -> tuple[str, list[Any]]:
        if not values:
            return f"({column} IS NULL)", []
        inside, parameters = marks(values)
        found = _below_sql(f"SELECT id FROM project WHERE id IN ({inside})")
        return f"{column} IN ({found})", parameters

    found = []
    for group in grouped(key, value):
        if plain(group):
            sql, parameters = inside_of(group.includes)
            found.append(Condition(sql, parameters, f"+{sql}", "project"))
        else:
            found.append(combined(group, lambda values: _never_null(*inside_of(values))))
    return found


def _never_null(sql: str, parameters: list[Any]) -> tuple[str, list[Any]]:
    return f"ifnull({sql}, 0)", parameters


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
    inside, parameters = marks(asked)
    inside = f"EXISTS (SELECT 1 FROM project p WHERE p.id IN ({inside}) AND {hidden.format('p')})"
    return [Condition(f"({shown} OR {inside})", parameters)]


# --- several fields at once -------------------------------------------------------------------------------------------


def _several(collection: Collection, key: str, value: Any, joiner: str) -> Condition:
    """``_any_`` and ``_all_``: a pattern, or comparisons of instants, on several fields."""
    if not isinstance(value, dict):
        raise wrong_type(key, value, "dict")
    names, pattern, dates = value.get("fields"), value.get("pattern"), value.get("datetime")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise wrong_type(f"{key}.fields", names, "list")
    check_parts(key, len(names))
    if pattern is not None and not isinstance(pattern, str):
        raise wrong_type(f"{key}.pattern", pattern, "str")
    parts: list[str] = []
    parameters: list[Any] = []
    for name in dict.fromkeys(names):
        keys = keys_of(bounded(name))
        if not visible(collection, keys[0]):
            raise lookup_error(keys[0])
        if dates is not None:
            if collection.fields.get(keys[0]) != "date":
                raise lookup_error(name)
            found = compared(f"d.{keys[0]}", key, dates)
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
        source, inner, bound = items(column, keys)
        sql, parameters = patterns.condition("v", pattern)
        rows = f"SELECT {inner} AS v {source}"
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
        keys = keys_of(bounded(key))
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
                made = combined(group, among(collection, keys))
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
    for given in lists:
        if not isinstance(given, list) or any(isinstance(i, (dict, list)) for i in given):
            raise wrong_type(key, given, "list")
    check_parts(key, sum(map(len, lists)))
    group = Group(joiner, *lists)
    return group if group.includes or group.excludes else None


def _search(collection: Collection, value: Any) -> Iterator[Condition]:
    """``search_text``: any of the words, every "quoted phrase", none of the -words; case does not matter."""
    if not isinstance(value, str):
        raise wrong_type("search_text", value, "str")
    value = value[:LONGEST_SEARCH]
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
