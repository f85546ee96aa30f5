"""Dotted paths into documents (``hyperparams.Args.lr.value``), as keys and as SQL. Names may hold anything.

Clients write ``%2E`` and ``%24`` for a dot and a dollar inside a name; the names of parameters may also hold bare dots,
which the known depth of their place tells apart. A path never becomes SQL text: it is bound as a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

#: What an entry of hyperparams, configuration or metadata consists of.
ENTRY = frozenset({"section", "name", "value", "type", "description", "key"})
#: How many names stand before such an entry's fields.
DEPTH = {"hyperparams": 2, "configuration": 1, "metadata": 1}
#: Lists of embedded documents, by their path.
LISTS = frozenset({("models", "input"), ("models", "output"), ("execution", "artifacts")})

Keys = tuple[str, ...]


def keys_of(path: str) -> Keys:
    """The names along a dotted path."""
    root, *rest = path.split(".")
    depth = DEPTH.get(root)
    if depth is not None and len(rest) > depth:
        before, names = rest[: depth - 1], rest[depth - 1 :]
        if names[-1] in ENTRY:
            rest = [*before, ".".join(names[:-1]), names[-1]]
        else:
            rest = [*before, ".".join(names)]
    return (root, *(name.replace("%2E", ".").replace("%2e", ".").replace("%24", "$") for name in rest))


def json_path(keys: Sequence[str]) -> str | None:
    """SQLite's JSON path of these names; None where it has no way to write one."""
    if any('"' in key or "\\" in key or not key.isprintable() for key in keys):
        return None
    return "$" + "".join(f'."{key}"' for key in keys)


def extract(column: str, keys: Sequence[str]) -> tuple[str, list[Any]]:
    """The SQL expression of the value at these names below a JSON column, and its parameters."""
    path = json_path(keys)
    if path is None:
        return f"member({column}, ?)", [orjson.dumps(list(keys)).decode()]
    return f"json_extract({column}, ?)", [path]
