"""What a bundle holds, as data: ``manifest.json``. Its digest is what everything else is checked against."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stackyard.errors import BadInputError
from stackyard_task.records import RecordError, read_json, write_json

FILE = "manifest.json"
FORMAT = 1
#: Bounds of what is believed of a bundle.
MOST_COMPONENTS, MOST_ITEMS, MOST_BYTES = 200, 20_000, 200 << 30
_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,120}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Item:
    """One file of a component."""

    #: Its path in the archive.
    path: str
    bytes: int
    sha256: str
    #: Of a package: its name and version; of an image its reference.
    name: str
    version: str = ""
    #: As the package says it; "not stated" where it does not.
    licence: str = "not stated"


@dataclass(frozen=True)
class Component:
    """One archive of a bundle."""

    #: "control-3.11", "stack-torch-2.13.0-cpu", "debian-bookworm"...
    name: str
    #: wheels, debian, python or image.
    kind: str
    bytes: int
    sha256: str
    items: list[Item] = field(default_factory=list)
    #: Digest of what it was made from: a component with the same is not made again.
    made_from: str = ""

    @property
    def file(self) -> str:
        """Its archive's name."""
        return f"{self.name}.tar"


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds."""

    format: int
    made_at: str
    #: Digest of the checkout's locks and stacks that it was made from.
    made_from: str
    components: list[Component] = field(default_factory=list)

    def component(self, name: str) -> Component | None:
        """A component by name."""
        return next((one for one in self.components if one.name == name), None)


def write(manifest: Manifest, folder: Path) -> str:
    """Write the manifest into a bundle's folder, whole or not at all; its digest."""
    write_named(manifest, folder / FILE)
    return digest(folder)


def write_named(manifest: Manifest, path: Path) -> None:
    """Write a manifest as a file of another name: of a bundle that is not finished."""
    write_json(asdict(manifest), path)


def digest(folder: Path) -> str:
    """SHA-256 of the manifest, as ``lab_bundle_digest`` names it."""
    try:
        return hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise BadInputError(f"{folder}: no bundle ({FILE}: {error.strerror})") from error


def read(folder: Path) -> Manifest:
    """The manifest of a bundle, its form checked; of the archives nothing is looked at.

    Raises:
        BadInputError: there is none, or it has another form or goes beyond the bounds.
    """
    path = folder / FILE
    if not path.is_file():
        raise BadInputError(
            f"{folder}: no bundle: {FILE} is missing (make one: stackyard bundle create {folder})"
        )
    return read_named(path)


def read_named(path: Path) -> Manifest:
    """The same of a file of any name.

    Raises:
        BadInputError: it has another form or goes beyond the bounds.
    """
    try:
        found = read_json(Manifest, path)
    except RecordError as error:
        raise BadInputError(str(error)) from error
    if found.format != FORMAT:
        raise BadInputError(f"{path}: format {found.format}, expected {FORMAT}: make the bundle anew")
    if len(found.components) > MOST_COMPONENTS:
        raise BadInputError(f"{path}: {len(found.components)} components, {MOST_COMPONENTS} at most")
    _refuse_twice(path, (one.name for one in found.components))
    for one in found.components:
        if not _NAME.fullmatch(one.name):
            raise BadInputError(
                f"{path}: a component is called {one.name!r:.80}, expected small letters, digits, ._+-"
            )
        if len(one.items) > MOST_ITEMS or not 0 <= one.bytes <= MOST_BYTES:
            raise BadInputError(
                f"{path}: component {one.name} goes beyond {MOST_ITEMS} files or {MOST_BYTES} bytes"
            )
        if not _SHA256.fullmatch(one.sha256):
            raise BadInputError(f"{path}: component {one.name} has no SHA-256")
        _refuse_twice(path, (item.path for item in one.items))
        for item in one.items:
            if not is_below(item.path) or not _SHA256.fullmatch(item.sha256) or item.bytes < 0:
                raise BadInputError(
                    f"{path}: component {one.name} names {item.path!r:.120}, which no bundle holds"
                )
    return found


def is_below(path: str) -> bool:
    """Whether a member's path stays below the folder that it is unpacked into."""
    parts = path.split("/")
    return (
        bool(path)
        and len(path) <= 400
        and all(part not in ("", ".", "..") for part in parts)
        and "\0" not in path
    )


def _refuse_twice(path: Path, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInputError(f"{path}: {name!r:.120} stands twice")
        seen.add(name)
