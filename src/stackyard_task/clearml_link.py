"""The supervisor's link to a ClearML server: what the task says, how it came, how it ends.

With its neighbours (``clearml_inputs`` fetches, ``clearml_live`` shows a run under way, ``clearml_results`` leaves
what came of it) the only files of this package that import clearml. The child never imports them, so no figure
carries the SDK.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import clearml

from stackyard_task import records, telemetry, workloads
from stackyard_task.clearml_inputs import DATASETS_SECTION, Inputs
from stackyard_task.clearml_live import Live
from stackyard_task.clearml_results import NotDelivered, Results
from stackyard_task.progress import Moment, Watcher
from stackyard_task.records import Dispatch, Failure, RunRecord, StackPin, TaskSpec

#: The configuration object that holds a task's TaskSpec.
SPEC = "Stackyard"
#: The hyperparameter section that names stack and limits instead of the workload's parameters.
RUN_SECTION = "Run"
#: Section of what a command reads, one field for each input.
INPUTS_SECTION = "Inputs"
#: Sections that are ClearML's own: notes about a task, never parameters of a workload.
NOTE_SECTIONS = ("properties", DATASETS_SECTION)

#: Statuses of a task that is over.
ENDED = ("stopped", "failed", "completed", "closed", "published")


def connect() -> Link:
    """The link of the task this process was started for."""
    # Nothing of the SDK's own watching: what a run uses is measured by the supervisor, its output is the agent's.
    task: Any = clearml.Task.init(
        auto_connect_arg_parser=False,
        auto_connect_frameworks=False,
        auto_resource_monitoring=False,
        auto_connect_streams=False,
    )
    return Link(task)


class Link:
    """A ClearML task, in the words of a run.

    Args:
        task: The SDK's task.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        #: Brings here what parameters name (``inputs.Fetcher``).
        self.inputs = Inputs(task)
        self._asked: Dict[str, Any] = {}
        self._live: Optional[Live] = None
        self._stage: Optional[telemetry.Stage] = None

    def spec(self) -> TaskSpec:
        """What to run: the configuration object, with the hyperparameters people may have edited laid over it.

        Raises:
            RecordError: there is no such object, or it or a parameter cannot be read.
        """
        text = self._task.get_configuration_object(SPEC)
        if not text:
            raise records.RecordError(
                f"the task has no configuration object {SPEC!r}; submit it with stackyard"
            )
        place = f"configuration {SPEC}"
        spec = records.from_json(TaskSpec, records.parse(text, place), place)
        spec.run_id = spec.run_id or self._task.id
        try:
            overlay(spec, self._sections())
        except workloads.ParameterError as error:
            raise records.RecordError(str(error)) from error
        self._asked = copy.deepcopy(spec.parameters)
        self._forget_notes()
        return spec

    def _forget_notes(self) -> None:
        """Remove the data sets of the run that this task was cloned from."""
        for name in list((self._task.data.hyperparams or {}).get(DATASETS_SECTION, {})):
            self._task.delete_parameter(f"{DATASETS_SECTION}/{name}", force=True)

    def _sections(self) -> Dict[str, Dict[str, str]]:
        return {
            section: {name: parameter.value or "" for name, parameter in parameters.items()}
            for section, parameters in (self._task.data.hyperparams or {}).items()
        }

    def dispatch(self) -> Dispatch:
        """How the task came here, as far as the server knows."""
        data = self._task.data
        execution = data.execution
        return Dispatch(
            task_id=self._task.id,
            queue=getattr(execution, "queue", None),
            worker=os.environ.get("CLEARML_WORKER_ID"),
            image=os.environ.get("CLEARML_DOCKER_IMAGE"),
            pulled_at=None if data.started is None else data.started.isoformat(timespec="milliseconds"),
        )

    def watcher(self, spec: TaskSpec, folder: Path) -> Watcher:
        """What the supervisor tells of the run under way in ``folder``."""
        live = self._live = Live(self._task, folder / records.LOG_FILE)
        stage = self._stage = telemetry.stage(spec, self._task.id)
        if stage is None:
            return live.moment

        def watch(moment: Moment) -> None:
            live.moment(moment)
            stage.moment(moment)

        return watch

    def deliver(self, record: RunRecord, folder: Path) -> None:
        """Leave the record and its companions with the task.

        Raises:
            NotDelivered: the server does not take them.
        """
        if self._live is not None:
            self._live.end(record.failure is None)
        if self._stage is not None:
            self._stage.end(record)
        record.parameters = self._asked  # what was asked for, not where its copies lay on this machine
        records.write_json(record, folder / records.RECORD_FILE)
        Results(self._task, self.inputs.used).deliver(record, folder)

    def close(self) -> None:
        """Send what is left."""
        self._task.flush(wait_for_uploads=True)

    def on_abort(self, callback: Callable[[], None], seconds: float) -> None:
        """Have ``callback`` called, in a thread, when somebody aborts the task.

        The agent ends what is left of the task once it has returned, and after ``seconds`` in any case.
        """
        self._task.register_abort_callback(callback, seconds)

    def ended(self) -> bool:
        """Whether the server counts the task as ended already; not so, too, where it does not say."""
        try:
            return str(self._task.get_status()) in ENDED
        except IndexError:  # the SDK's way to say that there is no such task any more
            return True

    def fail(self, failure: Failure) -> bool:
        """Say why the task failed, as the last word; whether the server took it.

        Whoever asks this should exit with 0 then: of any other status the agent would make a reason of its own.
        """
        said = self._task.mark_failed(
            status_reason=f"{failure.kind}: {failure.message}", status_message=failure.kind, force=True
        )
        return said is not None and bool(said.ok())


def overlay(spec: TaskSpec, sections: Dict[str, Dict[str, str]]) -> None:
    """Lay what people typed into a task's form over ``spec``; a field left as it was changes nothing.

    Args:
        spec: Changed in place.
        sections: Section -> name -> text.

    Raises:
        ParameterError: a text does not mean a value its field may have.
    """
    for section, typed in sections.items():
        if section == RUN_SECTION:
            _overlay_run(spec, typed)
        elif section == INPUTS_SECTION and _reads(spec):
            read = {name: text.strip() for name, text in typed.items() if name in _reads(spec)}
            spec.inputs.update((name, text) for name, text in read.items() if text)
        elif section not in NOTE_SECTIONS:
            _overlay_parameters(spec, typed)
    if spec.declared is not None:
        workloads.checked(spec.declared, spec.parameters)


def _reads(spec: TaskSpec) -> Dict[str, str]:
    """The inputs of a command; none of a function."""
    return {} if spec.command is None else spec.command.inputs


def _overlay_parameters(spec: TaskSpec, typed: Dict[str, str]) -> None:
    for name, text in typed.items():
        if text == workloads.as_text(spec.parameters.get(name)):
            continue
        if spec.declared is None:
            spec.parameters[name] = text
            continue
        for parameter in spec.declared.parameters:
            if parameter.name == name:
                spec.parameters[name] = workloads.from_text(parameter, text)


def _overlay_run(spec: TaskSpec, run: Dict[str, str]) -> None:
    stack = run.get("stack", "").strip()
    if stack and (spec.stack is None or spec.stack.name != stack):
        spec.stack = StackPin(stack)
    spec.threads = _number(run, "threads", int, spec.threads)
    spec.time_limit_seconds = _number(run, "time_limit_seconds", float, spec.time_limit_seconds)
    spec.limits.cores = _number(run, "cores", float, spec.limits.cores)
    spec.limits.memory_bytes = _number(run, "memory_bytes", int, spec.limits.memory_bytes)


def _number(run: Dict[str, str], name: str, kind: Any, default: Optional[Any]) -> Optional[Any]:
    if name not in run:
        return default
    text = run[name].strip()
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise workloads.ParameterError(f"{RUN_SECTION}/{name} is {text!r}, expected a number above 0")
    return value


__all__ = ["Link", "NotDelivered", "connect", "overlay"]
