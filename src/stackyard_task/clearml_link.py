"""The supervisor's link to a ClearML server: what the task says, how it came, how it ends.

Speaks through ``api``, as its neighbours do (``clearml_live`` shows a run under way, ``clearml_results`` leaves what
came of it). The SDK is loaded only where a run names a data set, a model or an artifact.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from stackyard_task import aborts, handing_in, records, telemetry, workloads
from stackyard_task.api import ApiError, Refused, Server, address
from stackyard_task.clearml_live import Live, Reports
from stackyard_task.clearml_results import NotDelivered, Results
from stackyard_task.criteria import Stopped
from stackyard_task.handing_in import table
from stackyard_task.inputs import DATASETS_SECTION, Fetcher, Used, files_cache, held
from stackyard_task.progress import Moment, Watcher
from stackyard_task.records import Dispatch, Failure, RunRecord, StackPin, TaskSpec

TASK_VARIABLE = "CLEARML_TASK_ID"
#: The configuration object that holds a task's TaskSpec.
SPEC = "Stackyard"
#: The hyperparameter section that names stack and limits instead of the workload's parameters.
RUN_SECTION = "Run"
#: Section of what a command reads, one field for each input.
INPUTS_SECTION = "Inputs"
#: Sections that are ClearML's own: notes about a task, never parameters of a workload.
NOTE_SECTIONS = ("properties", DATASETS_SECTION)
#: What of a task's document is read.
FIELDS = (
    *("id", "name", "status", "started", "project.id", "project.name", "hyperparams", "configuration"),
    *("execution.queue", "output.destination", "tags", "runtime"),
)
#: How long a server that is away is waited for: it is started again, or its proxy says so meanwhile.
PATIENCE_SECONDS = 60.0

#: Statuses of a task that is over.
ENDED = ("stopped", "failed", "completed", "closed", "published")


def connect() -> Link:
    """The link of the task this process was started for.

    Raises:
        ApiError: no server or task is named, or the server does not answer.
    """
    id = os.environ.get(TASK_VARIABLE)
    if not id:
        raise Refused(f"{TASK_VARIABLE} names no task: this is for an agent to run")
    server = Server(address(os.environ), PATIENCE_SECONDS)
    return Link(server, handing_in.document(server, id, FIELDS))


class Link:
    """A ClearML task, in the words of a run.

    Args:
        server: where it is.
        task: its document, FIELDS of it.
    """

    def __init__(self, server: Server, task: Dict[str, Any]) -> None:
        self._server = server
        self._task = task
        self._id = str(task["id"])
        #: Brings here what parameters name (``inputs.Fetcher``).
        self.inputs = Inputs()
        self._watch = aborts.Watch(server, self._id)
        self._asked: Dict[str, Any] = {}
        self._live: Optional[Live] = None
        self._reports: Optional[Reports] = None
        self._stage: Optional[telemetry.Stage] = None

    def spec(self) -> TaskSpec:
        """What to run: the configuration object, with the hyperparameters people may have edited laid over it.

        Raises:
            RecordError: there is no such object, or it or a parameter cannot be read.
        """
        text = table(table(self._task, "configuration"), SPEC).get("value")
        if not text:
            raise records.RecordError(
                f"the task has no configuration object {SPEC!r}; submit it with stackyard"
            )
        place = f"configuration {SPEC}"
        spec = records.from_json(TaskSpec, records.parse(str(text), place), place)
        spec.run_id = spec.run_id or self._id
        try:
            overlay(spec, self._sections())
        except workloads.ParameterError as error:
            raise records.RecordError(str(error)) from error
        self._asked = copy.deepcopy(spec.parameters)
        self._forget_notes()
        return spec

    def _forget_notes(self) -> None:
        """Remove the data sets of the run that this task was cloned from."""
        names = list(table(table(self._task, "hyperparams"), DATASETS_SECTION))
        if names:
            entries = [{"section": DATASETS_SECTION, "name": name} for name in names]
            self._server.call("tasks.delete_hyper_params", task=self._id, hyperparams=entries, force=True)

    def _sections(self) -> Dict[str, Dict[str, str]]:
        sections = table(self._task, "hyperparams")
        return {
            section: {
                name: str(table(parameters, name).get("value") or "") for name in table(sections, section)
            }
            for section, parameters in sections.items()
        }

    def dispatch(self) -> Dispatch:
        """How the task came here, as far as the server knows."""
        queue = table(self._task, "execution").get("queue")
        return Dispatch(
            task_id=self._id,
            queue=str(queue.get("id") if isinstance(queue, dict) else queue or "") or None,
            worker=os.environ.get("CLEARML_WORKER_ID"),
            image=os.environ.get("CLEARML_DOCKER_IMAGE"),
            pulled_at=self._task.get("started"),
        )

    def watcher(self, spec: TaskSpec, folder: Path) -> Watcher:
        """What the supervisor tells of the run under way in ``folder``."""
        self._reports = Reports(self._server, self._id)
        live = self._live = Live(self._reports, folder / records.LOG_FILE, followed=spec.followed)
        stage = self._stage = telemetry.stage(spec, self._id)
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
            for name, (step, value) in _last_points(folder).items():
                self._live.metric(name, step, value)
            self._live.end(record.status == "completed")
        if self._stage is not None:
            self._stage.end(record)
        record.parameters = self._asked  # what was asked for, not where its copies lay on this machine
        records.write_json(record, folder / records.RECORD_FILE)
        left = self._reports.end() if self._reports is not None else []
        Results(self._server, self._task, self.inputs.used, left).deliver(record, folder)

    def configuration(self, name: str) -> str:
        """The text of another configuration object; "" where there is none."""
        return str(table(table(self._task, "configuration"), name).get("value") or "")

    @property
    def server(self) -> Server:
        """Where the task is; for one thread."""
        return self._server

    @property
    def document(self) -> Mapping[str, Any]:
        """What the server said of the task when it began, FIELDS of it."""
        return self._task

    def aborted(self) -> bool:
        """Whether somebody ended the task; not so of one that waits to run again, nor where the server does not say."""
        try:
            found = handing_in.document(self._server, self._id, ("id", "status", "status_message"))
        except handing_in.NoTask:
            return True
        except ApiError:
            return False
        return found.get("status") != "queued" and aborts.why_over(found) is not None

    def close(self) -> None:
        """Send what is left, and tell an agent that waits after an abort that it need not any longer."""
        self._watch.stop()
        if self._reports is not None:
            self._reports.end()
        if self.inputs.sdk is not None:
            self.inputs.sdk.close()

    def let_go(self) -> None:
        """Tell an agent that waits after an abort that what there is has been left."""
        if self._watch.why is not None:
            aborts.is_over(self._server, self._id)

    def end_on_abort(self, seconds: float) -> None:
        """From here on this process is sent SIGTERM when somebody aborts the task.

        The agent ends what is left of the task once it has been let go, and after ``seconds`` in any case.
        """
        aborts.expect(self._server, self._id, seconds)
        self._watch.start()

    def ended(self) -> bool:
        """Whether the server counts the task as ended already, or knows it no more; not so where it does not say."""
        try:
            return str(handing_in.document(self._server, self._id, ("id", "status")).get("status")) in ENDED
        except handing_in.NoTask:
            return True
        except ApiError:
            return False

    def fail(self, failure: Failure) -> bool:
        """Say why the task failed, as the last word; whether the server took it.

        Whoever asks this should exit with 0 then: of any other status the agent would make a reason of its own.
        """
        return handing_in.fail(self._server, self._id, failure)

    def stop(self, stopped: Stopped) -> bool:
        """Say at which criterion the run was stopped, as the last word; whether the server took it.

        Whoever asks this should wait to be ended then: of any exit status the agent would make an end of its own.
        """
        aborts.expect_no_more(self._server, self._id)
        return handing_in.stop(self._server, self._id, stopped)


class Inputs:
    """Brings what parameters name, and loads the SDK for what only it can bring. Implements ``inputs.Fetcher``."""

    def __init__(self) -> None:
        #: ``clearml_sdk``, once it has been loaded.
        self.sdk: Any = None
        self._by_sdk: Any = None

    @property
    def used(self) -> List[Used]:
        """What the run was given."""
        return [] if self._by_sdk is None else list(self._by_sdk.used)

    def file(self, url: str, sha256: str) -> Path:
        """The file at ``url``, kept under its digest."""
        cache = files_cache(os.environ)
        place = held(cache, sha256, url.rsplit("/", 1)[-1]) if cache is not None else None
        return place or self._loaded().file(url, sha256)

    def dataset(self, name: str) -> Path:
        """The folder of a data set: an id, or project/name[@version]; without a version the newest."""
        return self._loaded().dataset(name)

    def model(self, model_id: str) -> Path:
        """The folder of a registered model: an id, or project/name, of which it is the newest."""
        return self._loaded().model(model_id)

    def artifact(self, task_id: str, name: str) -> Path:
        """The file or unpacked folder of an artifact of another task."""
        return self._loaded().artifact(task_id, name)

    def _loaded(self) -> Fetcher:
        if self._by_sdk is None:
            from stackyard_task import clearml_sdk  # before the other: it loads the SDK as we want it
            from stackyard_task.clearml_inputs import Inputs as BySdk

            self.sdk = clearml_sdk
            self._by_sdk = BySdk(clearml_sdk.task())
        found: Fetcher = self._by_sdk
        return found


def _last_points(folder: Path) -> Dict[str, Tuple[float, float]]:
    """The last step and value of each metric of a run that has ended."""
    try:
        series = records.read_json(Dict[str, List[List[Any]]], folder / records.SERIES_FILE)
    except records.RecordError:  # none was told
        return {}
    ends = {name: points[-1] for name, points in series.items() if points and len(points[-1]) >= 2}
    numbers = {name: (end[0], end[1]) for name, end in ends.items()}
    return {name: pair for name, pair in numbers.items() if all(isinstance(n, (int, float)) for n in pair)}


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
