"""What nothing needs any more, found and removed; beside a running server or without one.

Kinds: files of deleted tasks and models that no document names; events whose task or model is gone; sessions that
ended and would be expired by now, but for the last 10,000; old samples of workers and queues; contents of files that
went; leftovers of uploads that broke off. Files outside of any task's or model's folder are named and kept unless asked
for: somebody may know their address by heart.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from ..files import matching
from ..files.stored import GRACE_SECONDS, StoredFiles
from ..store import Store, Transaction, events, files, leftovers, logs, metrics
from ..store.files import StoredFile

DAY_MS = 24 * 3600 * 1000
#: A file may be uploaded before the document that names it is saved.
FILE_GRACE_MS = DAY_MS
#: How long samples of workers and queues are kept.
SAMPLES_MS = 30 * DAY_MS
#: An upload this old is none any more, seconds.
LEFTOVER_SECONDS = 24 * 3600
#: Old rows that go in one transaction: a server beside is not kept waiting.
AT_ONCE = 2_000
#: What a row of a scalar point takes, bytes, about.
POINT_BYTES = 40
#: What stands in an address as it stands in a path, however the rest is encoded.
RUN = re.compile("[A-Za-z0-9]+")


def collect(store: Store, now: int, dry_run: bool, unowned: bool = False) -> dict[str, Any]:
    """Remove what nothing needs.

    Args:
        store: The folder's store.
        now: Epoch milliseconds.
        dry_run: Only say what would go.
        unowned: Files outside of any task's or model's folder that no document names go too.

    Returns:
        By kind ``{count, bytes}``, bytes None where rows are not measured, and ``paths`` for files (the first 1000).
        The contents of ``files`` stay for a grace time, and are ``contents`` of a later call, or go by the server.

    Raises:
        ApartError: Rows and contents are apart: what is rubbish is not known.
    """
    stored = StoredFiles(store)
    sides = matching.compare(stored)
    matching.refuse(store, sides)
    with store.reading() as tx:
        owned, others = _unneeded_files(tx, now)
        owners = leftovers.owners(tx)
        event_counts = _event_sizes(tx, owners)
        old = {kind: leftovers.count_old(tx, kind, before) for kind, before in _old_rows(now)}
    broken_off = list(_broken_off(stored, sides))
    graced = list(_sizes(map(stored.locate, stored.due(_graced()))))
    found: dict[str, Any] = {
        "files": _sized(owned),
        "files_outside": {**_sized(others), "kept": not unowned},
        "events": event_counts,
        **{kind: {"count": count, "bytes": None} for kind, count in old.items()},
        "contents": {"count": len(graced), "bytes": sum(known.st_size for _, known in graced)},
        "leftovers": {"count": len(broken_off), "bytes": sum(size for _, size in broken_off)},
        "dry_run": dry_run,
    }
    if dry_run:
        return found
    stored.reap(_graced())
    _remove_files(store, [*owned, *(others if unowned else [])])
    for owner in owners:
        with store.writing() as tx:  # one at a time: a server beside is not kept waiting
            events.delete_for(tx, [owner])
    for kind, before in _old_rows(now):
        left = AT_ONCE
        while left == AT_ONCE:
            with store.writing() as tx:
                left = leftovers.remove_old(tx, kind, before, AT_ONCE)
    for events_of in (metrics, logs):
        while _cleared_some(store, events_of):
            pass
    _remove_leftovers(store, stored, [path for path, _ in broken_off])
    return found


def _cleared_some(store: Store, kind: ModuleType) -> bool:
    """Whether points or lines were left that were removed; some of them have gone now."""
    with store.reading() as tx:
        if not kind.has_gone(tx):
            return False
    with store.writing("metrics") as tx:
        kind.clear_gone(tx)
    return True


def _graced() -> float:
    return time.time() - GRACE_SECONDS  # rows of contents carry the machine's time


def _old_rows(now: int) -> list[tuple[leftovers.Kind, int]]:
    return [
        ("sessions", now // 1000),
        ("worker_samples", now - SAMPLES_MS),
        ("queue_samples", now - SAMPLES_MS),
        ("hand_outs", now),
    ]


def _sized(found: list[StoredFile]) -> dict[str, Any]:
    return {
        "count": len(found),
        "bytes": sum(file.bytes for file in found),
        "paths": [file.path for file in found[:1000]],
    }


def _unneeded_files(tx: Transaction, now: int) -> tuple[list[StoredFile], list[StoredFile]]:
    """(files of documents that are gone, files outside of documents' folders) that no document names."""
    loose = files.without_owner(tx, now - FILE_GRACE_MS)
    if not loose:
        return [], []
    named = _named(tx, [file.path for file in loose])
    unneeded = [file for file in loose if file.path not in named]
    return [f for f in unneeded if f.owner], [f for f in unneeded if not f.owner]


def _named(tx: Transaction, keys: Iterable[str]) -> set[str]:
    """Which of these paths stand in any document, plot or image, in whatever address and however encoded.

    In doubt a path is named: a longer one that begins alike names it, too. A path is looked for only where its longest
    run of letters and digits stands.
    """
    by_run: dict[str, set[str]] = {}
    for key in keys:
        by_run.setdefault(max(RUN.findall(key), key=len, default=""), set()).add(key)
    found: set[str] = set()
    for text in leftovers.texts(tx):
        plain = unquote(text)
        forms = {text, plain, html.unescape(plain), unquote(plain)}
        runs = {"", *(run for form in forms for run in RUN.findall(form))}
        for key in (key for run in runs & by_run.keys() for key in by_run[run]):
            if any(spelled in form for form in forms for spelled in _in_json(key)):
                found.add(key)
        for run in runs & by_run.keys():
            by_run[run] -= found
    return found


def _in_json(key: str) -> set[str]:
    """A path as it stands in a text, and in a JSON text within one or two others (of a quote: ``find_named``)."""
    named = {key, key.replace("%22", '"')}
    once = {json.dumps(one, ensure_ascii=ascii)[1:-1] for one in named for ascii in (True, False)}
    return {*named, *once, *(json.dumps(text, ensure_ascii=False)[1:-1] for text in once)}


def _event_sizes(tx: Transaction, owners: list[str]) -> dict[str, Any]:
    count = size = 0
    for owner in owners:
        points, others, bytes_ = leftovers.sizes(tx, owner)
        count += points + others
        size += points * POINT_BYTES + bytes_
    return {"count": count, "bytes": size, "owners": len(owners)}


def _broken_off(stored: StoredFiles, sides: matching.Sides) -> Iterator[tuple[Path, int]]:
    """Uploads that broke off and contents without a row, old enough not to be on their way in."""
    old = time.time() - LEFTOVER_SECONDS  # files carry the machine's time
    unclaimed = map(stored.locate, sides.unclaimed)
    for path, known in _sizes([*stored.incoming.iterdir(), *unclaimed]):
        if known.st_mtime < old:
            yield path, known.st_size


def _sizes(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()


def _remove_leftovers(store: Store, stored: StoredFiles, paths: list[Path]) -> None:
    """Uploads at once; of contents a row says so first, so that each removal is one that a row asked for."""
    contents = []
    for path in paths:
        if path.parent == stored.incoming:
            path.unlink(missing_ok=True)
        else:
            contents.append(path.name)
    if contents:
        with store.writing() as tx:
            files.doom(tx, [blob for blob in contents if not files.holds(tx, blob)], 0)
        stored.reap(_graced())


def _remove_files(store: Store, unneeded: list[StoredFile]) -> None:
    for begin in range(0, len(unneeded), 1000):
        part = unneeded[begin : begin + 1000]
        with store.writing() as tx:
            # Uploaded again meanwhile: another content.
            files.forget(tx, [file for file in part if files.holds(tx, file.blob, file.path)])
