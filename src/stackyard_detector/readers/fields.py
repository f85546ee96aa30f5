"""Fields of JSON objects by name, as texts.

An object that was an XML element with attributes is its text ("#text").

A name with dots ("alert.signature") descends into objects and lists ("event.category.0"); a key that itself
has dots is found too, wherever it stands ("id.orig_h", or "rule.name" inside "_source"). Standard library
only.
"""

from __future__ import annotations

import json
from itertools import repeat
from operator import contains, itemgetter
from typing import Any, Dict, List, Optional, Sequence

#: Types of values that are texts already.
TEXTS = frozenset({str, type(None)})
#: What joins the elements of a list.
LIST_JOINT = ","
#: The text of an XML element that became an object, beside its attributes (evtx_dump and other converters).
ELEMENT_TEXT = "#text"
#: orjson reads whole numbers beyond 64 bits as floats, which are as large as this.
_LARGE = 2.0**63


def field_text(value: Dict[str, Any], name: str) -> Optional[str]:
    """The field ``name`` of a record as text; ``None``: it has none. Elements of a list are joined by commas."""
    return _text(_found(value, name))


def column(values: Sequence[Dict[str, Any]], name: str) -> List[Any]:
    """The field ``name`` of many records, as it is; ``None`` where a record has none."""
    first, dot, rest = name.partition(".")
    try:
        if not dot:
            return list(map(itemgetter(name), values))
        if True not in map(contains, values, repeat(name)):
            inner = list(map(itemgetter(first), values))
            if set(map(type, inner)) == {dict}:
                # The usual case: every record has the object, and none a key with dots.
                found = column(inner, rest)
                if "." not in rest or None not in found:
                    return found
    except KeyError:
        pass
    if not dot:
        return [value.get(name) for value in values]
    deep = "." in rest
    found = [value.get(name) for value in values]
    return [
        _found(value, name) if item is None and (deep or first in value) else item
        for item, value in zip(found, values)
    ]


def texts(found: List[Any]) -> List[Optional[str]]:
    """The texts of a column's values."""
    if set(map(type, found)) <= TEXTS:
        return found
    return [_text(item) for item in found]


def doubtful(found: List[Any]) -> List[int]:
    """Places of values that orjson may have read otherwise than ``json``: large numbers, in lists too."""
    return [at for at, item in enumerate(found) if _is_doubtful(item)]


def _is_doubtful(item: Any) -> bool:
    items = [item]
    while items:
        item = items.pop()
        if isinstance(item, float):
            if not -_LARGE < item < _LARGE:
                return True
        elif isinstance(item, list):
            items.extend(item)
        elif isinstance(item, dict):
            items.extend(item.values())
    return False


def _text(item: Any) -> Optional[str]:
    if item is None or isinstance(item, str):
        return item
    if isinstance(item, list) and not any(isinstance(member, (list, dict)) for member in item):
        return LIST_JOINT.join([_text(member) or "" for member in item])
    if isinstance(item, dict) and not isinstance(item.get(ELEMENT_TEXT, {}), (list, dict)):
        return _text(item[ELEMENT_TEXT])
    return json.dumps(item)


def _found(value: Any, name: str) -> Any:
    """The first that is not null: the whole name as a key, then as long a first part of it as there is."""
    if isinstance(value, list):
        index, _, rest = name.partition(".")
        if not index.isdecimal() or len(index) > 9 or int(index) >= len(value):
            return None
        return _found(value[int(index)], rest) if rest else value[int(index)]
    if not isinstance(value, dict):
        return None
    found = value.get(name)
    end = len(name)
    while found is None:
        end = name.rfind(".", 0, end)
        if end < 0:
            return None
        inner = value.get(name[:end])
        if inner is not None:
            found = _found(inner, name[end + 1 :])
    return found
