"""SQLite behind one door: every read and write of the server goes through a ``Transaction`` of the ``Store``.

One connection writes, and it belongs to one thread (the event loop's); reads that may take long run on read-only
connections of their own, one a thread, on a snapshot (WAL). A *state* transaction is synced to disk before it
returns (``synchronous=FULL``); a *metrics* transaction survives a killed process but may lose its last moments
with the machine's power (``synchronous=NORMAL``). See docs/locking.md.

Here: the door. What folders cannot keep SQLite's promises, and the lock on one, are in ``data_folder``; the tables in
``schema``, documents in ``documents``, what a question for documents means in ``query``, every further noun in a file
of its name. All SQL of the server stands in this room. What it refuses is in ``refusals``: it knows no error of the
API. Imports the rules and moments only.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from . import functions, schema

Durability = Literal["state", "metrics"]

#: What SQLite raises where it cannot read or write; ``is_full`` tells whether the disk is why.
Fault = sqlite3.Error

FILE_NAME = "server.sqlite"
#: A log below this is left to grow.
FOLD_FROM_BYTES = 8 * 1024 * 1024


class StoreError(Exception):
    """The data folder cannot be used; the message says what to do."""


def is_full(fault: BaseException) -> bool:
    """Whether a database could not be written because the disk is full."""
    return isinstance(fault, sqlite3.OperationalError) and "full" in str(fault)


class Transaction:
    """What runs inside one transaction. Values are SQLite's: int, float, str, bytes, None."""

    __slots__ = ("connection", "fenced")

    def __init__(self, connection: sqlite3.Connection, fenced: set[str]) -> None:
        self.connection = connection
        #: Tasks that were queued again after they ran (``hand_outs``); one set for the whole store.
        self.fenced = fenced

    def all(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Every row."""
        return self.connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> tuple[Any, ...] | None:
        """The first row, if any."""
        row: tuple[Any, ...] | None = self.connection.execute(sql, parameters).fetchone()
        return row

    def value(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The first column of the first row; None where there is no row."""
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def run(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> int:
        """The number of rows changed."""
        return self.connection.execute(sql, parameters).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """The statement once per row."""
        self.connection.executemany(sql, rows)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that can fail alone: what it wrote is undone when it raises."""
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK TO part")
            self.connection.execute("RELEASE part")
            raise
        self.connection.execute("RELEASE part")


class Group:
    """Metrics of several requests in one transaction; each is told how the commit ended."""

    __slots__ = ("_waiting", "transaction")

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self._waiting: list[Callable[[BaseException | None], None]] = []

    def then(self, tell: Callable[[BaseException | None], None]) -> None:
        """Have ``tell`` called with None after the commit, with the error where it failed."""
        self._waiting.append(tell)

    def ended(self, fault: BaseException | None) -> None:
        """Tell everyone."""
        for tell in self._waiting:
            tell(fault)


class Store:
    """The database of one data folder.

    Args:
        folder: The data folder; made (0700) if it is missing.

    Raises:
        StoreError: The folder is on a network file system, in use by another server, or of a newer release.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.path = folder / FILE_NAME
        made = not self.path.exists()
        self._writer = self._connect()
        if made:
            os.chmod(self.path, 0o600)
        try:
            schema.migrate(self._writer)
        except schema.TooNew as newer:
            self._writer.close()
            raise StoreError(str(newer)) from newer
        fenced = self._writer.execute("SELECT task FROM hand_out WHERE requeued IS NOT NULL")
        self._fenced: set[str] = {task for (task,) in fenced}
        self._durability: Durability | None = None
        self._group: Group | None = None
        self._folding: sqlite3.Connection | None = None
        self._fold_lock = threading.Lock()
        self._closed = False
        #: Transactions undone so far: whoever remembers what was written looks here.
        self.rolled_back = 0
        self._seen = self._data_version()
        self._readers = threading.local()
        self._all_readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("PRAGMA temp_store=MEMORY")
        # Folding the log in waits for the disk, so ``fold`` does it from a thread; this is for what it cannot finish
        # under constant writing. Events rewrite the same pages so often that rarer is far cheaper.
        connection.execute("PRAGMA wal_autocheckpoint=16000")
        connection.execute("PRAGMA cache_size=-16000")
        functions.register(connection)
        return connection

    def _data_version(self) -> int:
        version: int = self._writer.execute("PRAGMA data_version").fetchone()[0]
        return version

    def changed_elsewhere(self) -> bool:
        """Whether another process (``stackyard server user ...``) wrote since the last call."""
        version = self._data_version()
        changed = version != self._seen
        self._seen = version
        return changed

    @contextmanager
    def writing(self, durability: Durability = "state") -> Iterator[Transaction]:
        """The one door for writing; commits on leaving, rolls back on any error.

        Raises:
            Fault: The disk is full (``is_full``), say: nothing was written.
        """
        connection = self._begin(durability)
        try:
            yield Transaction(connection, self._fenced)
            connection.execute("COMMIT")
        except BaseException:
            self.rolled_back += 1
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _begin(self, durability: Durability) -> sqlite3.Connection:
        self.commit_group()
        connection = self._writer
        if durability != self._durability:
            level = "FULL" if durability == "state" else "NORMAL"
            connection.execute(f"PRAGMA synchronous={level}")
            self._durability = durability
        connection.execute("BEGIN IMMEDIATE")
        return connection

    @contextmanager
    def sharing(self, soon: Callable[[Callable[[], None]], object]) -> Iterator[Group]:
        """A metrics transaction together with whoever else comes before ``soon`` lets it commit.

        What the block wrote is undone alone when it raises. Nothing may be answered before ``Group.then``
        told that the commit ended well.

        Args:
            soon: Takes what shall be called in a moment: an event loop's ``call_soon``.
        """
        group, alone = self._group, self._group is None
        if group is None:
            group = self._group = Group(Transaction(self._begin("metrics"), self._fenced))
            soon(self.commit_group)
        try:
            if alone:  # nobody else's is in it yet, so that the whole of it can be undone
                yield group
            else:
                with group.transaction.savepoint():
                    yield group
        except BaseException:
            self.rolled_back += 1
            if alone:
                self._group = None
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            raise

    def commit_group(self) -> None:
        """Commit what is shared, if anything is; its members hear how it ended."""
        group, self._group = self._group, None
        if group is None:
            return
        fault: BaseException | None = None
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as failed:
            fault = failed
            self.rolled_back += 1
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        group.ended(fault)

    def fold(self) -> bool:
        """Copy what the log holds into the database file, beside writers and readers; for a thread of its own.

        Returns:
            Whether there was enough to do it; ``finish_fold`` is due then.
        """
        # Its thread cannot be cancelled: a server that ends meanwhile must not close this connection under it.
        with self._fold_lock:
            if self._closed or self._log_bytes() < FOLD_FROM_BYTES:
                return False
            if self._folding is None:
                self._folding = self._connect()
                with self._lock:
                    self._all_readers.append(self._folding)
            self._folding.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return True

    def finish_fold(self) -> None:
        """Copy the little that was written meanwhile, in the writing thread: only a log that is wholly copied starts
        anew, and one that starts anew is synced far sooner than one that grows.
        """
        self.commit_group()
        self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _log_bytes(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A snapshot, on this thread's own read-only connection."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._readers.connection = connection
            with self._lock:
                self._all_readers.append(connection)
        connection.execute("BEGIN")
        try:
            yield Transaction(connection, self._fenced)
        finally:
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close every connection; the log is folded into the database file."""
        self.commit_group()
        with self._fold_lock:
            self._closed = True
        for connection in self._all_readers:
            connection.close()
        self._writer.close()
