"""A pipeline onto a server: the templates its steps become copies of, their wiring, and the controller's task.

The controller's task lies where ClearML's web app looks for pipelines. What the run is made of is kept with it, so
that the next submission can tell whether anything changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from stackyard.clearml.pipelines import changes
from stackyard.clearml.pipelines.changes import MadeOf
from stackyard.clearml.pipelines.definition import MODEL, STEP, Pipeline, Step, steps_named, wired
from stackyard.clearml.pipelines.runs import (
    MADE_OF,
    made_of_run,
    newest_run,
    newest_version,
    pipeline_project,
)
from stackyard.clearml.sending import SPEC, Sender, container_arguments, hyperparameters
from stackyard.clearml.tasks import templates
from stackyard.errors import BadInputError, StackyardError
from stackyard.scenarios import references
from stackyard.workloads import code_folders, folder
from stackyard.workloads.folder import Folder
from stackyard_task import records, workloads
from stackyard_task.records import Code, Limits, PipelineStep, StackPin, TaskSpec
from stackyard_task.workloads import Workload

#: Where tasks lie that steps are copies of, for workloads that no template is published of.
BASES_PROJECT = "Stackyard/pipelines"
#: The published template of a pipeline.
TEMPLATE = "pipeline"
#: What the task is called that every step which is a command is a copy of; parentheses: no workload has that name.
COMMANDS = "(command)"
#: A submission that was begun so long ago and is still no more than a draft was interrupted.
ABANDONED_SECONDS = 900.0
#: The web app's "new run" shows this section; ``clearml_pipeline`` lays it over the steps.
ARGUMENTS_SECTION = "Args"


@dataclass(frozen=True)
class Here:
    """What of this machine a submission needs."""

    #: Snapshot of the task's code, and which code that is.
    code_folder: Path
    code: Code
    pin_of: Callable[[str], StackPin]
    #: Stack -> environment variables of its tunables.
    tunables_of: Callable[[str], Mapping[str, str]]
    #: (queue, stack) -> the image to run in, or ``None``: on the host.
    image_of: Callable[[str, str], str | None]
    #: ``dataset:SET/FILE`` -> its file.
    dataset: Callable[[str], Path]
    #: Folder of the pipeline's file: relative paths are seen from there.
    folder: Path
    #: Where archives of the user's folders are kept.
    home: Path
    #: What does not travel with a command although it lies in its folder: the pipeline's file, our own home.
    leave_out: tuple[Path, ...] = ()
    #: Declared workloads, by name.
    workloads: Mapping[str, Workload] = field(default_factory=dict)


@dataclass(frozen=True)
class Submitted:
    """What a submission came to."""

    #: Id of the controller's task: the new one, or the run that there is already.
    id: str
    started: bool
    #: Why, in words: what changed, or that nothing did.
    why: str


class Submission:
    """Submits one pipeline.

    Args:
        pipeline: what.
        sender: to whom.
        here: from where.
        say: told one line at a time.
    """

    def __init__(
        self, pipeline: Pipeline, sender: Sender, here: Here, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._pipeline = pipeline
        self._sender = sender
        self._client = sender.client
        self._here = here
        self._say = say
        self._versions: dict[str, str] = {}
        self._folders: dict[str, Folder] | None = None
        self._templates: dict[str, str] = {}

    def submit(self, *, on_change: bool = False, enqueue: bool = True) -> Submitted:
        """Start a run, or say why not.

        Args:
            on_change: only if code, data, stacks or definition differ from the newest run's.
            enqueue: leave the controller's task to the controller's queue; else as a draft.

        Raises:
            BadInputError: a file or queue that the pipeline names does not exist.
            StackyardError: the server refuses, or does not answer.
        """
        self._check_queues(enqueue)
        now = self._made_of()
        project = pipeline_project(self._client, self._pipeline.name)
        why = "asked for"
        if on_change:
            earlier = newest_run(self._client, project)
            differing = self._differing(earlier, now)
            if earlier is not None and not differing:
                return Submitted(earlier["id"], False, f"nothing changed since run {_told(earlier)}")
            why = f"changed: {', '.join(differing)}" if differing else "the first run"
        # The draft comes first: whoever submits the same at the same moment sees it and stands back.
        id = self._claim(project, now)
        try:
            other = self._faster(project, id, now) if on_change else None
            if other is not None:
                self._client.call("tasks.delete", task=id, force=True)
                return Submitted(other, False, f"another call starts the same run, task {other}")
            self._say(f"{self._pipeline.name}: {why}")
            self._fill(id)
            if enqueue:
                self._client.call("tasks.enqueue", task=id, queue_name=self._pipeline.controller_queue)
        except BaseException:
            with contextlib.suppress(StackyardError):
                self._client.call("tasks.delete", task=id, force=True)
            raise
        return Submitted(id, True, why)

    def publish(self) -> tuple[str, str]:
        """Put the pipeline among the templates as ``pipeline``, for people to clone; (its id, "new" or "updated").

        Raises:
            BadInputError: a file or queue that the pipeline names does not exist.
            StackyardError: the server refuses, or does not answer.
        """
        self._check_queues(enqueue=True)
        now = self._made_of()
        pipeline_project(self._client, self._pipeline.name)
        project = self._sender.project(templates.PROJECT)
        queue = self._pipeline.controller_queue
        held = [one["id"] for one in templates.published(self._client) if one["name"] == TEMPLATE]
        id = str(held[0]) if held else self._claim(project, now, TEMPLATE)
        self._client.call(
            "tasks.edit",
            task=id,
            force=True,
            hyperparams=self._forms(now),
            comment=f"{self._pipeline.title}\nTo run it: clone, edit Args, enqueue in {queue}.",
            tags=[templates.TAG, f"{templates.QUEUE_TAG}{queue}"],
        )
        self._fill(id)
        return id, "updated" if held else "new"

    # -- what it is made of ------------------------------------------------------------------------

    def _made_of(self) -> MadeOf:
        stacks = {step.stack: self._here.pin_of(step.stack).digest or "" for step in self._pipeline.steps}
        return changes.made_of(
            self._pipeline,
            code=self._here.code.digest or "",
            stacks=stacks,
            file_of=self._file_of,
            dataset_id=self._dataset_id,
            folders=self._travelling(),
        )

    def _travelling(self) -> dict[str, Folder]:
        """What travels with each step that is a command with a folder, looked at once.

        Raises:
            BadInputError: a folder is not there, or something in it cannot travel.
        """
        if self._folders is None:
            seen: dict[tuple[str, frozenset[str]], Folder | None] = {}
            found: dict[str, Folder | None] = {}
            for step in self._pipeline.steps:
                if step.command is not None and step.command.code is not None:
                    alike = step.command.code, frozenset(step.inputs.values())
                    if alike not in seen:
                        seen[alike] = code_folders.looked_at(
                            step.command,
                            self._here.folder,
                            step.inputs,
                            f"steps.{step.name}",
                            self._here.leave_out,
                        )
                    found[step.name] = seen[alike]
            self._folders = {name: one for name, one in found.items() if one is not None}
        return self._folders

    def _file_of(self, key: str, text: str) -> Path | None:
        if not changes.is_path(key, text):
            return None
        path = self._here.dataset(text) if text.startswith(references.DATASET) else self._here.folder / text
        if not path.exists():
            raise BadInputError(
                f"{self._pipeline.name}: {key or 'a parameter'} names {path}, which does not exist"
            )
        return path.resolve()

    def _dataset_id(self, rest: str) -> str:
        """The version of a ClearML data set that is meant now."""
        name = rest.partition("//")[0]
        if re.fullmatch(r"[0-9a-f]{32}(/.*)?", rest):
            return rest[:32]
        if name not in self._versions:
            self._versions[name] = newest_version(self._client, name)
        return self._versions[name]

    def _differing(self, earlier: Mapping[str, Any] | None, now: MadeOf) -> list[str]:
        if earlier is None:
            return []
        held = made_of_run(earlier)
        return (
            ["the newest run does not say what it is made of"]
            if held is None
            else changes.differences(held, now)
        )

    def _faster(self, project: str, id: str, now: MadeOf) -> str | None:
        """Another submission of the same run that was there before ours, or ``None``."""
        runs = self._client.call(
            "tasks.get_all_ex",
            project=[project],
            system_tags=["pipeline"],
            search_hidden=True,
            order_by=["-created"],
            page=0,
            page_size=20,
            only_fields=["id", "created", "status", f"configuration.{MADE_OF}"],
        )["tasks"]
        same = [run for run in runs if (held := made_of_run(run)) is not None and held.digest == now.digest]
        ours = next(run for run in runs if run["id"] == id)
        before = [run for run in same if (run["created"], run["id"]) < (ours["created"], id)]
        # a run that ended before ours was begun is no rival: something changed and changed back
        rivals = [
            run
            for run in before
            if run["status"] in ("queued", "in_progress")
            or (
                run["status"] == "created"
                and _seconds_between(run["created"], ours["created"]) < ABANDONED_SECONDS
            )
        ]
        return str(min(rivals, key=lambda run: (run["created"], run["id"]))["id"]) if rivals else None

    # -- what is sent ------------------------------------------------------------------------------

    def _check_queues(self, enqueue: bool) -> None:
        there = {
            queue["name"] for queue in self._client.call("queues.get_all", only_fields=["name"])["queues"]
        }
        asked = {step.queue: f"step {step.name}" for step in self._pipeline.steps}
        if enqueue:
            asked[self._pipeline.controller_queue] = "the controller"
        for queue, who in asked.items():
            if queue not in there:
                raise BadInputError(
                    f"{self._pipeline.name}: {who} is for queue {queue!r}, which the server does not have; it has: "
                    f"{', '.join(sorted(there)) or 'none'}"
                )

    def _claim(self, project: str, now: MadeOf, name: str | None = None) -> str:
        """A draft of the controller's task that says what its run is made of."""
        return str(
            self._client.call(
                "tasks.create",
                name=name or self._pipeline.name,
                project=project,
                type="controller",
                system_tags=["pipeline"],
                comment=self._pipeline.title,
                configuration={MADE_OF: _object(MADE_OF, now.to_json())},
                hyperparams=self._forms(now),
            )["id"]
        )

    def _fill(self, id: str) -> None:
        """Give the draft its code and its steps."""
        script = self._sender.script(self._here.code_folder)
        spec = TaskSpec(
            run_id="",
            workload=records.PIPELINE,
            parameters={
                "steps": [records.to_json(self._step(step, script)) for step in self._pipeline.steps]
            },
            cell={"pipeline": self._pipeline.name},
            code=self._here.code,
        )
        self._client.call("tasks.edit", task=id, force=True, script=script)
        self._client.call(
            "tasks.edit_configuration",
            task=id,
            force=True,
            configuration=[_object(SPEC, records.to_json(spec))],
        )

    def _step(self, step: Step, script: Mapping[str, Any]) -> PipelineStep:
        limits = Limits(cores=step.cores, memory_bytes=step.memory_bytes)
        declared, own = self._declared(step), self._travelling().get(step.name)
        inputs = self._sender.sent(self._placed(references.of_inputs(step.inputs)))
        spec = TaskSpec(
            run_id="",
            workload=step.workload,
            # all of them: what a template presets is for who clones it, a pipeline is what its file says
            parameters={**_defaults(declared), **self._sender.sent(self._placed(step.parameters))},
            declared=declared,
            cell={"pipeline": self._pipeline.name, "step": step.name},
            stack=self._here.pin_of(step.stack),
            limits=limits,
            threads=step.threads,
            environment=dict(self._here.tunables_of(step.stack)),
            time_limit_seconds=step.time_limit_seconds,
            code=code_folders.code_with(self._here.code, own),
            work=None
            if own is None
            else self._sender.sent(str(folder.archived(own, self._here.home).resolve())),
            inputs={name: found["path"] for name, found in inputs.items()},
        )
        form = dataclasses.replace(spec, parameters=wired(spec.parameters), inputs=wired(spec.inputs))
        parameters = {
            f"{section}/{name}": field["value"]
            for section, fields in hyperparameters(form).items()
            for name, field in fields.items()
        }
        # what other steps leave is known once they have run: the controller writes it into the form
        spec.parameters = {name: value for name, value in spec.parameters.items() if not steps_named(value)}
        spec.inputs = {name: text for name, text in spec.inputs.items() if not steps_named(text)}
        image = self._here.image_of(step.queue, step.stack)
        return PipelineStep(
            name=step.name,
            template=self._template(step, script),
            queue=step.queue,
            parents=list(step.needs),
            spec=spec,
            parameters=parameters,
            image=image,
            image_arguments="" if image is None else " ".join(container_arguments(spec)),
        )

    def _declared(self, step: Step) -> Workload | None:
        return step.declared or self._here.workloads.get(step.workload)

    def _placed(self, value: Any, key: str = "") -> Any:
        """``value`` with files as absolute paths and data sets by the id of their version."""
        if isinstance(value, str):
            if value.startswith(changes.CLEARML_DATASET):
                rest = value[len(changes.CLEARML_DATASET) :]
                name, parted, path = rest.partition("//")
                inside = path if parted else rest[33:] if re.match(r"[0-9a-f]{32}/", name) else ""
                return f"{changes.CLEARML_DATASET}{self._dataset_id(rest)}" + (f"/{inside}" if inside else "")
            path_here = self._file_of(key, value)
            return value if path_here is None else str(path_here)
        if isinstance(value, Mapping):
            return {name: self._placed(inner, name) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._placed(inner, key) for inner in value]
        return value

    def _template(self, step: Step, script: Mapping[str, Any]) -> str:
        """The published template of a step's workload, published now where it is not; the user's own gets a plain one.

        All commands share one without any field: a step says all of its own.
        """
        workload = step.workload
        if step.command is not None:
            if COMMANDS not in self._templates:
                self._templates[COMMANDS] = self._plain_template(COMMANDS, None, script)
            return self._templates[COMMANDS]
        if workload not in self._templates:
            self._templates |= {one["name"]: one["id"] for one in templates.published(self._client)}
        missing = [one for one in templates.defined(self._here.workloads) if one.name == workload]
        if workload not in self._templates and missing:
            here = self._here
            origin = templates.Origin(here.code_folder, here.code, here.pin_of(self._pipeline.steps[0].stack))
            made = templates.publish(self._sender, missing, origin)
            self._templates |= {one.name: one.id for one in made}
        if workload not in self._templates:
            declared = self._here.workloads.get(workload)
            self._templates[workload] = self._plain_template(workload, declared, script)
        return self._templates[workload]

    def _plain_template(self, workload: str, declared: Workload | None, script: Mapping[str, Any]) -> str:
        project = self._sender.project(BASES_PROJECT)
        found = self._client.call(
            "tasks.get_all_ex",
            project=[project],
            name=f"^{re.escape(workload)}$",
            order_by=["created"],
            page=0,
            page_size=1,
            only_fields=["id"],
            system_tags=["-archived"],
        )["tasks"]
        if found:
            return str(found[0]["id"])
        spec = TaskSpec(run_id="", workload=workload, parameters=_defaults(declared), declared=declared)
        return self._sender.create(spec, script, workload, project=BASES_PROJECT)

    def _forms(self, now: MadeOf) -> dict[str, dict[str, dict[str, str]]]:
        """The controller's hyperparameters: what the web app's "new run" offers, and notes for people."""
        arguments: dict[str, dict[str, str]] = {}
        for step in self._pipeline.steps:
            arguments[f"{step.name}.queue"] = _field(
                ARGUMENTS_SECTION, f"{step.name}.queue", step.queue, "text", f"queue of step {step.name}"
            )
            declared = self._declared(step)
            described = {p.name: p for p in declared.parameters} if declared else {}
            for name, value in step.parameters.items():
                if name == "queue":
                    continue  # the step's own field has that name
                if name in described and described[name].kind in ("data", "model"):
                    continue  # the wiring: not for a form
                if any(_is_wiring(name, text) for text in references.strings(value)):
                    continue
                arguments[f"{step.name}.{name}"] = _field(
                    ARGUMENTS_SECTION,
                    f"{step.name}.{name}",
                    workloads.as_text(value),
                    described[name].kind if name in described else "",
                    described[name].help if name in described else "",
                )
        notes = {
            "code": now.code[:12],
            "data": ", ".join(f"{name} {digest[:12]}" for name, digest in sorted(now.data.items())),
            "made_of": now.digest[:12],
        }
        properties = {name: _field("properties", name, text) for name, text in notes.items()}
        return {ARGUMENTS_SECTION: arguments, "properties": properties}


def _defaults(declared: Workload | None) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in declared.parameters} if declared else {}


def _told(run: Mapping[str, Any]) -> str:
    reason = run.get("status_reason") or ""
    return f"{run['id']}, which {_WORDS.get(run['status'], run['status'])}" + (
        f" ({reason})" if reason and run["status"] == "failed" else ""
    )


_WORDS = {
    "queued": "waits",
    "in_progress": "is under way",
    "stopped": "was aborted",
    "failed": "failed",
    "completed": "completed",
    "published": "completed",
}


def _is_wiring(name: str, text: str) -> bool:
    """Whether a parameter's text names a file, a data set or what a step leaves: nothing to type into a form."""
    return text.startswith((STEP, MODEL)) or changes.is_path(name, text)


def _object(name: str, value: Any) -> dict[str, str]:
    return {"name": name, "type": "json", "value": json.dumps(value, indent=1)}


def _field(section: str, name: str, value: str, type: str = "", description: str = "") -> dict[str, str]:
    return {"section": section, "name": name, "value": value, "type": type, "description": description}


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
