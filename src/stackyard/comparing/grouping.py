"""Which tasks belong together: keys such as "stack" or "Args/lr", and each task's value of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from stackyard.comparing.fields import FieldError
from stackyard.comparing.near import hint, printable
from stackyard.comparing.selection import is_parameter, number
from stackyard.comparing.task import Task
from stackyard.counting import count

#: Keys and groups of one comparison.
MOST_KEYS, MOST_GROUPS = 12, 500
#: The value of a task that has none.
NOTHING = "not set"
ALL_BUT = "all-but:"
#: The stack that is none: programs as the machine, or the agent, has them.
NO_STACK = "none"
#: Behind the name of a stack: the digest of the packages that a task had added to it.
_ADDED = re.compile(r"\+[0-9a-f]{8}\Z")


def _stack(task: Task) -> str | None:
    """The stack that was measured, "none" where there was none; of a task that nobody measured, or that was
    never begun, the one that it asked for.

    It has the name that it is pinned under, whatever packages a task had added to it.
    """
    found = _environment(task) or task.parameters.get("Run/stack") or task.properties.get("stack")
    return _ADDED.sub("", found) if found else None


def _environment(task: Task) -> str | None:
    """The stack that was measured, with the mark of what a task had added to it; ``None``: nobody measured."""
    if task.record is None:
        return None
    found = printable(task.record.environment.stack or task.record.cell.get("stack") or "")
    if not found and task.record.measurement.wall_seconds is None:
        return None  # it failed before anything was started: in no environment
    return found or NO_STACK


def _machine(task: Task) -> str | None:
    return (task.record.environment.host if task.record is not None else None) or task.host


KEYS: Mapping[str, Callable[[Task], str | None]] = {
    "stack": _stack,
    "environment": _environment,
    "queue": lambda task: task.queue,
    "worker": lambda task: task.worker,
    "machine": _machine,
    "project": lambda task: task.project,
    "tag": lambda task: " + ".join(task.tags) or None,
    "user": lambda task: task.user,
    "name": lambda task: task.name,
}


class Grouping:
    """The keys that somebody groups by.

    Args:
        given: keys, each a text of one or several with commas between them: a name of KEYS, a parameter "SECTION/NAME",
            or "all-but:SECTION/NAME", which stands for every parameter that differs but that one.

    Raises:
        BadInputError: there is none.
    """

    def __init__(self, given: Iterable[str]) -> None:
        words = [word.strip() for text in given for word in text.split(",")]
        self.keys = list(dict.fromkeys(word for word in words if word and not word.startswith(ALL_BUT)))
        self.all_but = [word.removeprefix(ALL_BUT) for word in words if word.startswith(ALL_BUT)]
        if not self.keys and not self.all_but:
            raise FieldError(
                "group-by", f"names no key: give {', '.join(KEYS)} or a parameter such as Args/lr"
            )
        for key in self.all_but:
            if not is_parameter(key):
                raise FieldError(
                    "group-by", f"{ALL_BUT}{key}: expected a parameter, such as {ALL_BUT}Args/seed"
                )

    def of(self, tasks: Sequence[Task]) -> Groups:
        """What each task's values of the keys are.

        Raises:
            BadInputError: no task has a key, or the groups are too many.
        """
        known = list(dict.fromkeys(name for task in tasks for name in task.parameters))
        keys = list(self.keys)
        if self.all_but:
            for name in self.all_but:
                if name not in known:
                    raise FieldError(
                        "group-by", f"{ALL_BUT}{name}: no task has that parameter{hint(name, known)}"
                    )
            keys += [name for name in _differing(tasks, known) if name not in (*keys, *self.all_but)]
        if len(keys) > MOST_KEYS:
            raise FieldError(
                "group-by",
                f"comes to {count(len(keys), 'key')}, more than {MOST_KEYS}: {', '.join(keys[:MOST_KEYS])}, "
                "...; name those that matter",
            )
        columns = {}
        for key in keys:
            read = KEYS.get(key) or _parameter(key)
            values = [read(task) for task in tasks]
            if all(value is None for value in values):
                raise FieldError("group-by", _no_value(key, known))
            columns[key] = alike(values)
        levels = [{key: columns[key][i] for key in keys} for i in range(len(tasks))]
        groups = len({tuple(each.values()) for each in levels})
        if groups > MOST_GROUPS:
            raise FieldError(
                "group-by",
                f"{','.join(keys)} makes {groups:,} groups of {count(len(tasks), 'task')}, more than "
                f"{MOST_GROUPS}: leave out the key that tells repetitions apart, such as a seed",
            )
        return Groups(keys, levels)


class Groups:
    """Keys, and the value of each for every task, in the tasks' order."""

    def __init__(self, keys: Sequence[str], levels: Sequence[Mapping[str, str]]) -> None:
        self.keys, self.levels = list(keys), list(levels)

    def together(self) -> dict[tuple[str, ...], list[int]]:
        """Values of the keys -> places of the tasks that have them."""
        found: dict[tuple[str, ...], list[int]] = {}
        for place, each in enumerate(self.levels):
            found.setdefault(tuple(each.values()), []).append(place)
        return found


def pairs_of(tasks: Sequence[Task], key: str, grouped_by: Sequence[str]) -> list[int | None]:
    """A number for each task, the same for those with the same value of a key; ``None``: it has none.

    Raises:
        BadInputError: no task has the key, or it is grouped by too.
    """
    if key in grouped_by:
        raise FieldError(
            "pair-by", f"{key}: the tasks are grouped by it, so none of two groups share a value"
        )
    read = KEYS.get(key) or _parameter(key)
    values = [read(task) for task in tasks]
    if all(value is None for value in values):
        known = list(dict.fromkeys(name for task in tasks for name in task.parameters))
        raise FieldError("pair-by", _no_value(key, known))
    numbers = {value: number for number, value in enumerate(sorted(set(alike(values)) - {NOTHING}), 1)}
    return [numbers.get(value) for value in alike(values)]


def _parameter(name: str) -> Callable[[Task], str | None]:
    return lambda task: task.parameters.get(name)


def _no_value(key: str, known: Sequence[str]) -> str:
    if key in KEYS:
        return f"{key}: no task of these has a {key}"
    if not is_parameter(key):
        return f"{key}: nothing is grouped by that{hint(key, [*known, *KEYS])}"
    return f"{key}: no task has that parameter{hint(key, known)}"


def _differing(tasks: Sequence[Task], names: Sequence[str]) -> list[str]:
    return [name for name in names if len(set(alike([task.parameters.get(name) for task in tasks]))) > 1]


def alike(values: Sequence[str | None]) -> list[str]:
    """The values as texts; one number written in two ways ("0.10", "1e-1") is one value, in the plainest of them."""
    kinds = [NOTHING if value is None else _kind(value) for value in values]
    spelt: dict[object, str] = {}
    for value, kind in zip(values, kinds, strict=True):
        text = NOTHING if value is None else value or '""'
        if kind not in spelt or _plainness(text, kind) < _plainness(spelt[kind], kind):
            spelt[kind] = text
    return [spelt[kind] for kind in kinds]


def level_like(value: str, levels: Iterable[str]) -> str:
    """Of the levels the one that a text means, also where it writes the number in another way; else the text."""
    return next((level for level in levels if _kind(level) == _kind(value)), value)


def _kind(text: str) -> object:
    found = number(text)
    return (text,) if found is None else found


def _plainness(text: str, kind: object) -> tuple[bool, int]:
    usual = (str(kind), f"{kind:g}" if isinstance(kind, float) else "")
    return text not in usual, len(text)
