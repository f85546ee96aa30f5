"""Where uploaded files lie: a path of a client is a key in the table ``file``, never a name on disk.

The content lies in ``files/<2 digits>/<32 digits>`` under a random name, written to ``files/incoming``, synced and
renamed before the row that makes it visible is committed. Content under a name never changes: a second upload gets
a new name, so a reader, or a backup made of hard links, keeps what it began with. A content goes only where a row says
so (``doomed``), and some time after it said so: that no row names a content is no reason. See docs/security.md for what
this shuts out.

Here: the paths that may be keys, and content on disk. The rows are in ``store.files``, who may replace or remove a file
in ``rights``, HTTP in ``server``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from ..store import Store
from ..store import files as rows
from ..store.documents import new_id
from ..store.files import StoredFile

#: The longest path that is kept, bytes of UTF-8.
LONGEST_PATH_BYTES = 4000
#: How long a content stays whose file was deleted or replaced, seconds.
GRACE_SECONDS = 60.0
#: Contents removed in one pass.
AT_ONCE = 1000
#: Decoded more often than this, a path is nonsense.
DECODINGS = 4
BLOB = re.compile(r"[0-9a-f]{32}")
#: The SDK's folder of a task or model: ``<project>/<name>.<id>/...``.
OWNED = re.compile(r"\.([0-9a-f]{32})/")
#: Characters the SDK leaves as they are in a URL's path.
SDK_SAFE = "/:=@!$&'()*+,;~"


def key_of(path: str) -> str | None:
    """The key a client's path stands for, without outer slashes; None when it may not be one.

    Nothing on disk is named by it. Still, whatever a later reader (a mirror, a client on another system) could take
    for a way out of its folder is refused: ``..`` and ``.`` as a part, between slashes or backslashes, plain,
    percent-encoded any number of times, before a ``;``, or in look-alike characters; and control characters.
    """
    key = path.strip("/")
    if not key or len(key.encode("utf-8", "surrogatepass")) > LONGEST_PATH_BYTES:
        return None
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in key):
        return None
    form = key
    for _ in range(DECODINGS):
        if _leaves(form) or _leaves(unicodedata.normalize("NFKC", form)):
            return None
        decoded = unquote(form)
        if decoded == form:
            break
        if any(unicodedata.category(c) == "Cc" for c in decoded):
            return None
        form = decoded
    else:
        return None
    parts = [part for part in key.split("/") if part]
    return "/".join(parts)


def _leaves(path: str) -> bool:
    """Whether a part of the path means this folder or the one above."""
    return any(part.partition(";")[0].strip() in (".", "..") for part in re.split(r"[/\\]", path))


def owner_of(key: str) -> str | None:
    """The id of the task or model whose folder a path lies in, or None."""
    found = OWNED.search(key)
    return found[1] if found else None


class Incoming:
    """One file on its way in; gone when it is not kept."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._file: IO[bytes] | None = path.open("xb")
        self._digest = hashlib.sha256()
        self.key = key
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            OSError: The disk is full.
        """
        assert self._file is not None
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)

    def close(self) -> None:
        """All of it came: it need not stay open.

        Raises:
            OSError: The disk is full.
        """
        if self._file is not None:
            self._file.close()
            self._file = None

    def sync(self) -> None:
        """Bring it to the disk, closed."""
        self.close()
        number = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)

    def move_to(self, target: Path) -> str:
        """Put it in its place.

        Returns:
            The SHA-256 of the content, hexadecimal.
        """
        self._path.replace(target)
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Remove it."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
                self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)


class StoredFiles:
    """The folder of contents beside the database, and the table over it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.folder / "files"
        self.incoming = self.folder / "incoming"
        for folder in (self.folder, self.incoming):
            folder.mkdir(mode=0o700, exist_ok=True)

    def begin(self, key: str) -> Incoming:
        """A new file for a key (see ``key_of``)."""
        return Incoming(self.incoming / new_id(), key)

    def settle(self, incoming: Incoming, now: int, user: str | None) -> StoredFile:
        """Sync a file and put it in its place; it is not visible until ``record`` commits.

        Raises:
            OSError: The disk is full.
        """
        incoming.sync()
        blob = new_id()
        target = self.locate(blob)
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder)
        sha256 = incoming.move_to(target)
        sync_folder(target.parent)
        return StoredFile(incoming.key, blob, incoming.bytes, sha256, now, owner_of(incoming.key), user)

    def locate(self, blob: str) -> Path:
        """Where content lies."""
        if not BLOB.fullmatch(blob):
            raise ValueError(f"no name of a stored content: {blob!r}")
        return self.folder / blob[:2] / blob

    def unlink(self, blobs: Iterable[str]) -> None:
        """Remove contents whose rows are gone."""
        for blob in blobs:
            self.locate(blob).unlink(missing_ok=True)

    def blobs(self) -> Iterator[Path]:
        """Every content on disk."""
        for folder in sorted(self.folder.iterdir()):
            if len(folder.name) == 2 and folder.is_dir():
                yield from (path for path in sorted(folder.iterdir()) if BLOB.fullmatch(path.name))

    def clear_incoming(self) -> None:
        """Remove uploads that a crash cut off. Only before a server takes any."""
        for path in self.incoming.iterdir():
            path.unlink(missing_ok=True)

    def due(self, before: float) -> list[str]:
        """Contents of which a row says since before an instant (epoch seconds, the machine's clock) that they may
        go; so many as one pass removes."""
        with self.store.reading() as tx:
            return rows.due(tx, int(before * 1000), AT_ONCE)

    def forget(self, blobs: list[str]) -> None:
        """Strike out contents that are gone."""
        if blobs:
            with self.store.writing() as tx:
                rows.forget_doomed(tx, blobs)

    def reap(self, before: float) -> int:
        """Remove every content that is ``due``; how many. A server does it step by step, beside its event loop."""
        gone = 0
        while blobs := self.due(before):
            self.unlink(blobs)
            self.forget(blobs)
            gone += len(blobs)
        return gone


def key_of_url(url: str, addresses: Iterable[str]) -> str | None:
    """The key of a file named by a URL of the file server at one of these addresses; None for any other URL."""
    for address in addresses:
        if url.startswith(f"{address}/"):
            # by hand: urlsplit takes what follows two slashes for a host, and may refuse it
            path = url[len(address) :].partition("#")[0].partition("?")[0]
            return key_of(unquote(path))
    return None


def spellings(address: str, key: str) -> set[str]:
    """The URLs under which clients name a file of the server at that address (of a double quote: ``find_named``)."""
    return {
        f"{address}/{spelled}"
        for form in {key, key.replace('"', "%22")}
        for spelled in (quote(form, safe="/"), quote(form, safe=SDK_SAFE), form)
    }


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
