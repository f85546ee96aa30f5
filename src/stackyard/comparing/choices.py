"""What one can choose from in a project before comparing: its tasks, tags, parameters, scalars, users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stackyard.clearml.client import Client
from stackyard.comparing import projects
from stackyard.comparing.grouping import KEYS
from stackyard.comparing.near import printable
from stackyard.comparing.selection import ENDED
from stackyard.reports.catalogue import CATALOGUE

#: Of each kind; and of one answer.
MOST_CHOICES, ANSWER_BYTES = 2_000, 16 << 20
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
    ids = projects.ids_here(client, project)
    answer, _ = client.read(
        "tasks.get_all_ex",
        ANSWER_BYTES,
        project=ids,
        include_subprojects=True,
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
    """What can be chosen in a project.

    Raises:
        BadInputError: there is no such project.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """
    ids = projects.ids_here(client, project)

    def asked(method: str, **fields: Any) -> Mapping[str, Any]:
        return client.read(method, ANSWER_BYTES, **fields)[0]

    tags = asked("projects.get_task_tags", projects=ids).get("tags")
    parameters = asked("projects.get_hyper_parameters", project=ids[0], page_size=MOST_CHOICES).get(
        "parameters"
    )
    scalars = asked("projects.get_unique_metric_variants", project=ids[0]).get("metrics")
    users = asked("users.get_all_ex", only_fields=["id", "name"], active_in_projects=ids).get("users")
    return Choices(
        project,
        tags=_texts(tags),
        parameters=_texts(_joined(parameters, "section", "name")),
        scalars=_texts(_joined(scalars, "metric", "variant")),
        users=_texts(each.get("name") for each in users or [] if isinstance(each, dict)),
    )


def _joined(entries: Any, first: str, second: str) -> Iterator[str]:
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, dict) and isinstance(each.get(first), str) and isinstance(each.get(second), str):
            yield f"{each[first]}/{each[second]}"


def _texts(given: Iterable[Any] | None) -> list[str]:
    """Names in order, each once, without what would drive a terminal."""
    return sorted({printable(text) for text in given or () if isinstance(text, str)})[:MOST_CHOICES]
