"""What a task holds besides its labels: parameters, configuration, runtime, artifacts, the models it names.

Each edit reads the part, merges it by the rules of ``rules.task_document`` and saves it. Parameters and configuration
are a draft's to change, or an open task's by force; what a run leaves is an open task's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import moments
from ..calls import Call
from ..rules import fate, task_document, task_status
from ..store.documents import Document
from . import changes

Items = list[dict[str, Any]]


def _draft(force: bool) -> Iterable[str]:
    return task_status.OPEN if force else {task_status.CREATED}


def edit_parameters(call: Call, id: str, items: Items, *, force: bool, replace: str = "none") -> None:
    """Set parameters; user properties are open in any status.

    Raises:
        ApiError: 400/101; 400/110 the task is no draft, and no force or not open.
    """
    task = changes.require(call.tx, id, ["status", "hyperparams"])
    if not task_document.are_notes(items):
        changes.require_open(task, _draft(force))
    new = task_document.listed_hyperparams(items)
    merged = task_document.merge_hyperparams(task.get("hyperparams") or {}, new, replace)
    changes.save(call, task["id"], {"hyperparams": merged})


def delete_parameters(call: Call, id: str, items: Items, *, force: bool) -> None:
    """Remove sections, or single parameters; see ``edit_parameters``."""
    task = changes.require(call.tx, id, ["status", "hyperparams"])
    if not task_document.are_notes(items):
        changes.require_open(task, _draft(force))
    kept = task_document.drop_hyperparams(task.get("hyperparams") or {}, items)
    changes.save(call, task["id"], {"hyperparams": kept})


def edit_configuration(call: Call, id: str, items: Items, *, force: bool, replace: bool) -> None:
    """Set configuration objects; ``replace`` drops the others."""
    task = changes.require(call.tx, id, ["status", "configuration"])
    changes.require_open(task, _draft(force))
    new = task_document.listed_configuration(items)
    if not replace:
        new = {**(task.get("configuration") or {}), **new}
    changes.save(call, task["id"], {"configuration": new})


def delete_configuration(call: Call, id: str, names: Iterable[str], *, force: bool) -> None:
    """Remove configuration objects by name."""
    task = changes.require(call.tx, id, ["status", "configuration"])
    changes.require_open(task, _draft(force))
    gone = set(names)
    kept = {n: c for n, c in (task.get("configuration") or {}).items() if n not in gone}
    changes.save(call, task["id"], {"configuration": kept})


def edit_runtime(call: Call, id: str, entries: Mapping[str, Any]) -> None:
    """Set entries of ``runtime``, but for the count of tries."""
    task = changes.require(call.tx, id, ["status", "runtime"])
    changes.require_open(task, task_status.OPEN)
    held = task.get("runtime") or {}
    merged = fate.with_tries({**held, **entries}, fate.tries(held))
    changes.save(call, task["id"], {"runtime": merged})


def set_requirements(call: Call, id: str, requirements: Mapping[str, Any]) -> None:
    """Replace ``script.requirements``, in any status."""
    task = changes.require(call.tx, id, ["script"])
    script = {**(task.get("script") or task_document.empty_script()), "requirements": requirements}
    changes.save(call, task["id"], {"script": script})


def add_artifacts(call: Call, id: str, items: Items) -> None:
    """Add artifacts, or put them in the place of those with the same key and mode."""
    task, part = _open_execution(call, id)
    held = task_document.upsert_artifacts(part.get("artifacts") or [], items)
    execution = task_document.with_display_data({**part, "artifacts": held})
    changes.save(call, task["id"], {"execution": execution})


def delete_artifacts(call: Call, id: str, items: Items) -> None:
    """Remove artifacts by key and mode ("output" where none is given)."""
    task, part = _open_execution(call, id)
    kept = task_document.drop_artifacts(part.get("artifacts") or [], items)
    changes.save(call, task["id"], {"execution": {**part, "artifacts": kept}})


def _open_execution(call: Call, id: str) -> tuple[Document, Document]:
    task = changes.require(call.tx, id, ["status", "execution"])
    changes.require_open(task, task_status.OPEN)
    return task, task.get("execution") or task_document.empty_execution()


def name_model(call: Call, id: str, type: str, name: str, model: str, iteration: int | None) -> None:
    """Name a model as input or output of a task; the model need not be known."""
    task = changes.require(call.tx, id, ["status", "models", "started", "last_iteration"])
    changes.require_open(task, task_status.OPEN)
    models = task_document.upsert_model(task.get("models") or {}, type, name, model, moments.iso(call.now))
    new: Document = {"models": models, "last_change": call.now, "last_changed_by": call.who.user}
    if iteration is not None and iteration > task.get("last_iteration", 0):
        new["last_iteration"] = iteration
    changes.note_life(call, task, new)


def drop_models(call: Call, id: str, items: Items) -> None:
    """Take models off a task's lists."""
    task = changes.require(call.tx, id, ["status", "models"])
    changes.require_open(task, task_status.OPEN)
    models = task_document.drop_models(task.get("models") or {}, items)
    changes.save(call, task["id"], {"models": models})
