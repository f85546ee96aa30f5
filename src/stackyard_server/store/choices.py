"""Filters by lists of values: alternatives, exclusions, null for empty, and the ``__$`` operators. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .conditions import WIDEST, Condition, Parameters, check_parts, marks, wrong_type
from .documents import Collection
from .paths import LISTS, Keys, extract

#: Columns whose value may pick few rows through an index.
INDEXED = {
    "task": frozenset({"id", "project", "parent", "status", "name"}),
    "model": frozenset({"id", "project", "task", "uri"}),
    "project": frozenset({"id", "name", "parent"}),
    "queue": frozenset({"id", "name"}),
    "user": frozenset({"id"}),
}
#: Where tasks name models; an index of its own tells which do.
MODELS = frozenset({("models", "input", "model"), ("models", "output", "model")})


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
    for given in value:
        item = given
        if isinstance(item, (dict, list)):
            raise wrong_type(key, item, "str")
        if isinstance(item, int) and abs(item) > WIDEST:
            item = float(item)
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
    groups = [g for g in groups if g.includes or g.excludes]
    check_parts(key, len(groups) + sum(len(g.excludes if g.joiner else ()) for g in groups))
    check_parts(key, sum(len(g.includes) for g in groups if g.joiner == " AND "))
    return groups


def chosen(collection: Collection, keys: Keys, key: str, value: Any) -> list[Condition]:
    """The field at these names has the values asked for.

    Raises:
        ApiError: 400/12.
    """
    found = []
    for group in grouped(key, value):
        if keys == ("type",):
            group.includes = [v.lower() if isinstance(v, str) else v for v in group.includes]
        whole = len(keys) == 1 and collection.fields[keys[0]] == "choice"
        if whole and plain(group):
            found.append(_equal(collection, keys[0], group.includes))
        elif collection.name == "task" and keys in MODELS and plain(group):
            inside, parameters = marks(group.includes)
            sql = f"d.id IN (SELECT task FROM task_model WHERE model IN ({inside}) AND kind = '{keys[1]}')"
            found.append(Condition(sql, parameters, f"+{sql}", "models"))
        else:
            found.append(combined(group, among(collection, keys)))
    return found


def plain(group: Group) -> bool:
    """Whether it is nothing but alternatives."""
    return group.joiner != " AND " and not group.excludes and None not in group.includes


def _equal(collection: Collection, name: str, values: list[Any]) -> Condition:
    """A column is one of these values: what an index can answer."""
    inside, parameters = marks(values)
    sql = f"d.{name} IN ({inside})"
    if name not in INDEXED[collection.name]:
        return Condition(sql, parameters)
    return Condition(sql, parameters, f"+{sql}", name, single=len(values) == 1)


#: From values to the condition that a field has one of them (from none: that it is empty), which is never NULL.
Among = Callable[[list[Any]], tuple[str, Parameters]]


def combined(group: Group, has: Among) -> Condition:
    """A group's condition, given how having one of some values is written."""
    parts: list[str] = []
    parameters: Parameters = []

    def add(values: list[Any], negate: bool = False) -> None:
        sql, found = has(values)
        parts.append(f"NOT {sql}" if negate else sql)
        parameters.extend(found)

    includes = [v for v in group.includes if v is not None]
    excludes = [v for v in group.excludes if v is not None]
    if group.joiner == " AND ":
        for value in includes:
            add([value])
        if None in group.includes:
            add([])
    elif includes and None in group.includes:
        add(includes)
        add([])
        parts = [f"({parts[0]} OR {parts[1]})"]
    elif group.includes:
        add(includes)
    if group.joiner == " OR ":
        for value in excludes:
            add([value], negate=True)
    elif excludes:
        add(excludes, negate=True)
    if None in group.excludes:
        add([], negate=True)
    return Condition(f"({(group.joiner or ' AND ').join(parts)})", parameters)


def among(collection: Collection, keys: Keys) -> Among:
    """How "the field at these names has one of these values" is written."""
    column = f"d.{keys[0]}"
    if len(keys) == 1 and collection.fields[keys[0]] == "texts":
        return lambda values: _in_texts(column, values)
    if keys[:2] in LISTS and len(keys) > 2:
        return lambda values: _in_items(column, keys, values)

    def one(values: list[Any]) -> tuple[str, Parameters]:
        expression, bound = (column, []) if len(keys) == 1 else extract(column, keys[1:])
        if not values:
            return f"(ifnull({expression}, '') IN ('', '[]', '{{}}'))", bound
        inside, parameters = marks(values)
        return f"ifnull({expression} IN ({inside}), 0)", [*bound, *parameters]

    return one


def _in_texts(column: str, values: list[Any]) -> tuple[str, Parameters]:
    if not values:
        return f"(ifnull({column}, '[]') = '[]')", []
    inside, parameters = marks(values)
    # most lists are empty, and that is seen without opening them
    some = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN ({inside}))"
    return f"(ifnull({column}, '[]') <> '[]' AND {some})", parameters


def _in_items(column: str, keys: Keys, values: list[Any]) -> tuple[str, Parameters]:
    source, value, bound = items(column, keys)
    if not values:
        return f"NOT EXISTS (SELECT 1 {source})", []
    inside, parameters = marks(values)
    return f"EXISTS (SELECT 1 {source} WHERE {value} IN ({inside}))", [*bound, *parameters]


def items(column: str, keys: Keys) -> tuple[str, str, Parameters]:
    """The items of a list of embedded documents (``LISTS``) as rows, and the value at the names inside each."""
    value, bound = extract(f"json_extract({column}, e.fullkey)", keys[2:])
    # an item that is no object has no fields
    value = f"CASE e.type WHEN 'object' THEN {value} END"
    return f"FROM json_each({column}, '$.{keys[1]}') e", value, bound
