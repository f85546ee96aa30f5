"""What the forms of the pages do, and where they lead afterwards. Every one asks the API by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from ..protocol.error_table import ApiError
from . import pages, task_pages
from .parameters import key_of
from .visit import Visit

#: The fields of a container that the clone form offers.
CONTAINER = ("image", "arguments")


def go(path: str, notice: str = "") -> Response:
    """On to a page (303: with GET), with the word of a sentence to show there (``notices``)."""
    return RedirectResponse(f"{path}?{urlencode({'notice': notice})}" if notice else path, 303)


def text(form: FormData, name: str) -> str:
    """A text field, stripped; empty where it is missing or a file."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


async def clone(visit: Visit, form: FormData) -> Response:
    """Copy the task with the parameters and the container typed, into the queue chosen; without one, on to editing."""
    source = visit.request.path_params["task"]
    original = (await visit.ask("tasks.get_by_id", task=source))["task"]
    typed = {k: v for k, v in form.items() if isinstance(v, str)}
    held = original.get("container") or {}
    container = {**held, **{name: text(form, name) for name in CONTAINER if name in form}}
    project = {"new_project_name": text(form, "project")} if text(form, "project") else {}
    try:
        copy = await visit.ask(
            "tasks.clone",
            task=source,
            new_task_name=text(form, "name"),
            new_task_container=container,
            **project,
        )
        changed = changed_parameters(original.get("hyperparams", {}), form)
        if changed:
            await visit.ask(
                "tasks.edit_hyper_params", task=copy["id"], hyperparams=changed, replace_hyperparams="none"
            )
    except ApiError as refused:
        return await task_pages.clone_form(visit, refused.message, typed)
    if queue := text(form, "queue"):
        try:
            await visit.ask("tasks.enqueue", task=copy["id"], queue=queue)
        except ApiError:
            return go(f"/tasks/{copy['id']}", "not-enqueued")
        return go(f"/tasks/{copy['id']}")
    return go(f"/tasks/{copy['id']}/edit", "copied")


def changed_parameters(held: Mapping[str, Mapping[str, Any]], form: FormData) -> list[dict[str, Any]]:
    """The parameters whose value was edited, in the API's form; kinds and descriptions are kept."""
    changed = []
    for section, parameters in held.items():
        for name, parameter in parameters.items():
            value = form.get(key_of(section, name))
            if isinstance(value, str):
                value = value.replace("\r\n", "\n")
                if value != parameter.get("value", ""):
                    changed.append({**parameter, "section": section, "name": name, "value": value})
    return changed


async def enqueue(visit: Visit, form: FormData) -> Response:
    """Put a draft into a queue."""
    id = visit.request.path_params["task"]
    await visit.ask("tasks.enqueue", task=id, queue=text(form, "queue"))
    return go(f"/tasks/{id}")


async def dequeue(visit: Visit, form: FormData) -> Response:
    """Take the task out of its queue."""
    id = visit.request.path_params["task"]
    await visit.ask("tasks.dequeue", task=id)
    return go(f"/tasks/{id}")


async def abort(visit: Visit, form: FormData) -> Response:
    """Stop the task; its worker is told and ends it."""
    id = visit.request.path_params["task"]
    await visit.ask("tasks.stop", task=id, status_reason="aborted in the web interface", status_message="")
    return go(f"/tasks/{id}")


async def reset(visit: Visit, form: FormData) -> Response:
    """Back to a draft: what the task reported is wiped."""
    id = visit.request.path_params["task"]
    await visit.ask("tasks.reset", task=id)
    return go(f"/tasks/{id}")


async def archive(visit: Visit, form: FormData) -> Response:
    """Out of the tables; nothing is lost."""
    id = visit.request.path_params["task"]
    await visit.ask("tasks.archive_many", ids=[id])
    return go(f"/tasks/{id}", "archived")


async def unarchive(visit: Visit, form: FormData) -> Response:
    """Back into the tables."""
    id = visit.request.path_params["task"]
    await visit.ask("tasks.unarchive_many", ids=[id])
    return go(f"/tasks/{id}")


async def create_queue(visit: Visit, form: FormData) -> Response:
    """A new queue."""
    await visit.ask("queues.create", name=text(form, "name"))
    return go("/queues")


async def create_credentials(visit: Visit, form: FormData) -> Response:
    """A new access key, shown once on the page that answers."""
    answer = await visit.ask("auth.create_credentials", label=text(form, "label"))
    return await pages.account(visit, answer["credentials"])


async def revoke_credentials(visit: Visit, form: FormData) -> Response:
    """An access key less."""
    await visit.ask("auth.revoke_credentials", access_key=text(form, "access_key"))
    return go("/account", "key-revoked")
