"""Public data sets: which are known, where they lie here, and whether they are what they should be.

The list is ``data_sets.toml``. A file is known by the checksum of its content; it may lie here plain, as .gz
or as .xz. Getting files is ``download``'s. May import errors and toml_tables.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields

#: How a scenario names a file of a data set: "dataset:hdfs_logdeep/hdfs_train.gz".
PREFIX = "dataset:"
#: A file may lie here under its own name or compressed.
SUFFIXES = ("", ".gz", ".xz")
#: What the decompressors raise on broken data.
BROKEN = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)

_LIST = Path(__file__).with_name("data_sets.toml")


@dataclass(frozen=True)
class DataFile:
    """One file of a data set."""

    #: Path below the data set's folder.
    path: str
    #: Of the uncompressed content.
    bytes: int
    sha256: str
    #: Where the content, or the archive that holds it, is served; ``None``: nowhere.
    address: str | None = None
    #: Name inside the zip archive at ``address``.
    member: str | None = None
    #: Where no address serves the file: how it was made.
    how: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A public data set."""

    name: str
    about: str
    licence: str
    source: str
    files: tuple[DataFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files, uncompressed."""
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """One checksum for the set: SHA-256 over the lines "checksum  path" of its files."""
        listing = "".join(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha256(listing.encode("utf-8")).hexdigest()


@functools.cache
def known(listing: Path = _LIST) -> tuple[DataSet, ...]:
    """All data sets of the list, in its order."""
    fields = Fields(str(listing), toml_tables.read(listing))
    fields.keys(fields.document, "", ["data_set"])
    return tuple(
        _data_set(fields, entry, f"data_set[{at}]") for at, entry in enumerate(fields.tables_in("data_set"))
    )


def _data_set(fields: Fields, table: dict[str, Any], where: str) -> DataSet:
    fields.keys(table, where, ["name", "about", "licence", "source", "file"])
    files = table.get("file")
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise fields.bad(f"{where}.file", f"is {files!r}", f"tables [[{where}.file]]")
    name, about, licence, source = (
        fields.text(table, where, key) for key in ("name", "about", "licence", "source")
    )
    return DataSet(
        name,
        about,
        licence,
        source,
        tuple(_data_file(fields, file, f"{where}.file[{at}]") for at, file in enumerate(files)),
    )


def _data_file(fields: Fields, table: dict[str, Any], where: str) -> DataFile:
    optional = ("address", "member", "how")
    fields.keys(table, where, ["path", "bytes", "sha256", *optional])
    return DataFile(
        path=fields.text(table, where, "path"),
        bytes=fields.whole(table, where, "bytes", -1, low=0),
        sha256=fields.text(table, where, "sha256", like="[0-9a-f]{64}", expected="64 hexadecimal digits"),
        **{key: fields.text(table, where, key) for key in optional if key in table},
    )


def named(name: str) -> DataSet:
    """The data set called ``name``.

    Raises:
        BadInputError: there is none; the message lists those there are.
    """
    for data_set in known():
        if data_set.name == name:
            return data_set
    names = ", ".join(data_set.name for data_set in known())
    raise BadInputError(f"there is no data set {name!r}; known are: {names}")


def find(name: str, file: str, folder: Path) -> Path | None:
    """Where a file of a data set lies below ``folder``, plain or compressed; ``None``: it does not."""
    for suffix in SUFFIXES:
        path = folder / name / (file + suffix)
        if path.is_file():
            return path
    return None


def resolve(reference: str, folder: Path) -> Path:
    """The file below ``folder`` that "dataset:NAME/FILE" means; a .gz or .xz at its end may differ.

    Raises:
        BadInputError: not such a reference, or the file is not here; the message says how to get it.
    """
    text = reference.removeprefix(PREFIX)
    parts = PurePosixPath(text).parts
    if len(parts) < 2 or ".." in parts or parts[0] == "/":
        raise BadInputError(
            f"{reference!r} does not name a data file; expected e.g. 'dataset:hdfs_logdeep/hdfs_train'"
        )
    name, file = parts[0], str(PurePosixPath(*parts[1:]))
    exact = folder / name / file
    if exact.is_file():
        return exact
    plain = uncompressed_name(file)
    found = find(name, plain, folder)
    if found is not None:
        return found
    listed = next((s for s in known() if s.name == name), None)
    if listed is None:
        names = ", ".join(s.name for s in known())
        raise BadInputError(f"{reference}: there is no data set {name!r} in {folder}; known are: {names}")
    entry = next((f for f in listed.files if f.path == plain), None)
    if entry is None:
        files = ", ".join(f.path for f in listed.files)
        raise BadInputError(f"{reference}: data set {name} has no file {file!r}; it has: {files}")
    if entry.address is None:
        raise BadInputError(
            f"{reference}: is not in {folder}, and no public address serves it "
            f"(made from: {entry.how}); take it from a copy: stackyard data fetch {name} --from FOLDER_OR_URL"
        )
    raise BadInputError(
        f"{reference}: is not in {folder}; get it with: stackyard data fetch {name}, "
        "or name a folder that has it by --data or STACKYARD_DATA"
    )


def check_name(reference: str, folder: Path) -> None:
    """See that "dataset:NAME/FILE" means a file of a known data set, or one that is here.

    Raises:
        BadInputError: it means neither.
    """
    name, _, file = reference.removeprefix(PREFIX).partition("/")
    listed = next((known_set.files for known_set in known() if known_set.name == name), ())
    if not any(entry.path == uncompressed_name(file) for entry in listed):
        resolve(reference, folder)


def uncompressed_name(file: str) -> str:
    """``file`` without a .gz or .xz at its end."""
    return file.removesuffix(".gz").removesuffix(".xz")


@contextlib.contextmanager
def content(path: Path) -> Iterator[IO[bytes]]:
    """The uncompressed content of a file as a stream."""
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as packed:
            yield packed  # type: ignore[misc]
    elif path.suffix == ".xz":
        with lzma.open(path, "rb") as squeezed:
            yield squeezed
    else:
        with path.open("rb") as stream:
            yield stream


def checksum(path: Path) -> str:
    """SHA-256 of the uncompressed content, in hexadecimal.

    Raises:
        BadInputError: the file cannot be read, or its compressed data is broken.
    """
    digest = hashlib.sha256()
    try:
        with content(path) as stream:
            for chunk in iter(functools.partial(stream.read, 1 << 20), b""):
                digest.update(chunk)
    except BROKEN as error:
        raise BadInputError(f"{path}: the compressed data is broken ({error}); fetch it again") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


@dataclass(frozen=True)
class FileState:
    """What ``verify`` found about one file."""

    data_set: str
    file: str
    #: "good", "absent" or "wrong".
    state: str
    #: For "wrong": what was seen and what was expected.
    reason: str | None = None


def verify(data_set: DataSet, folder: Path) -> Iterator[FileState]:
    """The state below ``folder`` of every file of a data set, its content read and compared."""
    for file in data_set.files:
        path = find(data_set.name, file.path, folder)
        if path is None:
            yield FileState(data_set.name, file.path, "absent")
            continue
        try:
            seen = checksum(path)
        except BadInputError as error:
            yield FileState(data_set.name, file.path, "wrong", str(error))
            continue
        if seen == file.sha256:
            yield FileState(data_set.name, file.path, "good")
        else:
            reason = f"{path}: sha256 of the content is {seen}, expected {file.sha256}"
            yield FileState(data_set.name, file.path, "wrong", reason)


def here(data_set: DataSet, folder: Path) -> int:
    """How many of a data set's files lie below ``folder``; their content is not looked at."""
    return sum(find(data_set.name, file.path, folder) is not None for file in data_set.files)
