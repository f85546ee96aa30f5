"""Projects of a server: their names, the ids of the one that somebody names, and which of those below belong to it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stackyard.clearml.client import Client
from stackyard.comparing.near import hint
from stackyard.errors import BadInputError

#: Names that are read of a server, and projects that are looked at for them or below one of them.
MOST, MOST_BELOW = 2_000, 10_000


@dataclass(frozen=True)
class Scope:
    """A project, and those below it whose tasks belong to it."""

    #: Ids; empty: no such project is there.
    ids: tuple[str, ...] = ()
    #: Hidden projects below it, which stay out: data sets, pipelines, reports.
    hidden: tuple[str, ...] = ()

    def asks(self, *, whole: bool = False) -> dict[str, Any]:
        """The fields of a ``tasks.get_all_ex`` call; ``whole``: with hidden projects."""
        # a server follows its own tree faster than it compares with a long list
        if whole or not self.hidden:
            return {"project": [self.ids[0]], "include_subprojects": True}
        return {"project": list(self.ids), "include_subprojects": False}


def names(client: Client) -> list[str]:
    """The names of the projects but hidden ones, in order; of very many the first.

    Raises:
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    there = _read(client)
    hidden = {name for name, (_, marked) in there.items() if marked}
    return [name for name in there if not _is_hidden(name, hidden)][:MOST]


def ids_of(client: Client, name: str, also: Collection[str] = ()) -> tuple[Scope, list[str]]:
    """The project of that whole name, hidden or not; and where there is none, the names that are.

    Args:
        client: of the server.
        name: the project's.
        also: names of hidden projects below it that somebody wants too.

    Raises:
        BadInputError: more projects lie below it than are looked at.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    there = _read(client, name=f"^{re.escape(name)}(/|$)", search_hidden=True)
    if name not in there:
        return Scope(), names(client)
    if len(there) > MOST_BELOW:
        raise BadInputError(f"more than {MOST_BELOW:,} projects lie below {name}: name one of them")
    below = {each: found for each, found in there.items() if each.startswith(f"{name}/")}
    marked = {each for each, (_, hidden) in below.items() if hidden}
    out: set[str] = set()
    if not _is_hidden(name, {name} if there[name][1] else ()):  # who names a hidden one wants all of it
        out = {each for each in below if _is_hidden(each, marked, name) and each not in also}
    ids = [there[name][0], *(id for each, (id, _) in below.items() if each not in out)]
    return Scope(tuple(ids), tuple(sorted(out))), []


def ids_here(client: Client, name: str) -> Scope:
    """The project of that whole name.

    Raises:
        BadInputError: there is none; the sentence says what is near it.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    scope, known = ids_of(client, name)
    if not scope.ids:
        raise BadInputError(f"no project is named {name!r}{hint(name, known)}")
    return scope


def _read(client: Client, **asked: Any) -> Mapping[str, tuple[str, bool]]:
    """Projects by name, in order: id, and whether it is tagged hidden. Up to one more than MOST_BELOW."""
    documents: Iterator[Any] = client.pages(
        "projects.get_all",
        "projects",
        **{
            "only_fields": ["id", "name", "system_tags"],
            "order_by": ["name"],
            "search_hidden": True,
            **asked,
        },
    )
    return {
        each["name"]: (str(each["id"]), "hidden" in (each.get("system_tags") or ()))
        for each in itertools.islice(documents, MOST_BELOW + 1)
        if isinstance(each, dict) and isinstance(each.get("name"), str)
    }


def _is_hidden(name: str, tagged: Collection[str], above: str = "") -> bool:
    """Whether a project, or one above it, is tagged hidden or has a last part that begins with a dot.

    Args:
        name: the project's.
        tagged: names of those that are tagged.
        above: a project above it that it is seen from: that one hides nothing.
    """
    parts = name.split("/")
    first = above.count("/") + 1 if above else 0
    return any(part.startswith(".") for part in parts[first:]) or any(
        "/".join(parts[:end]) in tagged for end in range(first + 1, len(parts) + 1)
    )
