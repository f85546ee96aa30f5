"""The shapes that cross the seam: what a task is told (TaskSpec) and what a run leaves (RunRecord).

Plain data with a JSON form that carries ``api_version``. No measuring, no policy, no I/O. ``shapes`` reads, checks and
writes it; its functions are offered here too. Standard library only; both sides of the seam import this module.

Units are in the names; instants are ISO 8601 in UTC; not measured is ``None``, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from stackyard_task.commands import Command
from stackyard_task.criteria import Criteria, Stopped
from stackyard_task.shapes import (  # noqa: F401 - offered here too
    LIST_BYTES,
    RecordError,
    fits,
    from_json,
    opened,
    parse,
    read_json,
    to_json,
    write_json,
)
from stackyard_task.workloads import Workload

API_VERSION = 1

#: File names in a run folder.
TASK_FILE = "task.json"
RECORD_FILE = "record.json"
#: And of a folder of several runs: what they are to be.
PLAN_FILE = "plan.json"
TIMELINE_FILE = "timeline.json"
LOG_FILE = "output.log"
#: What the supervisor itself printed; for a dispatched run that failed, the task's console. Absent when empty.
SUPERVISOR_LOG = "supervisor.log"
#: What a run under way does, or waits for (Progress); gone when it is over.
PROGRESS_FILE = "progress.json"
#: Of an ordinary task: how it came here (Dispatch).
WAY_FILE = "way.json"
OUTPUTS_FOLDER = "outputs"
#: Of a command: the copy of its folder that it works in, gone when the run is over; the values of its metrics in order.
WORK_FOLDER = "work"
SERIES_FILE = "series.json"

#: What the supervisor and the agent's Python may need beside a workload in the same container.
SUPERVISION_BYTES = 512 << 20

#: How a run is measured. "auto": a cgroup where one can be made; "processes": never; "alike": a cgroup only holds
#: limits and the figures come from the processes, as in a container: like is compared with like in one matrix.
METHODS = ("auto", "processes", "alike")
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
    #: SHA-256 over all files of the snapshot that ran.
    digest: Optional[str] = None
    #: SHA-256 over those of them that are the user's own, beside the scenario; ``None``: there are none.
    own_digest: Optional[str] = None
    #: SHA-256 of the wheel it travelled in; ``None``: it did not travel.
    wheel: Optional[str] = None
    #: Commit of the repository that a command's folder is in, and whether the folder differs from it.
    own_version: Optional[str] = None
    own_dirty: Optional[bool] = None


#: Names in TaskSpec.wanted.
WANTED_KEPT = 10


@dataclass
class TaskSpec:
    """What a launcher hands to the supervisor, as ``task.json`` in the run folder."""

    run_id: str
    #: Name of a declared workload, or the function of the user's own to call: "work.py:main", "module:function".
    workload: str
    parameters: Dict[str, Any] = field(default_factory=dict)
    #: The workload's declaration; ``None``: a function that declares nothing, whose parameters pass as they are.
    declared: Optional[Workload] = None
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
    #: Whether whoever sent it reads what it does while it runs, all that ``Progress`` has.
    followed: bool = False
    #: Where the run is stopped, with what it has found until then.
    criteria: Criteria = field(default_factory=Criteria)
    #: Metrics and results that are kept beyond the first ones: whoever sent it decides by them. WANTED_KEPT at most.
    wanted: List[str] = field(default_factory=list)
    code: Code = field(default_factory=Code)
    #: How to measure: one of METHODS; ``None``: as the supervisor's own environment says.
    measure: Optional[str] = None
    #: Of a command: the archive of its folder, and what its inputs are; paths, or references as of parameters.
    work: Optional[str] = None
    inputs: Dict[str, str] = field(default_factory=dict)
    api_version: int = API_VERSION

    @property
    def command(self) -> Optional[Command]:
        """What is executed; ``None``: a function is called."""
        return None if self.declared is None else self.declared.command


#: TaskSpec.workload of a pipeline's controller, which is no workload: it waits for the steps that its parameters name.
PIPELINE = "pipeline"
#: The same of a study's controller: it has our side search, as a configuration object of its task says.
TUNING = "tuning"


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

    # Time. wall = start of the child to the end of its tree; the parts add up to it, where the function names any.
    wall_seconds: Optional[float] = None
    startup_seconds: Optional[float] = None
    #: Of a command: its own code before, or without, any phase that it names.
    script_seconds: Optional[float] = None
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
    #: What of the peak is mapped files, such as libraries: a cgroup counts them for whoever read them first.
    peak_mapped_files_bytes: Optional[int] = None
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
    code_own_digest: Optional[str] = None
    code_wheel: Optional[str] = None
    code_own_version: Optional[str] = None
    code_own_dirty: Optional[bool] = None
    #: Packages that were really loaded, with their versions; ``None``: nobody told.
    packages: Optional[Dict[str, str]] = None
    #: And those that a script found outside the folders of installed packages: beside itself, on its PYTHONPATH.
    packages_elsewhere: Optional[Dict[str, str]] = None
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
class Witness:
    """What somebody outside counted over the same span: all that ran in the container, the supervisor included."""

    #: Who counted what: "cgroup v1 of the container, read by its agent".
    method: Optional[str] = None
    cpu_seconds: Optional[float] = None
    #: Greatest anonymous and shared memory: no page cache, no mapped files.
    peak_bytes: Optional[int] = None
    #: The cgroup's own peak: page cache, mapped files that were first read here, and kernel memory included.
    charged_peak_bytes: Optional[int] = None
    #: What of it is known to be the supervisor's own.
    supervisor_cpu_seconds: Optional[float] = None
    supervisor_bytes: Optional[int] = None
    #: Without the supervisor's: by how much it differs from cpu_seconds of the measurement, in percent of that;
    cpu_differs_percent: Optional[float] = None
    #: and from peak_rss_bytes without mapped files, in percent of peak_rss_bytes. Positive: the witness saw more.
    #: ``None``, too, of a peak that was hardly seen: its own bounds are far apart.
    peak_differs_percent: Optional[float] = None


#: Instants of a Dispatch in the order in which they happen.
INSTANTS = (
    "enqueued_at",
    "pulled_at",
    "container_started_at",
    "user_code_at",
    "workload_started_at",
    "finished_at",
)


@dataclass
class Alarm:
    """What a run used left the level of its first steps, and stayed away."""

    #: "rss_bytes", "cpu_percent_of_core" or "step_seconds".
    metric: str
    #: Of the first steps, and since it left.
    level: float
    seen: float
    #: "bytes", "percent" or "seconds".
    unit: str
    #: Since the start of the run: when it left.
    at_seconds: float
    #: One sentence.
    message: str


#: How a run ended: by itself with its work done; at a criterion of its TaskSpec; in any other way.
STATUSES = ("completed", "stopped", "failed")


@dataclass
class RunRecord:
    """What a run leaves, however it ended."""

    run_id: str
    workload: str
    #: One of STATUSES.
    status: str
    started_at: str
    finished_at: str
    scenario: Optional[str] = None
    cell: Dict[str, str] = field(default_factory=dict)
    block: Optional[int] = None
    warm_up: bool = False
    failure: Optional[Failure] = None
    #: The criterion of its TaskSpec that it broke, where its status is "stopped"; that is no failure.
    stopped: Optional[Stopped] = None
    measurement: Measurement = field(default_factory=Measurement)
    environment: Environment = field(default_factory=Environment)
    parameters: Dict[str, Any] = field(default_factory=dict)
    #: What the workload found: name -> number (losses, f1, sessions...) or text.
    results: Dict[str, Any] = field(default_factory=dict)
    #: Phases seen, in order: [{"name", "at_seconds"}] since the child's start.
    phases: List[Dict[str, Any]] = field(default_factory=list)
    #: The words of a command as they were executed; ``None``: a function was called.
    command: Optional[List[str]] = None
    #: What a reader should know of a run that stands, each a sentence: a metric that gave nothing, what was removed.
    notes: List[str] = field(default_factory=list)
    #: What left its level while the run was at its steps; each is told in a note too.
    alarms: List[Alarm] = field(default_factory=list)
    #: ``None``: started directly, without a server.
    dispatch: Optional[Dispatch] = None
    #: A second count of what the run used; ``None``: nobody was there to count.
    witness: Optional[Witness] = None
    #: What the workload said through its channel and was left out: step times that are no numbers, broken lines.
    not_understood: Optional[int] = None
    api_version: int = API_VERSION


def failed(task: TaskSpec, started_at: str, finished_at: str, failure: Failure) -> RunRecord:
    """The record of a run that left none itself: what it was, and why it failed."""
    return RunRecord(
        run_id=task.run_id,
        workload=task.workload,
        status="failed",
        started_at=started_at,
        finished_at=finished_at,
        scenario=task.scenario,
        cell=task.cell,
        block=task.block,
        warm_up=task.warm_up,
        failure=failure,
        parameters=task.parameters,
    )


def status_of(record: RunRecord) -> str:
    """The status of a record, by what it says of its end."""
    if record.failure is not None:
        return "failed"
    return "completed" if record.stopped is None else "stopped"


@dataclass
class Point:
    """A value that a run told at a step of its own."""

    step: float
    #: When it was told: since the start of the run, and in CPU seconds of its whole tree.
    at_seconds: float
    cpu_seconds: Optional[float] = None
    #: ``None``: what was told is no finite number.
    value: Optional[float] = None


@dataclass
class Progress:
    """What a run under way does, as ``progress.json`` holds it."""

    phase: Optional[str] = None
    done: Optional[float] = None
    total: Optional[float] = None
    unit: Optional[str] = None
    loss: Optional[float] = None
    elapsed_seconds: Optional[float] = None
    #: So far: CPU of all descendants, and the most memory that a sample saw.
    cpu_seconds: Optional[float] = None
    most_rss_bytes: Optional[int] = None
    #: Now: resident memory of the tree, and that without shared pages; on the GPU where it is most.
    rss_bytes: Optional[int] = None
    rss_minus_shared_bytes: Optional[int] = None
    gpu_memory_bytes: Optional[int] = None
    #: Steps told so far, and the mean of the last ones.
    steps: Optional[int] = None
    step_seconds: Optional[float] = None
    #: The last point of each metric that was told.
    metrics: Dict[str, Point] = field(default_factory=dict)


@dataclass
class PhaseStart:
    """A phase of the workload, and when it began."""

    name: str
    #: Since the child's start.
    at_seconds: float


@dataclass
class GpuCourse:
    """What a run used of one GPU, point by point."""

    index: int = 0
    memory_bytes: List[Optional[float]] = field(default_factory=list)
    utilisation_percent: List[Optional[float]] = field(default_factory=list)


@dataclass
class Course:
    """How a run went, as ``timeline.json`` holds it: every series has a value, or ``None``, for each instant."""

    t_seconds: List[float] = field(default_factory=list)
    interval_seconds: Optional[float] = None
    cpu_percent_of_core: List[Optional[float]] = field(default_factory=list)
    rss_bytes: List[Optional[float]] = field(default_factory=list)
    gpus: List[GpuCourse] = field(default_factory=list)
    phases: List[PhaseStart] = field(default_factory=list)
