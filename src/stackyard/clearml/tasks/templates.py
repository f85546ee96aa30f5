"""Task templates: drafts on a server that people clone, edit and enqueue, with nothing on their own machine.

One for each declared workload, and for those of a file that somebody publishes. A template holds everything a run
needs: the code's wheel by its digest, a command's folder and inputs, the stack, the image, every parameter with its
default, the queue to use. Publishing again updates them in place, so that links and schedules go on pointing at them.
May import sending, the client and the seam's shapes.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackyard.clearml.client import Client
from stackyard.clearml.sending import SPEC, Sender, hyperparameters
from stackyard.errors import BadInputError
from stackyard_task import records, studies, workloads
from stackyard_task.records import Code, StackPin, TaskSpec
from stackyard_task.workloads import Workload

PROJECT = studies.TEMPLATES_PROJECT
#: Marks a template, and (as "queue: NAME") the queue it is meant for: the tags are what every web app shows, and a
#: clone keeps them. ClearML drops ``execution.queue`` from clones; pages that start from the template itself use it.
TAG, QUEUE_TAG = studies.TEMPLATE_TAG, studies.QUEUE_TAG
#: The configuration object that lists which code a template held, and when.
HISTORY = "Template history"
DEFAULT_QUEUE = "cpu"
#: Of a command's words in a description.
_MOST_LETTERS = 200
_FIELDS = [
    "id",
    "name",
    "status",
    "script",
    "configuration",
    "hyperparams",
    "container",
    "comment",
    "tags",
    "execution",
]


@dataclass(frozen=True)
class Template:
    """What a template runs."""

    name: str
    workload: Workload
    #: Values that differ from the workload's own defaults: what makes it run as cloned.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    queue: str = DEFAULT_QUEUE
    #: What else its task is told: a command's archive and inputs as paths here, limits, the scenario it is of; its
    #: code and its stack come before those of the origin.
    base: TaskSpec | None = None
    #: The image of its own stack; ``None``: the origin's, where it has no stack of its own.
    image: str | None = None


@dataclass(frozen=True)
class Origin:
    """Which code and which stack the templates are made with."""

    #: The snapshot's folder.
    folder: Path
    code: Code
    stack: StackPin
    #: The stack's image, named by its digest; ``None``: it has none, so the template runs on the host only.
    image: str | None = None


@dataclass(frozen=True)
class Published:
    """What publishing one template came to."""

    name: str
    id: str
    #: "new", "updated" or "unchanged".
    outcome: str
    queue: str


def defined(
    declared: Mapping[str, Workload], presets: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Template]:
    """The templates there are: one for each declared workload, unless its declaration says otherwise.

    Args:
        declared: the workloads there are, by name.
        presets: workload -> parameters that make it run as cloned.
    """
    given = presets or {}
    return [Template(w.name, w, given.get(w.name, {})) for _, w in sorted(declared.items()) if w.template]


def publish(sender: Sender, templates: Sequence[Template], origin: Origin) -> list[Published]:
    """Put templates on the server, or bring those that are there up to date.

    Raises:
        BadInputError: a parameter of a template is wrong, or its name is another's; nothing was changed.
        StackyardError: the server refuses or does not answer.
    """
    specs = {template.name: _spec(template, origin) for template in templates}
    held = {task["name"]: task for task in published(sender.client)}
    for name, spec in specs.items():
        if name in held:
            _refuse_other(held[name], spec)
    for spec in specs.values():
        spec.parameters, spec.inputs = sender.sent(spec.parameters), sender.sent(spec.inputs)
        spec.work = sender.sent(spec.work)
    script = sender.script(origin.folder)
    return [
        _publish(sender, template, specs[template.name], script, origin, held.get(template.name))
        for template in templates
    ]


def published(client: Client) -> list[dict[str, Any]]:
    """The templates on the server, as task documents with their names; none where there is no such project."""
    projects = client.call("projects.get_all", name=f"^{re.escape(PROJECT)}$", only_fields=["id"])["projects"]
    if not projects:
        return []
    found = client.pages(
        "tasks.get_all_ex",
        "tasks",
        project=[projects[0]["id"]],
        tags=[TAG],
        system_tags=["-archived"],
        order_by=["created"],
        only_fields=_FIELDS,
    )
    return list({task["name"]: task for task in found}.values())


def named(client: Client, name: str) -> dict[str, Any]:
    """The template of that name.

    Raises:
        BadInputError: there is none; the message lists those there are.
    """
    found = published(client)
    for task in found:
        if task["name"] == name:
            return task
    if not found:
        raise BadInputError("no template is on the server; put them there: stackyard task publish")
    known = ", ".join(sorted(task["name"] for task in found))
    raise BadInputError(f"no template is named {name!r}; there are: {known}")


def queue_of(task: Mapping[str, Any]) -> str | None:
    """The queue a template or its clone is meant for."""
    for tag in task.get("tags") or []:
        if tag.startswith(QUEUE_TAG):
            return str(tag.removeprefix(QUEUE_TAG))
    return None


def _spec(template: Template, origin: Origin) -> TaskSpec:
    workload = template.workload
    given = {**{p.name: p.default for p in workload.parameters if p.required}, **template.parameters}
    left_open = [p.name for p in workload.parameters if p.required and given[p.name] is None]
    try:
        # a needed parameter without a preset stays empty in the form: whoever clones it fills it in
        values = workloads.checked(
            dataclasses.replace(
                workload,
                parameters=tuple(
                    dataclasses.replace(p, required=False) if p.name in left_open else p
                    for p in workload.parameters
                ),
            ),
            given,
        )
    except workloads.ParameterError as error:
        raise BadInputError(f"template {template.name}: {error}") from error
    base = template.base or TaskSpec(run_id="", workload="", code=origin.code)
    return dataclasses.replace(
        base,
        workload=workload.name,
        parameters=values,
        declared=workload,
        stack=base.stack or origin.stack,
    )


def _refuse_other(held: Mapping[str, Any], spec: TaskSpec) -> None:
    """Leave a template alone that is of another scenario, or of none.

    Raises:
        BadInputError: it is.
    """
    try:
        said = records.parse(held["configuration"][SPEC]["value"], SPEC)
        owner = records.from_json(TaskSpec, said, SPEC).scenario
    except (KeyError, TypeError, records.RecordError):
        return  # of no use to anybody: it is brought up to date
    if owner != spec.scenario:
        whose = "a declared workload's" if owner is None else f"of scenario {owner!r}"
        raise BadInputError(
            f"the server has a template {held['name']!r} already, which is {whose}; give the workload another name, or "
            "archive that template"
        )


def _publish(
    sender: Sender,
    template: Template,
    spec: TaskSpec,
    script: Mapping[str, Any],
    origin: Origin,
    held: Mapping[str, Any] | None,
) -> Published:
    queue = _queue_id(sender.client, template.queue)
    own_stack = template.base is not None and template.base.stack is not None
    image = template.image if own_stack else origin.image
    content: dict[str, Any] = {
        "script": dict(script),
        "hyperparams": hyperparameters(spec),
        "container": {"image": image, "arguments": ""} if image else {},
        "comment": _comment(template, spec, image),
        "tags": [TAG, f"{QUEUE_TAG}{template.queue}"],
        "type": template.workload.type,
    }
    if queue is not None:
        content["execution"] = {"queue": queue}
    said = json.dumps(records.to_json(spec), indent=1)
    if held is not None and _is_same(held, content, said, queue):
        return Published(template.name, held["id"], "unchanged", template.queue)
    content["configuration"] = {
        SPEC: {"name": SPEC, "type": "json", "value": said},
        HISTORY: {"name": HISTORY, "type": "text", "value": _history(held, spec, script)},
    }
    project = sender.project(PROJECT)
    if held is None:
        id = sender.client.call("tasks.create", name=template.name, project=project, **content)["id"]
        return Published(template.name, id, "new", template.queue)
    # force: a template that somebody ran in place is still the template
    sender.client.call("tasks.edit", task=held["id"], force=True, **content)
    return Published(template.name, held["id"], "updated", template.queue)


def _is_same(held: Mapping[str, Any], content: Mapping[str, Any], said: str, queue: str | None) -> bool:
    def values(sections: Mapping[str, Any]) -> dict[str, Any]:
        return {
            f"{section}/{name}": (parameter.get("value") or "", parameter.get("description") or "")
            for section, parameters in sections.items()
            for name, parameter in parameters.items()
        }

    was = (held.get("execution") or {}).get("queue")
    return (
        (held.get("script") or {}).get("diff") == content["script"].get("diff")
        and ((held.get("configuration") or {}).get(SPEC) or {}).get("value") == said
        and values(held.get("hyperparams") or {}) == values(content["hyperparams"])
        and (held.get("container") or {}).get("image") == content["container"].get("image")
        and set(held.get("tags") or []) == set(content["tags"])
        and held.get("comment") == content["comment"]
        and ((was.get("id") if isinstance(was, Mapping) else was) or None) == queue
    )


def _queue_id(client: Client, name: str) -> str | None:
    found = client.call("queues.get_all", name=f"^{re.escape(name)}$", only_fields=["id", "name"])["queues"]
    return str(found[0]["id"]) if found else None


def _comment(template: Template, spec: TaskSpec, image: str | None) -> str:
    about, command = template.workload.help, template.workload.command
    if not about:
        about = "runs " + (
            template.workload.name if command is None else shlex.join(command.words)[:_MOST_LETTERS]
        )
    where = "" if image is None else f" (or {template.queue}-container: the image is set)"
    code = spec.code
    own = (
        ""
        if code.own_digest is None
        else f", and the folder {_code(code.own_digest, code.own_version, code.own_dirty)}"
    )
    return (
        f"{about[:1].upper()}{about[1:]}.\n"
        f"To run it: clone, edit the parameters, enqueue in {template.queue}{where}. It runs as cloned.\n"
        f"Code {_code(code.digest, code.version, code.dirty)}{own}; which it held before: configuration {HISTORY!r}."
    )


def _code(digest: str | None, version: str | None, dirty: bool | None) -> str:
    commit = f" of commit {version[:12]}" if version else ""
    return f"{(digest or '?')[:12]}{commit}{' with changes' if dirty else ''}"


def _history(held: Mapping[str, Any] | None, spec: TaskSpec, script: Mapping[str, Any]) -> str:
    """One line for each code the template has held, the newest last."""
    before = ""
    if held is not None:
        before = ((held.get("configuration") or {}).get(HISTORY) or {}).get("value") or ""
    wheel = re.search(r'"sha256": "([0-9a-f]{64})"', script.get("diff", ""))
    own = "" if spec.code.own_digest is None else f"folder {spec.code.own_digest} "
    line = (
        f"{datetime.now(UTC).isoformat(timespec='seconds')} code {spec.code.digest} "
        f"commit {spec.code.version or '-'}{' with changes' if spec.code.dirty else ''} {own}"
        f"wheel {wheel.group(1) if wheel else '-'} stack {spec.stack.digest if spec.stack else '-'}"
    )
    return f"{before.rstrip()}\n{line}\n".lstrip()
