"""The supervisor's link to a ClearML server: what the task says, what the run reports, what it leaves.

The only file of this package that imports clearml. The child never imports it, so no figure carries the SDK.
Reports are queued by the SDK and sent by its own thread; nothing here waits while the child runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, Optional

import clearml

from stackyard_task import records, workloads
from stackyard_task.inputs import InputError
from stackyard_task.records import Dispatch, Failure, RunRecord, StackPin, TaskSpec
from stackyard_task.run import Moment

#: The configuration object that holds a task's TaskSpec.
SPEC = "Stackyard"
#: The hyperparameter section that names stack and limits instead of the workload's parameters.
RUN_SECTION = "Run"
CACHE_VARIABLE = "STACKYARD_CACHE"


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

    def __init__(self, task: clearml.Task) -> None:
        self._task = task
        self._logger = task.get_logger()

    # -- what the task says ------------------------------------------------------------------------

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
        try:
            spec = records.from_json(TaskSpec, json.loads(text), f"configuration {SPEC}")
        except ValueError as error:
            raise records.RecordError(f"configuration {SPEC} is not JSON ({error})") from error
        spec.run_id = spec.run_id or self._task.id
        typed: Dict[str, str] = {}
        run: Dict[str, str] = {}
        for section, parameters in (self._task.data.hyperparams or {}).items():
            for name, parameter in parameters.items():
                (run if section == RUN_SECTION else typed)[name] = parameter.value or ""
        try:
            _overlay_parameters(spec, typed)
            _overlay_run(spec, run)
        except workloads.ParameterError as error:
            raise records.RecordError(str(error)) from error
        return spec

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

    # -- what its parameters name (inputs.Fetcher) -------------------------------------------------

    def file(self, url: str, sha256: str) -> Path:
        """The file at ``url``, kept under its digest."""
        kept = Path(os.environ.get(CACHE_VARIABLE) or clearml.config.get_cache_dir()) / "files" / sha256
        name = url.rsplit("/", 1)[-1]
        if not (kept / name).is_file():
            copy = clearml.StorageManager.get_local_copy(url, extract_archive=False, force_download=True)
            if copy is None:
                raise InputError(f"{name} cannot be fetched from {url}")
            found = hashlib.sha256(Path(copy).read_bytes()).hexdigest()
            if found != sha256:
                raise InputError(f"{name} has SHA-256 {found}, but {sha256} was asked for")
            kept.mkdir(parents=True, exist_ok=True)
            draft = kept / f".{os.getpid()}"
            shutil.copyfile(copy, draft)
            draft.replace(kept / name)
        return kept / name

    def dataset(self, name: str) -> Path:
        """The folder of a data set."""
        raise InputError(f"data set {name}: not written yet")

    def model(self, model_id: str) -> Path:
        """The folder of a registered model."""
        raise InputError(f"model {model_id}: not written yet")

    def artifact(self, task_id: str, name: str) -> Path:
        """The file or unpacked folder of an artifact."""
        raise InputError(f"artifact {task_id}/{name}: not written yet")

    # -- what the run reports and leaves -----------------------------------------------------------

    def watch(self, moment: Moment) -> None:
        """Report what a run under way does."""
        at = int(moment.elapsed_seconds)
        if moment.done is not None and moment.total:
            self._task.set_progress(int(100 * moment.done / moment.total))
        if moment.loss is not None:
            self._logger.report_scalar("loss", "loss", moment.loss, at)
        if moment.step_seconds is not None:
            self._logger.report_scalar("step time", "seconds", moment.step_seconds, at)
        if moment.cpu_percent_of_core is not None:
            self._logger.report_scalar("CPU", "percent of a core", moment.cpu_percent_of_core, at)
        if moment.rss_bytes is not None:
            self._logger.report_scalar("RAM", "MB", moment.rss_bytes / 1e6, at)

    def deliver(self, record: RunRecord, folder: Path) -> None:
        """Leave the record and its companions with the task."""
        for name, value in dataclasses.asdict(record.measurement).items():
            if isinstance(value, (int, float)):
                self._logger.report_single_value(name, value)
        for name, file in (("timeline", records.TIMELINE_FILE), ("output-log", records.LOG_FILE)):
            if (folder / file).exists():
                self._task.upload_artifact(name, folder / file, wait_on_upload=True)
        outputs = folder / records.OUTPUTS_FOLDER
        if outputs.is_dir() and any(outputs.iterdir()):
            self._task.upload_artifact("outputs", outputs, wait_on_upload=True)
        self._task.upload_artifact("record", folder / records.RECORD_FILE, wait_on_upload=True)
        if record.failure is not None:
            self.fail(record.failure)

    def fail(self, failure: Failure) -> None:
        """Say why the task failed."""
        self._task.mark_failed(
            status_reason=f"{failure.kind}: {failure.message}", status_message=failure.kind, force=True
        )

    def close(self) -> None:
        """Send what is left."""
        self._task.flush(wait_for_uploads=True)


def _overlay_parameters(spec: TaskSpec, typed: Dict[str, str]) -> None:
    declared = workloads.WORKLOADS.get(spec.workload)
    for name, text in typed.items():
        if text == workloads.as_text(spec.parameters.get(name)):
            continue
        if declared is None:
            spec.parameters[name] = text
            continue
        for parameter in declared.parameters:
            if parameter.name == name:
                spec.parameters[name] = workloads.from_text(parameter, text)


def _overlay_run(spec: TaskSpec, run: Dict[str, str]) -> None:
    stack = run.get("stack")
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
    if not value > 0:
        raise workloads.ParameterError(f"{RUN_SECTION}/{name} is {text!r}, expected a number above 0")
    return value
