"""What is compared of tasks: figures of the record by their keys, and what a task reported itself. Pure.

A scalar is named "title/variant", a single value "Summary/NAME" or NAME alone. Of a series a server keeps the last, the
least and the greatest value: ``:min`` and ``:max`` choose another than the last. ``:less`` and ``:more`` say which way
is better; nobody guesses it.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackyard.comparing.fields import FieldError
from stackyard.comparing.near import hint
from stackyard.comparing.task import Task
from stackyard.errors import BadInputError
from stackyard.reports.catalogue import CATALOGUE
from stackyard.reports.report import OwnMetric
from stackyard.reports.results import flat_results, is_throughput, key_of_result
from stackyard_task import figure_names

#: Choice -> field of what a server keeps of a series, and words for it.
CHOICES = {"last": ("value", ""), "min": ("min_value", "least"), "max": ("max_value", "greatest")}
DIRECTIONS = {"less": True, "more": False}
#: The title under which the SDK reports single values.
SINGLE = "Summary"
#: Started to ended as the server saw it.
SERVER_SECONDS = "server_seconds"
#: Metrics of one comparison that are named, and scalars that are taken where none is.
MOST_NAMED, MOST_TAKEN = 50, 20
_MEASURED = {metric.key for metric in CATALOGUE}
#: A name that ends with its unit: "time (ms)", "time [s]", "time_ms".
_UNIT = re.compile(
    r"(.*?)(?: ?\([^()]{1,12}\)| ?\[[^\[\]]{1,12}\]|_(?:ns|us|ms|s|sec|seconds|min|h|B|KB|MB|GB|bytes))"
)


@dataclass(frozen=True)
class Wanted:
    """One metric as it was asked for."""

    #: A key of the record's, a scalar's "title/variant", or a result's name.
    name: str
    #: A key of CHOICES.
    choice: str = "last"
    less_is_better: bool | None = None

    @property
    def measured(self) -> bool:
        """Whether it is a figure of the record's."""
        return self.name in _MEASURED

    @property
    def label(self) -> str:
        """What tables call it."""
        if self.name == SERVER_SECONDS:
            return "Run time by the server"
        words = CHOICES[self.choice][1]
        return f"{self.name} ({words})" if words else self.name

    @property
    def result(self) -> str:
        """Its name among the results of a record."""
        return self.name if self.choice == "last" else f"{self.name}:{self.choice}"

    @property
    def key(self) -> str:
        """Its key in a report."""
        return self.name if self.measured else key_of_result(self.result)

    def own(self) -> OwnMetric:
        """The metric for a report."""
        if self.name == SERVER_SECONDS:
            meaning = "Started to ended by the server's clock: what the agent itself did is in it."
            return OwnMetric(self.result, self.label, meaning, "s", "time", True)
        what = CHOICES[self.choice][1] or "last"
        return OwnMetric(
            self.result,
            self.label,
            f"What the tasks themselves reported as {self.name!r}: the {what} value.",
            less_is_better=self.less_is_better,
        )

    @functools.cached_property
    def series(self) -> list[tuple[str, str]]:
        """The (title, variant) pairs that it may be."""
        if self.measured or self.name == SERVER_SECONDS:
            return []
        parts = self.name.split("/")
        found = [("/".join(parts[:i]), "/".join(parts[i:])) for i in range(1, len(parts))]
        return [pair for pair in found if all(pair)] + ([(SINGLE, self.name)] if len(parts) == 1 else [])


def wanted(text: str) -> Wanted:
    """A metric from what was typed: NAME, and behind colons a choice, a direction, or both.

    Raises:
        BadInputError: it is empty, or a figure of the record has something behind a colon.
    """
    name, choice, direction = text.strip(), "last", None
    while True:
        before, colon, word = name.rpartition(":")
        if colon and before and word in CHOICES:
            name, choice = before, word
        elif colon and before and word in DIRECTIONS:
            name, direction = before, DIRECTIONS[word]
        else:
            break
    if not name:
        raise FieldError(
            "metric", "is empty: name a figure such as wall_seconds, or a scalar such as loss/val:min"
        )
    found = Wanted(name, choice, direction)
    if (found.measured or name == SERVER_SECONDS) and found != Wanted(name):
        raise FieldError(
            "metric", f"{text}: {name} is one figure whose direction is known; leave the rest away"
        )
    return found


def read(texts: Sequence[str]) -> list[Wanted]:
    """The metrics that were typed, each once.

    Raises:
        BadInputError: one is none, they are too many, or one has two directions.
    """
    found: dict[str, Wanted] = {}
    for text in texts:
        each = wanted(text)
        if found.setdefault(each.key, each) != each:
            raise FieldError("metric", f"{text}: {each.label} is given twice, and not alike")
    if len(found) > MOST_NAMED:
        raise BadInputError(f"{len(found)} metrics are more than the {MOST_NAMED} that one comparison takes")
    return list(found.values())


@dataclass(frozen=True)
class Asking:
    """What of a task's scalars a server is asked for, and how its answer is read."""

    #: Fields of a ``get_all`` call.
    fields: list[str]
    #: Key in ``last_metrics`` -> (title, variant); ``None``: the answer says the names itself.
    names: Mapping[tuple[str, str], tuple[str, str]] | None


def asking(asked: Sequence[Wanted]) -> Asking:
    """What to ask for; all scalars where no metric was named.

    The keys are the MD5 of the names, as ClearML's clients compute them.
    """
    if not asked:
        return Asking(["last_metrics"], None)
    fields, names = [], {}
    for each in asked:
        for title, variant in each.series:
            key = (_digest(title), _digest(variant))
            names[key] = (title, variant)
            fields.append(".".join(("last_metrics", *key, CHOICES[each.choice][0])))
    return Asking(list(dict.fromkeys(fields)), names)


def _digest(name: str) -> str:
    return hashlib.md5(name.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def value_of(task: Task, asked: Wanted) -> float | None:
    """What a task says of a metric that is no figure of the record's; it may be no finite number. ``None``: nothing."""
    if asked.name == SERVER_SECONDS:
        return _server_seconds(task)
    for pair in asked.series:
        value = task.series.get(pair, {}).get(CHOICES[asked.choice][0])
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value) if -1.7e308 <= value <= 1.7e308 else math.nan
    if task.record is not None and asked.choice == "last":
        value = flat_results(task.record).get(asked.name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return None


def _server_seconds(task: Task) -> float | None:
    try:
        ends = [datetime.datetime.fromisoformat(text or "") for text in (task.started, task.ended)]
        seconds = (ends[1] - ends[0]).total_seconds()
    except (TypeError, ValueError):
        return None
    return seconds if seconds >= 0 else None


def taken(tasks: Sequence[Task]) -> tuple[list[Wanted], list[str]]:
    """The metrics where none was named: the scalars that most tasks have; and names of those that are left out."""
    counts: dict[str, int] = {}
    for task in tasks:
        for title, variant in task.series:
            if not title.startswith(":") and (task.record is None or not _is_of_record(title, variant)):
                name = variant if title == SINGLE and "/" not in variant else f"{title}/{variant}"
                counts[name] = counts.get(name, 0) + 1
        for name, value in flat_results(task.record).items() if task.record is not None else ():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not is_throughput(name):
                counts.setdefault(name, 1)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    found = [Wanted(name) for name in order[:MOST_TAKEN]]
    if any(task.record is None for task in tasks):
        found.append(Wanted(SERVER_SECONDS))
    return found, order[MOST_TAKEN:]


def _is_of_record(title: str, variant: str) -> bool:
    """Whether a measured task shows its record by a scalar, beside what it reports itself."""
    return (title == SINGLE and figure_names.is_figure(variant)) or title in figure_names.LIVE


def names(tasks: Iterable[Task]) -> list[str]:
    """What could be named: scalars, single values, results, and the figures of records."""
    found: dict[str, None] = {}
    measured = False
    for task in tasks:
        found.update(dict.fromkeys(f"{title}/{variant}" for title, variant in task.series))
        if task.record is not None:
            measured = True
            found.update(
                (n, None) for n, v in flat_results(task.record).items() if not isinstance(v, (str, bool))
            )
    return [*found, *(_MEASURED if measured else ()), SERVER_SECONDS]


def unknown(asked: Wanted, known: Iterable[str]) -> FieldError:
    """That no task has a metric, with the names that are near it; of all of them those that tasks chose come first."""
    names = list(dict.fromkeys(known))
    before, colon, word = asked.name.rpartition(":")
    if colon and before and {before, f"{SINGLE}/{before}"} & set(names):
        endings = [each for each in (*CHOICES, *DIRECTIONS) if each != "last"]
        return FieldError(
            "metric",
            f"{asked.name}: {before} is there, but {word!r} behind it means nothing{hint(word, endings)}",
        )
    names.sort(key=_is_anothers)
    return FieldError("metric", f"{asked.name}: no task has it{hint(asked.name, names, ordered=True)}")


def _is_anothers(name: str) -> bool:
    """Whether a name is none that a task's author chose: of the record, of the SDK's monitoring, of the server."""
    title, _, variant = name.partition("/")
    return (
        name in _MEASURED or name == SERVER_SECONDS or name.startswith(":") or _is_of_record(title, variant)
    )


def units(known: Iterable[str]) -> Mapping[str, list[str]]:
    """Names that differ in the unit at their end alone: what they have in common -> the names."""
    found: dict[str, list[str]] = {}
    for name in known:
        match = _UNIT.fullmatch(name)
        if match is not None and match[1]:
            found.setdefault(match[1], []).append(name)
    return {stem: several for stem, several in found.items() if len(several) > 1}
