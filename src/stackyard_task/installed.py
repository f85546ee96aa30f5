"""What is installed in a virtual environment, as the names of its folders tell, and whether that was changed.

Whoever builds an environment writes down what is in it, and when its folders of packages last changed. pip makes or
removes a ``.dist-info`` folder there with each package; what Python compiles goes into a ``__pycache__`` that is there
already. So one ``stat`` tells that nothing was installed or removed. Pure; standard library only.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, Mapping, Optional

#: In the marker of an environment: folder, relative to the environment -> when it last changed, in nanoseconds.
CHANGED_AT = "site_packages_changed_ns"
#: And name -> version of what was installed.
INSTALLED = "installed"
_INFO = ".dist-info"
#: In an environment that is complete, written last; says which stack it holds.
MARKER = "stackyard-complete.json"
_MOST_BYTES = 8 << 20
#: Every environment has one of its own, and may renew it.
_ANY = ("pip",)
#: Of packages, so many are named in a sentence.
_MOST_NAMED = 8


def noted(prefix: str) -> Dict[str, Dict[str, Any]]:
    """What the marker of an environment says of its packages.

    Args:
        prefix: the environment.

    Raises:
        OSError: it cannot be read.
    """
    folders = _folders(prefix)  # before they are listed: what changes meanwhile is seen the next time
    changed = {name: os.stat(os.path.join(prefix, name)).st_mtime_ns for name in folders}
    return {CHANGED_AT: changed, INSTALLED: _distributions(prefix, folders)}


def untouched(prefix: str, marker: Mapping[str, Any]) -> Optional[bool]:
    """Whether nothing was installed or removed since the marker was written; ``None``: an older one does not tell."""
    told = marker.get(CHANGED_AT)
    if not isinstance(told, dict) or not isinstance(marker.get(INSTALLED), dict):
        return None
    try:
        return all(os.stat(os.path.join(prefix, name)).st_mtime_ns == at for name, at in told.items())
    except OSError:
        return False


def changes(prefix: str, marker: Mapping[str, Any]) -> Optional[str]:
    """What is installed otherwise than the marker says: "numpy 2.3.1 in place of 2.4.6, six 1.16.0 added".

    Args:
        prefix: the environment.
        marker: of an environment that is complete.

    Returns:
        ``None``: nothing, or the marker does not tell.
    """
    if untouched(prefix, marker) is not False:
        return None
    try:
        found = _distributions(prefix, _folders(prefix))
    except OSError as error:
        return f"its packages cannot be read: {error.strerror}"
    return difference(marker[INSTALLED], found)


def has_all(prefix: str, marker: Mapping[str, Any]) -> bool:
    """Whether everything is installed that the marker names, in its version; there may be more."""
    try:
        found = _distributions(prefix, _folders(prefix))
    except OSError:
        return False
    told = marker.get(INSTALLED)
    return isinstance(told, dict) and all(
        found.get(name) == version for name, version in told.items() if name not in _ANY
    )


def since_built(python: str) -> Optional[str]:
    """The same for the environment of an interpreter; ``None``, too, where Stackyard built none."""
    prefix = os.path.dirname(os.path.dirname(python))
    try:
        with open(os.path.join(prefix, MARKER), "rb") as stream:
            marker = json.loads(stream.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return changes(prefix, marker) if isinstance(marker, dict) else None


def difference(expected: Mapping[str, str], found: Mapping[str, str]) -> Optional[str]:
    """How what is installed differs from what is expected, both name -> version; ``None``: it does not."""
    told = []
    for name in sorted({*expected, *found} - {*_ANY}):
        old, new = expected.get(name), found.get(name)
        if old != new:
            told.append(
                f"{name} {old} removed"
                if new is None
                else f"{name} {new} added"
                if old is None
                else f"{name} {new} in place of {old}"
            )
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return ", ".join(told[:_MOST_NAMED]) + more if told else None


def _folders(prefix: str) -> List[str]:
    """Where packages lie, relative to the environment."""
    names = [name for name in sorted(os.listdir(os.path.join(prefix, "lib"))) if name.startswith("python3")]
    folders = [os.path.join("lib", name, "site-packages") for name in names]
    return [name for name in folders if os.path.isdir(os.path.join(prefix, name))]


def _distributions(prefix: str, folders: List[str]) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for folder in folders:
        for entry in sorted(os.listdir(os.path.join(prefix, folder))):
            name, _, version = entry[: -len(_INFO)].partition("-")
            if entry.endswith(_INFO) and version:
                name = re.sub(r"[-_.]+", "-", name).lower()
                # the same twice is what an interrupted pip leaves
                found[name] = f"{found[name]} and {version}" if name in found else version
    return found
