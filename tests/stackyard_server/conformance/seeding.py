"""What is put into our server because the cut recordings cannot have produced it.

Lives here: documents that answers show though no replayed exchange made them, and what missing calls did (``evidence``
proves them): a status or a queue's entries are led to through the API, other fields and documents go through the
product's own door, ``stackyard_server.admin.documents``, in the API's form. The server still filters, joins, projects
and sorts. Lives elsewhere: replaying (``player``, ``suite``). May import: the suite's rooms named here, our server's
import door.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from typing import Any

from .comparison import Comparison
from .evidence import Evidence
from .mapping import MOMENT, Mapping, parse_moment
from .recordings import Exchange
from .sightings import Knowledge, describe_creation, list_documents, overlay, passes_lists, restrict, unjoin
from .statuses import Ask

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
_MOMENTS = ("started", "completed", "published")
_WORDS = ("status_reason", "status_message")
# Fields that missing calls may have set.
DRIFTING: dict[str, tuple[str, ...]] = {
    "tasks": (
        *("status", *_WORDS, *_MOMENTS, "comment", "tags", "system_tags", "hyperparams", "name", "type"),
        *("configuration", "runtime", "execution", "models", "container", "script", "output", "parent"),
        *("report", "last_iteration", "last_metrics", "metric_stats", "last_worker", "last_worker_report"),
    ),
    "models": (
        *("ready", "uri", "tags", "system_tags", "metadata", "labels"),
        "comment",
        "name",
        "last_iteration",
    ),
    "projects": ("system_tags", "tags", "description", "default_output_destination"),
}


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
        self.evidence = Evidence()

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
        project = unjoin(document.get("project"))
        if isinstance(project, str):
            self.put_unknown("projects", project)
        self._put(kind, self._move({key: unjoin(value) for key, value in document.items()}))
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
        from stackyard_server.admin.documents import DocumentError, load_documents

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
        from stackyard_server.admin.documents import DocumentError, load_documents

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

    def fill_gaps(self, exchange: Exchange, ask: Ask) -> bool:
        """Before a question: do what calls that the recordings lack must have done.

        A field that the answer shows with another value than ours is set when the recordings prove that a missing call
        set it. Everything else is left for the comparison to find.

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
        self.evidence.note_sights(exchange)
        return changed

    def _fill_queues(self, exchange: Exchange, shown: list[tuple[str, dict[str, Any]]], ask: Ask) -> bool:
        """Enqueue and remove what lost calls did: an answer shows which tasks wait where, or hands one out."""
        wanted: dict[str, list[str]] = {}
        for kind, document in shown:
            entries = document.get("entries")
            if not isinstance(entries, list) or any(isinstance(entry, str) for entry in entries):
                continue
            if kind == "queues" and "max_task_entries" not in json.dumps(exchange.request):
                wanted[document["id"]] = [str(unjoin(entry["task"])) for entry in entries]
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

    def _read(self, kind: str, ids: list[str], ask: Ask) -> dict[str, dict[str, Any]]:
        ours = [self.mapping.find_ours(recorded) for recorded in ids]
        answer = ask(f"{kind}.get_all", {"id": [name for name in ours if name], "search_hidden": True})
        found = answer.get("data", {}).get(kind, [])
        return {document["id"]: document for document in found}

    def _fill(
        self, kind: str, document: dict[str, Any], ours: dict[str, Any], exchange: Exchange, ask: Ask
    ) -> bool:
        from stackyard_server.admin.documents import load_documents

        request = exchange.request if isinstance(exchange.request, dict) else {}
        asked = request.get("only_fields") or []
        changes = {}
        for name in DRIFTING[kind]:
            gone = not asked and exchange.endpoint.endswith("get_by_id") and bool(ours.get(name))
            if name not in document and not gone:
                continue
            if passes_lists(document.get(name), name, asked) or not self.evidence.must_have_changed(
                document, name, asked
            ):
                continue
            wanted, present = unjoin(document.get(name)), ours.get(name)
            present = restrict(present, name, asked)
            before = self.mapping.take_snapshot()
            equal = Comparison(self.mapping).compare(wanted, present, key=name)
            self.mapping.restore(before)
            if not equal:
                changes[name] = overlay(
                    ours.get(name), self.mapping.translate(self._move(wanted)), name, asked
                )
        if not changes:
            return False
        if kind == "tasks" and changes.get("status") in CALL_TO:
            data = {"task": ours["id"], "force": True}
            data.update({name: document[name] for name in _WORDS if document.get(name)})
            if self._do(exchange, ask, CALL_TO[changes["status"]], data):
                for name in ("status", *_WORDS, *_MOMENTS):
                    changes.pop(name, None)
        if not changes:
            return True
        if "status" in changes:
            changes.update({name: document[name] for name in _WORDS if name in document})
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
