"""Deployment ``slurm``: the supervisor as a batch job of a Slurm cluster, on the stack in a folder that its nodes see.

The record comes back through the run folder. What waits, runs and was lost is said by ``slurm_commands``, how runs of
a scheduler are waited for is ``scheduled``'s; ``clusters.toml`` says how this cluster is to be used.
"""

from __future__ import annotations

import functools
import math
import os
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.launch import InDoubtError, LaunchError, Place, bare, cluster_settings, network_folders
from stackyard.launch import slurm_commands as commands
from stackyard.launch.cluster_settings import SlurmSettings
from stackyard.launch.outside_programs import RefusedError
from stackyard.launch.scheduled import Scheduler, Seen, SilentError
from stackyard.launch.scheduled_deployment import ScheduledDeployment
from stackyard.launch.slurm_commands import Node
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.workloads.environment import clean_environment
from stackyard_task.records import SUPERVISOR_LOG, TaskSpec

#: Room for the supervisor beside the workload, which lives in the same limit of Slurm's.
SUPERVISION_BYTES = 256 << 20
#: Slurm's time limit is so much later than the run's own, which the supervisor holds and records.
GRACE_SECONDS = 120.0
_MIB = 2**20
#: The node's own, of the variables that a run starts from.
_OF_THE_NODE = ("TMPDIR",)


class SlurmDeployment(ScheduledDeployment):
    """Runs are batch jobs of the cluster that ``sbatch`` on this machine submits to."""

    name = "slurm"
    about = "Slurm runs it on a node of a cluster"
    #: A signal goes by way of the controller and the node's daemon.
    stop_seconds = 60.0

    def why_not(self, stack: str, hardware: HardwareSpec, workers: int) -> str | None:
        """What this machine, the cluster or the stack lacks, or ``None``."""
        missing = [program for program in commands.PROGRAMS if shutil.which(program) is None]
        if missing:
            return f"no {missing[0]} is on the PATH: use a machine from which jobs are submitted to a Slurm cluster"
        try:
            settings, nodes = self.settings, self._nodes
        except StackyardError as error:
            return str(error)
        return (
            _partition_lacks(nodes, settings.partition)
            or _nodes_lack(self._usable, settings, hardware, workers)
            or self._stack_missing(stack)
            or self._unshared(nodes)
        )

    def queue(self, gpus: int) -> str:
        """The partition."""
        default = next((node.partition for node in self._known if node.is_default), None)
        return self._told.partition or default or "the default partition"

    def scheduler(self, gpus: int) -> Slurm:
        """The cluster, for runs that need so many GPUs."""
        return Slurm(self.settings, gpus, lambda: self._longest_minutes)

    @property
    def poll_seconds(self) -> float:
        """As clusters.toml says."""
        return self.settings.poll_seconds

    @functools.cached_property
    def settings(self) -> SlurmSettings:
        """The table [slurm].

        Raises:
            BadInputError: it cannot be used.
        """
        return cluster_settings.slurm(self.premises.settings)

    # -- underneath ----------------------------------------------------------------------------------

    @functools.cached_property
    def _nodes(self) -> list[Node]:
        return commands.nodes()

    @property
    def _known(self) -> list[Node]:
        try:
            return self._nodes
        except StackyardError:
            return []

    @property
    def _told(self) -> SlurmSettings:
        try:
            return self.settings
        except BadInputError:
            return SlurmSettings()

    @property
    def _usable(self) -> list[Node]:
        """The nodes that a run of ours may get."""
        return [node for node in self._nodes if node.is_up and self._is_ours(node)]

    @functools.cached_property
    def _longest_minutes(self) -> int | None:
        """How long a run may take where it may run; ``None``: as long as it likes, or nobody says."""
        ours = [node.minutes for node in self._known if self._is_ours(node)]
        return (
            max((minutes for minutes in ours if minutes is not None), default=None)
            if None not in ours
            else None
        )

    def _is_ours(self, node: Node) -> bool:
        wanted = self.settings.partition
        return node.partition in _names(wanted) if wanted else node.is_default

    def _stack_missing(self, stack: str) -> str | None:
        if self.premises.python_of(stack) is None:
            return f"not built: run `stackyard stack build {stack}`"
        return None

    def _unshared(self, nodes: list[Node]) -> str | None:
        """That nodes may not see our folders, where nobody has said that they do."""
        if self.settings.shared is not None:
            return (
                None
                if self.settings.shared
                else "clusters.toml says that nodes do not see its folders (shared)"
            )
        if {node.name for node in nodes} == {os.uname().nodename.split(".")[0]}:
            return None
        home = self.premises.settings.home
        kind = network_folders.kind_of(home)
        if kind is None or network_folders.is_shared(kind):
            return None
        return (
            f"{home} is on {kind}, which other machines do not see as a rule: put STACKYARD_HOME and the run folders "
            "on a file system that all nodes have, or write `shared = true` below [slurm] in clusters.toml"
        )


class Slurm(Scheduler):
    """The cluster.

    Args:
        settings: how it is to be used.
        gpus: how many GPUs each run gets.
        longest_minutes: how long its partition allows a run to take; ``None``: as long as it likes.
    """

    title = "Slurm"

    def __init__(
        self, settings: SlurmSettings, gpus: int, longest_minutes: Callable[[], int | None] = lambda: None
    ) -> None:
        self._settings = settings
        self._gpus = gpus
        self._longest_minutes = longest_minutes

    def submit(self, task: TaskSpec, place: Place, name: str) -> str:
        """Hand a run to ``sbatch``; answers the id of its job.

        Raises:
            LaunchError: the stack is not as it was built, or Slurm refuses the run or does not answer.
            InDoubtError: Slurm stopped answering meanwhile.
        """
        python = bare.made_ready(task, place)
        try:
            said = commands.called(
                "sbatch",
                arguments(task, place.folder, name, self._settings, self._gpus, self._longest_minutes()),
                script(python, place.folder, clean_environment(place.code), self._gpus),
            )
        except RefusedError as error:
            raise LaunchError(f"Slurm refuses the run: {error}") from error
        except SilentError as error:
            return self._submitted_all_the_same(name, error)
        id = said.strip().splitlines()[-1].partition(";")[0] if said.strip() else ""
        if not id.isdigit():
            raise InDoubtError(f"sbatch printed {said[:200]!r}, expected the number of a job; see squeue")
        return id

    def _submitted_all_the_same(self, name: str, error: SilentError) -> str:
        try:
            id = commands.found(name)
        except SilentError as still:
            raise InDoubtError(
                f"{error}; run {name} may wait in Slurm, so it is not submitted again"
            ) from still
        if id is None:
            raise LaunchError(str(error)) from error
        return id

    def find(self, name: str) -> str | None:
        """The id of the job of that name; ``None``: there is none."""
        return commands.found(name)

    def look(self, ids: Collection[str]) -> Mapping[str, Seen]:
        """What becomes of jobs."""
        return commands.seen(ids) if ids else {}

    def interrupt(self, id: str) -> None:
        """Take back a job that waits, and send the supervisor of one that runs SIGINT."""
        commands.cancelled(["--state=PENDING"], id)
        commands.cancelled(["--batch", "--signal=INT"], id)

    def kill(self, id: str) -> None:
        """Kill all processes of a job, then the job."""
        commands.cancelled(["--full", "--signal=KILL"], id)
        commands.cancelled([], id)


def arguments(
    task: TaskSpec,
    folder: Path,
    name: str,
    settings: SlurmSettings,
    gpus: int,
    longest_minutes: int | None = None,
) -> list[str]:
    """The options of ``sbatch`` for a run. Pure.

    A run without a limit of cores has all of a node, as one without a limit has all of a machine elsewhere.
    """
    log = str(folder / SUPERVISOR_LOG).replace("%", "%%")
    found = ["--parsable", f"--job-name={name}", f"--comment=stackyard {task.run_id[:100]}", "--no-requeue"]
    found += ["--nodes=1", "--ntasks=1", f"--chdir={folder}", f"--output={log}", "--open-mode=truncate"]
    cores, memory = task.limits.cores, task.limits.memory_bytes
    if cores is None or settings.exclusive:
        found.append("--exclusive")
    if cores is not None:
        found.append(f"--cpus-per-task={math.ceil(cores)}")
    if memory is not None:
        found.append(f"--mem={math.ceil((memory + SUPERVISION_BYTES) / _MIB)}M")
    elif cores is None:
        found.append("--mem=0")
    if gpus:
        kind = f"{settings.gpu_type}:" if settings.gpu_type else ""
        found.append(f"--gres=gpu:{kind}{gpus}")
    if task.time_limit_seconds is not None:
        own = commands.minutes(task.time_limit_seconds)
        with_grace = commands.minutes(task.time_limit_seconds + GRACE_SECONDS)
        # where the partition's own limit leaves no room for that, less is asked for, but never less than the run's
        found.append(f"--time={max(own, min(with_grace, longest_minutes or with_grace))}")
    elif settings.minutes is not None:
        found.append(f"--time={settings.minutes}")
    for key in ("partition", "account", "qos", "constraint", "reservation"):
        value = getattr(settings, key)
        if value is not None:
            found.append(f"--{key}={value}")
    return [*found, *settings.options]


def script(python: Path, folder: Path, environment: Mapping[str, str], gpus: int) -> str:
    """What Slurm runs: the supervisor in the place of the shell, in a clean environment. Pure.

    Slurm's own variables do not reach a workload: frameworks that find them take a run for a part of a larger one.
    """
    given = [
        f"{name}={shlex.quote(value)}" for name, value in environment.items() if name not in _OF_THE_NODE
    ]
    given.append('TMPDIR="${TMPDIR:-/tmp}"')
    if gpus:
        given.append('CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-}"')
    words = " ".join(shlex.quote(word) for word in bare.supervisor(python, folder))
    return f"#!/bin/sh\n# A run of Stackyard.\nexec env -i {' '.join(given)} {words}\n"


def _names(partitions: str | None) -> list[str]:
    return [] if partitions is None else partitions.split(",")


def _partition_lacks(nodes: list[Node], wanted: str | None) -> str | None:
    """That there is no such partition, or none where nothing is said; or ``None``."""
    there = sorted({node.partition for node in nodes})
    unknown = [name for name in _names(wanted) if name not in there]
    if not there:
        return "Slurm has no partition that you may use: ask whoever runs the cluster"
    if unknown:
        return f"Slurm has no partition {unknown[0]!r}, there are: {', '.join(there)}; change it in clusters.toml"
    if wanted is None and not any(node.is_default for node in nodes):
        return (
            f"Slurm has no default partition: name one of {', '.join(there)} below [slurm] in clusters.toml"
        )
    return None


def _nodes_lack(
    nodes: list[Node], settings: SlurmSettings, hardware: HardwareSpec, workers: int
) -> str | None:
    """Why no node, or not enough of them, can hold a cell's runs; ``None``: they can."""
    where = f"partition {settings.partition}" if settings.partition else "the default partition"
    if not nodes:
        return f"no node of {where} is up"
    cores = None if hardware.cores is None else math.ceil(hardware.cores)
    if hardware.cores is not None and hardware.cores != cores and os.geteuid() != 0:
        return (
            f"Slurm gives whole cores, and {hardware.cores:g} are asked for: a user may not divide one there"
        )
    most = max(node.cores for node in nodes)
    if cores is not None and cores > most:
        return f"{cores} cores are asked for, and the largest node of {where} has {most}"
    memory = 0
    if hardware.memory_bytes is not None:
        memory = math.ceil((hardware.memory_bytes + SUPERVISION_BYTES) / _MIB)
        large = max(node.memory_mib for node in nodes)
        if memory > large:
            return (
                f"{memory} MiB of memory are asked for (with {SUPERVISION_BYTES // _MIB} for the supervisor), and the "
                f"largest node of {where} has {large}"
            )
    kind = "" if settings.gpu_type is None else f" of type {settings.gpu_type}"
    many = max(_gpus(node, settings.gpu_type) for node in nodes)
    if hardware.gpus > many:
        return f"{hardware.gpus} GPUs{kind} are asked for, and a node of {where} has {many} at most"
    room = sum(_room(node, settings, cores, memory, hardware.gpus) for node in nodes)
    if room == 0:
        return f"no node of {where} has cores, memory and GPUs for a run at the same time"
    if room < workers:
        return f"{workers} workers are asked for at the same time, and the nodes of {where} hold {room} such runs"
    return None


def _gpus(node: Node, kind: str | None) -> int:
    return sum(count for name, count in node.gpus.items() if kind is None or name == kind)


def _room(node: Node, settings: SlurmSettings, cores: int | None, memory: int, gpus: int) -> int:
    """How many such runs a node holds at the same time."""
    have = _gpus(node, settings.gpu_type)
    fits = (cores or 0) <= node.cores and memory <= node.memory_mib and gpus <= have
    if not fits:
        return 0
    if cores is None or settings.exclusive:
        return 1
    counts = [node.cores // cores]
    if memory:
        counts.append(node.memory_mib // memory)
    if gpus:
        counts.append(have // gpus)
    return min(counts)
