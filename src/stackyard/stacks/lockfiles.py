"""Lock files of other tools, ``pylock.toml`` (PEP 751) and ``uv.lock``, as requirements with versions and hashes.

What they lock for one Python is taken: without extras, and with the groups that are on by default. Where a file is
fetched from is pip's affair, so an index that they name is not followed: the hashes say which files may be installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.stacks.advice import OWNER
from stackyard.stacks.wanted import (
    MOST_BYTES,
    MOST_PACKAGES,
    Requirements,
    Wanted,
    marker_environment,
)

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
#: What is wrong with a document that is no such lock.
_ODD = (
    KeyError,
    TypeError,
    AttributeError,
    ValueError,
    InvalidMarker,
    InvalidSpecifier,
    InvalidRequirement,
    UndefinedEnvironmentName,
)


def read_pylock(path: Path, python: str) -> Requirements:
    """What a ``pylock.toml`` locks for ``python`` ("3.11").

    Raises:
        BadInputError: it is none, is not for this Python, or locks a path or an address.
    """
    return _read(path, lambda document: _pylock(path, document, python))


def read_uv(path: Path, python: str, pinned: Collection[str] = ()) -> Requirements:
    """What a ``uv.lock`` locks for its project and ``python`` ("3.11"), without groups of developers.

    Args:
        path: the file.
        python: the Python.
        pinned: names of packages that are there already: what only those need is left out.

    Raises:
        BadInputError: it is none, is of several projects, is not for this Python, or locks a path or an address.
    """
    return _read(path, lambda document: _uv(path, document, python, pinned))


def _read(path: Path, taken: Callable[[Mapping[str, Any]], list[Wanted]]) -> Requirements:
    document = toml_tables.parse(toml_tables.text_of(path, most_bytes=MOST_BYTES), str(path))
    try:
        wanted = taken(document)
    except _ODD as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise BadInputError(f"{path}: is not as its tool writes it ({said}); write it anew") from error
    if len(wanted) > MOST_PACKAGES:
        raise BadInputError(f"{path}: locks more than {MOST_PACKAGES} packages")
    if not wanted:
        raise BadInputError(f"{path}: locks no package for this machine")
    return Requirements(str(path), tuple(wanted))


def _pylock(path: Path, document: Mapping[str, Any], python: str) -> list[Wanted]:
    if str(document["lock-version"]).partition(".")[0] != "1":
        raise BadInputError(f"{path}: lock-version is {document['lock-version']!r}, 1.x is read")
    around = marker_environment(python)
    more = {"extras": set(), "dependency_groups": set(document.get("default-groups", []))}
    _check_python(path, document.get("requires-python"), python)
    places = document.get("environments", [])
    if places and not any(Marker(place).evaluate(around) for place in places):
        raise BadInputError(f"{path}: was not locked for Python {python} on this machine (environments)")
    wanted = []
    for package in document["packages"]:
        name = canonicalize_name(package["name"])
        where = f"{path} ({name})"
        marker = package.get("marker")
        if marker and not Marker(marker).evaluate({**around, **more}, context="lock_file"):
            continue
        # the project itself: the workload's code, as of a uv.lock
        if package.get("directory", {}).get("path") == ".":
            continue
        if any(kind in package for kind in ("vcs", "directory", "archive")) or "version" not in package:
            raise BadInputError(f"{where}: a path or an address {OWNER.no_path}")
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        hashes = [f"sha256:{file['hashes']['sha256']}" for file in files if "sha256" in file["hashes"]]
        wanted.append(_pin(name, package["version"], hashes, where))
    return wanted


def _uv(path: Path, document: Mapping[str, Any], python: str, pinned: Collection[str]) -> list[Wanted]:
    if document["version"] != 1:
        raise BadInputError(f"{path}: version is {document['version']!r}, 1 is read")
    _check_python(path, document.get("requires-python"), python)
    around = marker_environment(python)
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for package in document["package"]:
        by_name.setdefault(canonicalize_name(package["name"]), []).append(package)
    project = _project(path, document["package"])
    wanted: dict[str, Wanted] = {}
    seen = set()
    left: list[tuple[Mapping[str, Any], str]] = [(project, "")]
    while left:
        package, extra = left.pop()
        name = canonicalize_name(package["name"])
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        if package is not project:
            where = f"{path} ({name})"
            if "registry" not in package["source"]:
                raise BadInputError(f"{where}: a path or an address {OWNER.no_path}")
            files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            hashes = [file["hash"] for file in files if _HASH.fullmatch(file.get("hash", ""))]
            one = _pin(name, package["version"], hashes, where)
            if wanted.setdefault(name, one).text != one.text:
                raise BadInputError(f"{where}: is locked in two versions for Python {python}")
        if name in pinned:
            continue
        needs = (
            package.get("optional-dependencies", {}).get(extra, [])
            if extra
            else package.get("dependencies", [])
        )
        for need in needs:
            if need.get("marker") and not Marker(need["marker"]).evaluate({**around, "extra": ""}):
                continue
            found = _locked(by_name[canonicalize_name(need["name"])], need, around)
            left += [(found, one) for one in ("", *need.get("extra", []))]
    return list(wanted.values())


def _project(path: Path, packages: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The package that the lock was made for."""
    own = [p for p in packages if "virtual" in p["source"] or "editable" in p["source"]]
    here = [p for p in own if "." in (p["source"].get("virtual"), p["source"].get("editable"))]
    if len(here or own) != 1:
        names = ", ".join(p["name"] for p in own) or "none"
        raise BadInputError(
            f"{path}: is not of one project ({names}); write one with `uv export --package NAME -o requirements.txt`"
        )
    return (here or own)[0]


def _locked(
    candidates: list[Mapping[str, Any]], need: Mapping[str, Any], around: Mapping[str, str]
) -> Mapping[str, Any]:
    """Which of several locked versions of a package one that needs it means.

    Raises:
        ValueError: none.
    """
    for one in candidates:
        marks = one.get("resolution-markers", [])
        fits = all(one.get(key) == need[key] for key in ("version", "source") if key in need)
        if fits and ("version" in need or not marks or any(Marker(m).evaluate(dict(around)) for m in marks)):
            return one
    raise ValueError(f"no locked version of {need['name']} fits")


def _pin(name: str, version: str, hashes: Iterable[str], where: str) -> Wanted:
    text = str(Requirement(f"{name}=={version}"))
    found = tuple(dict.fromkeys(hashes))
    if not all(_HASH.fullmatch(value) for value in found):
        raise ValueError(f"a hash of {name} is no sha256")
    return Wanted(text, where, found)


def _check_python(path: Path, requires: str | None, python: str) -> None:
    full = marker_environment(python)["python_full_version"]
    if requires and not SpecifierSet(requires).contains(full, prereleases=True):
        raise BadInputError(
            f"{path}: is for Python {requires}, the base has {python}; take a base with such a Python, or list what "
            "your code imports in a requirements.txt"
        )
