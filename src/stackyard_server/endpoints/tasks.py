"""``tasks``: the work that is run. Thin: the words of the requests and answers; what happens is in ``tasks``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypedDict

from .. import listing
from ..calls import Call, bulk, pieces
from ..calls.dispatch import endpoint
from ..protocol.error_table import error
from ..protocol.fields import check
from ..rules import project_names, task_document, task_status
from ..store import hand_outs, metrics, projects, queues
from ..store import tasks as store_tasks
from ..store.documents import TASK, Document
from ..tasks import changes, contents, creation, editing, ending, loss, queueing, removal

Answer = dict[str, Any]
Steps = Generator[None, None, Answer]
#: Clients of earlier levels of the API read ``execution.docker_cmd`` instead.
CONTAINER_SINCE = (2, 13)


def ids_of(call: Call, name: str = "ids") -> list[str]:
    """The ids of a request's list; null items are none."""
    return [id for id in call.get(name, ()) if id is not None]


class Told(TypedDict):
    """What a request says of a new status."""

    reason: str | None
    message: str | None


def told(call: Call) -> Told:
    """The reason and the message a request gives for a status."""
    return {"reason": call.get("status_reason"), "message": call.get("status_message")}


def forced(call: Call) -> bool:
    """Whether the request asks to skip the status machine."""
    return bool(call.get("force", False))


# Reading


@endpoint(lists="task")
def get_all(call: Call) -> Answer:
    """Tasks that match, without joins; no task has the fields of hyper-datasets (``input.view...``)."""
    return listing.get_all(call, TASK)


@endpoint(lists="task")
def get_all_ex(call: Call) -> Answer:
    """Tasks that match, with joins and scrolls."""
    return listing.get_all_ex(call, TASK)


@endpoint(lists="task")
def get_by_id_ex(call: Call) -> Answer:
    """The tasks of these ids, with joins."""
    return listing.get_by_id_ex(call, TASK)


@endpoint()
def get_by_id(call: Call) -> Answer:
    """One whole task."""
    id = call.data["task"]
    task = TASK.get(call.tx, id)
    if task is None:
        raise error("invalid_task_id", ids=[id])
    shown = TASK.render(task)
    shown["last_metrics"] = metrics.last_metrics(call.tx, [id]).get(id, {})
    shown["unique_metrics"] = metrics.unique_metrics(call.tx, [id]).get(id, [])
    if call.version < CONTAINER_SINCE:
        shown["execution"] = task_document.for_old_clients(shown)
    return {"task": shown}


@endpoint()
def get_types(call: Call) -> Answer:
    """The types of task there are in these projects and below, or anywhere."""
    wanted = ids_of(call, "projects")
    inside = projects.subtree(call.tx, wanted) if wanted else None
    return {"types": sorted(store_tasks.types(call.tx, inside))}


@endpoint()
def get_hyper_params(call: Call) -> Answer:
    """The parameters of tasks, as lists."""
    tasks = changes.require_all(call.tx, ids_of(call, "tasks"), ["hyperparams"])
    return {
        "params": [
            {
                "task": t["id"],
                "hyperparams": [p for s in (t.get("hyperparams") or {}).values() for p in s.values()],
            }
            for t in tasks
        ]
    }


@endpoint()
def get_configurations(call: Call) -> Answer:
    """The configuration objects of tasks, all of them or those of these names."""
    names = call.get("names")
    tasks = changes.require_all(call.tx, ids_of(call, "tasks"), ["configuration"])
    return {
        "configurations": [
            {
                "task": t["id"],
                "configuration": [
                    c for n, c in (t.get("configuration") or {}).items() if not names or n in names
                ],
            }
            for t in tasks
        ]
    }


@endpoint()
def get_configuration_names(call: Call) -> Answer:
    """The names of configuration objects; ``skip_empty`` (true by default) leaves out those without value."""
    skip = call.get("skip_empty", True)
    tasks = changes.require_all(call.tx, ids_of(call, "tasks"), ["configuration"])
    return {
        "configurations": [
            {
                "task": t["id"],
                "names": sorted(
                    n for n, c in (t.get("configuration") or {}).items() if c.get("value") or not skip
                ),
            }
            for t in tasks
        ]
    }


@endpoint()
def validate(call: Call) -> Answer:
    """Nothing, when ``create`` would accept these fields."""
    creation.new_document(call, call.data)
    return {}


# Making and changing


@endpoint(access="state")
def create(call: Call) -> Answer:
    """The id of a new draft. Left out: ``input`` and ``execution.dataviews`` (hyper-datasets)."""
    return {"id": creation.create(call, call.data)}


@endpoint(access="state")
def clone(call: Call) -> Answer:
    """The id of a copy. Left out: ``validate_references`` (references are always checked)."""
    return creation.clone(call, call.data)


@endpoint(access="state", fenced="task")
def edit(call: Call) -> Answer:
    """Set the fields given; a draft's only, unless forced. ``status`` is set without the status machine."""
    return editing.edit(call, call.data, force=forced(call))


@endpoint(access="state", fenced="task")
def update(call: Call) -> Answer:
    """Set the labels given, in any status. Left out: ``created``."""
    return editing.update(call, call.data)


@endpoint(access="state", batch=True)
def update_batch(call: Call) -> Answer:
    """``update``, once per line; all of them or none."""
    if not call.lines:
        raise error("empty_batch")
    for line in call.lines:
        check("tasks.update_batch", line)
    return {"updated": sum(editing.update(call, line)["updated"] for line in call.lines)}


@endpoint(access="state", pieces="steps")
def update_tags(call: Call) -> Steps:
    """Add tags to tasks and remove tags from them."""
    add, remove = changes.tags_of(call.get("add_tags")), changes.tags_of(call.get("remove_tags"))
    if not add and not remove:
        raise error("validation", "add_tags or remove_tags must be given")
    gone, done = set(remove), 0
    for number, id in enumerate(dict.fromkeys(ids_of(call))):
        if pieces.is_due(number):
            yield
        if (task := TASK.get(call.tx, id, ["tags"])) is not None:
            held = [tag for tag in changes.tags_of([*(task.get("tags") or []), *add]) if tag not in gone]
            changes.save(call, id, {"tags": held}, alive=False)
            done += 1
    return {"updated": done * (bool(add) + bool(remove))}


@endpoint(access="state", pieces="steps")
def move(call: Call) -> Steps:
    """Move tasks to a project, made where ``project_name`` has none."""
    ids = ids_of(call)
    if not ids:
        raise error("validation", "ids must not be empty")
    tasks = changes.require_all(call.tx, ids, ["project"])
    project, name = call.get("project"), call.get("project_name")
    if name:
        project = projects.find_or_create(call.tx, call.who, project_names.normalise(name), call.now)
    elif project:
        projects.require(call.tx, project, ["id"])
    else:
        raise error("validation", "project or project_name must be given")
    for number, task in enumerate(tasks):
        if pieces.is_due(number):
            yield
            projects.require(call.tx, project, ["id"])
        changes.save(call, task["id"], {"project": project}, alive=False)
    projects.touch(call.tx, [project, *(task.get("project") for task in tasks)], call.now)
    return {"project_id": project}


@endpoint("2.9", access="state")
def make_public(call: Call) -> Answer:
    """How many tasks belong to no company now: everybody's to read, and nobody's to change."""
    return {"updated": projects.set_company(call.tx, TASK, ids_of(call), "")}


@endpoint("2.9", access="state")
def make_private(call: Call) -> Answer:
    """How many tasks belong to the caller's company again."""
    return {"updated": projects.set_company(call.tx, TASK, ids_of(call), call.who.company)}


# Contents


@endpoint(access="state", fenced="task")
def edit_hyper_params(call: Call) -> Answer:
    """Set parameters; ``force`` allows it while the task waits or runs, user properties are open in any status."""
    data, replace = call.data, call.get("replace_hyperparams", "none")
    contents.edit_parameters(call, data["task"], data["hyperparams"], force=forced(call), replace=replace)
    return {"updated": 1}


@endpoint(access="state", fenced="task", destructive=True)
def delete_hyper_params(call: Call) -> Answer:
    """Remove sections, or single parameters; see ``edit_hyper_params``."""
    contents.delete_parameters(call, call.data["task"], call.data["hyperparams"], force=forced(call))
    return {"deleted": 1}


@endpoint(access="state", fenced="task")
def edit_configuration(call: Call) -> Answer:
    """Set configuration objects; ``replace_configuration`` drops the others."""
    data, replace = call.data, bool(call.get("replace_configuration", False))
    contents.edit_configuration(
        call, data["task"], data["configuration"], force=forced(call), replace=replace
    )
    return {"updated": 1}


@endpoint(access="state", fenced="task", destructive=True)
def delete_configuration(call: Call) -> Answer:
    """Remove configuration objects by name."""
    contents.delete_configuration(call, call.data["task"], call.data["configuration"], force=forced(call))
    return {"deleted": 1}


@endpoint(access="state", fenced="task")
def edit_runtime(call: Call) -> Answer:
    """Set entries of ``runtime``, but for the count of tries; ``updated`` is 0, as recorded."""
    contents.edit_runtime(call, call.data["task"], call.data["runtime"])
    return {"updated": 0}


@endpoint(access="state", fenced="run")
def set_requirements(call: Call) -> Answer:
    """Replace ``script.requirements``, in any status."""
    contents.set_requirements(call, call.data["task"], call.data["requirements"])
    return {"fields": {}, "updated": 1}


@endpoint("2.10", access="state", fenced="run")
def add_or_update_artifacts(call: Call) -> Answer:
    """Add artifacts, or put them in the place of those with the same key and mode."""
    contents.add_artifacts(call, call.data["task"], call.data["artifacts"])
    return {"updated": 1}


@endpoint("2.10", access="state", fenced="task", destructive=True)
def delete_artifacts(call: Call) -> Answer:
    """Remove artifacts by key and mode ("output" where none is given)."""
    contents.delete_artifacts(call, call.data["task"], call.data["artifacts"])
    return {"deleted": 1}


@endpoint("2.13", access="state", fenced="run")
def add_or_update_model(call: Call) -> Answer:
    """Name a model as input or output of a task; the model need not be known."""
    data = call.data
    contents.name_model(call, data["task"], data["type"], data["name"], data["model"], call.get("iteration"))
    return {"updated": 1}


@endpoint(access="state", fenced="task", destructive=True)
def delete_models(call: Call) -> Answer:
    """Take models off a task's lists."""
    contents.drop_models(call, call.data["task"], call.data["models"])
    return {"updated": 1}


# Status


@endpoint(access="metrics", fenced="run")
def ping(call: Call) -> Answer:
    """Nothing; the task is known to be alive. A lost ping is made up for by the next, so it is not synced to disk."""
    changes.note_life(call, changes.require(call.tx, call.data["task"], ["status", "started"]))
    return {}


@endpoint(access="state", fenced="run")
def started(call: Call) -> Answer:
    """The task runs."""
    fields = ending.start(call, call.data["task"], force=forced(call), **told(call))
    hand_outs.note_start(call.tx, call.data["task"], call.who.session)
    done = 1 if fields else 0
    return {"fields": fields, "started": done, "updated": done}


@endpoint(access="state", fenced="task", destructive=True)
def stop(call: Call) -> Answer:
    """Ask for the task's end."""
    return {"fields": _stop(call, call.data["task"]), "updated": 1}


def _stop(call: Call, id: str) -> Document:
    return ending.stop(
        call,
        id,
        force=forced(call),
        reason=call.get("status_reason"),
        with_steps=bool(call.get("include_pipeline_steps", False)),
    )


@endpoint(access="state", fenced="task")
def stopped(call: Call) -> Answer:
    """The task was stopped."""
    fields = ending.finish(call, call.data["task"], task_status.STOPPED, force=forced(call), **told(call))
    return {"fields": fields, "updated": 1}


@endpoint(access="state", fenced="run")
def failed(call: Call) -> Answer:
    """The task failed."""
    fields = ending.finish(call, call.data["task"], task_status.FAILED, force=forced(call), **told(call))
    return {"fields": fields, "updated": 1}


@endpoint(access="state", fenced="task")
def lost(call: Call) -> Answer:
    """What becomes of a task that lost its agent, as those saw it who look after agents; not one of ClearML's own.

    ``updated`` is 0 where the report is about an earlier run, or the task has ended by itself. For the user whose
    agent took the task, and for administrators.
    """
    found = loss.report(call)
    if found is None:
        return {"updated": 0, "fields": {}}
    return {"updated": 1, "fields": {"status": found.status, "status_reason": found.reason}}


@endpoint("2.2", access="state", fenced="run")
def completed(call: Call) -> Answer:
    """The task is done; ``publish`` publishes it, too."""
    id = call.data["task"]
    fields = ending.finish(call, id, task_status.COMPLETED, force=forced(call), **told(call))
    if not call.get("publish", False):
        return {"fields": fields, "published": 0, "updated": 1}
    published = ending.publish(call, id, force=forced(call), **told(call))
    shown = {name: value for name, value in published.items() if name not in ("published", "output")}
    return {"fields": {**fields, **shown}, "published": 1, "updated": 1}


@endpoint(access="state", fenced="task")
def close(call: Call) -> Answer:
    """The task is done with."""
    task = changes.require(call.tx, call.data["task"])
    fields = changes.change_status(call, task, task_status.CLOSED, force=forced(call), **told(call))
    return {"fields": fields, "updated": 1}


@endpoint(access="state", fenced="task")
def publish(call: Call) -> Answer:
    """Publish the task and its newest output model."""
    return {"fields": _publish(call, call.data["task"]), "updated": 1}


def _publish(call: Call, id: str) -> Document:
    with_model = bool(call.get("publish_model", True))
    return ending.publish(call, id, force=forced(call), with_model=with_model, **told(call))


@endpoint(access="state", fenced="task", destructive=True)
def reset(call: Call) -> Answer:
    """Make a draft of the task again."""
    done = _reset(call, call.data["task"])
    dequeued = {"removed": 1} if done.pop("removed") else {}
    return {**done, "dequeued": dequeued, "events": {}, "updated": 1, "urls": done["urls"] or {}}


def _reset(call: Call, id: str) -> Document:
    return removal.reset(
        call,
        id,
        force=forced(call),
        everything=bool(call.get("clear_all", False)),
        delete_models=bool(call.get("delete_output_models", True)),
        delete_files=bool(call.get("delete_external_artifacts", True)),
        with_urls=bool(call.get("return_file_urls", False)),
        **told(call),
    )


@endpoint(access="state", fenced="task")
def enqueue(call: Call) -> Answer:
    """Put the task into a queue: ``queue``, the one of ``queue_name``, or the default one."""
    id = call.data["task"]
    changes.require(call.tx, id, ["id"])
    queue = queueing.resolve_queue(call, call.data)
    answer: Answer = {"fields": _enqueue(call, id, queue), "queued": 1, "updated": 1}
    if call.get("verify_watched_queue", False):
        answer["queue_watched"] = queues.is_watched(call.tx, queue, call.now)
    return answer


def _enqueue(call: Call, id: str, queue: str) -> Document:
    return queueing.enqueue(
        call,
        id,
        queue,
        force=forced(call),
        keep_execution_queue=call.get("update_execution_queue") is False,
        **told(call),
    )


@endpoint(access="state", fenced="task", destructive=True)
def dequeue(call: Call) -> Answer:
    """Take the task out of its queue. Left out: ``remove_from_all_queues`` (a task waits in one at most)."""
    return {"dequeued": 1, **_dequeue(call, call.data["task"])}


def _dequeue(call: Call, id: str) -> Document:
    return queueing.dequeue(call, id, new_status=call.get("new_status"), **told(call))


@endpoint(access="state", pieces="steps", destructive=True)
def archive(call: Call) -> Steps:
    """Put tasks away; none where one of them does not exist."""
    ids = [task["id"] for task in changes.require_all(call.tx, ids_of(call, "tasks"), ["id"])]
    for number, id in enumerate(ids):
        if pieces.is_due(number):
            yield
        if number < pieces.IDS or TASK.exists(call.tx, id):  # it may have gone meanwhile
            _archive(call, id)
    return {"archived": len(ids)}


def _archive(call: Call, id: str) -> None:
    ending.archive(call, id, with_steps=bool(call.get("include_pipeline_steps", False)), **told(call))


@endpoint(access="state", fenced="task", destructive=True)
def delete(call: Call) -> Answer:
    """Remove the task with its files, which stay where ``delete_external_artifacts`` is false. Left out:
    ``move_to_trash``."""
    return _delete(call, call.data["task"])


def _delete(call: Call, id: str) -> Document:
    return removal.delete(
        call,
        id,
        force=forced(call),
        delete_models=bool(call.get("delete_output_models", True)),
        delete_files=bool(call.get("delete_external_artifacts", True)),
        with_urls=bool(call.get("return_file_urls", False)),
        with_steps=bool(call.get("include_pipeline_steps", False)),
    )


# Many at once


def each(call: Call, function: Callable[[str], Document | None]) -> Answer:
    """A bulk answer: the function once per id."""
    return bulk.apply(call.tx, ids_of(call), function)


@endpoint(access="state", pieces="ids", destructive=True)
def stop_many(call: Call) -> Answer:
    """``stop`` for many."""
    return each(call, lambda id: {"fields": _stop(call, id), "updated": 1})


@endpoint(access="state", pieces="ids")
def publish_many(call: Call) -> Answer:
    """``publish`` for many."""
    return each(call, lambda id: {"fields": _publish(call, id), "updated": 1})


@endpoint(access="state", pieces="ids", destructive=True)
def reset_many(call: Call) -> Answer:
    """``reset`` for many."""

    def one(id: str) -> Document:
        done = _reset(call, id)
        removed = done.pop("removed")
        return {**done, "dequeued": removed, "updated": 1, "urls": done["urls"] or {}}

    return each(call, one)


@endpoint(access="state", pieces="ids")
def enqueue_many(call: Call) -> Answer:
    """``enqueue`` for many. Left out: ``validate_tasks`` (they are always checked)."""
    name = call.get("queue_name")
    makes = bool(name) and queues.by_name(call.tx, name) is None
    queue = queueing.resolve_queue(call, call.data)
    answer = each(call, lambda id: {"fields": _enqueue(call, id, queue), "queued": True, "updated": 1})
    if makes and not answer["succeeded"]:
        queues.delete(call.tx, queue)  # for nobody
    if call.get("verify_watched_queue", False):
        answer["queue_watched"] = queues.is_watched(call.tx, queue, call.now)
    return answer


@endpoint(access="state", pieces="ids", destructive=True)
def dequeue_many(call: Call) -> Answer:
    """``dequeue`` for many."""
    return each(call, lambda id: {"dequeued": True, **_dequeue(call, id)})


@endpoint(access="state", pieces="ids", destructive=True)
def archive_many(call: Call) -> Answer:
    """``archive`` for many."""

    def one(id: str) -> Document:
        _archive(call, id)
        return {"archived": True}

    return each(call, one)


@endpoint(access="state", pieces="ids")
def unarchive_many(call: Call) -> Answer:
    """Take tasks out of the archive."""

    def one(id: str) -> Document:
        ending.unarchive(call, id, with_steps=bool(call.get("include_pipeline_steps", False)))
        return {"unarchived": True}

    return each(call, one)


@endpoint(access="state", pieces="ids", destructive=True)
def delete_many(call: Call) -> Answer:
    """``delete`` for many."""
    return each(call, lambda id: _delete(call, id))
