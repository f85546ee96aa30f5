"""The controller of a pipeline: starts each step's task when those before it have completed, and says how it ended.

ClearML's own PipelineController does it, so that its web app shows the graph. Steps are copies of template tasks and
nothing else: no function, so no pickle. The controller runs in the agent's Python, is not measured as a workload, and
is never imported by a workload's child. Imports clearml, the records and nothing of the supervisor.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from typing import Any, Dict, List, Mapping, Optional

from clearml.automation import PipelineController
from clearml.backend_api.services import tasks

from stackyard_task import clearml_sdk, records
from stackyard_task.records import Failure, PipelineStep, RecordError, TaskSpec

#: The configuration object that holds a step's TaskSpec (``clearml_link`` reads it).
SPEC = "Stackyard"
PROJECT = "Stackyard"
#: Where the web app's "new run" shows a pipeline's parameters: "STEP.PARAMETER", and "STEP.queue".
ARGUMENTS_SECTION = "Args"
QUEUE = "queue"
#: Sections of a step's form that do not hold its workload's parameters.
RUN_SECTIONS = ("Run", "Inputs")
#: How often steps are looked at. ClearML asks at most once a second for all of them together.
POLL_SECONDS = 1.0
#: Statuses of a step that went well.
GOOD = ("completed", "cached")


def run(spec: TaskSpec) -> Optional[Failure]:
    """Run the pipeline of the current task to its end; ``None`` if every step completed.

    Raises:
        RecordError: what the task says of its steps cannot be read.
    """
    task = clearml_sdk.task()
    steps = steps_of(spec, _arguments(task))
    _place(task, spec.cell.get("pipeline"))
    controller = _Controller(
        name=task.name,
        project=task.get_project_name(),
        pool_frequency=POLL_SECONDS / 60,  # minutes
        add_run_number=False,
    )
    script = task.data.script.diff
    for step in steps:
        _add(controller, step, script)
    # ClearML prints each step's whole script and configuration; what people want to read is what happens
    with contextlib.redirect_stdout(_Nowhere()):
        try:
            controller.start_locally()
        except BaseException:  # told to end: steps go with their pipeline
            _abort(controller)
            raise
    return _ended(controller, steps)


def steps_of(spec: TaskSpec, arguments: Mapping[str, str]) -> List[PipelineStep]:
    """The steps a controller is told, with the arguments people may have edited laid over them.

    Args:
        spec: The controller's TaskSpec.
        arguments: "STEP.PARAMETER" or "STEP.queue" -> text.

    Raises:
        RecordError: no steps, not their form, or an argument of a step or parameter that does not exist.
    """
    told = spec.parameters.get("steps")
    if not isinstance(told, list) or not told:
        raise RecordError("the pipeline's task names no steps; submit it with stackyard")
    steps = [records.from_json(PipelineStep, one, f"steps[{number}]") for number, one in enumerate(told)]
    by_name = {step.name: step for step in steps}
    for argument, text in arguments.items():
        name, _, parameter = argument.partition(".")
        step = by_name.get(name)
        if step is None:
            raise RecordError(f"{ARGUMENTS_SECTION}/{argument}: there is no step {name!r}")
        if parameter == QUEUE:
            step.queue = text.strip() or step.queue
            continue
        places = [place for place in step.parameters if place.partition("/")[2] == parameter]
        # a parameter before a field of the run's own that happens to be called so
        places.sort(key=lambda place: place.partition("/")[0] in RUN_SECTIONS)
        if not places:
            raise RecordError(f"{ARGUMENTS_SECTION}/{argument}: step {name!r} has no parameter {parameter!r}")
        step.parameters[places[0]] = text
    return steps


def _place(task: Any, name: Optional[str]) -> None:
    """Move a clone of the published template to where ClearML's web app shows the runs of that pipeline."""
    project = f"{PROJECT}/.pipelines/{name}"
    if name and task.get_project_name() != project:
        task.move_to_project(new_project_name=project)
        task.set_name(name)
        task.set_tags([])


class _Controller(PipelineController):
    """ClearML's controller, but for the last word: why a pipeline failed, or that it was aborted, is said once."""

    def stop(
        self, timeout: Optional[float] = None, mark_failed: bool = False, mark_aborted: bool = False
    ) -> None:
        """End it without marking the task as failed for "a step"."""
        self._pipeline_task_status_failed = None
        super().stop(timeout, mark_failed, mark_aborted)


def _arguments(task: Any) -> Dict[str, str]:
    section = (task.data.hyperparams or {}).get(ARGUMENTS_SECTION) or {}
    return {name: parameter.value or "" for name, parameter in section.items()}


def _add(controller: PipelineController, step: PipelineStep, script: str) -> None:
    # the step runs the code the pipeline was submitted with, whatever its template was published with
    overrides: Dict[str, Any] = {"script.diff": script, "tags": []}
    if step.image:
        overrides["container.image"] = step.image
        overrides["container.arguments"] = step.image_arguments
    configuration = None
    if step.spec is not None:
        configuration = {SPEC: json.dumps(dataclasses.asdict(step.spec), indent=1)}
    controller.add_step(
        name=step.name,
        base_task_id=step.template,
        parents=step.parents,
        parameter_override=step.parameters,
        configuration_overrides=configuration,
        task_overrides=overrides,
        execution_queue=step.queue,
        status_change_callback=_tell,
    )


def _tell(_controller: PipelineController, node: Any, _previous: str) -> None:
    """One line of the controller's log for what became of a step."""
    id = node.job.task_id() if node.job else None
    told = f" (task {id})" if id else ""
    print(f"step {node.name}: {node.status}{told}", file=sys.__stdout__, flush=True)


def _abort(controller: PipelineController) -> None:
    """End the steps under way and start no more."""
    if controller._stop_event is not None:
        controller._stop_event.set()
    for node in controller.get_pipeline_dag().values():
        job: Any = node.job.task if node.job else None
        if job is not None and str(job.status) in ("queued", "in_progress"):
            job.send(tasks.StopRequest(task=job.id, status_reason="its pipeline was aborted"))


class _Nowhere(io.TextIOBase):
    """A stream that forgets."""

    def write(self, text: str) -> int:
        return len(text)


def _ended(controller: PipelineController, steps: List[PipelineStep]) -> Optional[Failure]:
    """Why the pipeline did not complete: the first step that went wrong, its reason, and what was not started."""
    nodes = controller.get_pipeline_dag()
    waiting = [step.name for step in steps if not nodes[step.name].job and not nodes[step.name].executed]
    tail = f"; not started: {', '.join(waiting)}" if waiting else ""
    for step in steps:
        node = nodes[step.name]
        if node.status in GOOD or step.name in waiting:
            continue
        job: Any = node.job.task if node.job else None
        if job is None:
            continue
        job.reload()
        kind = job.data.status_message
        said = (job.data.status_reason or "").strip() or f"its task is {job.data.status!s}"
        status = str(job.data.status)
        if kind not in records.FAILURE_KINDS:
            kind = "interrupted" if status == "stopped" else "code"
        said = said[len(kind) + 2 :] if said.startswith(f"{kind}: ") else said
        return Failure(kind, f"step {step.name} failed (task {job.id}): {said}{tail}")
    if waiting:
        return Failure("infrastructure", f"step {waiting[0]} could not be started; see the log{tail}")
    return None
