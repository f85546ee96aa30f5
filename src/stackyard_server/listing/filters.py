"""What a request for documents may ask: its filters, its order, and the names of fields in either.

What clients may say: a pattern for texts, lists with ``-x``, null and the ``__$`` operators for everything matched
whole, pairs for ranges, ``>=``-like comparisons for instants, ``_any_`` / ``_all_`` over several fields, ``filters``,
``search_text``. Keys nobody knows are ignored: that is what clients are used to. What it all means in SQL is in
``store.condition``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import moments
from ..protocol.error_table import ApiError, error, field_error
from ..store import condition, query
from ..store.condition import METRIC_NUMBERS, NOTHING, Condition, Group, Keys
from ..store.documents import Collection
from ..store.query import Key, Query

COMPARISON = re.compile(r"^\s*(>=|<=|==|>|<|=)?\s*(.*?)\s*$", re.DOTALL)
#: Kinds of fields that hold texts, or may.
TEXTUAL = frozenset({"text", "choice", "texts", "object"})
#: Instants that take no comparisons.
STARTS = frozenset({"created", "started"})
#: What the SDK's triggers call the types of tasks.
TYPES = "task_types"
#: Fields of hyper-datasets, which no task here has.
VIEWS = "input.view."
#: What a search for words looks through.
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
#: More parts than these (values that must all hold, fields, conditions) are refused: SQLite bounds its expressions.
MOST_PARTS = 200
#: More keys than these of an order are not looked at.
MOST_KEYS = 8
#: No name of a field is longer, in characters, or deeper.
LONGEST_NAME = 2000
DEEPEST_NAME = 64
WIDEST = 2**63 - 1
#: What an entry of hyperparams, configuration or metadata consists of.
ENTRY = frozenset({"section", "name", "value", "type", "description", "key"})
#: How many names stand before such an entry's fields.
DEPTH = {"hyperparams": 2, "configuration": 1, "metadata": 1}


def asked(
    collection: Collection,
    data: Mapping[str, Any],
    references: Mapping[str, Collection | None],
    also: Iterable[Condition] = (),
) -> Query:
    """The query a ``get_all`` request stands for.

    Args:
        collection: What is listed.
        data: The request's fields.
        references: Where dotted names of the order may lead.
        also: Further conditions.

    Raises:
        ApiError: 400/12 or 400/14.
        BadPattern: A text is asked for by a pattern that is none.
    """
    wanted = [*conditions(collection, data), *also]
    return Query(collection, wanted, order_keys(collection, data.get("order_by"), references))


# --- names of fields --------------------------------------------------------------------------------------------------


def keys_of(path: str) -> Keys:
    """The names along a dotted path (``hyperparams.Args.lr.value``).

    Clients write ``%2E`` and ``%24`` for a dot and a dollar inside a name; the names of parameters may also hold bare
    dots, which the known depth of their place tells apart.
    """
    root, *rest = path.split(".")
    depth = DEPTH.get(root)
    if depth is not None and len(rest) > depth:
        before, names = rest[: depth - 1], rest[depth - 1 :]
        if names[-1] in ENTRY:
            rest = [*before, ".".join(names[:-1]), names[-1]]
        else:
            rest = [*before, ".".join(names)]
    return (root, *(name.replace("%2E", ".").replace("%2e", ".").replace("%24", "$") for name in rest))


def visible(collection: Collection, name: str) -> bool:
    """Whether a field may be asked for, filtered by and sorted by."""
    return (name in collection.fields and name not in collection.private) or name in collection.virtual


def lookup_error(name: str) -> ApiError:
    """400/14: a field that is not there."""
    return error("lookup", err=f'Cannot resolve field "{name}"')


def bounded(name: str) -> str:
    """A name of a field.

    Raises:
        ApiError: 400/14 it is longer or deeper than any field is.
    """
    if len(name) > LONGEST_NAME or name.count(".") >= DEEPEST_NAME:
        raise lookup_error(f"{name[:50]}...")
    return name


def wrong_type(key: str, value: Any, expected: str) -> ApiError:
    """400/12: a value of a wrong type, in ClearML's words."""
    shown = value if len(str(value)) <= 200 else f"{str(value)[:200]}..."
    return field_error(key, f": ('value is wrong, expected type \"{expected}\"', {shown!r}).")


def check_parts(key: str, number: int) -> None:
    """Refuse more parts than SQLite takes.

    Raises:
        ApiError: 400/12.
    """
    if number > MOST_PARTS:
        raise field_error(key, f": more than {MOST_PARTS} conditions.")


# --- filters ----------------------------------------------------------------------------------------------------------


def conditions(collection: Collection, data: Mapping[str, Any]) -> list[Condition]:
    """Every condition a request's fields make.

    Raises:
        ApiError: 400/12 a value of a wrong type; 400/14 an unknown field of ``_any_``.
        BadPattern: A text is asked for by a pattern that is none.
    """
    found: list[Condition] = []
    for key, value in data.items():
        if value is None:
            continue
        if key in ("_any_", "_or_"):
            found.append(condition.any_of(_several(collection, key, value)))
        elif key in ("_all_", "_and_"):
            found.append(condition.all_of(_several(collection, key, value)))
        elif key == "filters":
            found += _nested_filters(collection, value)
        elif key == "search_text":
            found += _search(collection, value)
        elif collection.name == "task" and key.startswith(VIEWS):
            found.append(NOTHING)
        elif collection.name == "task" and key == TYPES:
            found += _field(collection, "type", value, data)
        elif visible(collection, key.partition(".")[0]):
            found += _field(collection, bounded(key), value, data)
    found += _shown(collection, data)
    if data.get("allow_public") is False or data.get("non_public") is True:
        found.append(condition.owned())
    if collection.name == "project" and data.get("shallow_search") and not data.get("parent"):
        found.append(condition.at_root())
    check_parts("filters", len(found))
    return found


def _field(collection: Collection, key: str, value: Any, data: Mapping[str, Any]) -> list[Condition]:
    keys = keys_of(key)
    name = keys[0]
    if name == "last_metrics":
        return _series(keys, value)
    kind = collection.fields.get(name)
    if kind == "object" and len(keys) == 1:  # nothing is this document as a whole
        return [] if value == [] else [NOTHING]
    if kind is None or (len(keys) > 1) != (kind == "object"):
        return []
    if kind == "text":
        if not isinstance(value, str):
            raise wrong_type(key, value, "str")
        return [condition.matches_name(collection, name, value)]
    if kind == "flag":
        if not isinstance(value, bool):
            raise wrong_type(key, value, "bool")
        return [condition.is_flag(name, value)]
    if kind == "date" and not _is_range(name, value):
        return [condition.all_of(_compared(name, key, value))]
    if kind in ("date", "number"):
        bounds = _bounds(value, instant if kind == "date" else _number)
        return [NOTHING] if bounds is None else condition.within(name, bounds)
    groups = grouped(key, value)
    if keys == ("parent",) and collection.name == "project":
        return [condition.below(group, bool(data.get("shallow_search"))) for group in groups]
    if keys == ("project",) and data.get("include_subprojects"):
        return [condition.inside(name, group) for group in groups]
    if keys == ("type",):
        for group in groups:
            group.includes = [v.lower() if isinstance(v, str) else v for v in group.includes]
    return [condition.has(collection, keys, group) for group in groups]


def _shown(collection: Collection, data: Mapping[str, Any]) -> list[Condition]:
    """What is tagged hidden stays out, unless it was asked for."""
    if collection.name not in HIDEABLE or data.get("search_hidden") or data.get("include_hidden_projects"):
        return []
    if data.get("id"):
        return []
    projects = data.get("project") if collection.name == "task" else None
    named = [p for p in projects if isinstance(p, str)] if isinstance(projects, list) else []
    return [condition.shown(named)]


# Values: alternatives, exclusions, null for empty, and the ``__$`` operators


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


# Numbers and instants: [from, to] pairs, comparisons (``>=2026-01-01``), values of scalar series


def _bounds(value: Any, read: Any) -> list[float | None] | None:
    """What a field with a range is to be, read; None where nothing can be that."""
    if not isinstance(value, list):
        value = [value]
    try:
        return [None if v is None else read(v) for v in value]
    except (ValueError, OverflowError):
        return None


def _is_range(name: str, value: Any) -> bool:
    """Whether instants are asked for as ``[from, to]``; ``created`` and ``started`` always are."""
    if name in STARTS:
        return True
    given = value if isinstance(value, list) else [value]
    compared = any(isinstance(v, str) and COMPARISON.match(v)[1] for v in given)  # type: ignore[index]  # always matches
    return len(given) == 2 and not compared


def _number(value: Any) -> float:
    if isinstance(value, int) and abs(value) > WIDEST:
        return float(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return float(value)
    raise ValueError(value)


def instant(value: Any) -> int:
    """Epoch milliseconds of ISO text, or of an epoch in seconds or milliseconds.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, str):
        if not value.lstrip("-").replace(".", "", 1).isdigit():
            return moments.parse(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise ValueError(value)
    return int(value if abs(value) >= 1e11 else value * 1000)


def _compared(name: str, key: str, value: Any) -> list[Condition]:
    """[">=2026-01-01T00:00:00", "<..."]: all hold."""
    found = []
    wanted = value if isinstance(value, list) else [value]
    check_parts(key, len(wanted))
    for item in wanted:
        if item is None:
            continue
        if not isinstance(item, str):
            raise wrong_type(key, item, "str")
        operator, text = COMPARISON.match(item).groups()  # type: ignore[union-attr]  # matches every text
        try:
            at = instant(text)
        except (ValueError, OverflowError):
            raise field_error(key, f": invalid date {item!r}.") from None
        found.append(condition.compares(name, "=" if operator in (None, "==") else operator, at))
    return found


def _series(keys: Keys, value: Any) -> list[Condition]:
    """A range of one number of one scalar series."""
    if len(keys) != 4 or keys[3] not in METRIC_NUMBERS:
        return []
    bounds = _bounds(value, _number)
    return [NOTHING] if bounds is None else [condition.series(keys[1], keys[2], keys[3], bounds)]


# Several fields at once


def _several(collection: Collection, key: str, value: Any) -> list[Condition]:
    """``_any_`` and ``_all_``: a pattern, or comparisons of instants, on several fields."""
    if not isinstance(value, dict):
        raise wrong_type(key, value, "dict")
    names, pattern, dates = value.get("fields"), value.get("pattern"), value.get("datetime")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise wrong_type(f"{key}.fields", names, "list")
    check_parts(key, len(names))
    if pattern is not None and not isinstance(pattern, str):
        raise wrong_type(f"{key}.pattern", pattern, "str")
    found = []
    for name in dict.fromkeys(names):
        keys = keys_of(bounded(name))
        kind = collection.fields.get(keys[0])
        if not visible(collection, keys[0]):
            raise lookup_error(keys[0])
        if kind is not None and (len(keys) > 1) != (kind == "object"):
            raise lookup_error(name)
        if dates is not None:
            if kind != "date":
                raise lookup_error(name)
            found.append(condition.all_of(_compared(keys[0], key, dates)))
        elif pattern is not None and kind in TEXTUAL:
            found.append(condition.matches(collection, keys, pattern).never_null())
        elif pattern is not None:  # no pattern is found in a number
            found.append(NOTHING)
    return found


def _nested_filters(collection: Collection, value: Any) -> Iterator[Condition]:
    """``filters``: {field: {"any" | "all": {"include": [...], "exclude": [...]}, "op": "and" | "or"}}."""
    if not isinstance(value, dict):
        raise wrong_type("filters", value, "dict")
    for key, wanted in value.items():
        keys = keys_of(bounded(key))
        kind = collection.fields.get(keys[0])
        if wanted is None:
            continue
        if not visible(collection, keys[0]):
            raise lookup_error(keys[0])
        if not isinstance(wanted, dict):
            raise wrong_type(f"filters.{key}", wanted, "dict")
        if kind not in ("choice", "texts", "object", "text") or (len(keys) > 1) != (kind == "object"):
            raise field_error(
                f"filters.{key}", ": texts and lists of texts are filtered so, and no other field."
            )
        groups = [
            _include_exclude(f"filters.{key}.any", wanted.get("any"), Group(" OR ")),
            _include_exclude(f"filters.{key}.all", wanted.get("all"), Group(" AND ")),
        ]
        parts = [condition.holds(collection, keys, group) for group in groups if group is not None]
        if parts:
            yield condition.any_of(parts) if wanted.get("op") == "or" else condition.all_of(parts)


def _include_exclude(key: str, value: Any, group: Group) -> Group | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise wrong_type(key, value, "dict")
    group.includes, group.excludes = (value.get(name) or [] for name in ("include", "exclude"))
    for given in (group.includes, group.excludes):
        if not isinstance(given, list) or any(isinstance(i, (dict, list)) for i in given):
            raise wrong_type(key, given, "list")
    check_parts(key, len(group.includes) + len(group.excludes))
    return group if group.includes or group.excludes else None


def _search(collection: Collection, value: Any) -> Iterator[Condition]:
    """``search_text``: any of the words, every "quoted phrase", none of the -words; case does not matter."""
    if not isinstance(value, str):
        raise wrong_type("search_text", value, "str")
    value = value[:LONGEST_SEARCH]
    searched = SEARCHED[collection.name]
    phrases = [p for p in re.findall(r'"([^"]+)"', value) if p.strip()][:MOST_WORDS]
    words = re.sub(r'"[^"]*"?', " ", value).split()[:MOST_WORDS]
    some = [w for w in words if w[0] != "-"]
    if some and not phrases:
        yield condition.contains(collection, searched, some)
    for phrase in phrases:
        yield condition.contains(collection, searched, [phrase])
    for word in words:
        if word[0] == "-" and len(word) > 1:
            yield condition.none_of(condition.contains(collection, searched, [word[1:]]))


# --- order ------------------------------------------------------------------------------------------------------------


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
        return query.by_series(keys[1], keys[2], keys[3], descending)
    if root not in collection.fields:
        raise lookup_error(root)
    if len(keys) == 1:
        return query.by_column(root, descending)
    if collection.fields[root] == "object":
        return query.by_value(keys, descending)
    target = references.get(root)
    if target is None or len(keys) > 2 or not visible(target, keys[1]) or keys[1] not in target.fields:
        raise lookup_error(keys[1])
    return query.by_reference(root, target, keys[1], descending)
