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
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import functions, mark, opening, remembered, schema
from .refusals import AnswerTooLarge, ReadEnded
from .wanted import Wanted

Durability = Literal["state", "metrics"]

#: What SQLite raises where it cannot read or write; ``is_full`` tells whether the disk is why.
Fault = sqlite3.Error

FILE_NAME = "server.sqlite"
#: A log below this is left to grow.
FOLD_FROM_BYTES = 8 * 1024 * 1024
#: Within so long after one of metrics that was counted, others are not.
COUNTED_SECONDS = 0.05
#: Where SQLite itself folds it in, at the end of a commit.
FOLD_AT_PAGES = 16_000


class StoreError(Exception):
    """The data folder cannot be used; the message says what to do."""


class ApartError(StoreError):
    """Database and contents are not of one another; nothing was changed."""


class DamagedError(ApartError):
    """The database cannot be read as one, or is not what a server left; nothing was changed."""


class ChangedError(DamagedError):
    """The database is not what a server left, and may be one all the same; nothing was changed."""


def is_full(fault: BaseException) -> bool:
    """Whether a database could not be written because the disk is full."""
    return isinstance(fault, sqlite3.OperationalError) and "full" in str(fault)


class Reading:
    """One read: it can be ended from another thread, and takes so many bytes at most.

    Args:
        most_bytes: What the rows that are weighed may have together; None is no limit.
    """

    __slots__ = ("_connection", "_lock", "_room_bytes", "ended", "most_bytes")

    def __init__(self, most_bytes: int | None = None) -> None:
        self.most_bytes = self._room_bytes = most_bytes
        #: Whether it was told to end.
        self.ended = False
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def end(self) -> None:
        """End it: what runs stops at its next step, and nothing more begins. Said again, it stops what began since."""
        with self._lock:
            self.ended = True
            if self._connection is not None:
                self._connection.interrupt()

    def take(self, count: int) -> None:
        """Weigh what was read.

        Raises:
            AnswerTooLarge: It is more than the read may have.
        """
        if self._room_bytes is not None and self.most_bytes is not None:
            self._room_bytes -= count
            if self._room_bytes < 0:
                raise AnswerTooLarge(self.most_bytes)

    def give_back(self) -> None:
        """What was weighed so far was passed on, and is held no more."""
        self._room_bytes = self.most_bytes

    @contextmanager
    def on(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Inside, the read runs on a connection.

        Raises:
            ReadEnded: It was ended.
        """
        with self._lock:
            self._connection = connection
        functions.watch(lambda: self.ended)
        try:
            yield
        except sqlite3.OperationalError as fault:
            if self.ended:
                raise ReadEnded from fault
            raise
        finally:
            functions.watch(None)
            with self._lock:
                self._connection = None


def is_damage(fault: BaseException) -> bool:
    """Whether a database could not be read because it is damaged."""
    return isinstance(fault, sqlite3.DatabaseError) and any(
        word in str(fault) for word in ("malformed", "not a database")
    )


@dataclass(frozen=True, slots=True)
class Largest:
    """What one document may have in all."""

    most_bytes: int
    most_values: int
    #: Of scalars.
    most_series: int
    #: Whether a JSON text has more values than that.
    has_more: Callable[[bytes, int], bool]


class Transaction:
    """What runs inside one transaction. Values are SQLite's: int, float, str, bytes, None."""

    __slots__ = ("connection", "fenced", "largest", "reading", "wanted")

    def __init__(
        self,
        connection: sqlite3.Connection,
        fenced: set[str],
        reading: Reading | None = None,
        largest: Largest | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        self.connection = connection
        #: Tasks that were queued again after they ran (``hand_outs``); one set for the whole store.
        self.fenced = fenced
        #: Parameters that lists asked for (``parameters``); one for the whole store.
        self.wanted = wanted or Wanted()
        #: The read it belongs to; None of one that nobody ends.
        self.reading = reading
        #: What a document that is written may have; None where nobody says.
        self.largest = largest

    def all(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Every row."""
        self.check()
        return self.connection.execute(sql, parameters).fetchall()

    def weighed(
        self, sql: str, parameters: Sequence[Any] | dict[str, Any], weigh: Callable[[tuple[Any, ...]], int]
    ) -> list[tuple[Any, ...]]:
        """Every row, each weighed before the next is read.

        Args:
            sql: What is asked.
            parameters: What is bound.
            weigh: The bytes that a row takes.

        Raises:
            AnswerTooLarge: They have more than the read may have.
        """
        if self.reading is None or self.reading.most_bytes is None:
            return self.all(sql, parameters)
        self.check()
        rows = []
        for row in self.connection.execute(sql, parameters):
            self.reading.take(weigh(row))
            rows.append(row)
        return rows

    def check(self) -> None:
        """Go on only where nobody ended the read.

        Raises:
            ReadEnded: Somebody did.
        """
        if self.reading is not None and self.reading.ended:
            raise ReadEnded

    def one(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> tuple[Any, ...] | None:
        """The first row, if any."""
        self.check()
        row: tuple[Any, ...] | None = self.connection.execute(sql, parameters).fetchone()
        return row

    def value(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The first column of the first row; None where there is no row."""
        self.check()
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
        reconciled: Whether the database becomes that of the contents beside it, whatever both say.
        serving: Whether this is the server: it keeps a seal until it folds the log in.
        largest: What a document may have that is written; None is no bound.
        migrates: Whether tables of an earlier release are brought to this one; a server and ``reconciled`` do.

    Raises:
        StoreError: The folder is of a newer release, of an earlier one, or half restored.
        ApartError: The database is not that of the contents beside it, is older than they are, or damaged.
    """

    def __init__(
        self,
        folder: Path,
        reconciled: bool = False,
        serving: bool = False,
        largest: Largest | None = None,
        migrates: bool = False,
    ) -> None:
        self._largest = largest
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.path = folder / FILE_NAME
        with _refusing():
            found = opening.Found(None, 0, None) if reconciled else opening.examine(folder, FILE_NAME)
        if found.version not in (0, len(schema.MIGRATIONS)) and not (migrates or serving):
            raise StoreError(
                f"{self.path} was written by an earlier release (schema {found.version}, this one has "
                f"{len(schema.MIGRATIONS)}): start the server of this release once, or use the release that wrote it."
            )
        if serving:
            with suppress(OSError):  # an empty one: its restore was ended after all was in place
                (folder / opening.DRAFT).rmdir()
        made = not self.path.exists()
        self._writer = self._connect()
        if made:
            os.chmod(self.path, 0o600)
        self._mark = self._settle(found, reconciled, serving)
        #: Whether a seal may still stand that only the server leaves as it is while it writes.
        self._unseals = not serving
        fenced = self._writer.execute("SELECT task FROM hand_out WHERE requeued IS NOT NULL")
        self._fenced: set[str] = {task for (task,) in fenced}
        #: The parameters that lists asked for lately.
        self.wanted = Wanted()
        self._durability: Durability | None = None
        self._changes = 0
        self._counted = -COUNTED_SECONDS
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
        connection.execute(f"PRAGMA wal_autocheckpoint={FOLD_AT_PAGES}")
        connection.execute("PRAGMA cache_size=-16000")
        functions.register(connection)
        return connection

    def _settle(self, found: opening.Found, reconciled: bool, serving: bool) -> mark.Mark:
        """Bring the tables to this version; the mark beside the contents says whose they are."""
        if found.marked and found.marked.seal and schema.version_of(self._writer) != len(schema.MIGRATIONS):
            before = mark.Mark(self.folder, found.marked.identity, found.commits, found.marked)
            before.unseal()
            before.close()
        try:
            schema.migrate(self._writer)
        except schema.TooNew as newer:
            self._writer.close()
            raise StoreError(str(newer)) from newer
        if reconciled:  # another one from now on: what knew the former one is not to take it for that
            self._writer.execute("UPDATE lineage SET identity=lower(hex(randomblob(16)))")
        identity, commits = self._writer.execute("SELECT identity, commits FROM lineage").fetchone()
        # as last read from the disk: the seal may be gone meanwhile
        marked = mark.read(self.folder) if found.marked else None
        made = mark.Mark(self.folder, identity, commits, marked, keeps_seal=serving)
        if made.is_sealed or (marked and marked.seal):
            # ``fold`` and ``close`` unseal first; a server beside a command says its seal again with each commit
            self._writer.execute("PRAGMA wal_autocheckpoint=0")
        if serving:
            remembered.forget_unsound(self._writer)
        return made

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
            yield Transaction(connection, self._fenced, largest=self._largest, wanted=self.wanted)
            self._commit()
        except BaseException:
            self.rolled_back += 1
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _commit(self) -> None:
        """Commit, counted where anything was written; the mark says so once it is done.

        Of metrics that follow each other at once not each is counted: they are not synced either.
        """
        connection, commits = self._writer, None
        if connection.total_changes != self._changes and self._counts():
            # two statements: RETURNING takes ten times as long
            connection.execute("UPDATE lineage SET commits=commits+1")
            (commits,) = connection.execute("SELECT commits FROM lineage").fetchone()
        connection.execute("COMMIT")
        if commits is not None:
            self._mark.note(commits, self._durability == "state")

    def _counts(self) -> bool:
        """Whether the commit that is due is counted."""
        if self._durability == "state":
            return True
        now = time.monotonic()
        if now - self._counted < COUNTED_SECONDS:
            return False
        self._counted = now
        return True

    def _begin(self, durability: Durability) -> sqlite3.Connection:
        self.commit_group()
        if self._unseals:  # a server may have sealed the file since it was opened here
            self._mark.unseal()
            self._unseals = False
        connection = self._writer
        if durability != self._durability:
            level = "FULL" if durability == "state" else "NORMAL"
            connection.execute(f"PRAGMA synchronous={level}")
            self._durability = durability
        connection.execute("BEGIN IMMEDIATE")
        self._changes = connection.total_changes
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
            group = self._group = Group(
                Transaction(self._begin("metrics"), self._fenced, largest=self._largest, wanted=self.wanted)
            )
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
            self._commit()
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
            self._mark.unseal()
            self._folding.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._mark.sync()
            return True

    def finish_fold(self) -> None:
        """Copy the little that was written meanwhile, in the writing thread: only a log that is wholly copied starts
        anew, and one that starts anew is synced far sooner than one that grows.
        """
        self.commit_group()
        self._mark.unseal()
        self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._writer.execute(f"PRAGMA wal_autocheckpoint={FOLD_AT_PAGES}")

    def _log_bytes(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def reading(self, read: Reading | None = None) -> Iterator[Transaction]:
        """A snapshot, on this thread's own read-only connection.

        Args:
            read: What can end it; None where nobody does.

        Raises:
            ReadEnded: Somebody did.
        """
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._readers.connection = connection
            with self._lock:
                self._all_readers.append(connection)
        connection.execute("BEGIN")
        try:
            if read is None:
                yield Transaction(connection, self._fenced, wanted=self.wanted)
            else:
                with read.on(connection):
                    yield Transaction(connection, self._fenced, read, wanted=self.wanted)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")  # nothing was written, and a damaged database ends a commit

    def close(self, sealed: bool = False) -> None:
        """Close every connection; the log is folded into the database file.

        Args:
            sealed: Whether the mark is to say what that file is now: the next start then knows it byte by byte.
        """
        if self._closed:
            return
        self.commit_group()
        with self._fold_lock:
            self._closed = True
        for connection in self._all_readers:
            connection.close()
        commits = 0
        if sealed:
            (commits,) = self._writer.execute("SELECT commits FROM lineage").fetchone()
        if self._log_bytes():  # the last one to close folds it in
            self._mark.unseal()
        self._writer.close()
        if sealed and (seal := opening.seal_of(self.path, commits)):
            self._mark.seal(seal)
        self._mark.close()


def check_restored(folder: Path) -> None:
    """Refuse a folder that a restore did not come to the end of.

    Raises:
        StoreError: It is one.
    """
    with _refusing():
        opening.check_restored(folder, FILE_NAME)


def check_alone(folder: Path) -> None:
    """Look for damage in a database, whatever the contents beside it say; nothing where there is none.

    Raises:
        ApartError: It is damaged, or no database of this server.
        StoreError: It is of a newer release.
    """
    with _refusing():
        opening.check_alone(folder, FILE_NAME)


def check(folder: Path) -> bool:
    """Look for damage in the database of a folder that nobody has open; whether it was looked at to the end.

    Raises:
        ApartError: It is damaged, or not that of the contents beside it.
        StoreError: It is of a newer release.
    """
    with _refusing():
        return opening.check(folder, FILE_NAME)


@contextmanager
def _refusing() -> Iterator[None]:
    """What is found before a database is opened, as the errors of this room."""
    try:
        yield
    except (schema.TooNew, opening.Unfinished) as refused:
        raise StoreError(str(refused)) from refused
    except opening.Changed as fault:
        raise ChangedError(str(fault)) from fault
    except opening.Damaged as fault:
        raise DamagedError(str(fault)) from fault
    except opening.Apart as fault:
        raise ApartError(str(fault)) from fault
