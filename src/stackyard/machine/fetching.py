"""Bringing a data set here: from its public addresses, or from a copy (another address or a folder).

A file is taken only with the content the list promises; until then it is called ``.part``. May import data,
download and errors.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlparse

from stackyard.errors import BadInputError
from stackyard.machine import data
from stackyard.machine.data import DataFile, DataSet
from stackyard.machine.download import Downloader, DownloadError, NotThereError


class WrongContentError(DownloadError):
    """What a source serves is not what the list promises."""


@dataclass
class Fetched:
    """What a fetch did."""

    #: Files that now lie here and did not before.
    got: list[str] = field(default_factory=list)
    #: Files that were here already, with the right content.
    kept: list[str] = field(default_factory=list)
    #: Files that no public address serves -> how they were made.
    without_address: dict[str, str] = field(default_factory=dict)


def fetch(
    data_set: DataSet,
    top: Path,
    downloader: Downloader,
    copy: str | None = None,
    on_file: Callable[[DataFile], None] = lambda file: None,
) -> Fetched:
    """Bring every file of a data set that is not here yet.

    Args:
        data_set: which.
        top: the folder of data sets; it gets ``NAME/FILE``.
        downloader: how addresses are read.
        copy: a folder, or an address, that has ``NAME/FILE`` (plain, .gz or .xz) and is asked instead of the
            public addresses; it can also have the files no public address serves.
        on_file: called before each file that is brought.

    Raises:
        DownloadError: an address is unreachable, or has something else; what came stays for the next try.
        BadInputError: the data folder cannot be written, or ``copy`` is no folder and no address.
    """
    folder = top / data_set.name
    result = Fetched()
    missing: list[DataFile] = []
    for file in data_set.files:
        path = data.find(data_set.name, file.path, top)
        if path is not None and _is_good(path, file):
            result.kept.append(file.path)
        elif file.address is None and copy is None:
            result.without_address[file.path] = file.how or "not known"
        else:
            missing.append(file)
    if not missing:
        return result
    try:
        for file in missing:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"{folder}: cannot be written ({error.strerror}); name another folder by --data or STACKYARD_DATA"
        ) from error
    archives: dict[str, Path] = {}
    try:
        for file in missing:
            on_file(file)
            target = folder / file.path
            if copy is not None:
                _from_copy(data_set.name, file, target, copy, downloader)
            elif file.member is not None:
                _from_archive(file, folder, target, downloader, archives)
            else:
                _from_address(str(file.address), file, target, downloader)
            result.got.append(file.path)
    finally:
        # An archive stays for the next try until all its members are here.
        if len(result.got) == len(missing):
            for archive in archives.values():
                archive.unlink(missing_ok=True)
        _remove_empty(folder)
    return result


def _remove_empty(folder: Path) -> None:
    """A failed fetch leaves no empty folders."""
    for path in (*sorted(folder.rglob("*"), reverse=True), folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _is_good(path: Path, file: DataFile) -> bool:
    try:
        return data.checksum(path) == file.sha256
    except BadInputError:
        return False


def _from_address(address: str, file: DataFile, target: Path, downloader: Downloader) -> None:
    """One file as it is served; a resumed one that turns out wrong is got once more from its beginning."""
    part = target.with_name(target.name + ".part")
    resumed = part.is_file()
    # Compressing never adds much; the slack is for that.
    limit = file.bytes + file.bytes // 100 + 4096
    downloader.get(address, part, limit)
    try:
        _take(part, file, target, address)
    except WrongContentError:
        if not resumed:
            raise
        downloader.get(address, part, limit)
        _take(part, file, target, address)


def _take(part: Path, file: DataFile, target: Path, origin: str) -> None:
    """``part`` under its final name where its content is right; else it is removed.

    Raises:
        WrongContentError: naming both checksums.
    """
    # The suffix of the target, and not ".part", says how the content is packed.
    probe = (
        part.with_name(f"{part.name}{Path(target.name).suffix}") if target.suffix in (".gz", ".xz") else part
    )
    if probe != part:
        part.rename(probe)
    try:
        seen = data.checksum(probe)
    except BadInputError as error:
        probe.unlink(missing_ok=True)
        raise WrongContentError(f"{origin}: the compressed data is broken; nothing was kept") from error
    if seen != file.sha256:
        size = probe.stat().st_size
        probe.unlink()
        raise WrongContentError(
            f"{origin}: sha256 of the content is {seen} ({size} bytes served), expected {file.sha256} "
            f"({file.bytes} bytes); nothing was kept: the source has changed, or something on the way did it"
        )
    probe.replace(target)


def _from_copy(name: str, file: DataFile, target: Path, copy: str, downloader: Downloader) -> None:
    """One file from a folder or an address laid out like the data folder."""
    if urlparse(copy).scheme in ("http", "https"):
        for suffix in data.SUFFIXES:
            address = f"{copy.rstrip('/')}/{name}/{quote(file.path)}{suffix}"
            try:
                _from_address(address, file, target.with_name(target.name + suffix), downloader)
            except NotThereError:
                continue
            return
        raise NotThereError(f"{copy}: has no {name}/{file.path}, neither plain nor as .gz or .xz")
    folder = Path(copy)
    if not folder.is_dir():
        raise BadInputError(f"--from {copy!r} is neither a folder nor an http address")
    found = data.find(name, file.path, folder)
    if found is None:
        raise NotThereError(f"{folder}: has no {name}/{file.path}, neither plain nor as .gz or .xz")
    suffix = found.name.removeprefix(Path(file.path).name)
    part = target.with_name(f"{target.name}{suffix}.part")
    shutil.copyfile(found, part)
    _take(part, file, target.with_name(target.name + suffix), str(found))


def _from_archive(
    file: DataFile, folder: Path, target: Path, downloader: Downloader, archives: dict[str, Path]
) -> None:
    """One member of a zip archive; the archive is got once for all members.

    Only the member named in the list is read, into the name in the list, and no further than its known size:
    names and sizes inside the archive decide nothing.
    """
    address = str(file.address)
    if address not in archives:
        archive = folder / (Path(urlparse(address).path).name + ".part")
        downloader.get(address, archive)
        archives[address] = archive
    archive = archives[address]
    part = target.with_name(target.name + ".part")
    try:
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(str(file.member)) as source,
            part.open("wb") as out,
        ):
            for chunk in _at_most(source.read, file.bytes, f"{address}!{file.member}"):
                out.write(chunk)
    except KeyError as error:
        raise WrongContentError(f"{address}: the archive has no member {file.member!r}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        archive.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        raise WrongContentError(
            f"{address}: is not a zip archive that can be read ({error}); repeat"
        ) from error
    except WrongContentError:
        part.unlink(missing_ok=True)
        raise
    _take(part, file, target, f"{address}!{file.member}")


def _at_most(read: Callable[[int], bytes], limit: int, origin: str) -> Iterator[bytes]:
    left = limit
    while chunk := read(1 << 20):
        left -= len(chunk)
        if left < 0:
            raise WrongContentError(f"{origin}: is larger than the {limit} bytes expected; nothing was kept")
        yield chunk
