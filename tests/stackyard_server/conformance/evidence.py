"""What the recordings say about a document between two sights of it, and what they prove to be missing.

The recordings dropped identical polls and all but twelve similar calls per endpoint and flow. A field that an answer
shows with another value than the recordings left it with, though no recorded call could have set it, was set by a call
that is missing.

Lives here: that proof, from the recordings alone; the server under test plays no part in it. Lives elsewhere: acting on
it (``seeding``). May import: ``recordings``, ``sightings``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from .recordings import Exchange
from .sightings import CREATORS, Knowledge, list_documents, restrict, unjoin

# At most so many similar calls were kept per endpoint and flow: beyond them, calls are missing.
MOST_KEPT = 12
# Every field, for a document that was just made.
ANY = "*"
_STATUS = {
    *("status", "status_reason", "status_message", "started", "completed", "published", "active_duration"),
    *("system_tags", "execution"),
}
_STATUS_CALLS = (
    *(
        "started",
        "stop",
        "stopped",
        "failed",
        "completed",
        "publish",
        "close",
        "enqueue",
        "dequeue",
        "archive",
    ),
    *("unarchive", "enqueue_many", "dequeue_many", "stop_many", "archive_many", "unarchive_many"),
    *("publish_many", "close_many"),
)
# Endpoint or service -> fields it sets beside those that its request names.
SIDE_EFFECTS: dict[str, set[str]] = {
    **{f"tasks.{action}": _STATUS for action in _STATUS_CALLS},
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
    "events": {"last_iteration", "last_metrics", "metric_stats", "active_duration"},
}


class Evidence:
    """What the recordings say, exchange by exchange."""

    def __init__(self) -> None:
        # Recorded id -> field -> the value that the recordings say it has now; fields that calls may have set unsaid.
        self._said: dict[str, dict[str, Any]] = defaultdict(dict)
        self._unsaid: dict[str, set[str]] = defaultdict(set)
        # Fields of documents whose calls reached the number that was kept, and the documents by endpoint.
        self._lost: dict[str, set[str]] = defaultdict(set)
        self._callers: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._calls: Counter[tuple[str, str, str]] = Counter()
        # Fields that an endpoint's calls set; by flow, those whose calls reached the number; where documents were made.
        self._fields: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._capped: dict[str, set[str]] = defaultdict(set)
        self._made_in: dict[str, str] = {}

    def note_call(self, exchange: Exchange, knowledge: Knowledge) -> None:
        """Take in what a recorded call says about documents, and which fields it may have set without saying."""
        key = (exchange.flow, exchange.client, exchange.endpoint)
        self._calls[key] += 1
        data = exchange.response.get("data") if isinstance(exchange.response, dict) else None
        if exchange.endpoint in CREATORS and exchange.status == 200 and isinstance(data, dict):
            name = str(data.get("id"))
            self._unsaid[name].add(ANY)
            self._made_in[name] = exchange.flow
            self._said[name] = find_first_values(exchange, knowledge)
        settable = find_settable(exchange)
        said: dict[str, Any] = (data.get("fields") if isinstance(data, dict) else None) or {}
        for name in find_objects(exchange) if settable else ():
            for field_name in settable:
                self._said[name].pop(field_name, None)
            self._unsaid[name] |= settable
            self._callers[key].add(name)
            self._said[name].update(said)
        self._fields[key] |= settable
        if self._calls[key] >= MOST_KEPT:
            self._capped[exchange.flow] |= self._fields[key]
            for name in self._callers[key]:
                self._lost[name] |= settable

    def note_sights(self, exchange: Exchange) -> None:
        """Take in the documents that a recorded answer shows."""
        asked = (
            (exchange.request or {}).get("only_fields") or [] if isinstance(exchange.request, dict) else []
        )
        for _, document in list_documents(exchange):
            name = document["id"]
            whole = {
                key: value
                for key, value in document.items()
                if not any(str(path).startswith(f"{key}.") for path in asked)
            }
            self._unsaid[name] = set() if not asked else self._unsaid[name] - set(whole)
            self._lost[name] -= set(whole)
            self._said[name].update(whole)

    def must_have_changed(self, document: dict[str, Any], name: str, asked: list[Any]) -> bool:
        """Whether a missing call set this field of a shown document.

        Args:
            document: As the answer shows it.
            name: The field.
            asked: The projection that was asked for; empty for whole documents.
        """
        said, unsaid = self._said[document["id"]], self._unsaid[document["id"]]
        if name in self._lost[document["id"]]:
            return True
        if name not in said:
            if ANY in unsaid:
                return name in self._capped[self._made_in[document["id"]]]
            return name not in unsaid
        value, known = unjoin(document.get(name)), restrict(unjoin(said[name]), name, asked)
        if not value and not known:
            return False
        if (
            isinstance(value, list)
            and isinstance(known, list)
            and all(isinstance(item, str) for item in value)
        ):
            return sorted(value) != sorted(known)
        return bool(value != known)


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
