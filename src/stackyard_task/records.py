"""The shapes that cross the seam: what a task is told (TaskSpec) and what a run leaves (RunRecord).

Plain data with a JSON form that carries ``api_version``. No measuring, no policy, no I/O except reading
and atomically writing one JSON file. Standard library only; both sides of the seam import this module.

Units are in the names; instants are ISO 8601 in UTC; not measured is ``None``, never 0.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Type, TypeVar

API_VERSION = 1

#: File names in a run folder.
TASK_FILE = "task.json"
RECORD_FILE = "record.json"
TIMELINE_FILE = "timeline.json"
LOG_FILE = "output.log"
#: What the supervisor itself printed; for a dispatched run that failed, the task's console. Absent when empty.
SUPERVISOR_LOG = "supervisor.log"
OUTPUTS_FOLDER = "outputs"

#: What the supervisor and the agent's Python may need beside a workload in the same container.
SUPERVISION_BYTES = 512 << 20

#: Why a run did not complete. Infrastructure kinds are not the workload's fault.
FAILURE_KINDS = (
    "code",  # the workload raised or exited non-zero
    "bad_input",  # the workload refused its input in one sentence
    "gate",  # the workload did its work, and its result is below what was demanded
    "stack_mismatch",  # what got loaded is not what the stack pins
    "out_of_memory",
    "time_limit",
    "killed",  # by a signal we did not send
    "interrupted",  # we were told to stop (Ctrl-C, SIGTERM)
    "infrastructure",  # the child could not be started or observed
)


class RecordError(ValueError):
    """A file is not a record we can read: the message names the file, the key and what was seen."""


@dataclass
class StackPin:
    """What the stack promises; compared at task start with what was really loaded."""

    name: str
    digest: Optional[str] = None
    python: Optional[str] = None
    torch: Optional[str] = None
    #: CUDA version of the build ("10.2"), or "cpu"; ``None``: not checked.
    cuda: Optional[str] = None


@dataclass
class Limits:
    """Hardware limits to put on the child. ``None``: no limit."""

    #: Greatest CPU use in cores; fractions allowed (0.5 = half a core).
    cores: Optional[float] = None
    memory_bytes: Optional[int] = None


@dataclass
class Code:
    """Which code ran."""

    version: Optional[str] = None
    dirty: Optional[bool] = None
    #: SHA-256 over the package's files.
    digest: Optional[str] = None
    #: SHA-256 of the wheel it travelled in; ``None``: it did not travel.
    wheel: Optional[str] = None


@dataclass
class TaskSpec:
    """What a launcher hands to the supervisor, as ``task.json`` in the run folder."""

    run_id: str
    workload: str
    parameters: Dict[str, Any] = field(default_factory=dict)
    scenario: Optional[str] = None
    #: Axis name -> value: deployment, stack, hardware, workload and any further axis.
    cell: Dict[str, str] = field(default_factory=dict)
    block: Optional[int] = None
    warm_up: bool = False
    stack: Optional[StackPin] = None
    limits: Limits = field(default_factory=Limits)
    #: ``None``: as many as the limits allow (at least 1).
    threads: Optional[int] = None
    #: Environment variables set for the child only (the stack's environment and tunables).
    environment: Dict[str, str] = field(default_factory=dict)
    time_limit_seconds: Optional[float] = None
    code: Code = field(default_factory=Code)
    #: How to measure: one of ``run.METHODS``; ``None``: as the supervisor's own environment says.
    measure: Optional[str] = None
    api_version: int = API_VERSION


#: TaskSpec.workload of a pipeline's controller, which is no workload: it waits for the steps that its parameters name.
PIPELINE = "pipeline"


@dataclass
class PipelineStep:
    """One step of a pipeline, as its controller is told (TaskSpec.parameters["steps"] holds a list of them)."""

    name: str
    #: Id of the task it becomes a copy of.
    template: str
    queue: str
    parents: List[str] = field(default_factory=list)
    #: What its TaskSpec is, but for the parameters that name what other steps leave.
    spec: Optional[TaskSpec] = None
    #: Hyperparameters "Section/name" -> text; "${NAME.id}" stands for the id of another step's task.
    parameters: Dict[str, str] = field(default_factory=dict)
    #: Image and the engine's arguments; ``None``: on the host.
    image: Optional[str] = None
    image_arguments: str = ""


@dataclass
class StepTimes:
    """Durations of the workload's steps in its steady phase."""

    count: int
    mean_seconds: float
    p50_seconds: float
    p95_seconds: float


@dataclass
class GpuUse:
    """What the child's process tree used of one GPU."""

    index: int
    name: Optional[str] = None
    uuid: Optional[str] = None
    peak_memory_bytes: Optional[int] = None
    #: "nvml accounting" or "nvml sampled".
    peak_memory_method: Optional[str] = None
    torch_peak_allocated_bytes: Optional[int] = None
    torch_peak_reserved_bytes: Optional[int] = None
    utilisation_percent_mean: Optional[float] = None
    utilisation_percent_max: Optional[float] = None
    energy_joules: Optional[float] = None


@dataclass
class Measurement:
    """What the child's process tree used; the supervisor's own use stands apart in ``overhead_*``."""

    # Time. wall = start of the child to the end of its tree; the parts add up to it.
    wall_seconds: Optional[float] = None
    startup_seconds: Optional[float] = None
    data_seconds: Optional[float] = None
    warmup_seconds: Optional[float] = None
    steady_seconds: Optional[float] = None
    finish_seconds: Optional[float] = None

    # CPU of all descendants, orphans included. 100 percent of core = one core.
    cpu_user_seconds: Optional[float] = None
    cpu_system_seconds: Optional[float] = None
    cpu_seconds: Optional[float] = None
    cpu_method: Optional[str] = None
    cpu_percent_of_core: Optional[float] = None
    cpu_percent_of_core_max: Optional[float] = None
    cpu_percent_of_allowed: Optional[float] = None
    cpu_percent_of_allowed_max: Optional[float] = None

    # Memory. Greatest simultaneous resident memory of the tree, each shared page once.
    peak_rss_bytes: Optional[int] = None
    peak_rss_method: Optional[str] = None
    peak_rss_low_bytes: Optional[int] = None
    peak_rss_high_bytes: Optional[int] = None
    #: The cgroup's own peak: page cache included.
    cgroup_peak_bytes: Optional[int] = None
    #: RSS minus shared pages, summed over the tree (the definition of study 002).
    peak_rss_minus_shared_bytes: Optional[int] = None

    #: Processes that outlived the child idly and were ended by the supervisor.
    orphans_ended: Optional[int] = None

    disk_read_bytes: Optional[int] = None
    disk_written_bytes: Optional[int] = None
    gpus: List[GpuUse] = field(default_factory=list)
    steps: Optional[StepTimes] = None
    energy_joules: Optional[float] = None
    energy_method: Optional[str] = None

    # What measuring itself cost.
    overhead_cpu_seconds: Optional[float] = None
    overhead_peak_rss_bytes: Optional[int] = None
    overhead_samples: Optional[int] = None
    sampling_interval_seconds: Optional[float] = None


@dataclass
class Environment:
    """Where the run happened and what was really loaded."""

    host: Optional[str] = None
    cpu_model: Optional[str] = None
    machine_cores: Optional[int] = None
    #: Cores in the affinity mask.
    affinity_cores: Optional[int] = None
    #: CPU quota in cores; ``None``: no quota.
    quota_cores: Optional[float] = None
    #: min(affinity, quota): what 100 percent of allowed means.
    allowed_cores: Optional[float] = None
    machine_ram_bytes: Optional[int] = None
    ram_limit_bytes: Optional[int] = None
    #: How the limits were held: "cgroup v1", "cgroup v2", "affinity + rlimit", or ``None`` without limits.
    limit_mechanism: Optional[str] = None
    cgroup_version: Optional[int] = None
    kernel: Optional[str] = None
    os: Optional[str] = None
    python: Optional[str] = None
    torch: Optional[str] = None
    cuda: Optional[str] = None
    numpy: Optional[str] = None
    gpu_names: List[str] = field(default_factory=list)
    gpu_driver: Optional[str] = None
    stack: Optional[str] = None
    stack_digest: Optional[str] = None
    code_version: Optional[str] = None
    code_dirty: Optional[bool] = None
    code_digest: Optional[str] = None
    code_wheel: Optional[str] = None
    threads: Optional[int] = None
    tunables: Dict[str, str] = field(default_factory=dict)
    #: CPU used by everything but the child's tree and the supervisor, in percent of the whole machine.
    other_cpu_percent_of_machine: Optional[float] = None
    load_average_before: Optional[float] = None
    #: Time the child was held back by its CPU quota.
    throttled_seconds: Optional[float] = None
    #: Wall clock minus monotonic clock over the run: not near zero = the clock was set.
    clock_jump_seconds: Optional[float] = None


@dataclass
class Failure:
    """Why a run did not complete."""

    #: One of FAILURE_KINDS.
    kind: str
    #: One sentence: what was seen, what was expected, what to do.
    message: str
    exit_code: Optional[int] = None
    signal: Optional[int] = None


@dataclass
class Dispatch:
    """How a run came to its machine; all of it before the child's start, so none of it is in its figures."""

    #: ClearML task and the worker that ran it.
    task_id: Optional[str] = None
    queue: Optional[str] = None
    worker: Optional[str] = None
    #: The image, with its digest; ``None``: not in a container.
    image: Optional[str] = None
    #: Server's clock: put into the queue; taken by an agent.
    enqueued_at: Optional[str] = None
    pulled_at: Optional[str] = None
    #: Worker's clock: the container's first process; the first line of the entry script; the child's start.
    container_started_at: Optional[str] = None
    user_code_at: Optional[str] = None
    workload_started_at: Optional[str] = None
    #: Server's clock: the task has its final status.
    finished_at: Optional[str] = None
    #: Starts of this run that failed for reasons of the infrastructure, and were made again.
    retries: int = 0


@dataclass
class RunRecord:
    """What a run leaves, whether it completed or failed."""

    run_id: str
    workload: str
    #: "completed" or "failed".
    status: str
    started_at: str
    finished_at: str
    scenario: Optional[str] = None
    cell: Dict[str, str] = field(default_factory=dict)
    block: Optional[int] = None
    warm_up: bool = False
    failure: Optional[Failure] = None
    measurement: Measurement = field(default_factory=Measurement)
    environment: Environment = field(default_factory=Environment)
    parameters: Dict[str, Any] = field(default_factory=dict)
    #: What the workload found: name -> number (losses, f1, sessions...) or text.
    results: Dict[str, Any] = field(default_factory=dict)
    #: Phases seen, in order: [{"name", "at_seconds"}] since the child's start.
    phases: List[Dict[str, Any]] = field(default_factory=list)
    #: ``None``: started directly, without a server.
    dispatch: Optional[Dispatch] = None
    api_version: int = API_VERSION


T = TypeVar("T")


def to_json(value: Any) -> Dict[str, Any]:
    """The JSON form of a dataclass of this module: a dict of plain values."""
    return dataclasses.asdict(value)


def from_json(shape: Type[T], value: Any, where: str = "record") -> T:
    """A ``shape`` built from its JSON form; unknown keys are ignored (written by a newer version).

    Raises:
        RecordError: not an object, a required key is missing, or an ``api_version`` newer than ours.
    """
    if not isinstance(value, dict):
        raise RecordError(f"{where}: expected a JSON object, found {type(value).__name__}")
    version = value.get("api_version", API_VERSION)
    if not isinstance(version, int) or version > API_VERSION:
        raise RecordError(
            f"{where}: api_version {version!r} is newer than {API_VERSION}, the newest this version reads; "
            "update stackyard"
        )
    hints = typing.get_type_hints(shape)
    arguments: Dict[str, Any] = {}
    for spec in dataclasses.fields(shape):  # type: ignore[arg-type]
        if spec.name in value:
            arguments[spec.name] = _build(hints[spec.name], value[spec.name], f"{where}.{spec.name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise RecordError(f"{where}: key {spec.name!r} is missing")
    return shape(**arguments)


def _build(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type ``hint`` asks for, descending into dataclasses."""
    if value is None:
        return None
    options = [a for a in typing.get_args(hint) if a is not type(None)]
    if typing.get_origin(hint) is typing.Union and len(options) == 1:
        return _build(options[0], value, where)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is list and options and dataclasses.is_dataclass(options[0]):
        if not isinstance(value, list):
            raise RecordError(f"{where}: expected a list, found {type(value).__name__}")
        return [_build(options[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    return value


def read_json(shape: Type[T], path: Path) -> T:
    """A ``shape`` read from a JSON file.

    Raises:
        RecordError: the file is missing, not UTF-8 JSON, or not of that shape.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RecordError(f"{path}: not JSON ({error})") from error
    return from_json(shape, value, str(path))


def write_json(value: Any, path: Path) -> None:
    """Write a dataclass (or plain JSON value) to ``path`` atomically: whole or not at all.

    Raises:
        OSError: the disk is full or the folder is not writable; no partial file is left.
    """
    plain = to_json(value) if dataclasses.is_dataclass(value) else value
    text = json.dumps(plain, indent=1, allow_nan=False, default=str) + "\n"
    handle, name = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, str(path))
    except BaseException:
        if os.path.exists(name):
            os.unlink(name)
        raise
