"""The template of a study: a draft that people clone, whose study file they edit, and that our side then searches.

It holds the study file's text as a configuration object, and the code that is to run it. May import templates, sending
and the seam's shapes.
"""

from __future__ import annotations

import json
from typing import Any

from stackyard.clearml.sending import SPEC, Sender
from stackyard.clearml.tasks import templates
from stackyard.clearml.tasks.templates import PROJECT, QUEUE_TAG, TAG, Origin, Published
from stackyard.errors import BadInputError
from stackyard_task import records
from stackyard_task.records import RecordError, TaskSpec
from stackyard_task.studies import STUDY, project_of

#: Its name, and the queue it is meant for: of agents whose machine has our side.
NAME, QUEUE = "tune", "services"
_COMMENT = (
    f"Searches for the best parameters of a workload.\nTo run it: clone, edit the configuration {STUDY!r} (a study "
    f"file, TOML), enqueue in {QUEUE}. It runs as cloned. Trials are tasks in the project {project_of('NAME')}."
)


def publish(sender: Sender, origin: Origin, study: str) -> Published:
    """Put the template on the server, or bring it up to date in place.

    Args:
        sender: to whom.
        origin: the code it is made with.
        study: the study file's text that it holds.

    Raises:
        BadInputError: a template of that name is another's.
        StackyardError: the server refuses or does not answer.
    """
    spec = TaskSpec(run_id="", workload=records.TUNING, code=origin.code)
    content: dict[str, Any] = {
        "script": sender.script(origin.folder),
        "comment": _COMMENT,
        "tags": [TAG, f"{QUEUE_TAG}{QUEUE}"],
        "type": "optimizer",
        "configuration": {
            SPEC: {"name": SPEC, "type": "json", "value": json.dumps(records.to_json(spec), indent=1)},
            STUDY: {"name": STUDY, "type": "toml", "value": study},
        },
    }
    held = {task["name"]: task for task in templates.published(sender.client)}.get(NAME)
    if held is None:
        project = sender.project(PROJECT)
        id = sender.client.call("tasks.create", name=NAME, project=project, **content)["id"]
        return Published(NAME, str(id), "new", QUEUE)
    if not _is_ours(held):
        raise BadInputError(
            f"the server has a template {NAME!r} already, of a workload; archive that template"
        )
    had = held.get("configuration") or {}
    same = (
        all(
            (had.get(name) or {}).get("value") == one["value"]
            for name, one in content["configuration"].items()
        )
        and (held.get("script") or {}).get("diff") == content["script"].get("diff")
        and set(held.get("tags") or []) == set(content["tags"])
        and held.get("comment") == _COMMENT
    )
    if not same:
        # force: a template that somebody ran in place is still the template
        sender.client.call("tasks.edit", task=held["id"], force=True, **content)
    return Published(NAME, str(held["id"]), "unchanged" if same else "updated", QUEUE)


def _is_ours(held: dict[str, Any]) -> bool:
    try:
        said = records.parse(held["configuration"][SPEC]["value"], SPEC)
        return records.from_json(TaskSpec, said, SPEC).workload == records.TUNING
    except (KeyError, TypeError, RecordError):
        return True  # of no use to anybody
