"""Projects and queues that two servers have under one name: what is here stays, what names the other follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..store import Store
from ..store.documents import PROJECT, QUEUE


def adopt(
    store: Store, documents: Mapping[str, Iterable[Mapping[str, Any]]]
) -> dict[str, Iterable[Mapping[str, Any]]]:
    """The documents without projects and queues whose names are known here under other ids; projects, tasks and
    models refer to the ones that are here."""
    kept: dict[str, Iterable[Mapping[str, Any]]] = dict(documents)
    here: dict[str, str] = {}
    for kind, collection in (("projects", PROJECT), ("queues", QUEUE)):
        with store.reading() as tx:
            known = {name: id for id, name in collection.names(tx).items()}
        staying = []
        for document in documents.get(kind, ()):
            there = known.get(document.get("name"))
            if there is not None and there != document.get("id"):
                here[str(document["id"])] = there
            else:
                staying.append(document)
        kept[kind] = staying
    for kind in ("projects", "tasks", "models"):
        kept[kind] = list(_referring(kept.get(kind, ()), here))
    return kept


def _id_of(value: Any) -> str:
    return str(value.get("id") if isinstance(value, Mapping) else value)


def _referring(
    documents: Iterable[Mapping[str, Any]], here: Mapping[str, str]
) -> Iterator[Mapping[str, Any]]:
    for document in documents:
        changed = dict(document)
        for field in ("project", "parent"):
            number = _id_of(changed.get(field))
            if number in here:
                changed[field] = here[number]
        if isinstance(changed.get("path"), list):
            changed["path"] = [here.get(part, part) for part in changed["path"]]
        execution = changed.get("execution")
        if isinstance(execution, Mapping) and execution.get("queue"):
            number = _id_of(execution["queue"])
            changed["execution"] = {**execution, "queue": here.get(number, number)}
        yield changed
