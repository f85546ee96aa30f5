"""Documents of another ClearML server taken over with their ids: the way in from an official server.

Lives here: tasks, projects, models, queues, users and events in the form in which the API answers them (``get_all``,
``get_all_ex`` with joined objects, or ``get_by_id``), put into a data folder. Lives elsewhere: how documents and events
are kept (``store``), uploaded files (they are copied as they are). May import: the store.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import moments
from ..store import Store, Transaction, events, meta, metrics, queues
from ..store.documents import MODEL, PROJECT, QUEUE, TASK, USER, Collection, Document
from ..store.scalars import Memory

KINDS: dict[str, Collection] = {
    "users": USER,
    "projects": PROJECT,
    "queues": QUEUE,
    "tasks": TASK,
    "models": MODEL,
}
#: Names of other documents: an object where the answer joined them, an id inside.
REFERENCES = frozenset({"user", "project", "task", "parent", "company"})
#: Of a user: who may come in here, and as what, is said here alone; whoever comes with documents is a plain user.
OF_THIS_SERVER = frozenset({"login", "password", "role", "disabled", "generation", "preferences"})
#: Fields that an explicit null takes off a document that is here.
REMOVABLE = frozenset(
    {"started", "completed", "published", "parent", "last_worker", "last_worker_report", "active_duration"}
)
#: Who reported an event that does not say.
UNKNOWN_WORKER = "<unknown>"
_ID = re.compile(r"^[0-9A-Za-z_-]{1,64}$")


class DocumentError(ValueError):
    """A document cannot be taken over; the message names it, the field and what was expected."""


def load_documents(
    where: Store | Path,
    documents: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    replace: bool = False,
    clock: moments.Clock = time.time,
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
                kind: [item for item in documents[kind] if _load(tx, collection, item, company, replace)]
                for kind, collection in KINDS.items()
                if kind in documents
            }
            counts = {kind: len(items) for kind, items in written.items()}
            if "events" in documents:
                owners = [*written.get("tasks", ()), *written.get("models", ())]
                own = {item["id"] for item in owners}
                counts["events"] = _load_events(
                    tx, store, [event for event in documents["events"] if event.get("task") in own], clock
                )
                # Events move on what their task shows; the documents' own figures are the truth.
                for kind in ("tasks", "models"):
                    for item in written.get(kind, ()):
                        _load(tx, KINDS[kind], item, company, replace=True)
            return counts
    finally:
        if store is not where:
            store.close()


def _load(
    tx: Transaction, collection: Collection, given: Mapping[str, Any], company: str, replace: bool
) -> bool:
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
        _complete(tx, collection, document)
        _check_name(tx, collection, document)
        collection.insert(tx, document)
    if collection is QUEUE and "entries" in given:
        _load_entries(tx, document["id"], given["entries"])
    if collection in (TASK, MODEL) and "last_metrics" in given:
        _load_metrics(tx, document["id"], given["last_metrics"])
    return True


def _read(collection: Collection, given: Mapping[str, Any]) -> Document:
    """A document in the API's form as the store keeps it."""
    name = given.get("id")
    if not isinstance(name, str) or not _ID.match(name):
        raise DocumentError(
            f"a {collection.name} has the id {name!r}; expected 1 to 64 letters, digits, - or _"
        )
    document: Document = {}
    for field, kind in collection.fields.items():
        value = given.get(field)
        if value is None or (collection is USER and field in OF_THIS_SERVER):
            continue
        if field in REFERENCES and isinstance(value, Mapping):
            value = value.get("id")
        if kind == "date":
            value = _read_date(collection, name, field, value)
        elif kind in ("choice", "text") and not isinstance(value, str):
            raise DocumentError(f"{collection.name} {name}: {field} is {value!r}; expected text")
        elif kind == "texts" and not (
            isinstance(value, list) and all(isinstance(item, str) for item in value)
        ):
            raise DocumentError(f"{collection.name} {name}: {field} is {value!r}; expected a list of texts")
        if field == "metadata" and isinstance(value, list):
            # Older versions of the API show it as a list.
            value = {str(_key_of(collection, name, entry)): entry for entry in value}
        document[field] = value
    if collection is TASK and isinstance(document.get("models"), dict):
        document["models"] = {
            side: [{**entry, "model": _id_of(entry.get("model"))} for entry in entries]
            for side, entries in document["models"].items()
        }
    return document


def _read_date(collection: Collection, name: str, field: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return moments.parse(value)
    except (TypeError, ValueError):
        raise DocumentError(
            f"{collection.name} {name}: {field} is {value!r}; expected an ISO 8601 instant"
        ) from None


def _key_of(collection: Collection, name: str, entry: Any) -> Any:
    if not isinstance(entry, Mapping) or "key" not in entry:
        raise DocumentError(
            f"{collection.name} {name}: metadata holds {entry!r}; expected key, type and value"
        )
    return entry["key"]


def _id_of(value: Any) -> Any:
    return value.get("id") if isinstance(value, Mapping) else value


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
    name = document.get("name")
    if not name:
        raise DocumentError(f"{collection.name} {document['id']} has no name")
    other = collection.id_of(tx, name)
    if other is not None:
        raise DocumentError(f"{collection.name} {document['id']}: the name {name!r} is taken by {other}")


def _load_events(tx: Transaction, store: Store, given: list[Mapping[str, Any]], clock: moments.Clock) -> int:
    batch = events.Batch(tx, Memory(store), int(clock() * 1000), UNKNOWN_WORKER)
    batch.take({**event, "allow_locked": True} for event in given)
    if batch.errors:
        raise DocumentError(f"events that cannot be kept: {dict(batch.errors)}")
    batch.write("")
    return batch.added


def _load_entries(tx: Transaction, queue: str, entries: Any) -> None:
    waiting = [
        (_id_of(entry["task"]), _read_date(QUEUE, queue, "entries", entry["added"])) for entry in entries
    ]
    queues.replace_entries(tx, queue, waiting)


def _load_metrics(tx: Transaction, owner: str, last_metrics: Any) -> None:
    """The newest of each series; a series that has points here keeps them."""
    metrics.put(tx, owner, _walk_series(owner, last_metrics))


def _walk_series(owner: str, last_metrics: Any) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    try:
        for metric, variants in last_metrics.items():
            for variant, values in variants.items():
                if not (isinstance(values.get("metric"), str) and isinstance(values.get("variant"), str)):
                    raise DocumentError(
                        f"{owner}: last_metrics.{metric}.{variant} lacks its metric or variant name"
                    )
                yield (metric, variant), values
    except AttributeError:
        raise DocumentError(f"{owner}: last_metrics is not metric -> variant -> values") from None
