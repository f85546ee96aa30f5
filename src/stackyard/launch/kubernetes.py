"""Deployment ``kubernetes``: the supervisor as a Job of a cluster, in its stack's image, on a folder that is a volume.

Never run against a real cluster, which ``about`` says: its manifests are held against the published schemas, and its
launcher was tried on a simulated ``kubectl``. What is sent is ``kubernetes_manifest``'s, what comes back
``kubernetes_commands``', how runs of a scheduler are waited for ``scheduled``'s.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.launch import InDoubtError, LaunchError, Place, cluster_settings
from stackyard.launch import kubernetes_commands as commands
from stackyard.launch import kubernetes_manifest as manifest
from stackyard.launch.cluster_settings import KubernetesSettings
from stackyard.launch.kubernetes_commands import Node
from stackyard.launch.outside_programs import RefusedError
from stackyard.launch.scheduled import Scheduler, Seen, SilentError
from stackyard.launch.scheduled_deployment import ScheduledDeployment
from stackyard.machine.hardware_spec import HardwareSpec
from stackyard.stacks import images
from stackyard.workloads.environment import clean_environment
from stackyard_task.records import TaskSpec


class KubernetesDeployment(ScheduledDeployment):
    """Runs are Jobs of the cluster that ``kubectl`` on this machine speaks to."""

    name = "kubernetes"
    about = "Kubernetes runs it as a Job in its stack's image (never run against a real cluster)"
    in_container = True
    #: What a pod gets that is to end, and the way there and back.
    stop_seconds = manifest.STOP_SECONDS + 30.0

    def why_not(self, stack: str, hardware: HardwareSpec, workers: int) -> str | None:
        """What this machine, the settings, the cluster or the stack lacks, or ``None``."""
        if shutil.which(commands.PROGRAM) is None:
            return f"no {commands.PROGRAM} is on the PATH: install it, and see docs/clusters.md"
        try:
            return (
                self._settings_lack()
                or self._image_missing(stack)
                or self._cluster_refuses
                or _nodes_lack(self._nodes, self.settings, hardware, workers)
            )
        except StackyardError as error:
            return str(error)

    def queue(self, gpus: int) -> str:
        """The namespace."""
        try:
            return f"namespace {self.settings.namespace}"
        except BadInputError:
            return "a namespace"

    def scheduler(self, gpus: int) -> Kubernetes:
        """The cluster, for runs that need so many GPUs."""
        return Kubernetes(self.settings, gpus, self._image)

    @property
    def poll_seconds(self) -> float:
        """As clusters.toml says."""
        return self.settings.poll_seconds

    @functools.cached_property
    def settings(self) -> KubernetesSettings:
        """The table [kubernetes].

        Raises:
            BadInputError: it cannot be used.
        """
        return cluster_settings.kubernetes(self.premises.settings)

    # -- underneath ----------------------------------------------------------------------------------

    @functools.cached_property
    def _nodes(self) -> list[Node] | None:
        return commands.nodes(self.settings)

    @functools.cached_property
    def _cluster_refuses(self) -> str | None:
        if commands.may_create(self.settings):
            return None
        return f"you may not make Jobs in namespace {self.settings.namespace}: ask whoever runs the cluster"

    def _settings_lack(self) -> str | None:
        settings, home = self.settings, self.premises.settings.home
        if settings.shared_folder is None:
            return (
                "clusters.toml names no volume: below [kubernetes] write shared_folder, and claim or host_path "
                "(docs/clusters.md)"
            )
        if user_of(settings) is None:
            return "a run in Kubernetes is never root's: name a user below [kubernetes] in clusters.toml"
        if not home.resolve().is_relative_to(settings.shared_folder.resolve()):
            return f"STACKYARD_HOME is {home}, and pods see what is below shared_folder ({settings.shared_folder})"
        return None

    def _image_missing(self, stack: str) -> str | None:
        try:
            self._image(stack)
        except LaunchError as error:
            return str(error)
        return None

    def _image(self, stack: str) -> str:
        """The image of a stack, as a node pulls it.

        Raises:
            LaunchError: none is known.
        """
        told = dict(self.settings.images)
        if stack in told:
            return told[stack]
        recorded = images.recorded(self.premises.settings).get(stack)
        defined = self.premises.stacks.get(stack)
        if recorded is not None and recorded.repo_digests:
            if defined is not None and recorded.stack_digest != defined.digest:
                raise LaunchError(
                    f"the image of {stack} holds another version of the stack: run "
                    f"`stackyard stack image build {stack}`, and push it"
                )
            return recorded.repo_digests[0]
        raise LaunchError(
            f"no image of {stack} that a cluster can pull: push it to a registry, and name it below "
            "[kubernetes.images] in clusters.toml"
        )


class Kubernetes(Scheduler):
    """The cluster.

    Args:
        settings: how it is to be used.
        gpus: how many GPUs each run gets.
        image_of: stack name -> its image; raises LaunchError where there is none.
    """

    title = "Kubernetes"

    def __init__(self, settings: KubernetesSettings, gpus: int, image_of: Callable[[str], str]) -> None:
        self._settings = settings
        self._gpus = gpus
        self._image_of = image_of

    def submit(self, task: TaskSpec, place: Place, name: str) -> str:
        """Apply the Job of a run; its id is its name.

        Raises:
            LaunchError: it has no image, lies outside the volume, or is refused, or the cluster does not answer.
            InDoubtError: the cluster stopped answering meanwhile.
        """
        settings = self._settings
        if task.stack is None:
            raise LaunchError(f"{task.run_id}: a run in Kubernetes needs a stack, whose image it takes")
        shared, user = settings.shared_folder, user_of(settings)
        if shared is None or user is None:
            raise LaunchError("clusters.toml names no volume or no user for runs in Kubernetes")
        for path in (place.folder, place.code):
            if not path.resolve().is_relative_to(shared.resolve()):
                raise LaunchError(f"{path} is not below shared_folder ({shared}), so a pod does not see it")
        document = manifest.job(
            task,
            name,
            place.folder,
            self._image_of(task.stack.name),
            Path(images.STACK_PYTHON),
            clean_environment(place.code),
            cluster_settings.with_user(settings, user),
            self._gpus,
        )
        try:
            commands.called(settings, ["apply", "--filename=-"], json.dumps(document))
        except RefusedError as error:
            raise LaunchError(f"Kubernetes refuses the run: {error}") from error
        except SilentError as error:
            try:
                if commands.found(settings, name) is None:
                    raise LaunchError(str(error)) from error
            except SilentError as still:
                raise InDoubtError(f"{error}; Job {name} may be there, so it is not made again") from still
        return name

    def find(self, name: str) -> str | None:
        """The name again, if there is such a Job."""
        return commands.found(self._settings, name)

    def look(self, ids: Collection[str]) -> Mapping[str, Seen]:
        """What becomes of Jobs."""
        return commands.seen(self._settings, ids) if ids else {}

    def interrupt(self, id: str) -> None:
        """Delete a Job: its supervisor gets SIGTERM, and time for its record."""
        commands.deleted(self._settings, id, at_once=False)

    def kill(self, id: str) -> None:
        """Delete a Job and its pod without waiting for them."""
        commands.deleted(self._settings, id, at_once=True)


def user_of(settings: KubernetesSettings) -> int | None:
    """Whose a run's files are: as the settings say, else this user's; ``None``: that would be root."""
    return settings.user or os.geteuid() or None


def _nodes_lack(
    nodes: list[Node] | None, settings: KubernetesSettings, hardware: HardwareSpec, workers: int
) -> str | None:
    """Why no node, or not enough of them, can hold a cell's runs; ``None``: they can, or one may not ask."""
    if nodes is None:
        return None
    if not nodes:
        return "the cluster has no node that takes pods with this node_selector"
    cores = manifest.millicores(hardware.cores, settings)
    memory = manifest.memory_bytes(hardware.memory_bytes, settings)
    wanted = (
        (cores, max(node.millicores for node in nodes), "thousandths of a core"),
        (memory, max(node.memory_bytes for node in nodes), "bytes of memory"),
        (hardware.gpus, max(node.gpus for node in nodes), "GPUs"),
    )
    for asked, most, what in wanted:
        if asked > most:
            return f"{asked} {what} are asked for, and a node gives {most} at most"
    room = 0
    for node in nodes:
        counts = [node.millicores // cores, node.memory_bytes // memory]
        room += min([*counts, node.gpus // hardware.gpus] if hardware.gpus else counts)
    if room == 0:
        return "no node gives cores, memory and GPUs for a run at the same time"
    if room < workers:
        return f"{workers} workers are asked for at the same time, and the nodes hold {room} such runs"
    return None
