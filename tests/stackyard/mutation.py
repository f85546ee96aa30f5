"""Files from outside with one value changed: what people, other versions and broken disks make of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

#: Wrong types, wrong ranges, and what only Python's reader of JSON takes for a number.
WRONG = (
    *("3.1", "", "x<script>\x1b[31m", "\ud800", "9999-12-31T23:59:59+00:00", "2026-01-01"),
    *(None, True, False, [], {}, [1], {"a": 1}, [{}], [None]),
    *(-1, 0, 1.5, 1e308, -1e308, 2**62, 10**400, float("nan"), float("inf")),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a JSON value something stands: the whole first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """``value`` with ``new`` at a place."""
    if not path:
        return new
    whole = copy.deepcopy(value)
    part = whole
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return whole


@st.composite
def mutations(draw: st.DrawFn, files: dict[Path, str]) -> tuple[Path, str]:
    """One of the files, and its text with a value in it changed."""
    path = draw(st.sampled_from(sorted(files)))
    value = json.loads(files[path])
    place = draw(st.sampled_from(list(places(value))))
    return path, json.dumps(changed(value, place, draw(st.sampled_from(WRONG))))
