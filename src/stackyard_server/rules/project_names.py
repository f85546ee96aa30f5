"""The names of projects: paths of parts between slashes. Pure; knows no project that exists."""

from __future__ import annotations

import re

from ..protocol.error_table import ApiError, error

#: The least length of a path's last part.
SHORTEST = 3
#: The most parts of a path.
MAX_DEPTH = 10
#: The hidden project below which each data set of a project has one of its own.
DATASETS = ".datasets"
#: A pattern that is one name, as clients ask for it: nothing in it but letters and what is escaped.
EXACT = re.compile(r"\^((?:[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9])*)\$")


def normalise(name: str) -> str:
    """The path a name stands for: outer and doubled slashes and the space around each part are dropped.

    Raises:
        ApiError: 400/407 nothing is left; 400/12 the last part is too short; 400/409 too many parts.
    """
    parts = [part for part in (piece.strip() for piece in name.split("/")) if part]
    if not parts:
        raise error("invalid_project_name", name=name)
    if len(parts) > MAX_DEPTH:
        raise error("project_depth", max_depth=MAX_DEPTH)
    if len(parts[-1]) < SHORTEST:
        raise error("validation", "Project name cannot be blank")  # so ClearML says of one that is too short
    return "/".join(parts)


def pattern_of(asked: str) -> str:
    """The pattern that finds a project under each name that ``normalise`` takes for its own.

    Clients ask for a project by the name they gave it, slashes and all, before they make it: where they find
    nothing they make it, and are refused if it is there.
    """
    exact = EXACT.fullmatch(asked)
    if exact is None:
        return asked
    name = re.sub(r"\\(.)", r"\1", exact[1])
    try:
        return f"^{re.escape(normalise(name))}$"
    except ApiError:
        return asked


def split(name: str) -> tuple[str, str]:
    """(the parent's path, the last part); the parent of a root is ""."""
    parent, _, basename = name.rpartition("/")
    return parent, basename


def parents(name: str) -> list[str]:
    """The paths above one, from the root down."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def depth(name: str) -> int:
    """The number of parts."""
    return name.count("/") + 1
