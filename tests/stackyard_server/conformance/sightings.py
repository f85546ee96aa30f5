"""Documents as recorded answers show them.

Lives here: which documents an answer shows, whole or in the part that a projection asks for, what all answers together
tell of each, and what a recorded creation made. Lives elsewhere: what follows from them (``evidence``), putting them
into a server (``seeding``). May import: ``recordings``.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

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


def unjoin(value: Any) -> Any:
    """A field with joined documents replaced by their ids."""
    if isinstance(value, dict):
        if isinstance(value.get("id"), str) and set(value) <= {"id", "name", "project"}:
            return value["id"]
        return {
            key: item["id"] if key == "model" and isinstance(item, dict) and "id" in item else unjoin(item)
            for key, item in value.items()
        }
    return [unjoin(item) for item in value] if isinstance(value, list) else value


def passes_lists(shown: Any, name: str, asked: list[Any]) -> bool:
    """Whether a projection looks into the items of lists: such a part says too little to be set."""
    for path in (str(path).split(".")[1:] for path in asked if str(path).startswith(f"{name}.")):
        value = shown
        for step in path:
            if isinstance(value, list):
                return True
            value = value.get(step) if isinstance(value, dict) else None
    return False


def restrict(present: Any, name: str, asked: list[Any]) -> Any:
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


def overlay(present: Any, wanted: Any, name: str, asked: list[Any]) -> Any:
    """A field as it is here with the part that a projection showed laid over it."""
    paths = [str(path).split(".")[1:] for path in asked if str(path).startswith(f"{name}.")]
    if not paths or not isinstance(present, dict) or not isinstance(wanted, dict):
        return wanted
    whole = copy.deepcopy(present)
    for path in paths:
        _copy_path(wanted, whole, path)
    return whole
