"""A draft that is edited: its form, and what the form saves. All of it by one call of the API, or nothing.

A page is ``async (visit) -> Response``. Imports no endpoint: pages ask by name, as any client does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from ..protocol.error_table import ApiError
from ..rules import task_status
from ..rules.task_document import NOTES_SECTION
from . import parameters, shown, typed
from .actions import CONTAINER, changed_parameters, go, text
from .parameters import removal_key_of
from .task_pages import task_head
from .typed import Unusable
from .visit import Visit

#: Fields of the form: what they are called on the page.
NEW_PARAMETERS, NEW_PROPERTIES = "New parameters", "New user properties"
#: Begins the names of fields that say where the script is, and what runs it; field -> its label and its hint.
SCRIPT = "script-"
SCRIPT_FIELDS = {
    "repository": ("Repository", ""),
    "branch": ("Branch", ""),
    "version_num": ("Commit", "Of none, the head of the branch."),
    "working_dir": ("Working folder", "In the repository."),
    "entry_point": ("Entry point", "A file such as train.py with its arguments, or -m and a module."),
    "binary": ("Binary", "python3, a Python such as python3.11, or a shell such as bash."),
}
#: Begins the names of fields that hold configuration objects; of so many, with so many characters together at most.
CONFIGURATION = "configuration-"
MOST_OBJECTS, MOST_CHARACTERS = 20, 64_000
#: What can be done with a task that is no draft, by its status; any other: as with one that has ended.
_ELSE = {
    "queued": "take it out of the queue, edit it, and put it back",
    "in_progress": "abort it and reset it, or edit a clone of it",
    "published": "edit a clone of it",
    "publishing": "edit a clone of it",
}
_MEANWHILE = (
    "Somebody changed this draft after you had opened its form. What you typed stands below; save again to have it "
    "so."
)


async def edit_form(visit: Visit, notice: str = "", before: Mapping[str, str] | None = None) -> Response:
    """A draft as it can be edited.

    Args:
        visit: Who asks, and for which task.
        notice: What is wrong with what was typed.
        before: What stood in the form before, by its fields' names.
    """
    wanted = [
        "hyperparams",
        "configuration",
        "execution.queue",
        "container",
        "comment",
        "script",
        "last_change",
    ]
    found = await task_head(visit, wanted)
    refusal = refused(found)
    if refusal and before is None:
        return await visit.page("edit.html", tab="", task=found, refusal=refusal, status=400)
    held = before or {}
    sections, left_out = await asyncio.to_thread(
        parameters.sections, found.get("hyperparams") or {}, held, NOTES_SECTION
    )
    queues = (await visit.ask("queues.get_all_ex", order_by=["name"]))["queues"]
    return await visit.page(
        "edit.html", tab="", task=found, sections=sections, notes=sections.pop(NOTES_SECTION, []),
        left_out=left_out, queues=queues, wrong=notice, typed=held, packages=typed.packages_of(found.get("script")),
        removed={name for name in held if name.startswith(parameters.REMOVAL)}, removal_key_of=removal_key_of,
        objects=editable_objects(found), object_prefix=CONFIGURATION,
        script=found.get("script") or {}, script_fields=SCRIPT_FIELDS, script_prefix=SCRIPT,
        new_parameters=NEW_PARAMETERS, new_properties=NEW_PROPERTIES, notes_section=NOTES_SECTION,
        seen=found.get("last_change") or "", status=400 if notice else 200,
    )  # fmt: skip


def editable_objects(task: Mapping[str, Any]) -> dict[str, str]:
    """The configuration objects of a task that a form shows whole: name -> text. Those that people write come first."""
    held = task.get("configuration") or {}
    texts = {name: str(item.get("value") or "") for name, item in held.items()}
    found: dict[str, str] = {}
    left = MOST_CHARACTERS
    for name in sorted(texts, key=lambda name: (held[name].get("type") == "json", name)):
        if len(texts[name]) <= left and len(found) < MOST_OBJECTS:
            found[name], left = texts[name], left - len(texts[name])
    return found


def refused(task: Mapping[str, Any]) -> str:
    """Why a task cannot be edited, and what can be done instead; "" of a draft."""
    status = str(task["status"])
    if status == task_status.CREATED:
        return ""
    word = shown.STATUSES.get(status, (status, ""))[0]
    instead = _ELSE.get(status, "reset it, which wipes what it left, or edit a clone of it")
    return f"Only a draft can be edited, and this task is {word}: {instead}."


async def save(visit: Visit, form: FormData) -> Response:
    """Keep what was typed, and put the draft into a queue if one was chosen."""
    id = visit.request.path_params["task"]
    task = (await visit.ask("tasks.get_by_id", task=id))["task"]
    before = {k: v for k, v in form.items() if isinstance(v, str)}
    try:
        if refusal := refused(task):
            raise Unusable(refusal)
        if "seen" in before and before["seen"] != str(task.get("last_change") or ""):
            raise Unusable(_MEANWHILE)
        if changed := changes(task, form):
            await visit.ask("tasks.edit", task=id, **changed)
    except (Unusable, ApiError) as wrong:
        return await edit_form(visit, str(wrong), before)
    if queue := text(form, "queue"):
        try:
            await visit.ask("tasks.enqueue", task=id, queue=queue)
        except ApiError:
            return go(f"/tasks/{id}", "saved-not-enqueued")
        return go(f"/tasks/{id}")
    return go(f"/tasks/{id}", "saved")


def changes(task: Mapping[str, Any], form: FormData) -> dict[str, Any]:
    """What a form changes of a task, as the fields of ``tasks.edit``; a field that is not in it stays.

    Raises:
        Unusable: what was typed cannot be taken.
    """
    found: dict[str, Any] = {}
    if "name" in form and (name := typed.name(text(form, "name"))) != task["name"]:
        found["name"] = name
    if "comment" in form:
        comment = typed.plain(text(form, "comment"))
        if comment != typed.plain(str(task.get("comment") or "")).strip():
            found["comment"] = comment
    if "tags" in form and (tags := typed.tags(typed.plain(text(form, "tags")))) != (task.get("tags") or []):
        found["tags"] = tags
    held = task.get("hyperparams") or {}
    hyperparams = edited_parameters(held, form)
    if hyperparams != held:
        found["hyperparams"] = hyperparams
    objects = {}
    for name, value in editable_objects(task).items():
        said = form.get(f"{CONFIGURATION}{name}")
        if isinstance(said, str) and typed.plain(said).strip() != typed.plain(value).strip():
            objects[name] = {**task["configuration"][name], "value": typed.plain(said)}
    if objects:
        found["configuration"] = {**task["configuration"], **objects}
    script = task.get("script") or {}
    new = {field: text(form, f"{SCRIPT}{field}") for field in SCRIPT_FIELDS if f"{SCRIPT}{field}" in form}
    if told := {
        field: value for field, value in new.items() if value != str(script.get(field) or "").strip()
    }:
        found["script"] = told
    packages = typed.packages_of(script)
    if "packages" in form:
        listed = typed.plain(text(form, "packages"))
        if listed.strip() != packages.strip():
            requirements = script.get("requirements")
            kept = dict(requirements) if isinstance(requirements, dict) else {}
            kept.pop(
                "orig_pip", None
            )  # an agent may take it for the list in the place of the one that was typed
            listed = typed.packages(listed, packages)
            found["script"] = {**found.get("script", {}), "requirements": {**kept, "pip": listed}}
    container = task.get("container") or {}
    new = {**container, **{one: text(form, one) for one in CONTAINER if one in form}}
    if any(new.get(one) != (container.get(one) or "") for one in CONTAINER if one in form):
        found["container"] = new
    return found


def edited_parameters(held: Mapping[str, Mapping[str, Any]], form: FormData) -> dict[str, dict[str, Any]]:
    """All parameters of a task as a form leaves them, by section and name; user properties are a section of them.

    Raises:
        Unusable: a line of the new ones cannot be taken.
    """
    found = {section: dict(items) for section, items in held.items()}
    for section, items in held.items():
        for name in items:
            if removal_key_of(section, name) in form:
                del found[section][name]
    for item in changed_parameters(found, form):
        found[item["section"]][item["name"]] = item
    left = {section: items for section, items in found.items() if items}
    added = typed.parameters(typed.plain(text(form, "new-parameters")), left, NEW_PARAMETERS)
    added += typed.parameters(
        typed.plain(text(form, "new-properties")), left, NEW_PROPERTIES, section=NOTES_SECTION
    )
    for item in added:
        left.setdefault(item["section"], {})[item["name"]] = item
    return left
