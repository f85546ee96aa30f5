"""The Job of a run, as data. Pure: what is sent to a cluster can be read, and held against published schemas.

One pod, one container, one start: whether a run is made again is for ``retries`` to say, not for Kubernetes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard.launch import bare
from stackyard.launch.cluster_settings import KubernetesSettings
from stackyard_task.records import TaskSpec

#: Labels by which our Jobs and their pods are found.
MANAGED_LABEL, RUN_LABEL = "app.kubernetes.io/managed-by", "stackyard/run"
MANAGER = "stackyard"
#: The scenario's own name of a run, which is no label's value.
RUN_ANNOTATION = "stackyard/run-id"
#: A pod that is to end gets so long to write its record.
STOP_SECONDS = 60
#: Kubernetes ends a run so much later than its own time limit, which the supervisor holds and records.
GRACE_SECONDS = 120
#: Room for the supervisor beside the workload, which lives in the same limit.
SUPERVISION_BYTES = 256 << 20
GPU_RESOURCE = "nvidia.com/gpu"
_TEMPORARY = "/tmp"
#: Set anew in a container: those of this machine mean nothing there.
_OF_THE_IMAGE = ("PATH", "HOME", "TMPDIR")


def job(
    task: TaskSpec,
    name: str,
    folder: Path,
    image: str,
    python: Path,
    environment: Mapping[str, str],
    settings: KubernetesSettings,
    gpus: int,
) -> dict[str, Any]:
    """The manifest of a run's Job.

    Args:
        task: what runs.
        name: the Job's, a label of DNS.
        folder: the run folder, below the shared folder.
        image: the stack's, as the nodes pull it.
        python: the stack's, in that image.
        environment: what a supervisor starts from on this machine.
        settings: how the cluster is to be used; it has a shared folder and a user.
        gpus: how many the run gets.
    """
    labels = {MANAGED_LABEL: MANAGER, RUN_LABEL: name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": {RUN_ANNOTATION: task.run_id[:1000]},
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(task, folder, image, python, environment, settings, gpus),
            },
        },
    }


def _pod(
    task: TaskSpec,
    folder: Path,
    image: str,
    python: Path,
    environment: Mapping[str, str],
    settings: KubernetesSettings,
    gpus: int,
) -> dict[str, Any]:
    resources = _resources(task, settings, gpus)
    shared = (
        {"claimName": settings.claim} if settings.claim else {"path": settings.host_path, "type": "Directory"}
    )
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "securityContext": _identity(settings),
        "containers": [
            {
                "name": "run",
                "image": image,
                "command": bare.supervisor(python, folder),
                "workingDir": str(folder),
                "env": [{"name": key, "value": value} for key, value in _variables(environment).items()],
                # the same twice: a pod that may not be squeezed, and that is evicted last
                "resources": {"requests": resources, "limits": resources},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "shared", "mountPath": str(settings.shared_folder)},
                    {"name": "temporary", "mountPath": _TEMPORARY},
                    {"name": "memory", "mountPath": "/dev/shm"},
                ],
            }
        ],
        "volumes": [
            {"name": "shared", ("persistentVolumeClaim" if settings.claim else "hostPath"): shared},
            {"name": "temporary", "emptyDir": {"sizeLimit": str(settings.temporary_bytes)}},
            # what processes of a run share; it counts as memory of the pod, whose limit holds it
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    # the pod's clock begins where it runs; a Job's would run while it waits
    seconds = _deadline(task, settings)
    if seconds is not None:
        pod["activeDeadlineSeconds"] = seconds
    if settings.node_selector:
        pod["nodeSelector"] = dict(settings.node_selector)
    if settings.runtime_class is not None:
        pod["runtimeClassName"] = settings.runtime_class
    if settings.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": settings.pull_secret}]
    return pod


def _identity(settings: KubernetesSettings) -> dict[str, Any]:
    group = settings.group if settings.group is not None else settings.user
    found: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": settings.user,
        "runAsGroup": group,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if settings.claim is not None:
        found |= {"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}
    return found


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """A supervisor's variables, but those that image and pod know better; a user without an entry gets a name."""
    kept = {name: value for name, value in environment.items() if name not in _OF_THE_IMAGE}
    return {**kept, "HOME": _TEMPORARY, "TMPDIR": _TEMPORARY, "USER": MANAGER, "LOGNAME": MANAGER}


def memory_bytes(limit: int | None, settings: KubernetesSettings) -> int:
    """What a run's pod gets, for the workload's own limit or without one."""
    return settings.memory_bytes if limit is None else limit + SUPERVISION_BYTES


def millicores(cores: float | None, settings: KubernetesSettings) -> int:
    """What a run's pod gets, for its limit of cores or without one."""
    return math.ceil(1000 * (settings.cores if cores is None else cores))


def _resources(task: TaskSpec, settings: KubernetesSettings, gpus: int) -> dict[str, str]:
    found = {
        "cpu": f"{millicores(task.limits.cores, settings)}m",
        "memory": str(memory_bytes(task.limits.memory_bytes, settings)),
        "ephemeral-storage": str(settings.temporary_bytes),
    }
    if gpus:
        found[GPU_RESOURCE] = str(gpus)
    return found


def _deadline(task: TaskSpec, settings: KubernetesSettings) -> int | None:
    if task.time_limit_seconds is not None:
        return math.ceil(task.time_limit_seconds) + GRACE_SECONDS
    return None if settings.minutes is None else 60 * settings.minutes
