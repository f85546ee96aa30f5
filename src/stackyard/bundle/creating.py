"""Makes a bundle, component by component: what is there and was made from the same stays, so a second call goes on."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stackyard.bundle import archive, debian, interpreters, manifest, packages, saved_images, wheels
from stackyard.bundle.archive import Describe
from stackyard.bundle.manifest import Component, Manifest
from stackyard.errors import BadInputError, StackyardError
from stackyard.stacks import definition, locks
from stackyard.stacks.definition import StackSpec
from stackyard.stacks.installation import Progress

#: What must be free besides what a component takes, bytes.
_ROOM_BYTES = 2 << 30


@dataclass(frozen=True)
class Wanted:
    """What a bundle is to hold."""

    stacks: tuple[StackSpec, ...] = ()
    #: Suites of Debian that hosts have.
    suites: tuple[str, ...] = ()
    #: Packages of Debian beyond what the roles install.
    packages: tuple[str, ...] = ()
    #: Minor versions of Pythons that hosts' distributions lack.
    pythons: tuple[str, ...] = ()
    #: Images of this machine's engine.
    images: tuple[str, ...] = ()
    #: The user's folder of wheels, tried first.
    wheels: Path | None = None
    #: Make all anew.
    refresh: bool = False


@dataclass(frozen=True)
class _Maker:
    """How one component is made."""

    name: str
    kind: str
    made_from: Callable[[], str]
    fill: Callable[[Path, IO[str]], None]
    describe: Callable[[Path, str], tuple[str, str, str]]


@dataclass(frozen=True)
class Created:
    """What was made."""

    manifest: Manifest
    #: Of the manifest.
    digest: str
    #: Components that were there already.
    kept: list[str]


def create(folder: Path, wanted: Wanted, say: Progress = lambda text: None) -> Created:
    """Make a bundle, or bring one up to date.

    Args:
        folder: where; made if it is not there. The manifest is written last: without it the folder is no bundle.
        wanted: what it is to hold. Components of earlier calls that are not wanted any more are removed.
        say: called with one line whenever there is something new to show.

    Raises:
        BadInputError: the folder holds something else.
        StackyardError: something could not be had; the message has one sentence for each. What was made stays, for the
            next call.
    """
    before = _before(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / _LOCK, lambda: _refuse(folder)):
        try:
            return _create(folder, wanted, before, say)
        finally:
            (folder / _LOCK).unlink(missing_ok=True)


def _refuse(folder: Path) -> None:
    raise StackyardError(f"{folder}: another command makes this bundle now")


def _create(folder: Path, wanted: Wanted, before: dict[str, Component], say: Progress) -> Created:
    made: list[Component] = []
    kept, missing = [], []
    work = folder / ".work"
    for maker in _makers(wanted, say):
        try:
            digest = maker.made_from()
            had = before.get(maker.name)
            if had is not None and had.made_from == digest and not wanted.refresh and _is_there(folder, had):
                made.append(had)
                kept.append(maker.name)
                continue
            _check_room(folder)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            _unfinish(folder, before)
            before[maker.name] = _make(maker, digest, work, folder)
            made.append(before[maker.name])
            _keep_notes(folder, before)
        except StackyardError as error:
            missing.append(f"{maker.name}: {error}")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if missing:
        raise StackyardError("; ".join(missing))
    for left in {*folder.glob("*.tar"), *folder.glob("*.log")} - {folder / one.file for one in made}:
        left.unlink()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    source = hashlib.sha256("".join(one.made_from for one in made).encode()).hexdigest()
    written = Manifest(manifest.FORMAT, now, source, made)
    sums = "".join(f"{one.sha256}  {one.file}\n" for one in made)
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
    digest = manifest.write(written, folder)
    (folder / _NOTES).unlink(missing_ok=True)
    return Created(written, digest, kept)


#: Components that are made, before all are.
_NOTES = "unfinished.json"
_LOCK = ".lock"
#: What a folder may have besides a bundle.
_OURS = (_NOTES, _LOCK, ".work")


def _before(folder: Path) -> dict[str, Component]:
    """The components of an earlier call, finished or not."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise BadInputError(f"{folder}: not a folder")
    found: list[Component] = []
    if (folder / _NOTES).is_file():
        with contextlib.suppress(BadInputError):
            found = manifest.read_named(folder / _NOTES).components
    elif (folder / manifest.FILE).is_file():
        found = manifest.read(folder).components
    elif any(path.name not in _OURS and path.suffix != ".log" for path in folder.iterdir()):
        raise BadInputError(f"{folder}: holds something that is no bundle; name an empty or a new folder")
    return {one.name: one for one in found}


def _keep_notes(folder: Path, there: Mapping[str, Component]) -> None:
    manifest.write_named(Manifest(manifest.FORMAT, "", "", list(there.values())), folder / _NOTES)


def _unfinish(folder: Path, there: Mapping[str, Component]) -> None:
    """Notes instead of a manifest, which would name archives that are about to be replaced."""
    _keep_notes(folder, there)
    (folder / manifest.FILE).unlink(missing_ok=True)


def _is_there(folder: Path, component: Component) -> bool:
    path = folder / component.file
    return path.is_file() and path.stat().st_size == component.bytes


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _ROOM_BYTES:
        raise StackyardError(
            f"{folder}: {free / 1e9:.1f} GB are free, {_ROOM_BYTES / 1e9:.1f} GB at least are needed"
        )


def _make(maker: _Maker, digest: str, work: Path, folder: Path) -> Component:
    content = work / "content"
    content.mkdir()
    with (folder / f"{maker.name}.log").open("w", encoding="utf-8") as log:
        try:
            maker.fill(content, log)
            tell: Describe = functools.partial(maker.describe, content)
            done = archive.pack(content, folder / f"{maker.name}.tar", maker.name, maker.kind, digest, tell)
        except OSError as error:
            raise StackyardError(f"{error.filename or folder}: {error.strerror}") from error
    (folder / f"{maker.name}.log").unlink()
    return done


def _makers(wanted: Wanted, say: Progress) -> list[_Maker]:
    minors = tuple(dict.fromkeys(packages.python_of(suite) for suite in wanted.suites)) or ("3.11",)
    makers = [_control(minor, say) for minor in minors]
    makers += [_stack(stack, minors, wanted.wheels, say) for stack in wanted.stacks]
    makers += [_debian(suite, wanted.packages, say) for suite in wanted.suites]
    makers += [_python(minor, say) for minor in wanted.pythons]
    makers += [_image(reference, say) for reference in wanted.images]
    return makers


def _control(minor: str, say: Progress) -> _Maker:
    return _Maker(
        f"control-{minor}",
        "wheels",
        lambda: wheels.control_made_from(minor),
        lambda folder, log: wheels.fill_control(folder, minor, log, say),
        wheels.describe,
    )


def _stack(stack: StackSpec, minors: tuple[str, ...], tried: Path | None, say: Progress) -> _Maker:
    own = _pythons_of(stack, minors)
    return _Maker(
        f"stack-{stack.name}",
        "wheels",
        lambda: wheels.stack_made_from(stack, own),
        lambda folder, log: wheels.fill_stack(folder, stack, own, tried, log, say),
        wheels.describe,
    )


def _pythons_of(stack: StackSpec, minors: tuple[str, ...]) -> tuple[str, ...]:
    """The Pythons that hosts build a stack with: theirs, where the stack allows it, else its first."""
    return tuple(dict.fromkeys(definition.read(stack.folder, running=minor).python for minor in minors))


def _debian(suite: str, more: tuple[str, ...], say: Progress) -> _Maker:
    return _Maker(
        f"debian-{suite}",
        "debian",
        lambda: debian.made_from(suite, more),
        lambda folder, log: debian.fill(folder, suite, more, log, say),
        debian.describe,
    )


def _python(minor: str, say: Progress) -> _Maker:
    return _Maker(
        f"python-{minor}",
        "python",
        lambda: interpreters.made_from(minor),
        lambda folder, log: interpreters.fill(folder, minor, say),
        lambda folder, path: (path, "", "Python-2.0"),
    )


def _image(reference: str, say: Progress) -> _Maker:
    return _Maker(
        saved_images.component_of(reference),
        "image",
        lambda: saved_images.id_of(reference),
        lambda folder, log: saved_images.fill(folder, reference, say),
        lambda folder, path: (reference, "", "not stated"),
    )
