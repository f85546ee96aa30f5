"""Which tasks are asked for, as typed, and what of it a server is asked. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackyard.comparing.fields import FieldError
from stackyard.comparing.near import hint

#: Words that a filter may begin with, and the field of a task that each means.
FIELDS = {"status": "status", "type": "type"}
#: Words that are looked at once a task is here, for a server knows them of its record or under another name.
LOCAL = ("name", "stack", "environment", "queue", "worker", "machine", "project", "user")
STATUSES = ("completed", "failed", "stopped", "published", "closed", "in_progress", "queued", "created")
#: Statuses of a task that is over.
ENDED = ("completed", "published", "closed", "failed", "stopped")


@dataclass(frozen=True)
class Selection:
    """Which tasks: those that fit everything that is said here."""

    #: A project's whole name; the tasks of those below it belong to it. ``None``: tasks are named.
    project: str | None = None
    #: Each of them is on the task.
    tags: Sequence[str] = ()
    #: Filter -> texts of which the task has one: a word of FIELDS or LOCAL, or a parameter such as "Args/lr".
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Ids of tasks; none: all that fit.
    ids: Sequence[str] = ()

    def asks(self) -> dict[str, Any]:
        """The fields of a ``tasks.get_all_ex`` call, but for the project's."""
        found: dict[str, Any] = {"system_tags": ["-archived"]}
        if self.ids:
            found["id"] = list(self.ids)
        if any(map(_is_plain, self.tags)):
            found["tags"] = ["__$all", *filter(_is_plain, self.tags)]
        for name, values in self.filters.items():
            if name in LOCAL or not all(map(_is_plain, values)):
                continue
            # a server compares texts: it would miss 2e-1 where 0.2 is asked for
            if is_parameter(name) and any(number(value) is not None for value in values):
                continue
            if name in FIELDS:
                found[FIELDS[name]] = list(values)
            else:
                section, _, key = name.partition("/")
                found[f"hyperparams.{section}.{_escaped(key)}.value"] = list(values)
        return found

    def words(self) -> str:
        """The same for people: "project P, tag T, Args/lr=0.1"."""
        said = [f"project {self.project}"] if self.project else []
        said += [f"tag {tag}" for tag in self.tags]
        said += [f"{name}={' or '.join(values)}" for name, values in self.filters.items()]
        if self.ids:
            said.append(f"{len(self.ids)} named")
        return ", ".join(said)


def filters(texts: Iterable[str]) -> dict[str, list[str]]:
    """``["status=completed", "Args/lr=0.1"]`` by name; the same name twice means either value.

    Raises:
        BadInputError: one is not of that form, or nothing is filtered by such a name.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or not value:
            raise FieldError(
                "filter", f"{text}: expected NAME=VALUE, such as status=completed or Args/lr=0.1"
            )
        if name not in FIELDS and name not in LOCAL and not is_parameter(name):
            known = [*FIELDS, *LOCAL, "SECTION/NAME of a parameter"]
            raise FieldError("filter", f"{text}: nothing is filtered by {name!r}{hint(name, known)}")
        if name in FIELDS and not _is_plain(value):
            raise FieldError("filter", f"{text}: no task has such a {name}")
        if name == "status" and value not in STATUSES:
            raise FieldError("filter", f"{text}: no task has that status{hint(value, STATUSES)}")
        found.setdefault(name, []).append(value)
    return found


def is_parameter(name: str) -> bool:
    """Whether a name has the form of a parameter's: a section and what stands in it."""
    section, slash, key = name.partition("/")
    return bool(slash and section and key)


def number(text: str) -> int | float | None:
    """The finite number that a text writes; ``None``: it is another text."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _is_plain(text: str) -> bool:
    """Whether a server takes a text for what it is: ClearML's API has "-x" for all but x, and operators with "__$"."""
    return not text.startswith(("-", "__$"))


def _escaped(name: str) -> str:
    """A parameter's name as part of a field's: a dot would separate two."""
    return name.replace(".", "%2E").replace("$", "%24")
