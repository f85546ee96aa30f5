"""A component's archive: the same files make the same bytes; read back, each member is checked against the manifest."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from stackyard.bundle.manifest import Component, Item, is_below
from stackyard.errors import StackyardError

_CHUNK = 1 << 20
#: name, version, licence of a file by its path in the archive.
Describe = Callable[[str], tuple[str, str, str]]


class _Hashing:
    """A file that is hashed as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.bytes += len(content)
        return self._file.write(content)

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def pack(folder: Path, target: Path, name: str, kind: str, made_from: str, describe: Describe) -> Component:
    """Pack all files below a folder, in order of their names, without owners and times.

    Args:
        folder: what is packed; links stay links as long as they lead to something below it.
        target: the archive; whole or not there.
        name: the component's.
        kind: the component's.
        made_from: digest of what it was made from.
        describe: name, version and licence of a file.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    items: list[Item] = []
    out = _Hashing(draft)
    try:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for path in sorted(folder.rglob("*")):
                inside = str(path.relative_to(folder))
                if path.is_symlink():
                    tar.addfile(_link(path, inside, folder))
                elif path.is_file():
                    items.append(_add(tar, path, inside, describe))
        out.close()
        draft.replace(target)
    except BaseException:
        out.close()
        draft.unlink(missing_ok=True)
        raise
    return Component(name, kind, out.bytes, out.sha256.hexdigest(), items, made_from)


def _add(tar: tarfile.TarFile, path: Path, inside: str, describe: Describe) -> Item:
    member = tarfile.TarInfo(inside)
    member.size = path.stat().st_size
    member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        tar.addfile(member, file)
    return Item(inside, member.size, sha256, *describe(inside))


def _link(path: Path, inside: str, folder: Path) -> tarfile.TarInfo:
    target = os.readlink(path)
    if target.startswith("/") or not path.resolve().is_relative_to(folder.resolve()):
        raise StackyardError(f"{path}: a link that leads to {target}, out of what is packed")
    member = tarfile.TarInfo(inside)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def faults(component: Component, folder: Path) -> Iterator[str]:
    """What is wrong with a component's archive, each as a sentence; nothing where all is as the manifest says."""
    path = folder / component.file
    try:
        size = path.stat().st_size
        if size != component.bytes:
            yield f"{component.file}: {size} bytes, the manifest says {component.bytes}"
            return
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != component.sha256:
                yield f"{component.file}: not what the manifest says (SHA-256)"
                return
        yield from _members(component, path)
    except FileNotFoundError:
        yield f"{component.file}: missing"
    except (OSError, tarfile.TarError) as error:
        yield f"{component.file}: cannot be read ({error})"


def _members(component: Component, path: Path) -> Iterator[str]:
    wanted = {item.path: item for item in component.items}
    links: set[str] = set()
    with tarfile.open(path, mode="r|") as tar:
        for member in tar:
            if not is_below(member.name):
                yield f"{component.file}: {member.name!r:.120} leads out of it"
                return
            if any(str(above) in links for above in PurePosixPath(member.name).parents):
                yield f"{component.file}: {member.name} lies behind a link"
                return
            if member.issym():
                links.add(member.name)
                if member.linkname.startswith("/") or _leads_out(member):
                    yield f"{component.file}: {member.name} links to {member.linkname!r:.120}, out of it"
                continue
            item = wanted.pop(member.name, None)
            if item is None or not member.isreg():
                yield f"{component.file}: {member.name} is not in the manifest"
                continue
            file = tar.extractfile(member)
            sha256 = hashlib.sha256()
            while file is not None and (content := file.read(_CHUNK)):
                sha256.update(content)
            if sha256.hexdigest() != item.sha256:
                yield f"{component.file}: {member.name} is not what the manifest says (SHA-256)"
    for missing in sorted(wanted)[:20]:
        yield f"{component.file}: {missing} is missing"


def _leads_out(member: tarfile.TarInfo) -> bool:
    depth = member.name.count("/")
    for part in member.linkname.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False
