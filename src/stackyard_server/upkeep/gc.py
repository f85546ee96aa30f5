"""What nothing needs any more, found and removed; beside a running server or without one.

Kinds: files of deleted tasks and models that no document names; events whose task or model is gone; sessions that
ended and would be expired by now; old samples of workers and queues; leftovers of uploads that broke off. Files
outside of any task's or model's folder are named and kept unless asked for: somebody may know their address by
heart.
"""

from __future__ import annotations

import contextlib
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..files import stored as stored_files
from ..files.stored import StoredFile, StoredFiles
from ..store import Store, Transaction, events

DAY_MS = 24 * 3600 * 1000
#: A file may be uploaded before the document that names it is saved.
FILE_GRACE_MS = DAY_MS
#: How long samples of workers and queues are kept.
SAMPLES_MS = 30 * DAY_MS
#: An upload this old is none any more, seconds.
LEFTOVER_SECONDS = 24 * 3600
#: What a row of a scalar point takes, bytes, about.
POINT_BYTES = 40
ADDRESS = re.compile(r"https?://[^/\s\"'\\<>]+/([^\s\"'\\<>]+)")
#: Columns whose texts may name files.
TEXTS = {
    "task": (
        "execution",
        "configuration",
        "hyperparams",
        "comment",
        "report",
        "runtime",
        "models",
        "output",
        "script",
    ),
    "model": ("uri", "comment", "metadata", "design", "labels"),
    "project": ("description",),
}


def collect(store: Store, now: int, dry_run: bool, unowned: bool = False) -> dict[str, Any]:
    """Remove what nothing needs.

    Args:
        store: The folder's store.
        now: Epoch milliseconds.
        dry_run: Only say what would go.
        unowned: Files outside of any task's or model's folder that no document names go too.

    Returns:
        By kind ``{count, bytes}``, bytes None where rows are not measured, and ``paths`` for files (the first 1000).
    """
    stored = StoredFiles(store)
    with store.reading() as tx:
        owned, others = _unneeded_files(tx, now)
        owners = _orphans(tx)
        event_counts = _event_sizes(tx, owners)
        rows = {name: tx.value(f"SELECT count(*) FROM {sql}", (at,)) for name, sql, at in _old_rows(now)}
        leftovers = list(_leftovers(stored, tx))
    found: dict[str, Any] = {
        "files": _sized(owned),
        "files_outside": {**_sized(others), "kept": not unowned},
        "events": event_counts,
        **{name: {"count": count, "bytes": None} for name, count in rows.items()},
        "leftovers": {"count": len(leftovers), "bytes": sum(size for _, size in leftovers)},
        "dry_run": dry_run,
    }
    if dry_run:
        return found
    _remove_files(store, stored, [*owned, *(others if unowned else [])])
    for owner in owners:
        with store.writing() as tx:  # one at a time: a server beside is not kept waiting
            events.delete_for(tx, [owner])
    for _, sql, at in _old_rows(now):
        with store.writing() as tx:
            tx.run(f"DELETE FROM {sql}", (at,))
    for path, _ in leftovers:
        path.unlink(missing_ok=True)
    return found


def _old_rows(now: int) -> list[tuple[str, str, int]]:
    return [
        ("sessions", "revoked_session WHERE expires < ?", now // 1000),
        ("worker_samples", "worker_sample WHERE at < ?", now - SAMPLES_MS),
        ("queue_samples", "queue_sample WHERE at < ?", now - SAMPLES_MS),
        ("hand_outs", "hand_out WHERE at < ? AND task NOT IN (SELECT id FROM task)", now),
    ]


def _sized(files: list[StoredFile]) -> dict[str, Any]:
    return {
        "count": len(files),
        "bytes": sum(file.bytes for file in files),
        "paths": [file.path for file in files[:1000]],
    }


def _unneeded_files(tx: Transaction, now: int) -> tuple[list[StoredFile], list[StoredFile]]:
    """(files of documents that are gone, files outside of documents' folders) that no document names."""
    rows = tx.all(
        f"SELECT {stored_files.COLUMNS} FROM file WHERE created < ? AND (owner IS NULL OR "
        "(owner NOT IN (SELECT id FROM task) AND owner NOT IN (SELECT id FROM model)))",
        (now - FILE_GRACE_MS,),
    )
    files = [StoredFile(*row) for row in rows]
    if not files:
        return [], []
    named = _named_keys(tx, {file.path for file in files})
    unneeded = [file for file in files if file.path not in named]
    return [f for f in unneeded if f.owner], [f for f in unneeded if not f.owner]


def _named_keys(tx: Transaction, wanted: set[str]) -> set[str]:
    """Which of these paths stand in an address of any document, plot or image; whatever the host."""
    found: set[str] = set()
    for text in _texts(tx):
        for path in ADDRESS.findall(text):
            plain = path.partition("?")[0]
            for spelled in (plain, plain.partition("#")[0], plain.rstrip(").,;:!?]}*_`|")):
                # Behind a proxy the server may stand below a path: each end of the address is looked at.
                for whole in (spelled.strip("/"), unquote(spelled).strip("/")):
                    found |= {whole, whole.partition("/")[2]} & wanted
    return found


def _texts(tx: Transaction) -> Iterator[str]:
    for table, columns in TEXTS.items():
        for column in columns:
            sql = f"SELECT {column} FROM \"{table}\" WHERE {column} LIKE '%http%'"
            for (text,) in tx.connection.execute(sql):
                yield text
    for (body,) in tx.connection.execute("SELECT body FROM sample WHERE body IS NOT NULL"):
        if isinstance(body, bytes):
            with contextlib.suppress(zlib.error):
                body = zlib.decompress(body)
            body = body.decode("utf-8", "replace")
        yield str(body)


def _orphans(tx: Transaction) -> list[str]:
    """Owners of events that are neither task nor model."""
    owners: set[str] = set()
    for table in ("metric", "sample", "log"):
        rows = tx.all(
            f"SELECT DISTINCT owner FROM {table} WHERE owner NOT IN (SELECT id FROM task) "
            "AND owner NOT IN (SELECT id FROM model)"
        )
        owners.update(row[0] for row in rows)
    return sorted(owners)


def _event_sizes(tx: Transaction, owners: list[str]) -> dict[str, Any]:
    count = size = 0
    for owner in owners:
        points = tx.value(
            "SELECT count(*) FROM scalar WHERE series IN (SELECT number FROM metric WHERE owner=?)", (owner,)
        )
        samples = tx.one(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM sample WHERE owner=?", (owner,)
        )
        lines = tx.one("SELECT count(*), coalesce(sum(length(msg)), 0) FROM log WHERE owner=?", (owner,))
        assert samples is not None
        assert lines is not None
        count += points + samples[0] + lines[0]
        size += points * POINT_BYTES + samples[1] + lines[1]
    return {"count": count, "bytes": size, "owners": len(owners)}


def _leftovers(stored: StoredFiles, tx: Transaction) -> Iterator[tuple[Path, int]]:
    """Uploads that broke off and contents without a row, old enough not to be on their way in."""
    old = time.time() - LEFTOVER_SECONDS  # files carry the machine's time
    for path in [*stored.incoming.iterdir(), *stored.blobs()]:
        try:
            known = path.stat()
        except FileNotFoundError:
            continue
        inside = path.parent != stored.incoming and tx.value("SELECT 1 FROM file WHERE blob=?", (path.name,))
        if known.st_mtime < old and not inside:
            yield path, known.st_size


def _remove_files(store: Store, stored: StoredFiles, files: list[StoredFile]) -> None:
    for begin in range(0, len(files), 1000):
        part = files[begin : begin + 1000]
        gone = []
        with store.writing() as tx:
            for file in part:
                # Uploaded again meanwhile: another content.
                if tx.value("SELECT 1 FROM file WHERE path=? AND blob=?", (file.path, file.blob)):
                    gone.append(file)
            stored_files.forget(tx, gone)
        stored.unlink(file.blob for file in gone)
