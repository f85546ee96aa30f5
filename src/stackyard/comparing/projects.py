"""Projects of a server: their names, and the ids of the one that somebody names."""

from __future__ import annotations

import re

from stackyard.clearml.client import Client
from stackyard.comparing.near import hint
from stackyard.errors import BadInputError

#: Names that are read of a server.
MOST = 2_000


def names(client: Client) -> list[str]:
    """The names of the projects, in order; of very many the first.

    Raises:
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    found = []
    for each in client.pages("projects.get_all", "projects", only_fields=["id", "name"], order_by=["name"]):
        if isinstance(each.get("name"), str):
            found.append(each["name"])
        if len(found) >= MOST:
            break
    return found


def ids_of(client: Client, name: str) -> tuple[list[str], list[str]]:
    """The id of a project of that whole name; and where there is none, the names that are."""
    held = client.call("projects.get_all", name=f"^{re.escape(name)}$", only_fields=["id", "name"])
    ids = [
        str(each["id"])
        for each in held.get("projects", [])
        if isinstance(each, dict) and each.get("name") == name
    ]
    return (ids, []) if ids else ([], names(client))


def ids_here(client: Client, name: str) -> list[str]:
    """The id of a project of that whole name.

    Raises:
        BadInputError: there is none; the sentence says what is near it.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    ids, known = ids_of(client, name)
    if not ids:
        raise BadInputError(f"no project is named {name!r}{hint(name, known)}")
    return ids
