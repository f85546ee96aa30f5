"""``projects``: the tree that tasks and models are in, and what they have in them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .. import listing
from ..calls import Call
from ..calls.dispatch import endpoint
from ..projects import changes as project_changes
from ..projects import contents as project_contents
from ..projects import stats as project_stats
from ..rules import project_names
from ..store import projects
from ..store.documents import MODEL, PROJECT, TASK

Steps = Generator[None, None, dict[str, Any]]


@endpoint(lists="project")
def get_all(call: Call) -> dict[str, Any]:
    """The projects that fit, as ids and plain values."""
    _ask_for_path(call)
    return listing.get_all(call, PROJECT, also=project_contents.containing(call))


@endpoint(lists="project")
def get_all_ex(call: Call) -> dict[str, Any]:
    """The projects that fit, joined with what they name, hidden ones marked; with ``include_stats``,
    ``check_own_contents`` and ``include_dataset_stats`` what is in them.

    Left out: ``permission_roots_only``, since there is one company without permissions of its own.
    """
    _ask_for_path(call)
    answer = listing.get_all_ex(call, PROJECT, also=project_contents.containing(call))
    found = answer["projects"]
    hidden = project_contents.hidden_among(call.tx, [project["id"] for project in found])
    for project in found:
        if project["id"] in hidden:
            project["hidden"] = True
    project_stats.add(call, found)
    return answer


def _ask_for_path(call: Call) -> None:
    """A name that is asked for is the path that it stands for."""
    if isinstance(call.data.get("name"), str):
        call.data["name"] = project_names.pattern_of(call.data["name"])


@endpoint()
def get_by_id(call: Call) -> dict[str, Any]:
    """One project."""
    project = projects.require(call.tx, call.data["project"])
    return {"project": {**PROJECT.render(project), "path": project.get("path", [])}}


@endpoint(access="state")
def create(call: Call) -> dict[str, Any]:
    """The new project's id; parents that its name lacks are made."""
    return {"id": project_changes.create(call)}


@endpoint(access="state")
def update(call: Call) -> dict[str, Any]:
    """What was set. Left out: ``featured``, since no client sets it."""
    fields = project_changes.update(call)
    return {"fields": fields, "updated": int(bool(fields))}


@endpoint(access="state")
def move(call: Call) -> dict[str, Any]:
    """How many projects were put below ``new_location``; those below a moved one are renamed with it."""
    return {"moved": project_changes.move(call, call.data["project"], call.get("new_location", ""))}


@endpoint(access="state", pieces="steps", destructive=True)
def merge(call: Call) -> Steps:
    """How many tasks, models and projects were put into ``destination_project``; the merged one is gone."""
    return (yield from project_changes.merge(call, call.data["project"], call.get("destination_project")))


@endpoint(access="state", pieces="steps", destructive=True)
def delete(call: Call) -> Steps:
    """What was deleted with a project and all below it. Files on this server go with what they belong to, unless
    ``delete_external_artifacts`` is false; the server reaches no other machine."""
    return (
        yield from project_changes.delete(
            call,
            call.data["project"],
            force=call.get("force", False),
            with_contents=call.get("delete_contents", False),
            delete_files=call.get("delete_external_artifacts", True),
        )
    )


@endpoint()
def validate_delete(call: Call) -> dict[str, Any]:
    """What deleting a project would take along, by kind."""
    return project_changes.count_contents(call.tx, call.data["project"])


@endpoint(access="state")
def make_public(call: Call) -> dict[str, Any]:
    """How many projects belong to no company now, and so to everyone."""
    return {"updated": projects.set_company(call.tx, PROJECT, call.get("ids", []), "")}


@endpoint(access="state")
def make_private(call: Call) -> dict[str, Any]:
    """How many projects belong to the caller's company again."""
    return {"updated": projects.set_company(call.tx, PROJECT, call.get("ids", []), call.who.company)}


@endpoint("2.8")
def get_task_tags(call: Call) -> dict[str, Any]:
    """The tags of tasks in these projects and below."""
    return project_contents.tags(call, TASK)


@endpoint("2.8")
def get_model_tags(call: Call) -> dict[str, Any]:
    """The tags of models in these projects and below."""
    return project_contents.tags(call, MODEL)


@endpoint()
def get_project_tags(call: Call) -> dict[str, Any]:
    """The tags of these projects and those below."""
    return project_contents.tags(call, PROJECT)


@endpoint()
def get_user_names(call: Call) -> dict[str, Any]:
    """The users who made something in these projects."""
    return {"users": project_contents.users(call)}


@endpoint("2.12")
def get_task_parents(call: Call) -> dict[str, Any]:
    """The tasks that are parents of tasks in these projects."""
    return {"parents": project_contents.parents(call)}


@endpoint("2.9")
def get_hyper_parameters(call: Call) -> dict[str, Any]:
    """A page of the sections and names of parameters that tasks in the project have."""
    found = project_contents.hyper_parameters(call)
    shown, remaining = project_contents.page(found, call)
    parameters = [{"section": section, "name": name} for section, name in shown]
    return {"total": len(found), "remaining": remaining, "parameters": parameters}


@endpoint("2.13")
def get_hyperparam_values(call: Call) -> dict[str, Any]:
    """The values one parameter has in tasks of these projects that ``pattern`` occurs in; a page where one is asked."""
    values = project_contents.hyper_parameter_values(call)
    shown = values
    if call.get("page") is not None or call.get("page_size") is not None:
        shown, _ = project_contents.page(values, call)
    return {"total": len(values), "values": shown}


@endpoint()
def get_model_metadata_keys(call: Call) -> dict[str, Any]:
    """A page of the keys of metadata that models in the project have."""
    found = project_contents.metadata_keys(call)
    shown, remaining = project_contents.page(found, call)
    return {"total": len(found), "remaining": remaining, "keys": shown}


@endpoint()
def get_model_metadata_values(call: Call) -> dict[str, Any]:
    """The values one key of metadata has in models of these projects."""
    values = project_contents.metadata_values(call)
    return {"total": len(values), "values": values}


@endpoint()
def get_unique_metric_variants(call: Call) -> dict[str, Any]:
    """The scalar series of tasks in the project (``ids``: of these tasks; ``model_metrics``: of models)."""
    return {"metrics": project_contents.metric_variants(call, MODEL if call.get("model_metrics") else TASK)}
