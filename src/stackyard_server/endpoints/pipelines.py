"""``pipelines``: starting a pipeline again, and deleting its runs. Runs are tasks in a hidden project."""

from __future__ import annotations

from typing import Any

from ..calls import Call, bulk
from ..calls.dispatch import endpoint
from ..protocol.error_table import error
from ..store import queues, tasks
from ..store.documents import TASK
from ..tasks import creation, ending, queueing, removal

#: Where a pipeline's parameters are.
SECTION = "Args"


@endpoint(access="state")
def start_pipeline(call: Call) -> dict[str, Any]:
    """The new run's id: a copy of a controller with ``args`` in its parameters, in a queue.

    ``queue`` may be left out where there is a default queue; ``verify_watched_queue`` adds ``queue_watched``.
    """
    original = TASK.get(call.tx, call.data["task"], ["hyperparams"])
    if original is None:
        raise error("invalid_task_id", id=call.data["task"])
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
    id = creation.clone(call, copy)["id"]
    queueing.enqueue(call, id, queue)
    answer: dict[str, Any] = {"pipeline": id, "enqueued": True}
    if call.get("verify_watched_queue"):
        answer["queue_watched"] = queues.is_watched(call.tx, queue, call.now)
    return answer


@endpoint("2.26", access="state")
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
