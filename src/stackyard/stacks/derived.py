"""Derived stacks: a base stack and a list of requirements, resolved once into a lock with hashes.

``defined`` gives one for a list of requirements: its lock is kept below ``home/stacks.d/.resolved`` under the digest of
what decides it (the base's pins, what the list asks for, the Python), and found there again without network. Where the
base's pins rule the list out, it may be resolved once more with the base's packages free to change, all but its core;
such a lock has a digest of its own. ``define`` gives a lock a name in ``home/stacks.d/NAME``, and ``load`` finds those
beside the house's own stacks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stackyard import toml_tables
from stackyard.errors import BadInputError, StackyardError
from stackyard.settings import Settings
from stackyard.stacks import core, definition, environment, locks, refusals, requirements
from stackyard.stacks.definition import LOCK_FILE, STACK_FILE, LockedPackage, StackSpec, canonical
from stackyard.stacks.refusals import RuledOutError
from stackyard.stacks.wanted import REQUIREMENTS_FILE, Requirements
from stackyard.toml_tables import Fields

# That a lock is there is asked where a task's start waits: what resolves one is loaded when one is resolved.
if TYPE_CHECKING:
    from stackyard.stacks.installation import Progress
    from stackyard.stacks.resolving import Resolved

_KEYS = {"about", "base", "base_digest", "python", "indexes", "replacing"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
_RESOLVED = ".resolved"
#: Nobody writes a definition for so long.
_LEFT_SECONDS = 3600
#: A stack on a stack on a stack: more is a circle.
_MOST_BASES = 8


def load(folder: Path | None = None, settings: Settings | None = None) -> dict[str, StackSpec]:
    """All stacks by name: the house's, the default first, then the derived ones that can be used.

    Args:
        folder: holds the house's definitions, as ``definition.load`` takes it.
        settings: where derived stacks are kept; ``None``: as the environment says.

    Raises:
        BadInputError: the house's stacks cannot be read.
    """
    found = definition.load(folder)
    return found | _named(settings or Settings.from_environment(), found)[0]


def faults(settings: Settings | None = None) -> dict[str, str]:
    """Derived stacks that cannot be used, by name, each with the reason."""
    return _named(settings or Settings.from_environment(), definition.load())[1]


def defined(
    base: StackSpec,
    asked: Path | Requirements,
    settings: Settings,
    *,
    name: str | None = None,
    wheels: Path | None = None,
    progress: Progress | None = None,
    anew: bool = False,
    replacing: bool = False,
    also: Sequence[str] = (),
) -> StackSpec:
    """The stack that has what ``asked`` asks for on top of ``base``; resolved now unless it is known.

    Builds ``base`` first where it has to resolve. Of several at once that want the same, one resolves and the others
    wait. Interrupted or killed, it leaves no lock.

    Args:
        base: the stack below.
        asked: a file (requirements.txt, pylock.toml or uv.lock), or what ``requirements.read_text`` gave.
        settings: where locks and environments are.
        name: what the stack is called; ``None``: after its base and its requirements.
        wheels: a folder of wheels, tried first; ``None``: $STACKYARD_WHEELS, if set.
        progress: called with one line whenever there is something new to show.
        anew: resolve even if a lock is kept.
        replacing: whether packages of the base may be replaced where its pins rule out what is asked for; its core
            (``core``) never is, and no package of the base goes away. ``StackSpec.replaced`` says which were.
        also: requirements of the caller's own, each only where the list names no such package: "clearml==2.0.2".

    Raises:
        BadInputError: the list cannot be used, or asks for what the base's pins rule out; where they may be replaced,
            for what its core rules out, or for what contradicts itself.
        NotRunnableError: the base cannot be built, or neither index nor wheel folder has what is asked for.
        StackyardError: pip failed.
    """
    asked = _read_in(base, asked, also)
    places = _Places.of(base, asked, settings, replacing)
    folder = None if anew else places.found()
    if folder is None:
        say = progress or (lambda text: None)
        wheels = environment.wheel_folder(wheels)
        python = environment.build(base, settings, wheels, progress)
        with _alone(places.key, say):
            folder = None if anew else places.found()  # another may have resolved it while we waited
            if folder is None:
                folder = _resolve(base, python, asked, places, wheels, say)
    return _read(folder, base, name or _own_name(base, folder))


def foreseen(
    base: StackSpec,
    asked: Path | Requirements,
    settings: Settings,
    *,
    name: str | None = None,
) -> StackSpec | None:
    """What ``defined`` would give without resolving; ``None``: the lock is not there yet. Starts and writes nothing.

    Raises:
        BadInputError: the list cannot be used, or asks for what the base's pins rule out.
    """
    folder = _Places.of(base, _read_in(base, asked, ()), settings, replacing=False).found()
    return None if folder is None else _read(folder, base, name or _own_name(base, folder))


def without_name(name: str, settings: Settings) -> StackSpec | None:
    """The stack that ``defined`` gave without a name of its own, by what it is called then; ``None``: there is none.

    Raises:
        BadInputError: its files cannot be read, or it was derived from another version of its base.
    """
    for base in load(settings=settings).values():
        for folder in (folder_of(settings) / _RESOLVED).glob(f"*/{STACK_FILE}"):
            if name == _own_name(base, folder.parent):
                return _read(folder.parent, base, name)
    return None


def define(spec: StackSpec, name: str, settings: Settings) -> StackSpec:
    """Keep a stack that ``defined`` gave under a name; one of that name that was derived before is replaced.

    Raises:
        BadInputError: it is no derived stack, or cannot be called so (``refuse_name``).
    """
    if spec.base is None:
        raise BadInputError(f"{spec.name} is no derived stack; it has a definition of its own")
    refuse_name(name, spec.base)
    target = folder_of(settings) / name
    with _kept_at(target.parent), _temporary(target.parent) as temporary:
        new = temporary / "new"
        shutil.copytree(spec.folder, new)
        if target.exists():
            target.rename(temporary / "old")
        new.rename(target)
    return replace(spec, name=name, folder=target)


def refuse_name(name: str, base: StackSpec) -> None:
    """See that a stack on top of ``base`` can be called ``name``; nothing needs to be resolved or built for that.

    Raises:
        BadInputError: the name cannot be one, or is that of a stack of the house or of one below.
    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"{name!r} is no name of a stack; it has ASCII letters, digits and . _ + - (60 at most)"
        )
    if name in definition.load():
        raise BadInputError(f"{name} is a stack of its own already; choose another name")
    below: StackSpec | None = base
    while below is not None:
        if below.name == name:
            raise BadInputError(
                f"{name} would stand on itself: it is below {base.name}; choose another name"
                if below is not base
                else f"{name} would stand on itself; choose another name"
            )
        below = below.base


def forget(name: str, settings: Settings) -> None:
    """Remove the definition of a derived stack; its environment stays.

    Raises:
        BadInputError: there is none, or another is derived from it.
    """
    folder = folder_of(settings) / name
    if not _NAME.fullmatch(name) or not (folder / STACK_FILE).is_file():
        raise BadInputError(f"{name} is no derived stack of this machine; see `stackyard stack list`")
    for other in load(settings=settings).values():
        if other.base is not None and other.base.name == name:
            raise BadInputError(f"{other.name} is derived from {name}; forget {other.name} first")
    with _kept_at(folder):
        (folder / STACK_FILE).unlink()  # first: half a removal must not count as a definition
        shutil.rmtree(folder)


def folder_of(settings: Settings) -> Path:
    """Where derived stacks are kept."""
    return settings.home.absolute() / "stacks.d"


@contextlib.contextmanager
def _kept_at(folder: Path) -> Iterator[None]:
    """Turns what a disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise BadInputError(f"{folder}: derived stacks cannot be kept there ({error.strerror})") from error


@contextlib.contextmanager
def _temporary(top: Path) -> Iterator[Path]:
    """A folder beside the definitions below ``top``, which is no definition; those of killed commands go first."""
    for left in top.glob(f"{locks.UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=locks.UNFINISHED, dir=top) as temporary:
        yield Path(temporary)


def _read_in(base: StackSpec, asked: Path | Requirements, also: Sequence[str]) -> Requirements:
    """What is asked for, with what the caller adds."""
    if isinstance(asked, Path):
        pinned = {canonical(package.name) for package in definition.packages(base)}
        asked = requirements.read(asked, base.python, pinned)
    return requirements.with_also(asked, also, "the agent", base.python) if also else asked


@dataclass(frozen=True)
class _Places:
    """Where the locks of one list on one base are, or will be."""

    #: With the base's pins as they are; and what a lock of either kind is waited for by.
    key: Path
    #: With some of them replaced; ``None``: that is not allowed.
    replacing: Path | None
    #: Whether the base's pins rule the list out at first sight; else only pip can tell.
    ruled_out: bool

    @classmethod
    def of(cls, base: StackSpec, asked: Requirements, settings: Settings, replacing: bool) -> _Places:
        """The places, where the base does not rule the list out.

        Raises:
            BadInputError: it does.
        """
        refusals.check(base, asked, core.holds if replacing else lambda name: True)
        ruled_out = replacing and refusals.ruled_out(base, asked)
        decides = {"base": base.digest, "python": base.python, "files": asked.files}
        top = folder_of(settings) / _RESOLVED
        return cls(
            top / _key(decides), top / _key({**decides, "replacing": True}) if replacing else None, ruled_out
        )

    def found(self) -> Path | None:
        """The lock that is there.

        Once something had to be replaced, that stays the answer, even if a lock without that comes up later: the same
        list gives the same versions.
        """
        there = [self.replacing, None if self.ruled_out else self.key]
        return next((place for place in there if place is not None and (place / STACK_FILE).is_file()), None)


def _key(decides: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8")).hexdigest()[:32]


@contextlib.contextmanager
def _alone(key: Path, say: Progress) -> Iterator[None]:
    """Resolve one list on one base alone, whatever may be replaced."""
    path = key.with_name(f".{key.name}.lock")
    with _kept_at(key.parent):
        key.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(
        path, lambda: say("the same requirements are being resolved by another process; waiting for it")
    ):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _resolve(
    base: StackSpec, python: Path, asked: Requirements, places: _Places, wheels: Path | None, say: Progress
) -> Path:
    """Resolve, and keep the lock; where it is.

    Raises:
        StackyardError: as ``defined`` says.
    """
    from stackyard.stacks import resolving

    log = places.key.with_name(places.key.name + ".log")
    with _kept_at(places.key.parent):
        log.unlink(missing_ok=True)
    folder, told = places.key, False
    try:
        found = None
        if not places.ruled_out:
            try:
                found = resolving.resolve(base, python, asked, wheels, log, say)
            except RuledOutError:
                if places.replacing is None:
                    raise
        if found is None and places.replacing is not None:
            say(f"the pins of {base.name} rule it out; looking for what fits in place of its packages")
            folder = places.replacing
            found = resolving.resolve(base, python, asked, wheels, log, say, replacing=True)
        assert found is not None
    except StackyardError as error:
        told = str(log) in str(error)
        raise
    finally:
        if not told:
            log.unlink(missing_ok=True)
    with _kept_at(folder.parent):
        _write(folder, base, asked, found, replacing=folder == places.replacing)
        if (
            folder == places.key and places.replacing is not None
        ):  # chosen anew, and now nothing needs to be replaced
            shutil.rmtree(places.replacing, ignore_errors=True)
    return folder


def _own_name(base: StackSpec, folder: Path) -> str:
    """What a derived stack is called that got no name: after its base and its requirements."""
    return f"{base.name[:50]}+{folder.name[:8]}"


def _write(folder: Path, base: StackSpec, asked: Requirements, found: Resolved, replacing: bool) -> None:
    """Put the definition into its place, whole or not at all."""
    lines = [f"base = {json.dumps(base.name)}", f"base_digest = {json.dumps(base.digest)}"]
    lines += [f"python = {json.dumps(base.python)}", f"indexes = {json.dumps(list(found.indexes))}"]
    lines += ["replacing = true"] if replacing else []
    files = {STACK_FILE: "\n".join(lines) + "\n", LOCK_FILE: _lock(found.packages, base), **asked.files}
    with _temporary(folder.parent) as temporary:
        new = temporary / "new"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rename(temporary / "old")
        try:
            new.rename(folder)
        except OSError:  # another process was there first, with the same
            if not (folder / STACK_FILE).is_file():
                raise


def _lock(locked: Iterable[LockedPackage], base: StackSpec) -> str:
    lines = [f"# What is on top of {base.name}, for Python {base.python} on {os.uname().machine}."]
    return "\n".join(lines + [p.line + "".join(f" --hash={h}" for h in p.hashes) for p in locked]) + "\n"


def _named(settings: Settings, house: Mapping[str, StackSpec]) -> tuple[dict[str, StackSpec], dict[str, str]]:
    """The derived stacks that can be used, and why others cannot."""
    top = folder_of(settings)
    names = sorted(
        path.parent.name for path in top.glob(f"*/{STACK_FILE}") if not path.parent.name.startswith(".")
    )
    found: dict[str, StackSpec] = {}
    wrong: dict[str, str] = {}

    def stack(name: str, depth: int) -> StackSpec:
        if name in house:
            return house[name]
        if name not in names or depth > _MOST_BASES:
            raise BadInputError(f"{name} is not defined here")
        folder = top / name
        base_name = _fields(folder).text(_fields(folder).document, "", "base", expected="the name of a stack")
        return _read(folder, stack(base_name, depth + 1), name)

    for name in names:
        try:
            if name in house:
                raise BadInputError(f"a stack of its own is called so too; rename {top / name}")
            found[name] = stack(name, 0)
        except BadInputError as error:
            wrong[name] = str(error)
    return found, wrong


def _fields(folder: Path) -> Fields:
    path = folder / STACK_FILE
    fields = Fields(str(path), toml_tables.read(path))
    fields.keys(fields.document, "", _KEYS)
    return fields


def _read(folder: Path, base: StackSpec, name: str) -> StackSpec:
    """The derived stack that ``folder`` defines on top of ``base``.

    Raises:
        BadInputError: its files cannot be read, or it was derived from another version of its base.
    """
    fields = _fields(folder)
    top = fields.document
    python = fields.text(top, "", "python", like=r"3\.\d+", expected='a version like "3.11"')
    if base.python != python and base.base is None:
        base = definition.read(base.folder, running=python)
    replacing = fields.flag(top, "", "replacing", False)
    again = f"derive it again: stackyard stack derive {name} --base {base.name} --requirements "
    again += f"{folder / REQUIREMENTS_FILE}{' --replacing' if replacing else ''}"
    if base.digest != fields.text(top, "", "base_digest", expected="the digest of its base"):
        raise BadInputError(
            f"{name} was derived from another version of {base.name} (or for another Python); {again}"
        )
    indexes = fields.texts(
        top, "", "indexes", r"default|https?://.*", '"default" or addresses of a package index'
    )
    locked = definition.read_lock(folder / LOCK_FILE, may_be_empty=True)
    there = {canonical(package.name): package for package in definition.packages(base)}
    twice = [package for package in locked if canonical(package.name) in there]
    for package in twice:
        if not replacing or core.holds(package.name):
            stays = ", and no stack on top replaces that" if replacing else ""
            raise BadInputError(
                f"{folder / LOCK_FILE}: pins {package.line}, which its base {base.name} pins already{stays}"
            )
    unhashed = next((p.line for p in locked if not p.hashes), None)
    if unhashed is not None:
        raise BadInputError(
            f"{folder / LOCK_FILE}: {unhashed} has no hash, and whatever is added to a stack has one; "
            + (f"remove {folder}, and ask again" if folder.parent.name == _RESOLVED else again)
        )
    return replace(
        base,
        name=name,
        digest=definition.digest_of(locked, base=base.digest),
        folder=folder,
        indexes=("wheels", *(indexes or ("default",))),
        about=fields.text(top, "", "about", "") if top.get("about") else "",
        installed_bytes=None,
        base=base,
        replaced={
            canonical(package.name): (there[canonical(package.name)].version, package.version)
            for package in twice
        },
    )
