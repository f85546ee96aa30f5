"""What is put into our server because the cut recordings cannot have produced it.

Lives here: documents gathered from recorded answers, objects whose creation our server refused or the recordings lack,
and the fields that lost calls (at most 12 similar ones were kept per flow) would have set before the screens of the
web app were recorded. All of it goes through the product's own door, ``stackyard_server.admin_import``, in the API's
form; the server still filters, joins, projects and sorts. Lives elsewhere: replaying (``player``, ``suite``).
May import: ``mapping``, ``recordings``, our server's import door.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from .mapping import MOMENT, Mapping, parse_moment
from .recordings import Exchange

# service -> (kind at the door, key of one document, key of many)
SHELVES = {
    "tasks": ("tasks", "task", "tasks"),
    "models": ("models", "model", "models"),
    "projects": ("projects", "project", "projects"),
    "queues": ("queues", "queue", "queues"),
    "reports": ("tasks", "task", "tasks"),
}
CREATORS = {
    "tasks.create",
    "tasks.clone",
    "projects.create",
    "queues.create",
    "models.create",
    "reports.create",
}
CLONED_FIELDS = ("type", "project", "script", "hyperparams", "configuration")
# Fields of a task or model that lost calls may have set. Metrics come from events, which have their own table.
DRIFTING = {
    "tasks": (
        *("status", "status_reason", "status_message", "comment", "tags", "system_tags", "hyperparams"),
        *("configuration", "runtime", "execution", "models", "container", "script", "output", "parent"),
        *(
            "last_iteration",
            "last_metrics",
            "last_worker",
            "started",
            "completed",
            "active_duration",
            "report",
        ),
        *("last_update", "last_change", "status_changed", "metric_stats"),
    ),
    "models": (
        *("ready", "uri", "tags", "system_tags", "metadata", "labels", "comment"),
        "last_update",
        "last_change",
    ),
}


@dataclass
class Knowledge:
    """Documents as recorded answers showed them, the latest sight of each field winning."""

    documents: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))

    def learn(self, exchange: Exchange) -> None:
        """Take in the documents of one answer."""
        shelf = SHELVES.get(exchange.service)
        if shelf is None or exchange.status != 200 or not isinstance(exchange.response, dict):
            return
        data = exchange.response.get("data")
        if not isinstance(data, dict):
            return
        kind, one, many = shelf
        action = exchange.endpoint.partition(".")[2]
        if not action.startswith(("get_by_id", "get_all")):
            return
        request = exchange.request if isinstance(exchange.request, dict) else {}
        partial = bool(request.get("only_fields"))
        found = [data.get(one)] if isinstance(data.get(one), dict) else data.get(many) or []
        for document in found:
            if isinstance(document, dict) and isinstance(document.get("id"), str):
                known = self.documents[kind].setdefault(document["id"], {})
                _merge(known, document, deep=partial)


def _merge(known: dict[str, Any], seen: dict[str, Any], *, deep: bool) -> None:
    for key, value in seen.items():
        if deep and isinstance(value, dict) and isinstance(known.get(key), dict) and "id" not in value:
            _merge(known[key], value, deep=True)
        else:
            known[key] = dict(value) if isinstance(value, dict) else value


def describe_creation(exchange: Exchange, knowledge: Knowledge) -> tuple[str, dict[str, Any]] | None:
    """The kind and document that a recorded creation made, None when the exchange is none."""
    if exchange.endpoint not in CREATORS or exchange.status != 200:
        return None
    name = exchange.response["data"].get("id")
    if not isinstance(name, str):
        return None
    kind = SHELVES[exchange.service][0]
    request = {key: value for key, value in (exchange.request or {}).items() if key != "method"}
    if exchange.endpoint == "tasks.clone":
        source = knowledge.documents["tasks"].get(str(request.get("task")), {})
        kept = {key: source[key] for key in CLONED_FIELDS if key in source}
        request = {
            **kept,
            "name": request.get("new_task_name") or source.get("name"),
            "parent": request.get("task"),
        }
    return kind, {**request, "id": name}


class Seeder:
    """Puts documents into one server under test.

    Attributes:
        touched: Recorded ids of every document put in or amended here.
        amended: How many fields of replayed documents were set, by name.
    """

    def __init__(self, store: Any, mapping: Mapping, knowledge: Knowledge) -> None:
        self.store = store
        self.mapping = mapping
        self.knowledge = knowledge
        self.touched: set[str] = set()
        self.amended: dict[str, int] = defaultdict(int)
        self.refused: list[str] = []

    def make_up_for(self, exchange: Exchange, moment: str) -> None:
        """Put in what a creation would have made, where the server did not: later exchanges name it."""
        creation = describe_creation(exchange, self.knowledge)
        if creation is None or self.mapping.find_ours(creation[1]["id"]):
            return
        kind, document = creation
        document = {"created": moment, "last_update": moment, "user": "__tests__", **document}
        self._put(kind, document)

    def put_unknown(self, kind: str, recorded: str) -> bool:
        """Put in a document that answers showed but no replayed exchange made."""
        document = self.knowledge.documents[kind].get(recorded)
        if document is None or self.mapping.find_ours(recorded):
            return False
        self._put(kind, self._move(document))
        return True

    def _put(self, kind: str, document: dict[str, Any]) -> None:
        from stackyard_server.admin_import import DocumentError, load_documents

        recorded = document["id"]
        translated = self.mapping.translate(document)
        if kind == "projects":
            self._put_parents(translated.get("name", ""), translated)
        try:
            load_documents(self.store, {kind: [translated]})
        except DocumentError as fault:
            self.refused.append(str(fault))
            return
        self.mapping.bind(recorded, recorded)
        self.touched.add(recorded)

    def _put_parents(self, name: str, document: dict[str, Any]) -> None:
        from stackyard_server.admin_import import DocumentError, load_documents

        parts = name.split("/")
        for depth in range(1, len(parts)):
            parent = {**document, "id": uuid.uuid4().hex, "name": "/".join(parts[:depth])}
            for key in ("parent", "path", "basename", "system_tags"):
                parent.pop(key, None)
            try:
                load_documents(self.store, {"projects": [parent]})
            except DocumentError:
                continue

    def _move(self, value: Any) -> Any:
        """A recorded document with its moments moved to the time of the server under test."""
        if isinstance(value, dict):
            return {key: self._move(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._move(item) for item in value]
        if isinstance(value, str) and MOMENT.fullmatch(value) and (moment := parse_moment(value)):
            return self.mapping.move_moment(moment).isoformat()
        return value

    def amend(self, seen: Knowledge) -> None:
        """Bring replayed documents to what the answers show, where lost calls left them behind; put in the rest."""
        from stackyard_server.admin_import import load_documents
        from stackyard_server.store.documents import COLLECTIONS

        for kind, documents in seen.documents.items():
            for recorded, document in documents.items():
                ours = self.mapping.find_ours(recorded)
                if ours is None:
                    self.put_unknown(kind, recorded)
                    continue
                if kind not in DRIFTING:
                    continue
                wanted = {key: document[key] for key in DRIFTING[kind] if key in document}
                wanted = self.mapping.translate(self._move(wanted))
                collection = COLLECTIONS[kind[:-1]]
                with self.store.reading() as tx:
                    present = collection.get(tx, ours)
                if present is None:
                    continue
                present = collection.render(present)
                changes = {}
                for key, value in wanted.items():
                    if isinstance(value, dict) and isinstance(present.get(key), dict):
                        value = {**present[key], **value}
                    if not _same(present.get(key), value):
                        changes[key] = value
                if not changes:
                    continue
                load_documents(self.store, {kind: [{"id": ours, **changes}]}, replace=True)
                for key in changes:
                    self.amended[key] += 1
                if set(changes) - {"last_update", "last_change", "status_changed", "started", "completed"}:
                    self.touched.add(recorded)


def _same(present: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and isinstance(present, str) and MOMENT.fullmatch(wanted):
        left, right = parse_moment(present), parse_moment(wanted)
        return left is not None and right is not None and abs((left - right).total_seconds()) < 0.002
    return bool(present == wanted) or (not present and not wanted)
