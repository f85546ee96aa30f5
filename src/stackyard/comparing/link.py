"""What somebody wants compared as the query of a link, and back: saved by its address. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlencode

from stackyard.comparing import Asked, selection
from stackyard.comparing.selection import Selection
from stackyard.errors import BadInputError

#: Characters of a query, and values in it.
LONGEST_QUERY, MOST_VALUES = 16_384, 500
_NAMES = ("project", "tag", "filter", "task", "group_by", "metric", "pair_by", "baseline")


def query_of(asked: Asked, baseline: Mapping[str, str] | None = None) -> str:
    """The query of a link, such as "project=Vision&group_by=Args%2Flr"."""
    chosen = asked.selection
    pairs = [("project", chosen.project)] if chosen.project is not None else []
    pairs += [("tag", tag) for tag in chosen.tags]
    pairs += [("filter", f"{name}={value}") for name, values in chosen.filters.items() for value in values]
    pairs += [("task", id) for id in chosen.ids]
    pairs += [("group_by", key) for key in asked.group_by]
    pairs += [("metric", metric) for metric in asked.metrics]
    pairs += [("pair_by", asked.pair_by)] if asked.pair_by is not None else []
    pairs += [("baseline", f"{key}={value}") for key, value in (baseline or {}).items()]
    return urlencode(pairs)


def read_query(text: str) -> tuple[Asked, dict[str, str]]:
    """What a link asks for, and the baseline; names that it does not know are refused.

    Raises:
        BadInputError: it is too long, asks for something that there is not, or names no tasks.
    """
    if len(text) > LONGEST_QUERY:
        raise BadInputError(f"the link has {len(text):,} characters, more than {LONGEST_QUERY:,}")
    try:
        found = parse_qs(text, max_num_fields=MOST_VALUES, errors="strict")
    except ValueError as error:
        raise BadInputError(f"the link cannot be read ({error})") from error
    for name in found:
        if name not in _NAMES:
            raise BadInputError(f"the link asks for {name[:60]!r}; it may ask for {', '.join(_NAMES)}")
    for name in ("project", "pair_by"):
        if len(found.get(name, [])) > 1:
            raise BadInputError(f"the link names {name} twice")
    chosen = Selection(
        next(iter(found.get("project", [])), None),
        tuple(found.get("tag", [])),
        selection.filters(found.get("filter", [])),
        tuple(dict.fromkeys(found.get("task", []))),
    )
    asked = of(
        chosen, found.get("group_by", []), found.get("metric", []), next(iter(found.get("pair_by", [])), None)
    )
    return asked, baseline(found.get("baseline", []))


def of(chosen: Selection, group_by: Sequence[str], metrics: Sequence[str], pair_by: str | None) -> Asked:
    """What is asked for, once it says which tasks and what makes a group.

    Raises:
        BadInputError: it does not.
    """
    if chosen.project is None and not chosen.ids:
        raise BadInputError("which tasks? name their project with --project, or themselves with --task")
    if not group_by:
        raise BadInputError("--group-by is missing: say what makes a group, such as --group-by stack,Args/lr")
    return Asked(chosen, tuple(group_by), tuple(metrics), pair_by)


def baseline(texts: Sequence[str]) -> dict[str, str]:
    """``["Args/lr=0.1"]`` by key.

    Raises:
        BadInputError: one is not of that form.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise BadInputError(f"--baseline {text}: expected KEY=VALUE, such as Args/lr=0.1")
        found[key] = value
    return found
