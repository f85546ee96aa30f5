"""Documents of another ClearML server taken over with their ids: the way in from an official server.

Lives here: tasks, projects, models, queues, users and events in the form in which the API answers them (``get_all``,
``get_all_ex`` with joined objects, or ``get_by_id``), put into a data folder. Lives elsewhere: how documents and events
are kept (``store``), what form they must have (``shapes``), uploaded files (``uploaded``). May import: the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import moments
from ..protocol import bounds
from ..store import Store, Transaction, events, meta, metrics, queues
from ..store.documents import MODEL, PROJECT, QUEUE, TASK, USER, Collection, Document
from ..store.scalars import Memory
from . import shapes
from .shapes import DocumentError as DocumentError

KINDS: dict[str, Collection] = {
    "users": USER,
    "projects": PROJECT,
    "queues": QUEUE,
    "tasks": TASK,
    "models": MODEL,
}
#: Fields that an explicit null takes off a document that is here.
REMOVABLE = frozenset(
    {"started", "completed", "published", "parent", "last_worker", "last_worker_report", "active_duration"}
)
#: Who reported an event that does not say.
UNKNOWN_WORKER = "<unknown>"


def check_documents(documents: Mapping[str, Iterable[Mapping[str, Any]]], most_bytes: int) -> None:
    """Look at all documents before one is written; ``events`` are looked at as they come.

    Args:
        documents: As for ``load_documents``; each kind in the order of the lines of its file.
        most_bytes: What one document may have.

    Raises:
        DocumentError: One is not in the API's form; the message names file, line and field.
    """
    for kind, collection in KINDS.items():
        for number, document in enumerate(documents.get(kind, ()), 1):
            try:
                shapes.check(collection, document, most_bytes)
                shapes.check_named(collection, document)
            except DocumentError as fault:
                raise DocumentError(f"{kind}.jsonl: line {number}: {fault}") from None


def load_documents(
    where: Store | Path,
    documents: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    replace: bool = False,
    clock: moments.Clock = time.time,
    most_bytes: int = bounds.STORED["bytes"],
) -> dict[str, int]:
    """Put documents into a data folder, all of them or none.

    Args:
        where: An open store, or the folder of a server that is not running.
        documents: ``users``, ``projects``, ``queues``, ``tasks``, ``models`` -> documents in the API's form. Each
            keeps its ``id``; its company becomes this server's. A queue's ``entries`` and a task's or model's
            ``last_metrics`` come along. ``events``: as the API returns them, of the tasks and models written here
            (those of a document that stays as it is are left out: its console lines would stand there twice).
        replace: What to do with a document whose id is here already: True sets the fields that are given (null
            takes some off), False keeps what is here.
        clock: When the events arrive.
        most_bytes: What one document may have.

    Returns:
        How many documents of each kind were written.

    Raises:
        DocumentError: A document is not in the API's form, its name is taken by another id, or an event cannot be kept.
    """
    unknown = set(documents) - {*KINDS, "events"}
    if unknown:
        expected = sorted({*KINDS, "events"})
        raise DocumentError(f"unknown kinds of documents: {sorted(unknown)}; expected some of {expected}")
    store = where if isinstance(where, Store) else Store(where)
    try:
        with store.writing() as tx:
            company = meta.company(tx)
            written: dict[str, list[Mapping[str, Any]]] = {
                kind: [
                    item
                    for item in documents[kind]
                    if _load(tx, collection, item, company, replace, most_bytes)
                ]
                for kind, collection in KINDS.items()
                if kind in documents
            }
            counts = {kind: len(items) for kind, items in written.items()}
            if "events" in documents:
                owners = [*written.get("tasks", ()), *written.get("models", ())]
                own = {item["id"] for item in owners}
                counts["events"] = _load_events(
                    tx,
                    store,
                    [event for event in _checked(documents["events"]) if event["task"] in own],
                    clock,
                )
                # Events move on what their task shows; the documents' own figures are the truth.
                for kind in ("tasks", "models"):
                    for item in written.get(kind, ()):
                        _load(tx, KINDS[kind], item, company, True, most_bytes)
            return counts
    finally:
        if store is not where:
            store.close()


def _load(
    tx: Transaction,
    collection: Collection,
    given: Mapping[str, Any],
    company: str,
    replace: bool,
    most_bytes: int,
) -> bool:
    shapes.check(collection, given, most_bytes)
    document = _read(collection, given)
    known = collection.exists(tx, document["id"])
    if known and not replace:
        return False
    if known:
        changes = {name: value for name, value in document.items() if name not in ("id", "company", "login")}
        changes |= {name: None for name, value in given.items() if value is None and name in REMOVABLE}
        collection.update(tx, document["id"], changes)
    else:
        document["company"] = company
        shapes.check_named(collection, document)
        _complete(tx, collection, document)
        _check_name(tx, collection, document)
        collection.insert(tx, document)
    if collection is QUEUE and given.get("entries") is not None:
        _load_entries(tx, document["id"], given["entries"])
    if collection in (TASK, MODEL) and given.get("last_metrics"):
        _load_metrics(tx, document["id"], given["last_metrics"])
    return True


def _read(collection: Collection, given: Mapping[str, Any]) -> Document:
    """A document in the API's form as the store keeps it."""
    document: Document = {}
    for field, kind in collection.fields.items():
        value = given.get(field)
        if value is None or (collection is USER and field in shapes.OF_THIS_SERVER):
            continue
        if field in shapes.REFERENCES:
            value = shapes.id_of(value)
        if kind == "date":
            value = _read_date(value)
        elif kind == "number":
            value = int(value)
        if field == "metadata" and isinstance(value, list):
            # Older versions of the API show it as a list.
            value = {entry["key"]: entry for entry in value}
        document[field] = value
    if collection is TASK:
        for field in shapes.WITHOUT_NULLS & document.keys():
            document[field] = shapes.plain(field, document[field])
    return document


def _read_date(value: Any) -> int:
    return value if isinstance(value, int) else moments.parse(value)


def _complete(tx: Transaction, collection: Collection, document: Document) -> None:
    """What the API does not show but the server keeps."""
    for field, kind in collection.fields.items():
        if kind == "texts" and field in ("tags", "system_tags", "path"):
            document.setdefault(field, [])
    if collection is USER:
        document.setdefault("role", "user")
    if collection is PROJECT:
        name = document.get("name", "")
        document.setdefault("basename", name.rpartition("/")[2])
        document.setdefault("description", "")
        parent = name.rpartition("/")[0]
        if parent and "parent" not in document:
            above = PROJECT.id_of(tx, parent)
            if above is not None:
                document["parent"] = above
                document["path"] = [*(PROJECT.field(tx, above, "path") or []), above]
    if collection is TASK:
        document.setdefault("type", "custom")
        document.setdefault("status", "created")
        document.setdefault("last_iteration", 0)
        for field in ("hyperparams", "configuration", "runtime", "container", "output"):
            document.setdefault(field, {})
        document.setdefault(
            "execution", {"parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []}
        )
        document.setdefault("models", {"input": [], "output": []})
        document.setdefault("report_assets", [])


def _check_name(tx: Transaction, collection: Collection, document: Document) -> None:
    """Projects and queues are known by their names as well."""
    if collection not in (PROJECT, QUEUE):
        return
    name = document["name"]
    other = collection.id_of(tx, name)
    if other is not None:
        raise DocumentError(f"{collection.name} {document['id']}: the name {name!r} is taken by {other}")


def _checked(given: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for event in given:
        shapes.check_event(event)
        yield event


def _load_events(tx: Transaction, store: Store, given: list[Mapping[str, Any]], clock: moments.Clock) -> int:
    batch = events.Batch(tx, Memory(store), int(clock() * 1000), UNKNOWN_WORKER)
    batch.take({**event, "allow_locked": True} for event in given)
    if batch.errors:
        raise DocumentError(f"events that cannot be kept: {dict(batch.errors)}")
    batch.write("")
    return batch.added


def _load_entries(tx: Transaction, queue: str, entries: Any) -> None:
    waiting = [(shapes.id_of(entry["task"]), _read_date(entry["added"])) for entry in entries]
    queues.replace_entries(tx, queue, waiting)


def _load_metrics(tx: Transaction, owner: str, last_metrics: Any) -> None:
    """The newest of each series; a series that has points here keeps them."""
    metrics.put(tx, owner, _walk_series(last_metrics))


def _walk_series(last_metrics: Any) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    for metric, variants in last_metrics.items():
        for variant, values in variants.items():
            yield (metric, variant), values
