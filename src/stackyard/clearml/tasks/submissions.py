"""Tasks that people submit: cloned from a template or made from a function of their own, enqueued, listed, aborted.

Everything a user typed is checked before anything is made on the server, and refused with the names that are known.
Following a task is ``following``'s, its results are ``outcomes``'. May import templates, sending and the client.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.clearml.client import FINAL, Client, ServerError
from stackyard.clearml.sending import INPUTS_SECTION, RUN_FIELDS, RUNS_PROJECT, SHORTEST_NAME, SPEC, Sender
from stackyard.clearml.tasks import templates
from stackyard.clearml.tasks.templates import Origin
from stackyard.errors import BadInputError, StackyardError
from stackyard.scenarios.shape import NO_STACK
from stackyard.workloads import code_folders
from stackyard.workloads.folder import Folder
from stackyard_server.rules import fate
from stackyard_task import records, workloads
from stackyard_task.records import RecordError, TaskSpec
from stackyard_task.workloads import ParameterError, Workload, entry_of

#: Section of the fields that are not the workload's.
RUN = "Run"
STATUSES = (
    "created",
    "queued",
    "in_progress",
    "stopped",
    "closed",
    "failed",
    "completed",
    "published",
    "unknown",
)
#: Nothing more happens to a task in one of these.
_ID = re.compile(r"[0-9a-f]{32}")
_NOTES = ("properties", "Datasets")
_LISTED = [
    *("id", "name", "type", "status", "status_reason", "project.name", "created", "started", "completed"),
    *("last_worker", "execution.queue.name", "active_duration", "tags", "runtime"),
]


@dataclass(frozen=True)
class Wanted:
    """What a user asks for, as typed."""

    #: "section/name" or "name" -> text.
    values: Mapping[str, str] = field(default_factory=dict)
    #: ``None``: the one the template is meant for.
    queue: str | None = None
    stack: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Submitted:
    """A task that waits in a queue."""

    id: str
    name: str
    queue: str
    #: Sentences about what may keep it waiting.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class InstalledStacks:
    """What this installation has, to check a wish against."""

    #: Stack name -> the image to run it in, or ``None``.
    stacks: Mapping[str, str | None]


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """``["Training/epochs=3"]`` as ``{"Training/epochs": "3"}``.

    Raises:
        BadInputError: one is not of that form, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise BadInputError(f"--set {text}: expected SECTION/NAME=VALUE or NAME=VALUE")
        if name.strip() in found:
            raise BadInputError(f"--set {name.strip()}: given twice")
        found[name.strip()] = value
    return found


def submit(client: Client, template: str, wanted: Wanted, offer: InstalledStacks) -> Submitted:
    """Clone a template with other values and put the copy into a queue.

    Raises:
        BadInputError: template, queue, stack, a name or a value cannot be used; nothing was made.
        StackyardError: the server refuses or does not answer.
    """
    held = templates.named(client, template)
    fields = _typed_fields(held, wanted, Sender(client))
    queue, warnings = _queue(client, wanted.queue or templates.queue_of(held) or templates.DEFAULT_QUEUE)
    name = wanted.name or template
    _check_name(name)
    if wanted.stack is not None:
        _check_stack(wanted.stack, offer)
        fields.append((RUN, "stack", wanted.stack))
    project = Sender(client).project(RUNS_PROJECT)
    options: dict[str, Any] = {}
    if wanted.stack is not None:
        image = offer.stacks[wanted.stack]
        options["new_task_container"] = {"image": image or "", "arguments": ""}
    id = client.call(
        "tasks.clone",
        task=held["id"],
        new_task_name=name,
        new_task_project=project,
        new_task_tags=[tag for tag in held.get("tags") or [] if tag != templates.TAG],
        **options,
    )["id"]
    try:
        if fields:
            client.call(
                "tasks.edit_hyper_params",
                task=id,
                replace_hyperparams="none",
                hyperparams=[_parameter(held, section, key, text) for section, key, text in fields],
            )
        client.call("tasks.enqueue", task=id, queue=queue["id"])
    except StackyardError:
        client.call("tasks.delete", task=id, force=True)
        raise
    return Submitted(id, name, queue["name"], warnings)


def submit_function(
    sender: Sender, target: str, wanted: Wanted, origin: Origin, offer: InstalledStacks
) -> Submitted:
    """Send a function of the user's own, "FILE.py:FUNCTION", with its code, and put it into a queue.

    The function takes ``(parameters, channel, output_folder)`` as every workload does; values are JSON where they
    read as JSON, else text.

    Args:
        sender: to whom.
        target: the function, found and checked already: its code is part of ``origin``.
        wanted: parameters, queue, stack and name as typed.
        origin: code and stack to run it with.
        offer: the stacks that may be asked for.

    Raises:
        BadInputError: queue or a name cannot be used; nothing was made.
        StackyardError: the server refuses or does not answer.
    """
    name, queue, warnings = _destined(sender, wanted, offer, Path(target.rpartition(":")[0]).stem)
    spec = TaskSpec(
        run_id="",
        workload=entry_of(target),
        parameters={key.rpartition("/")[2]: _json_or_text(text) for key, text in wanted.values.items()},
        stack=origin.stack,
        code=origin.code,
    )
    return _enqueued(sender, spec, name, origin, queue, warnings)


def submit_command(
    sender: Sender,
    declared: Workload,
    own: Folder,
    archive: Path,
    wanted: Wanted,
    origin: Origin,
    offer: InstalledStacks,
) -> Submitted:
    """Send a command of the user's own with its folder, and put it into a queue.

    Args:
        sender: to whom.
        declared: the command.
        own: what travels with it.
        archive: of that.
        wanted: queue, stack and name as typed.
        origin: code and stack to run it with.
        offer: the stacks that may be asked for.

    Raises:
        BadInputError: queue or a name cannot be used; nothing was made.
        StackyardError: the server refuses or does not answer.
    """
    name, queue, warnings = _destined(sender, wanted, offer, declared.name)
    spec = TaskSpec(
        run_id="",
        workload=declared.name,
        declared=declared,
        stack=origin.stack,
        code=code_folders.code_with(origin.code, own),
        work=sender.sent(str(archive.resolve())),
    )
    return _enqueued(sender, spec, name, origin, queue, warnings)


def _destined(
    sender: Sender, wanted: Wanted, offer: InstalledStacks, name: str
) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """What a task of the user's own is called, its queue, and sentences about what may keep it waiting there.

    Raises:
        BadInputError: the stack, the queue or the name cannot be used.
    """
    if wanted.stack is not None:
        _check_stack(wanted.stack, offer)
    queue, warnings = _queue(sender.client, wanted.queue or templates.DEFAULT_QUEUE)
    name = wanted.name or name
    _check_name(name)
    return name, queue, warnings


def _enqueued(
    sender: Sender,
    spec: TaskSpec,
    name: str,
    origin: Origin,
    queue: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> Submitted:
    container = {"container": {"image": origin.image, "arguments": ""}} if origin.image else {}
    id = sender.create(spec, sender.script(origin.folder), name, type="custom", **container)
    sender.client.call("tasks.enqueue", task=id, queue=queue["id"])
    return Submitted(id, name, queue["name"], warnings)


def listed(
    client: Client,
    *,
    statuses: Iterable[str] = (),
    project: str = "Stackyard",
    name: str | None = None,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Tasks, the newest first, as documents with the names of project and queue.

    Args:
        client: of the server.
        statuses: only these; none: all.
        project: that project and those below it; empty: all.
        name: only tasks whose name holds this.
        limit: at most so many.

    Raises:
        BadInputError: there is no such status or project.
    """
    for status in statuses:
        if status not in STATUSES:
            raise BadInputError(f"no status is named {status!r}; there are: {', '.join(STATUSES)}")
    fields: dict[str, Any] = {}
    if project:
        found = client.call("projects.get_all", name=f"^{re.escape(project)}$", only_fields=["id"])[
            "projects"
        ]
        if not found:
            raise BadInputError(f"no project is named {project!r}; --project '' lists the tasks of all")
        fields |= {"project": [found[0]["id"]], "include_subprojects": True}
    if name:
        fields["name"] = re.escape(name)
    tasks: list[dict[str, Any]] = client.call(
        "tasks.get_all_ex",
        order_by=["-created"],
        page=0,
        page_size=limit,
        status=list(statuses),
        system_tags=["-archived", "-dataset"],
        tags=[f"-{templates.TAG}"],
        only_fields=_LISTED,
        **fields,
    )["tasks"]
    return tasks


def found(client: Client, wanted: str) -> dict[str, Any]:
    """The task of that id, or the newest one of exactly that name.

    Raises:
        BadInputError: there is none.
    """
    if _ID.fullmatch(wanted):
        try:
            task: dict[str, Any] = client.call("tasks.get_by_id", task=wanted)["task"]
        except ServerError as error:
            raise BadInputError(f"no task has the id {wanted}") from error
        return task
    # an id's beginning, as lists show it, or a name
    named = client.call(
        "tasks.get_all_ex",
        name=f"^{re.escape(wanted)}$",
        order_by=["-created"],
        page=0,
        page_size=1,
        tags=[f"-{templates.TAG}"],
        only_fields=["id"],
    )["tasks"]
    if not named and re.fullmatch(r"[0-9a-f]{6,31}", wanted):
        recent = client.call(
            "tasks.get_all_ex", order_by=["-created"], page=0, page_size=500, only_fields=["id"]
        )
        named = [task for task in recent["tasks"] if task["id"].startswith(wanted)]
        if len(named) > 1:
            raise BadInputError(f"{len(named)} tasks have an id that begins with {wanted}; give more of it")
    if not named:
        raise BadInputError(f"no task has the id or name {wanted!r}; see: stackyard task list")
    return found(client, named[0]["id"])


#: How long an abort is watched over: an agent's preparations take a second or two.
_ABORT_LOOKS, _ABORT_LOOK_SECONDS = 8, 0.5


def abort(client: Client, task: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep) -> str:
    """Ask for the end of a task; what happens now, in words.

    An agent that has only just taken a task says its next steps over the request, a container that dies may even say
    that it begins: so the task is watched until two looks find it ended, and asked again where that was forgotten.

    Raises:
        BadInputError: it has ended or was never enqueued.
    """
    if task["status"] in FINAL:
        raise BadInputError(f"task {task['id']} has already ended: {task['status']}")
    if task["status"] == "created":
        raise BadInputError(f"task {task['id']} is a draft: nothing of it runs")
    asked = {"task": task["id"], "status_reason": "aborted from the command line"}
    client.call("tasks.stop", **asked)
    if task["status"] == "queued":
        return "taken out of its queue"
    over = False
    for _ in range(_ABORT_LOOKS):
        sleep(_ABORT_LOOK_SECONDS)
        now = client.call("tasks.get_by_id", task=task["id"], only_fields=["status", "status_message"])[
            "task"
        ]
        was_over, over = over, now["status"] in FINAL
        if was_over and over:
            break
        if not over and not fate.is_stopping(now.get("status_message")):
            client.call("tasks.stop", **asked)
    return "asked to stop; its worker ends it within seconds"


# -- checks, before anything is made ---------------------------------------------------------------


def _typed_fields(held: Mapping[str, Any], wanted: Wanted, sender: Sender) -> list[tuple[str, str, str]]:
    """(section, name, text) of what was typed, each known to the template and fit for its workload.

    A path for what a command reads is one of this machine: what lies there travels.
    """
    sections = {s: dict(p) for s, p in (held.get("hyperparams") or {}).items() if s not in _NOTES}
    fields = [(*_place(sections, key), text) for key, text in wanted.values.items()]
    try:
        said = held["configuration"][SPEC]["value"]
        spec = records.from_json(TaskSpec, records.parse(said, SPEC), f"template {held['name']}")
    except (KeyError, TypeError, RecordError) as error:
        raise BadInputError(f"template {held['name']}: cannot be read; publish it again ({error})") from error
    workload = spec.declared
    if workload is None:
        return fields
    values = copy.deepcopy(spec.parameters)
    declared = {parameter.name: parameter for parameter in workload.parameters}
    try:
        for section, name, text in fields:
            if section == RUN:
                _check_run(name, text)
            elif section == INPUTS_SECTION and workload.command is not None:
                _check_input(name, text)
            elif name in declared:
                values[name] = workloads.from_text(declared[name], text)
        workloads.checked(workload, values)
    except ParameterError as error:
        raise BadInputError(str(error)) from error
    if workload.command is None:
        return fields
    return [
        (section, name, sender.sent(str(Path(text).resolve())) if _is_local(section, text) else text)
        for section, name, text in fields
    ]


def _is_local(section: str, text: str) -> bool:
    return section == INPUTS_SECTION and bool(text.strip()) and code_folders.is_path(text)


def _check_input(name: str, text: str) -> None:
    if _is_local(INPUTS_SECTION, text) and not Path(text).exists():
        raise BadInputError(
            f"{INPUTS_SECTION}/{name} is {text!r}: there is no {Path(text).absolute()}; give a path or a reference, "
            "such as clearml-dataset:PROJECT/NAME//FILE"
        )


def _place(sections: Mapping[str, Mapping[str, Any]], key: str) -> tuple[str, str]:
    section, slash, name = key.rpartition("/")
    if not slash:
        places = [s for s, parameters in sections.items() if name in parameters]
        if len(places) == 1:
            return places[0], name
        if places:
            raise BadInputError(f"--set {key}: in sections {', '.join(places)}; name one: {places[0]}/{name}")
    elif name in sections.get(section, {}):
        return section, name
    known = ", ".join(sorted(f"{s}/{n}" for s, parameters in sections.items() for n in parameters))
    raise BadInputError(f"--set {key}: there is no such parameter; there are: {known}")


def _check_run(name: str, text: str) -> None:
    if name == "stack" or not text.strip():
        return
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise BadInputError(
            f"{RUN}/{name} is {text!r}, expected a number above 0 ({RUN_FIELDS.get(name, '')})"
        )


def _check_name(name: str) -> None:
    if len(name.strip()) < SHORTEST_NAME:
        raise BadInputError(
            f"the name {name!r} is too short: ClearML wants at least {SHORTEST_NAME} characters; give one with --name"
        )


def _check_stack(stack: str, offer: InstalledStacks) -> None:
    if stack not in offer.stacks:
        raise no_stack(stack, offer.stacks)


def no_stack(name: str, known: Iterable[str]) -> BadInputError:
    """The refusal of a stack that is none, with those that are known."""
    there = ", ".join(sorted(known))
    if name == NO_STACK:
        return BadInputError(
            f"--stack {name} is for a run here: on a server's agents a task needs a stack; there are: {there}"
        )
    return BadInputError(f"no stack is named {name!r}; there are: {there}")


def _queue(client: Client, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    queues = client.call("queues.get_all_ex", only_fields=["id", "name", "workers"])["queues"]
    for queue in queues:
        if queue["name"] == name:
            if not queue.get("workers"):
                return queue, (
                    f"no worker serves queue {name}: the task waits until one does (stackyard up)",
                )
            return queue, ()
    known = ", ".join(sorted(queue["name"] for queue in queues)) or "none"
    raise BadInputError(f"no queue is named {name!r}; there are: {known}")


def _parameter(held: Mapping[str, Any], section: str, name: str, text: str) -> dict[str, Any]:
    before = ((held.get("hyperparams") or {}).get(section) or {}).get(name) or {}
    return {**before, "section": section, "name": name, "value": text}


def _json_or_text(text: str) -> Any:
    try:
        return records.parse(text, "value")
    except RecordError:
        return text
