"""What the tasks and models of projects have in them: the values a filter menu offers.

Each function reads a call and asks ``store.contents``. Reading all tasks takes its time with many of them, so the
endpoints above run beside the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..calls import Call
from ..listing.filters import conditions
from ..store import Transaction, condition, contents
from ..store.condition import Condition
from ..store.documents import MODEL, PROJECT, TASK, Collection, Document
from ..store.metrics import name_hash

#: How many values a menu gets at most, and how many unless it asks for more.
MOST_VALUES = 1000
PAGE = 500


def tags(call: Call, collection: Collection) -> Document:
    """The distinct tags of documents; with system tags where those were asked for or filtered by.

    Raises:
        ApiError: 400/12.
    """
    wanted: Mapping[str, Any] = call.get("filter", {})
    filters = {name: wanted[name] for name in ("tags", "system_tags") if wanted.get(name) is not None}
    inside = contents.scope(call.tx, call.get("projects"), True, collection)
    found = [inside, *_owned(call), *conditions(collection, {**filters, "search_hidden": True})]
    answer: Document = {"tags": contents.tags(call.tx, collection, "tags", found)}
    if call.get("include_system"):
        answer["system_tags"] = contents.tags(call.tx, collection, "system_tags", found)
    elif "system_tags" in filters:
        answer["system_tags"] = []
    return answer


def users(call: Call) -> list[Document]:
    """Who made the tasks, the models (``entity``) or both that are in the projects."""
    asked = {"task": [TASK], "model": [MODEL]}.get(call.get("entity", ""), [TASK, MODEL, PROJECT])
    ids, with_children = call.get("projects"), bool(call.get("include_subprojects", True))
    found = {c.name: contents.scope(call.tx, ids, with_children, c) for c in asked}
    return [{"id": id, "name": name} for id, name in contents.makers(call.tx, found)]


def parents(call: Call) -> list[Document]:
    """The tasks that are parents of tasks in the projects, by name."""
    inside = contents.scope(call.tx, call.get("projects"), bool(call.get("include_subprojects")))
    state = call.get("tasks_state")
    name = Condition(*condition.matching("p.name", call.data["task_name"])) if call.get("task_name") else None
    found = []
    for parent in contents.parents(
        call.tx, [inside], state if state in ("active", "archived") else None, name
    ):
        shown: Document = {"id": parent.id, "name": parent.name}
        if parent.project:
            shown["project"] = {"id": parent.project, "name": parent.project_name}
        found.append(shown)
    return found


def page(values: list[Any], call: Call) -> tuple[list[Any], int]:
    """The page asked for, and how many come behind it."""
    size = max(1, min(call.get("page_size", PAGE), MOST_VALUES))
    start = max(0, call.get("page", 0)) * size
    return values[start : start + size], max(0, len(values) - start - size)


def _asked(call: Call, name: str) -> Condition:
    """In the projects a call names, and below them unless it says otherwise."""
    ids = call.get(name)
    return contents.scope(
        call.tx, ids if isinstance(ids, list) else [ids or None], bool(call.get("include_subprojects", True))
    )


def hyper_parameters(call: Call) -> list[tuple[str, str]]:
    """The (section, name) of every parameter of tasks in the project."""
    return contents.parameters(call.tx, [_asked(call, "project")])


def hyper_parameter_values(call: Call) -> list[str]:
    """The distinct values of one parameter that ``pattern`` occurs in."""
    section, name = call.data["section"], call.data["name"]
    found = [_asked(call, "projects"), *_owned(call)]
    return contents.parameter_values(call.tx, found, section, name, MOST_VALUES, call.get("pattern"))


def _owned(call: Call) -> list[Condition]:
    """Where ``allow_public`` is false, only what belongs to the company."""
    return [] if call.get("allow_public", True) else [condition.owned()]


def metadata_keys(call: Call) -> list[str]:
    """The keys of the metadata of models in the project."""
    return contents.metadata_keys(call.tx, [_asked(call, "project")])


def metadata_values(call: Call) -> list[str]:
    """The distinct values under one key of the metadata."""
    found = [_asked(call, "projects"), *_owned(call)]
    return contents.metadata_values(call.tx, found, call.data["key"], MOST_VALUES)


def metric_variants(call: Call, collection: Collection) -> list[Document]:
    """Every scalar series that tasks (or models) of the project reported, with the hashes that name it."""
    if ids := call.get("ids"):
        found = contents.series_of(call.tx, ids)
    else:
        found = contents.series(call.tx, collection, _asked(call, "project"))
    return [
        {
            "metric": metric,
            "metric_hash": name_hash(metric),
            "variant": variant,
            "variant_hash": name_hash(variant),
        }
        for metric, variant in found
    ]


def containing(call: Call) -> list[Condition]:
    """What must be in a listed project or below it: by ``children_type`` (with its tags) and ``active_users``."""
    found = []
    if kind := call.get("children_type"):
        found.append(contents.holding(kind, _tags_of_children(call, kind)))
    if isinstance(call.get("active_users"), list) and call.data["active_users"]:
        found.append(contents.holding_work_of(call.data["active_users"]))
    return found


def _tags_of_children(call: Call, kind: str) -> list[Condition]:
    """What ``children_tags`` and ``children_tags_filter`` ask of the children; pipelines and data sets are projects."""
    collection = {"report": TASK, "task": TASK, "model": MODEL}.get(kind, PROJECT)
    wanted = {"tags": call.get("children_tags"), "search_hidden": True}
    if call.get("children_tags_filter") is not None:
        wanted["filters"] = {"tags": call.data["children_tags_filter"]}
    return conditions(collection, wanted)


def hidden_among(tx: Transaction, ids: Iterable[str]) -> set[str]:
    """Which of these projects are tagged hidden."""
    found = PROJECT.get_many(tx, ids, ["system_tags"])
    return {project["id"] for project in found if "hidden" in (project.get("system_tags") or [])}
