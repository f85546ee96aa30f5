"""A stack's definition: ``stack.toml`` and ``requirements.lock``, checked and turned into a StackSpec.

Reads files, changes nothing, starts nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard.toml_tables import Fields
from stackyard_task.installed import MARKER  # noqa: F401 - offered here too
from stackyard_task.records import StackPin, opened

#: The stack a scenario gets that names none.
DEFAULT = "torch-2.13.0-cpu"

STACK_FILE = "stack.toml"
LOCK_FILE = "requirements.lock"

#: Another folder of stack definitions than the checkout's.
FOLDER_VARIABLE = "STACKYARD_STACKS"

_KEYS = {
    "about",
    "python",
    "torch",
    "cuda",
    "indexes",
    "capability",
    "installed_bytes",
    "environment",
    "tunables",
}
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!+_-]*)$")
_HASH = re.compile(r"^--hash=(sha256:[0-9a-f]{64})$")


@dataclass(frozen=True)
class StackSpec:
    """A pinned stack as ``agents/stacks/<name>/`` defines it."""

    name: str
    #: "3.9", "3.11"...
    python: str
    #: torch's version as the lock pins it, without a local tag; ``None``: a stack without torch.
    torch: str | None
    #: CUDA version of torch's build ("10.2"), or "cpu"; ``None``: a stack without torch.
    cuda: str | None
    #: SHA-256 of the lock file's content and of what else decides the environment.
    digest: str
    #: Holds stack.toml and requirements.lock; of a derived stack, the lock has what is added to the base.
    folder: Path
    #: Where wheels come from, tried in order: "wheels" (a local folder), "default" (pip's own), or a URL.
    indexes: tuple[str, ...] = ("wheels", "default")
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Variables that change speed but not results; visible in the record and usable as an axis.
    tunables: Mapping[str, str] = field(default_factory=dict)
    #: GPU compute capabilities the build has code for, e.g. (3.7, 7.5); ``None`` for CPU builds.
    capability_range: tuple[float, float] | None = None
    #: One sentence for people: what this stack is for.
    about: str = ""
    #: Size of the built environment; ``None``: not known.
    installed_bytes: int | None = None
    #: The stack that this one adds packages to; ``None``: it stands on its own.
    base: StackSpec | None = None
    #: Packages of the base in whose place its lock has another version: name -> (the base's version, its own).
    replaced: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def pin(self) -> StackPin:
        """What a task is told to check at its start."""
        return StackPin(
            name=self.name, digest=self.digest, python=self.python, torch=self.torch, cuda=self.cuda
        )


#: No stack: a run finds programs as the PATH of this machine has them, and its supervisor runs in our own Python.
NONE = StackSpec(
    name="none",
    python="{}.{}".format(*sys.version_info[:2]),
    torch=None,
    cuda=None,
    digest="",
    folder=Path(),
    about="No stack: the programs of this machine, as they are.",
)


@dataclass(frozen=True)
class LockedPackage:
    """One line of a lock."""

    name: str
    version: str
    #: "sha256:..." of every file that may be installed; empty where several sources serve different files.
    hashes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The requirement as pip reads it, without hashes."""
        return f"{self.name}=={self.version}"


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def load(folder: Path | None = None) -> dict[str, StackSpec]:
    """All stacks defined below ``folder``, by name, the default stack first.

    Args:
        folder: holds one folder per stack; ``None``: $STACKYARD_STACKS, else ``agents/stacks`` of the
            checkout this code runs from, else of the current folder.

    Raises:
        BadInputError: there is no such folder, or a definition in it cannot be used.
    """
    folder = folder or _default_folder()
    if not folder.is_dir():
        raise BadInputError(
            f"{folder}: no stack definitions there; run from a checkout, or set {FOLDER_VARIABLE}"
        )
    names = sorted(path.parent.name for path in folder.glob(f"*/{STACK_FILE}"))
    names.sort(key=lambda name: name != DEFAULT)
    return {name: read(folder / name) for name in names}


def read(folder: Path, running: str | None = None) -> StackSpec:
    """The stack that ``folder`` defines; the folder's name is the stack's.

    Args:
        folder: holds stack.toml and requirements.lock.
        running: the Python a stack that allows several is defined with, if it is one of them: "3.12";
            ``None``: that of this process, which certainly is on this machine.

    Raises:
        BadInputError: a file is missing or a key in it is missing, unknown or not allowed.
    """
    path = folder / STACK_FILE
    fields = Fields(str(path), toml_tables.read(path))
    top = fields.document
    fields.keys(top, "", _KEYS)
    python = _python(fields, running)
    torch, cuda = _torch(fields)
    locked = read_lock(folder / LOCK_FILE)
    pinned = next((package for package in locked if canonical(package.name) == "torch"), None)
    if (public_version(pinned.version) if pinned else None) != torch:
        seen = pinned.line if pinned else "no torch"
        said = "has no torch" if torch is None else f"says torch = {torch!r}"
        raise BadInputError(f"{folder / LOCK_FILE}: pins {seen}, but {STACK_FILE} {said}")
    return StackSpec(
        name=folder.name,
        python=python,
        torch=torch,
        cuda=cuda,
        digest=digest_of(locked, python=python, torch=torch, cuda=cuda),
        folder=folder,
        indexes=_indexes(fields, torch),
        environment=fields.environment(fields.table("environment"), "environment", decimals=False),
        tunables=fields.environment(fields.table("tunables"), "tunables", decimals=False),
        capability_range=_capability(fields, cuda),
        about=fields.text(top, "", "about", "") if top.get("about") else "",
        installed_bytes=fields.whole(top, "", "installed_bytes", 1, low=1)
        if "installed_bytes" in top
        else None,
    )


def packages(stack: StackSpec) -> list[LockedPackage]:
    """Every package of a stack's environment, each once: those that stay of its base, then those of its own lock.

    Raises:
        BadInputError: a lock cannot be read.
    """
    own = added(stack)
    if stack.base is None:
        return own
    return [
        package for package in packages(stack.base) if canonical(package.name) not in stack.replaced
    ] + own


def added(stack: StackSpec) -> list[LockedPackage]:
    """The packages of a stack's own lock: beyond its base's, or in their place, where it has one.

    Raises:
        BadInputError: the lock cannot be read.
    """
    return read_lock(stack.folder / LOCK_FILE, may_be_empty=stack.base is not None)


def read_lock(path: Path, may_be_empty: bool = False) -> list[LockedPackage]:
    """The packages a lock file pins, in its order.

    Args:
        path: the lock.
        may_be_empty: a lock that adds to others may pin nothing.

    Raises:
        BadInputError: the file is missing or empty, or a line is not ``name==version [--hash=sha256:...]``.
    """
    try:
        with opened(path) as file:
            text = file.read().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: the lock cannot be read ({error})") from error
    found: dict[str, LockedPackage] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if not words:
            continue
        pinned = _PINNED.fullmatch(words[0])
        hashes = [_HASH.fullmatch(word) for word in words[1:]]
        if pinned is None or not all(hashes):
            raise BadInputError(
                f"{path}: {' '.join(words)[:80]!r} is not a pin; expected name==version, then "
                "--hash=sha256:... where the package has hashes"
            )
        name = canonical(pinned[1])
        if name in found:
            raise BadInputError(f"{path}: {name} is pinned twice; keep one line")
        known = tuple(match[1] for match in hashes if match)
        found[name] = LockedPackage(name=pinned[1], version=pinned[2], hashes=known)
    if not found and not may_be_empty:
        raise BadInputError(f"{path}: pins no package; write one name==version per line")
    return list(found.values())


def public_version(version: str) -> str:
    """A version without its local tag: "2.13.0+cpu" -> "2.13.0" (PEP 440)."""
    return version.partition("+")[0]


def digest_of(packages: list[LockedPackage], **more: str | None) -> str:
    """What decides an environment, hashed: its packages and ``more``, not comments, order or sources."""
    lock = sorted([canonical(p.name), p.version, sorted(p.hashes)] for p in packages)
    decides = {"lock": lock, **more}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8")).hexdigest()


def _default_folder() -> Path:
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    return base() / "agents" / "stacks"


def _python(fields: Fields, running: str | None) -> str:
    value = fields.document.get("python")
    allowed = value if isinstance(value, list) else [value]
    if not allowed or any(not isinstance(v, str) or not re.fullmatch(r"3\.\d+", v) for v in allowed):
        seen = "is missing" if value is None else f"is {value!r}"
        raise fields.bad("python", seen, 'a version like "3.11", or a list of them')
    running = running or "{}.{}".format(*sys.version_info[:2])
    return running if running in allowed else str(allowed[0])


def _indexes(fields: Fields, torch: str | None) -> tuple[str, ...]:
    if torch is None and "indexes" in fields.document:
        said = "no such key without torch: other packages come from where pip is set up for"
        raise fields.bad("indexes", f"is {fields.document['indexes']!r}", said)
    expected = (
        'a list of "wheels" (a local folder), "default" (pip\'s own configuration) '
        "or addresses of a package index"
    )
    found = fields.texts(fields.document, "", "indexes", r"wheels|default|(https?|file)://.*", expected)
    if found == ():
        raise fields.bad("indexes", "is []", expected)
    return ("wheels", "default") if found is None else found


def _torch(fields: Fields) -> tuple[str | None, str | None]:
    """(torch's version, CUDA of its build); neither, for a stack without torch."""
    top = fields.document
    if "torch" not in top:
        if "cuda" in top:
            raise fields.bad("cuda", f"is {top['cuda']!r}", "no such key without torch: it is torch's build")
        return None, None
    torch = fields.text(
        top, "", "torch", like=r"\d+(\.\d+)+", expected='a version like "2.13.0", without a local tag'
    )
    cuda = fields.text(top, "", "cuda", like=r"cpu|\d+\.\d+", expected='"cpu" or a version like "12.4"')
    return torch, cuda


def _capability(fields: Fields, cuda: str | None) -> tuple[float, float] | None:
    value = fields.document.get("capability")
    with_cuda = cuda not in (None, "cpu")
    if not with_cuda and value is None:
        return None
    fits = isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
    if with_cuda and fits and value is not None and 0 <= value[0] <= value[1] < 1000:
        return (float(value[0]), float(value[1]))
    seen = "is missing" if value is None else f"is {value!r}"
    build = "a CPU build" if cuda else "a stack without torch"
    wanted = "[lowest, highest] like [3.7, 7.5]" if with_cuda else f"no such key for {build}"
    raise fields.bad("capability", seen, wanted)
