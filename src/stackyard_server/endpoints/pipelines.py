"""``pipelines``: starting a pipeline again, and deleting its runs. Runs are tasks in a hidden project."""

from __future__ import annotations

import re
from typing import Any

from ..calls import Call, bulk
from ..calls.dispatch import endpoint
from ..protocol.error_table import error, field_error
from ..rules import project_names
from ..store import projects, queues, tasks
from ..store.documents import TASK, Document
from ..tasks import contents, creation, ending, queueing, removal

#: Where a pipeline's parameters are, and what is noted about it.
SECTION, NOTES = "Args", "properties"
#: The hidden folder of a project that has a project for each of its pipelines.
FOLDER = ".pipelines"
#: What the SDK adds to the name of a run.
RUN_NUMBER = re.compile(r" #\d+$")


@endpoint(access="state")
def start_pipeline(call: Call) -> dict[str, Any]:
    """The new run's id: a copy of a controller with ``args`` in its parameters, in a queue.

    ``queue`` may be left out where there is a default queue; ``verify_watched_queue`` adds ``queue_watched``.
    ``new_project_name`` makes it the run of a pipeline in that project (``new_project``), of the name
    ``new_pipeline_name``, with ``new_pipeline_version`` and the number ``new_pipeline_run``.
    """
    original = _controller(call)
    queue = queueing.resolve_queue(call, {"queue": call.get("queue")})
    held = original.get("hyperparams") or {}
    section = dict(held.get(SECTION) or {})
    for argument in call.get("args", []):
        if argument and argument.get("name"):
            name, value = argument["name"], argument.get("value")
            section[name] = {**section.get(name, {}), "section": SECTION, "name": name, "value": value or ""}
    copy: dict[str, Any] = {"task": call.data["task"]}
    if section:
        copy["new_task_hyperparams"] = {**held, SECTION: section}
    answer: dict[str, Any] = {}
    version = call.get("new_pipeline_version")
    if call.get("new_project_name"):
        copy["new_task_name"], project = _pipeline(call, original)
        copy["new_task_project"] = projects.find(call.tx, project) or _make(call, project)
        answer["new_project"] = {"id": copy["new_task_project"], "name": project}
        if version:
            parameters: Document = copy.get("new_task_hyperparams") or held
            note = {"section": NOTES, "name": "version", "value": version, "type": "str"}
            notes = {**(parameters.get(NOTES) or {}), "version": note}
            copy["new_task_hyperparams"] = {**parameters, NOTES: notes}
        if (number := call.get("new_pipeline_run")) is not None:
            copy["new_task_name"] += f" #{number}"
    id = creation.clone(call, copy)["id"]
    if version and "new_project" in answer:
        contents.edit_runtime(call, id, {"version": version})
    queueing.enqueue(call, id, queue)
    answer |= {"pipeline": id, "enqueued": True}
    if call.get("verify_watched_queue"):
        answer["queue_watched"] = queues.is_watched(call.tx, queue, call.now)
    return answer


def _controller(call: Call) -> Document:
    original = TASK.get(call.tx, call.data["task"], ["name", "hyperparams"])
    if original is None:
        raise error("invalid_task_id", id=call.data["task"])
    return original


def _pipeline(call: Call, original: Document) -> tuple[str, str]:
    """The name of the pipeline a request means, and of its project.

    Raises:
        ApiError: 400/12, 400/407, 400/409 no such name can be.
    """
    name = call.get("new_pipeline_name") or RUN_NUMBER.sub("", original["name"])
    if "/" in name:
        raise field_error("new_pipeline_name", f": a name without '/' was expected, found {name!r}.")
    return name, project_names.normalise(f"{call.data['new_project_name']}/{FOLDER}/{name}")


def _make(call: Call, name: str) -> str:
    """The id of a new hidden project for a pipeline's runs, in a hidden folder, as the SDK makes them."""
    above = project_names.split(name)[0]
    if not projects.find(call.tx, above):
        projects.create(call.tx, call.who, above, call.now, {"system_tags": ["hidden"]})
    return projects.create(call.tx, call.who, name, call.now, {"system_tags": ["hidden", ending.PIPELINE]})


@endpoint()
def check_new_run(call: Call) -> dict[str, Any]:
    """The project in which a pipeline of the new name has its runs already, if there is one: ``existing_project``."""
    _, name = _pipeline(call, _controller(call))
    id = projects.find(call.tx, name)
    return {"existing_project": {"id": id, "name": name}} if id else {}


@endpoint("2.26", access="state", destructive=True)
def delete_runs(call: Call) -> dict[str, Any]:
    """Deletes runs of a pipeline, in any status but those that wait or run; at least one run must be left.

    With ``include_pipeline_steps`` their steps go, too.
    """
    runs = set(tasks.of_tag(call.tx, call.data["project"], ending.PIPELINE))
    if runs and runs <= set(call.data["ids"]):
        raise error("last_run", project=call.data["project"])
    with_steps = bool(call.get("include_pipeline_steps", False))

    def delete(id: str) -> dict[str, Any]:
        task = TASK.get(call.tx, id, ["project", "status"])
        if task is None or task.get("project") != call.data["project"]:
            raise error("invalid_task_id", id=id, company=call.who.company)
        if task["status"] in ("queued", "in_progress"):
            raise error("task_undeletable", "stop it first", task=id, current=task["status"])
        gone = removal.delete(call, id, force=True, with_urls=True, with_steps=with_steps)
        return {"deleted": True, **{name: gone[name] for name in ("deleted_models", "urls")}}

    return bulk.apply(call.tx, call.data["ids"], delete)
