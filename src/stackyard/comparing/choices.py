"""What one can choose from in a project before comparing: its tasks, tags, parameters, scalars, users.

It is read from the very tasks that would be compared: a server's own menus have what archived and hidden ones have too.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stackyard.clearml.client import Client
from stackyard.comparing import paging, projects
from stackyard.comparing.grouping import KEYS
from stackyard.comparing.near import printable
from stackyard.comparing.selection import ENDED
from stackyard.comparing.task import NOTES
from stackyard.reports.catalogue import CATALOGUE

#: Of each kind; and of one answer.
MOST_CHOICES, ANSWER_BYTES = 2_000, 16 << 20
#: Tasks that are looked at, and of how many scalars are asked for at a time.
MOST_READ, _AT_ONCE = 2_000, 200
#: Single tasks that one chooses from, and characters of the name of one.
MOST_TASKS, _LONGEST_NAME = 100, 200


@dataclass(frozen=True)
class Choices:
    """What is there in a project and below it."""

    project: str
    tags: list[str] = field(default_factory=list)
    #: "Args/lr".
    parameters: list[str] = field(default_factory=list)
    #: "loss/val", and single values as "Summary/accuracy".
    scalars: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    #: Keys that tasks are grouped by, but for parameters.
    keys: list[str] = field(default_factory=lambda: list(KEYS))
    #: Figures of a record: key -> what it is called.
    measured: dict[str, str] = field(default_factory=lambda: {each.key: each.label for each in CATALOGUE})


def tasks(client: Client, project: str) -> list[tuple[str, str, str]]:
    """Id, name and status of a project's tasks that have ended, and of those below it; of many the newest.

    Raises:
        BadInputError: there is no such project.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    answer, _ = client.read(
        "tasks.get_all_ex",
        ANSWER_BYTES,
        **projects.ids_here(client, project).asks(),
        system_tags=["-archived"],
        status=list(ENDED),
        only_fields=["id", "name", "status"],
        order_by=["-created", "id"],
        page=0,
        page_size=MOST_TASKS,
    )
    found = answer.get("tasks")
    texts = [
        [each.get(key) for key in ("id", "name", "status")]
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict)
    ]
    return [
        (id, printable(name)[:_LONGEST_NAME], status)
        for id, name, status in texts
        if isinstance(id, str) and isinstance(name, str) and isinstance(status, str)
    ]


def choices(client: Client, project: str) -> Choices:
    """What can be chosen in a project; of very many tasks, what the newest MOST_READ have.

    Raises:
        BadInputError: there is no such project.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    asks = {
        **projects.ids_here(client, project).asks(),
        "system_tags": ["-archived"],
        "only_fields": ["id", "tags", "hyperparams", "user.name"],
    }
    there = paging.documents(client, asks, ["-created", "id"])
    ids: list[str] = []
    tags, parameters, users = set[str](), set[str](), set[str]()
    with contextlib.suppress(paging.TooMuchError):  # the newest of them say enough
        for each in itertools.islice(there, MOST_READ):
            ids.append(str(each.get("id")))
            tags.update(text for text in each.get("tags") or () if isinstance(text, str))
            parameters.update(_parameters(each.get("hyperparams")))
            user = each.get("user")
            if isinstance(user, dict) and isinstance(user.get("name"), str):
                users.add(user["name"])
    scalars: set[str] = set()
    for start in range(0, len(ids), _AT_ONCE):
        answer, _ = client.read(
            "projects.get_unique_metric_variants", ANSWER_BYTES, ids=ids[start : start + _AT_ONCE]
        )
        scalars.update(_joined(answer.get("metrics"), "metric", "variant"))
    return Choices(
        project,
        tags=_texts(tags),
        parameters=_texts(parameters),
        scalars=_texts(scalars),
        users=_texts(users),
    )


def _parameters(sections: Any) -> Iterator[str]:
    for section, entries in sections.items() if isinstance(sections, dict) else ():
        for name in entries if section not in NOTES and isinstance(entries, dict) else ():
            yield f"{section}/{name}"


def _joined(entries: Any, first: str, second: str) -> Iterator[str]:
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, dict) and isinstance(each.get(first), str) and isinstance(each.get(second), str):
            yield f"{each[first]}/{each[second]}"


def _texts(given: Iterable[Any] | None) -> list[str]:
    """Names in order, each once, without what would drive a terminal."""
    return sorted({printable(text) for text in given or () if isinstance(text, str)})[:MOST_CHOICES]
