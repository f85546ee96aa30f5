"""What somebody wants compared, as an address says it: a link is the saved choice. Pure.

The fields have the names that the options of ``stackyard compare tasks`` have. A field that nobody knows is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from stackyard.comparing import Asked
from stackyard.comparing import selection as selections
from stackyard.comparing.fields import baseline
from stackyard.comparing.grouping import ALL_BUT
from stackyard.comparing.near import hint
from stackyard.comparing.selection import Selection
from stackyard.errors import BadInputError
from stackyard.reports.report import ReportOptions

#: Characters of a query, of one value, and fields.
LONGEST_QUERY, LONGEST_VALUE, MOST_FIELDS = 8_000, 1_000, 400
#: Name of a field -> of an attribute.
FIELDS = {
    "project": "project",
    "tag": "tags",
    "filter": "filters",
    "task": "tasks",
    "group-by": "group_by",
    "metric": "metrics",
    "pair-by": "pair_by",
    "baseline": "baseline",
}
#: Those that may stand but once.
ONCE = ("project", "pair-by")


@dataclass(frozen=True)
class Choice:
    """One choice, as it was typed."""

    project: str = ""
    tags: tuple[str, ...] = ()
    #: "status=completed", "Args/lr=0.1".
    filters: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    #: Keys as ``comparing.grouping`` reads them, one each.
    group_by: tuple[str, ...] = ()
    #: As ``comparing.metrics`` reads them.
    metrics: tuple[str, ...] = ()
    #: Tasks of two groups with the same value of it are pairs; empty: none are.
    pair_by: str = ""
    #: "Args/lr=0.1".
    baseline: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it says which tasks and what makes a group."""
        return bool((self.project or self.tasks) and self.group_by)

    @property
    def keys(self) -> list[str]:
        """Keys that tasks are grouped by, but for all-but ones."""
        return [key for key in self.group_by if not key.startswith(ALL_BUT)]

    @property
    def all_but(self) -> list[str]:
        """Parameters that do not tell groups apart where all others do."""
        return [key.removeprefix(ALL_BUT) for key in self.group_by if key.startswith(ALL_BUT)]

    def asked(self) -> tuple[Asked, ReportOptions]:
        """The same for a comparison.

        Raises:
            BadInputError: something of it cannot be read.
        """
        selection = Selection(
            self.project or None,
            self.tags,
            selections.filters(self.filters),
            tuple(dict.fromkeys(self.tasks)),
        )
        return Asked(selection, self.group_by, self.metrics, self.pair_by or None), ReportOptions(
            baseline=baseline(self.baseline) or None
        )

    def query(self) -> str:
        """The query of its address, without what is empty."""
        found = []
        for name, attribute in FIELDS.items():
            held = getattr(self, attribute)
            found += [(name, value) for value in ((held,) if name in ONCE else held) if value]
        return urlencode(found)

    def words(self) -> str:
        """Which tasks, for people."""
        said = [f"project {self.project}"] if self.project else []
        said += [f"tag {tag}" for tag in self.tags] + list(self.filters)
        if self.tasks:
            said.append(f"{len(self.tasks)} named tasks" if len(self.tasks) > 1 else "1 named task")
        return ", ".join(said)


def read(query: str) -> Choice:
    """The choice that a query says.

    Raises:
        BadInputError: it is too long, or has a field that nobody knows.
    """
    found: dict[str, list[str]] = {}
    for name, value in fields(query):
        if name not in FIELDS:
            raise BadInputError(f"nothing is chosen by {name[:60]!r}{hint(name[:60], FIELDS)}")
        if value:
            found.setdefault(name, []).append(value)
    return _made(found)


def fields(query: str) -> list[tuple[str, str]]:
    """Names and values of a query.

    Raises:
        BadInputError: it is too long, holds too much, or is no text.
    """
    if len(query) > LONGEST_QUERY:
        raise BadInputError(f"the address is longer than {LONGEST_QUERY:,} characters: choose less")
    try:
        found = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise BadInputError(f"the address cannot be read: over {MOST_FIELDS} fields, or no text") from error
    for name, value in found:
        if len(value) > LONGEST_VALUE or not value.isprintable():
            raise BadInputError(
                f"{name[:60]}: expected up to {LONGEST_VALUE:,} printable characters on one line"
            )
    return found


def from_form(query: str) -> Choice:
    """The choice that the form says: it has more fields than an address, and leaves some empty.

    Raises:
        BadInputError: something of it cannot be used.
    """
    given: dict[str, list[str]] = {}
    for name, value in fields(query):
        given.setdefault(name, []).append(value.strip())
    found = {name: [value for value in given.pop(name, []) if value] for name in FIELDS}
    found["filter"] += [f"status={value}" for value in given.pop("status", []) if value]
    found["filter"] += _named(given.pop("where", []), given.pop("is", []))
    found["task"] = [word for text in found["task"] for word in text.replace(",", " ").split()]
    found["group-by"] += [f"{ALL_BUT}{value}" for value in given.pop("but", []) if value]
    rows = [given.pop(name, []) for name in ("name", "choice", "better")]
    found["metric"] += _metrics(*rows)
    if given:
        name = next(iter(given))
        raise BadInputError(f"nothing is chosen by {name[:60]!r}")
    return _made(found)


def is_whole_form(query: str) -> bool:
    """Whether the form asked for more than a project: it has rows for metrics, even if they are empty."""
    return any(name == "name" for name, _ in fields(query))


def _made(found: dict[str, list[str]]) -> Choice:
    once: dict[str, str] = {}
    for name in ONCE:
        given = list(dict.fromkeys(found.get(name, [])))
        if len(given) > 1:
            raise BadInputError(f"{name} stands twice: choose one")
        once[name] = given[0] if given else ""
    several = {name: tuple(dict.fromkeys(found.get(name, []))) for name in FIELDS if name not in ONCE}
    keys = [key.strip() for text in several["group-by"] for key in text.split(",")]
    return Choice(
        project=once["project"],
        tags=several["tag"],
        filters=several["filter"],
        tasks=several["task"],
        group_by=tuple(dict.fromkeys(filter(None, keys))),
        metrics=several["metric"],
        pair_by=once["pair-by"],
        baseline=several["baseline"],
    )


def _named(names: Sequence[str], values: Sequence[str]) -> Iterable[str]:
    for name, value in zip(names, values, strict=False):
        if name and value:
            yield f"{name}={value}"
        elif name or value:
            raise BadInputError(f"filter {name or value!r}: give both a parameter and its value")


def _metrics(names: Sequence[str], choices: Sequence[str], better: Sequence[str]) -> Iterable[str]:
    if not len(names) == len(choices) == len(better):
        raise BadInputError("a metric needs a name, which value of it counts, and which way is better")
    for name, choice, direction in zip(names, choices, better, strict=True):
        if name:
            parts = [name, choice if choice != "last" else "", direction]
            yield ":".join(part for part in parts if part)
