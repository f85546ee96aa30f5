"""What is put into our server because the cut recordings cannot have produced it.

Lives here: documents gathered from recorded answers, objects whose creation our server refused or the recordings lack,
and the fields that lost calls (at most 12 similar ones were kept per flow) would have set before the screens of the
web app were recorded. All of it goes through the product's own door, ``stackyard_server.admin_import``, in the API's
form; the server still filters, joins, projects and sorts. Lives elsewhere: replaying (``player``, ``suite``).
May import: ``mapping``, ``recordings``, our server's import door.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from .comparison import Comparison
from .mapping import MOMENT, Mapping, parse_moment
from .recordings import Exchange
from .statuses import Ask

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
# At most so many similar calls were kept per endpoint and flow: beyond them, calls are missing.
MOST_KEPT = 12
# How a task looked that waited in a queue before any answer showed it.
NOT_STARTED: dict[str, Any] = {
    **dict.fromkeys(
        ("started", "completed", "published", "active_duration", "last_worker", "last_worker_report")
    ),
    **{"status": "created", "status_reason": "", "status_message": "", "runtime": {}},
}
# The call that leads to a status, where answers show that one was lost.
CALL_TO = {
    "in_progress": "tasks.started",
    "stopped": "tasks.stopped",
    "completed": "tasks.completed",
    "failed": "tasks.failed",
    "closed": "tasks.close",
    "published": "tasks.publish",
}
# Every field, for a document that was just made.
ANY = "*"
# Fields that lost calls may have set.
DRIFTING = {
    "tasks": (
        *(
            "status",
            "status_reason",
            "status_message",
            "comment",
            "tags",
            "system_tags",
            "hyperparams",
            "name",
            "type",
        ),
        *(
            "configuration",
            "runtime",
            "execution",
            "models",
            "container",
            "script",
            "output",
            "parent",
            "report",
        ),
        *("last_iteration", "last_metrics", "metric_stats", "started", "completed", "published"),
        *("last_worker", "last_worker_report"),
    ),
    "models": (
        "ready",
        "uri",
        "tags",
        "system_tags",
        "metadata",
        "labels",
        "comment",
        "name",
        "last_iteration",
    ),
    "projects": ("system_tags", "tags", "description", "default_output_destination"),
}
_STATUS = {
    *("status", "status_reason", "status_message", "started", "completed", "published", "active_duration"),
    *("system_tags", "execution"),
}
# Endpoint or service -> fields it sets beside those that its request names.
SIDE_EFFECTS: dict[str, set[str]] = {
    **{
        f"tasks.{action}": _STATUS
        for action in (
            *(
                "started",
                "stop",
                "stopped",
                "failed",
                "completed",
                "publish",
                "close",
                "reset",
                "enqueue",
                "dequeue",
            ),
            *(
                "enqueue_many",
                "dequeue_many",
                "stop_many",
                "reset_many",
                "archive_many",
                "unarchive_many",
                "archive",
            ),
            *("publish_many", "close_many", "unarchive"),
        )
    },
    "tasks.reset": {ANY},
    "tasks.reset_many": {ANY},
    "tasks.set_requirements": {"script"},
    "tasks.add_or_update_artifacts": {"execution"},
    "tasks.delete_artifacts": {"execution"},
    "tasks.add_or_update_model": {"models"},
    "tasks.edit_hyper_params": {"hyperparams"},
    "tasks.delete_hyper_params": {"hyperparams"},
    "tasks.edit_configuration": {"configuration"},
    "tasks.delete_configuration": {"configuration"},
    "tasks.edit": {"execution", "output"},
    "models.create": {"models"},
    "models.edit": {"models", "labels"},
    "models.set_ready": {"ready"},
    "workers.status_report": {"last_worker", "last_worker_report"},
    "events": {
        "last_iteration",
        "last_metrics",
        "metric_stats",
        "active_duration",
        "last_worker",
        "last_worker_report",
    },
}


def list_documents(exchange: Exchange) -> list[tuple[str, dict[str, Any]]]:
    """The kind and form of each document that a recorded answer shows."""
    shelf = SHELVES.get(exchange.service)
    if shelf is None or exchange.status != 200 or not isinstance(exchange.response, dict):
        return []
    data = exchange.response.get("data")
    if not isinstance(data, dict) or not exchange.endpoint.partition(".")[2].startswith(
        ("get_by_id", "get_all")
    ):
        return []
    kind, one, many = shelf
    found = [data.get(one)] if isinstance(data.get(one), dict) else data.get(many) or []
    asked = exchange.request.get("id") if isinstance(exchange.request, dict) else None
    if isinstance(asked, list) and len(asked) == len(found) == 1 and isinstance(found[0], dict):
        found = [{"id": asked[0], **found[0]}]
    return [(kind, item) for item in found if isinstance(item, dict) and isinstance(item.get("id"), str)]


@dataclass
class Knowledge:
    """Documents as recorded answers showed them, the latest sight of each field winning."""

    documents: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))

    def learn(self, exchange: Exchange) -> None:
        """Take in the documents of one answer."""
        request = exchange.request if isinstance(exchange.request, dict) else {}
        for kind, document in list_documents(exchange):
            known = self.documents[kind].setdefault(document["id"], {})
            asked = request.get("only_fields") or []
            dotted = {str(name).partition(".")[0] for name in asked if "." in str(name)}
            for name, value in document.items():
                if name in dotted and isinstance(value, dict) and isinstance(known.get(name), dict):
                    _merge(known[name], value)
                else:
                    known[name] = copy.deepcopy(value)


def _merge(known: dict[str, Any], seen: dict[str, Any]) -> None:
    for key, value in seen.items():
        if isinstance(value, dict) and isinstance(known.get(key), dict):
            _merge(known[key], value)
        else:
            known[key] = copy.deepcopy(value)


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
        ask: Makes a call beside the exchange in hand.
        touched: Recorded ids of every document put in or amended here.
        amended: How many fields of replayed documents were set, by name.
        gaps: Where fields were set, and which.
        made_again: How many lost calls were made again.
    """

    def __init__(self, store: Any, mapping: Mapping, future: Knowledge) -> None:
        """Args:
        store: The open store of the server under test.
        future: What all answers of the recorded server show.
        """
        self.store = store
        self.mapping = mapping
        self.future = future
        self.knowledge = Knowledge()
        self.ask: Ask | None = None
        self.touched: set[str] = set()
        self.amended: dict[str, int] = defaultdict(int)
        self.refused: list[str] = []
        self.gaps: list[str] = []
        self.made_again = 0
        # Recorded id -> field -> the value that the recordings say it has now; fields that calls may have set unsaid.
        self._said: dict[str, dict[str, Any]] = defaultdict(dict)
        self._unsaid: dict[str, set[str]] = defaultdict(set)
        # Fields of documents whose calls reached the number that was kept, and the documents by endpoint.
        self._lost: dict[str, set[str]] = defaultdict(set)
        self._callers: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._calls: Counter[tuple[str, str, str]] = Counter()

    def make_up_for(self, exchange: Exchange, moment: str) -> None:
        """Put in what a creation would have made, where the server did not: later exchanges name it."""
        creation = describe_creation(exchange, self.knowledge)
        if creation is None or self.mapping.find_ours(creation[1]["id"]):
            return
        kind, document = creation
        document = {"created": moment, "last_update": moment, "user": "__tests__", **document}
        self._put(kind, document)

    def put_unknown(self, kind: str, recorded: str, shown: dict[str, Any] | None = None) -> bool:
        """Put in a document that answers showed but no replayed exchange made; ``shown`` is how it looked just now."""
        document = {**self.future.documents[kind].get(recorded, {}), **(shown or {})}
        # Who waits in a queue is a matter of the moment.
        document.pop("entries", None)
        if not document.get("name") or self.mapping.find_ours(recorded):
            return False
        project = _unjoin(document.get("project"))
        if isinstance(project, str):
            self.put_unknown("projects", project)
        self._put(kind, self._move({key: _unjoin(value) for key, value in document.items()}))
        return True

    def put_lost(self, kind: str, document: dict[str, Any]) -> bool:
        """Put in a document that the recordings prove to have been there, though no flow of theirs made it."""
        if self.mapping.find_ours(document["id"]):
            return False
        if isinstance(document.get("project"), str):
            self.put_unknown("projects", document["project"])
        self._put(kind, self._move(document))
        return True

    def put_named(self, recorded: str) -> bool:
        """Put in whatever document has this id, if any answer ever showed one."""
        kinds = [
            kind
            for kind in ("projects", "queues", "tasks", "models")
            if recorded in self.future.documents[kind]
        ]
        return any(self.put_unknown(kind, recorded) for kind in kinds)

    def _put(self, kind: str, document: dict[str, Any]) -> None:
        from stackyard_server.admin_import import DocumentError, load_documents

        recorded = document["id"]
        translated = self.mapping.translate(document)
        if kind in ("projects", "queues") and self._find_by_name(kind[:-1], recorded, translated.get("name")):
            return
        if kind == "projects" and self.ask is not None:
            fields = ("name", "description", "tags", "system_tags", "default_output_destination")
            answer = self.ask(
                "projects.create", {key: translated[key] for key in fields if key in translated}
            )
            if answer["meta"]["result_code"] == 200:
                self.mapping.bind(recorded, answer["data"]["id"])
                self.touched.add(recorded)
                return
        if kind == "projects":
            self._put_parents(translated.get("name", ""), translated)
        try:
            load_documents(self.store, {kind: [translated]})
        except DocumentError as fault:
            self.refused.append(str(fault))
            return
        self.mapping.bind(recorded, recorded)
        self.touched.add(recorded)

    def _find_by_name(self, table: str, recorded: str, name: Any) -> bool:
        """Whether the server has made it in passing (a parent project): then the two ids belong together."""
        with self.store.reading() as tx:
            ours = tx.value(f'SELECT id FROM "{table}" WHERE name=?', (name,))
        return isinstance(ours, str) and self.mapping.bind(recorded, ours)

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

    def note_call(self, exchange: Exchange) -> None:
        """Remember what the recorded call says about documents, and which fields it may have set without saying."""
        key = (exchange.flow, exchange.client, exchange.endpoint)
        self._calls[key] += 1
        data = exchange.response.get("data") if isinstance(exchange.response, dict) else None
        if exchange.endpoint in CREATORS and exchange.status == 200 and isinstance(data, dict):
            name = str(data.get("id"))
            self._unsaid[name].add(ANY)
            self._said[name] = find_first_values(exchange, self.knowledge)
        settable = find_settable(exchange)
        said: dict[str, Any] = (data.get("fields") if isinstance(data, dict) else None) or {}
        for name in find_objects(exchange) if settable else ():
            for field_name in settable:
                self._said[name].pop(field_name, None)
            self._unsaid[name] |= settable
            self._callers[key].add(name)
            self._said[name].update(said)

        if self._calls[key] >= MOST_KEPT:
            for name in self._callers[key]:
                self._lost[name] |= settable

    def fill_gaps(self, exchange: Exchange, ask: Ask) -> bool:
        """Before a question: do what calls that the recordings lack must have done.

        A field of a document that the recorded answer shows with another value than ours is set when no recorded call
        since its last sight could have set it. Everything else is left for the comparison to find.

        Returns:
            Whether anything was put in or set.
        """
        self.knowledge.learn(exchange)
        changed = False
        shown = list_documents(exchange)
        for kind, document in shown:
            if self.mapping.find_ours(document["id"]) is None:
                changed |= self.put_unknown(kind, document["id"], document)
        for recorded in sorted(exchange.asked_ids):
            if self.mapping.find_ours(recorded) is None:
                changed |= self.put_named(recorded)
        for kind in DRIFTING:
            ids = [document["id"] for shelf, document in shown if shelf == kind]
            present = self._read(kind, ids, ask) if ids else {}
            for recorded, document in ((d["id"], d) for shelf, d in shown if shelf == kind):
                ours = present.get(self.mapping.find_ours(recorded) or "")
                if ours is not None:
                    changed |= self._fill(kind, document, ours, exchange, ask)
        changed |= self._fill_queues(exchange, shown, ask)
        for _, document in shown:
            self._unsaid[document["id"]].clear()
            self._lost[document["id"]] -= set(document)
            asked = (exchange.request or {}).get("only_fields") or []
            for name, value in document.items():
                if not any(str(path).startswith(f"{name}.") for path in asked):
                    self._said[document["id"]][name] = value
        return changed

    def _fill_queues(self, exchange: Exchange, shown: list[tuple[str, dict[str, Any]]], ask: Ask) -> bool:
        """Enqueue and remove what lost calls did: an answer shows which tasks wait where, or hands one out."""
        wanted: dict[str, list[str]] = {}
        for kind, document in shown:
            entries = document.get("entries")
            if not isinstance(entries, list) or any(isinstance(entry, str) for entry in entries):
                continue
            if kind == "queues" and "max_task_entries" not in json.dumps(exchange.request):
                wanted[document["id"]] = [str(_unjoin(entry["task"])) for entry in entries]
        changed = False
        for recorded, tasks in wanted.items():
            queue = self.mapping.find_ours(recorded)
            if queue is None:
                continue
            waiting = self._read_entries(queue, ask)
            for task in tasks:
                self.put_unknown("tasks", task, NOT_STARTED)
            ours = [name for name in (self.mapping.find_ours(task) for task in tasks) if name]
            # A task that left its status otherwise stays among the recorded server's entries: that is not a lost call.
            absent = self._find_queueable([task for task in ours if task not in waiting], ask)
            for task in absent:
                changed |= self._do(
                    exchange, ask, "tasks.enqueue", {"task": task, "queue": queue, "force": True}
                )
            for task in (task for task in waiting if task not in ours and self.mapping.is_ours(task)):
                changed |= self._do(exchange, ask, "queues.remove_task", {"task": task, "queue": queue})
        if exchange.endpoint == "queues.get_next_task" and exchange.status == 200:
            changed |= self._fill_hand_out(exchange, ask)
        return changed

    def _find_queueable(self, tasks: list[str], ask: Ask) -> list[str]:
        found = (
            ask("tasks.get_all", {"id": tasks, "only_fields": ["id", "status"], "search_hidden": True})
            if tasks
            else {}
        )
        known = {task["id"]: task.get("status") for task in found.get("data", {}).get("tasks", [])}
        return [task for task in tasks if known.get(task) in ("created", "queued")]

    def _fill_hand_out(self, exchange: Exchange, ask: Ask) -> bool:
        queue = self.mapping.find_ours(str(exchange.request.get("queue")))
        recorded = str((exchange.response["data"].get("entry") or {}).get("task"))
        self.put_unknown("tasks", recorded, NOT_STARTED)
        task = self.mapping.find_ours(recorded)
        if queue is None:
            return False
        waiting = self._read_entries(queue, ask)
        changed = False
        if task is None:
            for other in waiting:
                changed |= self._do(exchange, ask, "queues.remove_task", {"task": other, "queue": queue})
            return changed
        if task not in waiting:
            changed |= self._do(exchange, ask, "tasks.enqueue", {"task": task, "queue": queue, "force": True})
        if waiting[:1] != [task] and waiting:
            changed |= self._do(exchange, ask, "queues.move_task_to_front", {"task": task, "queue": queue})
        return changed

    def _read_entries(self, queue: str, ask: Ask) -> list[str]:
        entries = (
            ask("queues.get_by_id", {"queue": queue}).get("data", {}).get("queue", {}).get("entries", [])
        )
        return [entry["task"] for entry in entries]

    def _do(self, exchange: Exchange, ask: Ask, endpoint: str, data: dict[str, Any]) -> bool:
        if ask(endpoint, data)["meta"]["result_code"] != 200:
            return False
        self.made_again += 1
        self.gaps.append(f"{exchange.place} {exchange.endpoint}: {endpoint} {data['task']}")
        return True

    def _must_have_changed(self, document: dict[str, Any], name: str, asked: list[Any]) -> bool:
        """Whether a call that the recordings lack set this field: they say another value, and no call explains it."""
        said, unsaid = self._said[document["id"]], self._unsaid[document["id"]]
        if name in self._lost[document["id"]]:
            return True
        if name not in said:
            return not (name in unsaid or ANY in unsaid)
        value = document.get(name)
        if (
            isinstance(value, list)
            and isinstance(said[name], list)
            and all(isinstance(item, str) for item in value)
        ):
            return sorted(value) != sorted(said[name])
        return bool(value != said[name])

    def _read(self, kind: str, ids: list[str], ask: Ask) -> dict[str, dict[str, Any]]:
        ours = [self.mapping.find_ours(recorded) for recorded in ids]
        answer = ask(f"{kind}.get_all", {"id": [name for name in ours if name], "search_hidden": True})
        found = answer.get("data", {}).get(kind, [])
        return {document["id"]: document for document in found}

    def _fill(
        self, kind: str, document: dict[str, Any], ours: dict[str, Any], exchange: Exchange, ask: Ask
    ) -> bool:
        from stackyard_server.admin_import import load_documents

        request = exchange.request if isinstance(exchange.request, dict) else {}
        asked = request.get("only_fields") or []
        changes = {}
        for name in DRIFTING[kind]:
            gone = not asked and exchange.endpoint.endswith("get_by_id") and bool(ours.get(name))
            if name not in document and not gone:
                continue
            if _passes_lists(document.get(name), name, asked) or not self._must_have_changed(
                document, name, asked
            ):
                continue
            wanted, present = _unjoin(document.get(name)), ours.get(name)
            present = _restrict(present, name, asked)
            before = self.mapping.take_snapshot()
            equal = Comparison(self.mapping).compare(wanted, present, key=name)
            self.mapping.restore(before)
            if not equal:
                changes[name] = _overlay(
                    ours.get(name), self.mapping.translate(self._move(wanted)), name, asked
                )
        if not changes:
            return False
        if kind == "tasks" and changes.get("status") in CALL_TO:
            data = {"task": ours["id"], "force": True}
            data.update(
                {name: document[name] for name in ("status_reason", "status_message") if document.get(name)}
            )
            if self._do(exchange, ask, CALL_TO[changes["status"]], data):
                for name in (
                    "status",
                    "status_reason",
                    "status_message",
                    "started",
                    "completed",
                    "published",
                ):
                    changes.pop(name, None)
        if not changes:
            return True
        if "status" in changes:
            changes.update(
                {name: document[name] for name in ("status_reason", "status_message") if name in document}
            )
        moment = document.get("last_update")
        if kind != "projects" and isinstance(moment, str):
            changes.setdefault("last_update", self._move(moment))
        load_documents(self.store, {kind: [{"id": ours["id"], **changes}]}, replace=True)
        for name in changes:
            self.amended[name] += 1
        self.gaps.append(
            f"{exchange.place} {exchange.endpoint} {kind} {document['id']}: {', '.join(changes)}"
        )
        self.touched.add(document["id"])
        return True


def _unjoin(value: Any) -> Any:
    """A field with joined documents replaced by their ids."""
    if isinstance(value, dict):
        if isinstance(value.get("id"), str) and set(value) <= {"id", "name", "project"}:
            return value["id"]
        return {
            key: item["id"] if key == "model" and isinstance(item, dict) and "id" in item else _unjoin(item)
            for key, item in value.items()
        }
    return [_unjoin(item) for item in value] if isinstance(value, list) else value


def _passes_lists(shown: Any, name: str, asked: list[Any]) -> bool:
    """Whether a projection looks into the items of lists: such a part says too little to be set."""
    for path in (str(path).split(".")[1:] for path in asked if str(path).startswith(f"{name}.")):
        value = shown
        for step in path:
            if isinstance(value, list):
                return True
            value = value.get(step) if isinstance(value, dict) else None
    return False


def _restrict(present: Any, name: str, asked: list[Any]) -> Any:
    """Of a field as it is here, the part that a projection asks for."""
    paths = [
        str(path).split(".")[1:] for path in asked if str(path) == name or str(path).startswith(f"{name}.")
    ]
    if not paths or [] in paths or not isinstance(present, dict):
        return present
    part: dict[str, Any] = {}
    for path in paths:
        _copy_path(present, part, path)
    return part


def _copy_path(source: dict[str, Any], target: dict[str, Any], path: list[str]) -> None:
    """Copies what lies at a path; an id where the path goes on into the joined document is copied whole."""
    step, *rest = path
    if step not in source:
        target.pop(step, None)
    elif rest and isinstance(source[step], dict):
        below = target.get(step)
        target[step] = below if isinstance(below, dict) else {}
        _copy_path(source[step], target[step], rest)
    else:
        target[step] = source[step]


def _overlay(present: Any, wanted: Any, name: str, asked: list[Any]) -> Any:
    """A field as it is here with the part that a projection showed laid over it."""
    paths = [str(path).split(".")[1:] for path in asked if str(path).startswith(f"{name}.")]
    if not paths or not isinstance(present, dict) or not isinstance(wanted, dict):
        return wanted
    whole = copy.deepcopy(present)
    for path in paths:
        _copy_path(wanted, whole, path)
    return whole


def find_objects(exchange: Exchange) -> set[str]:
    """The documents that a call acts on, as opposed to those it only names."""
    if exchange.endpoint in CREATORS:
        return set()
    if exchange.service == "events":
        return set(exchange.asked_ids)
    request = exchange.request if isinstance(exchange.request, dict) else {}
    keys = {"tasks": "task", "models": "model", "projects": "project", "queues": "task", "workers": "task"}
    named = [request.get(key) for key in (keys.get(exchange.service, ""), "tasks", "models", "ids", "id")]
    return {
        name
        for value in named
        for name in (value if isinstance(value, list) else [value])
        if isinstance(name, str)
    }


def find_first_values(exchange: Exchange, knowledge: Knowledge) -> dict[str, Any]:
    """What some fields of a document are just after the call that made it, as far as the recordings tell."""
    request = exchange.request if isinstance(exchange.request, dict) else {}
    if exchange.service == "projects":
        return {"tags": request.get("tags") or [], "system_tags": request.get("system_tags") or []}
    values: dict[str, Any] = {"status": "created", "status_message": "", "status_reason": ""}
    values.update(dict.fromkeys(("started", "completed", "last_worker", "last_worker_report")))
    values.update(metric_stats={}, last_metrics={})
    if exchange.endpoint == "tasks.create":
        values.update(tags=request.get("tags") or [], system_tags=request.get("system_tags") or [])
        values.update(runtime=request.get("runtime") or {})
    source = knowledge.documents["tasks"].get(str(request.get("task")), {})
    if exchange.endpoint == "tasks.clone" and "tags" in source:
        values.update(tags=request.get("new_task_tags") or source["tags"], runtime={})
    return values


def find_settable(exchange: Exchange) -> set[str]:
    """The fields of the named documents that a call may set."""
    if exchange.status != 200:
        return set()
    service, _, action = exchange.endpoint.partition(".")
    if action.startswith(("get_", "ping", "validate")) or service in ("users", "auth", "login", "server"):
        return set()
    request = exchange.request if isinstance(exchange.request, dict) else {}
    return (
        {str(key) for key in request}
        | SIDE_EFFECTS.get(exchange.endpoint, set())
        | SIDE_EFFECTS.get(service, set())
    )
