"""A run's Job against the published schemas of Kubernetes, strictly, and what it promises of itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from stackyard.launch import kubernetes_manifest
from stackyard.launch.cluster_settings import KubernetesSettings
from stackyard_task.records import Limits, TaskSpec

VERSIONS = ("1.26", "1.28", "1.30", "1.32", "1.34", "1.36")
IMAGE = "registry.example/stackyard/torch@sha256:" + "0" * 64
PLAIN = KubernetesSettings(shared_folder=Path("/shared"), claim="lab", user=1000)
FULL = dataclasses.replace(
    PLAIN,
    claim=None,
    host_path="/srv/lab",
    group=2000,
    namespace="lab",
    node_selector=(("pool", "gpu"),),
    runtime_class="nvidia",
    pull_secret="registry",
    minutes=30,
)
LIMITED = Limits(cores=1.5, memory_bytes=2**30)


def job(
    settings: KubernetesSettings = PLAIN, limits: Limits | None = None, gpus: int = 0, **more: Any
) -> Any:
    task = TaskSpec("Matrix/b01", "w:f", limits=limits or Limits(), **more)
    environment = {
        "PATH": "/mine",
        "HOME": "/home/me",
        "TMPDIR": "/t",
        "PYTHONPATH": "/shared/code",
        "LANG": "C",
    }
    folder, python = Path("/shared/runs/b01"), Path("/opt/stack/venv/bin/python")
    return kubernetes_manifest.job(
        task, "stackyard-b01-0a", folder, IMAGE, python, environment, settings, gpus
    )


def pod(*given: Any, **more: Any) -> Any:
    return job(*given, **more)["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "given", [(PLAIN, None, 0), (PLAIN, LIMITED, 1), (FULL, LIMITED, 2)], ids=["plain", "limited", "full"]
)
def test_it_fits_the_published_schemas(version: str, given: Any) -> None:
    kubernetes_validate.validate(job(*given, time_limit_seconds=60.5), version, strict=True)


def test_the_schemas_would_refuse_what_they_do_not_know() -> None:
    wrong = job()
    wrong["spec"]["template"]["spec"]["restartPolicyy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_a_run_is_started_once_and_is_nobodys_but_its_users() -> None:
    found = job()
    assert (found["spec"]["backoffLimit"], pod()["restartPolicy"]) == (0, "Never")
    assert found["spec"]["ttlSecondsAfterFinished"] == 3600
    (container,) = pod()["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    identity = pod()["securityContext"]
    assert (identity["runAsNonRoot"], identity["runAsUser"], identity["fsGroup"]) == (True, 1000, 1000)
    assert identity["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "fsGroup" not in pod(FULL)["securityContext"], "a folder of a node is not given away"


def test_requests_are_limits_so_that_a_run_is_not_squeezed() -> None:
    resources = pod(PLAIN, LIMITED, 2)["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"] == {
        "cpu": "1500m",
        "memory": str(2**30 + kubernetes_manifest.SUPERVISION_BYTES),
        "ephemeral-storage": str(2**30),
        "nvidia.com/gpu": "2",
    }
    plain = pod()["containers"][0]["resources"]["limits"]
    assert (plain["cpu"], plain["memory"], "nvidia.com/gpu" in plain) == ("1000m", str(2 * 2**30), False)


def test_the_pods_clock_is_later_than_the_runs_own() -> None:
    assert "activeDeadlineSeconds" not in pod()
    assert (
        pod(PLAIN, time_limit_seconds=60.5)["activeDeadlineSeconds"] == 61 + kubernetes_manifest.GRACE_SECONDS
    )
    assert pod(FULL)["activeDeadlineSeconds"] == 1800
    assert "activeDeadlineSeconds" not in job(FULL)["spec"], "one that waits has no clock"


def test_the_supervisor_is_the_first_process_in_its_run_folder() -> None:
    (container,) = pod()["containers"]
    assert container["command"] == [
        "/opt/stack/venv/bin/python",
        "-m",
        "stackyard_task.run",
        "/shared/runs/b01",
    ]
    assert (container["image"], container["workingDir"]) == (IMAGE, "/shared/runs/b01")
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["PYTHONPATH"] == "/shared/code"
    assert (variables["HOME"], variables["TMPDIR"]) == ("/tmp", "/tmp")
    assert "PATH" not in variables, "the image's own"


def test_the_shared_folder_is_one_volume_under_its_own_name() -> None:
    (shared,) = [each for each in pod()["volumes"] if each["name"] == "shared"]
    assert shared["persistentVolumeClaim"] == {"claimName": "lab"}
    (shared,) = [each for each in pod(FULL)["volumes"] if each["name"] == "shared"]
    assert shared["hostPath"] == {"path": "/srv/lab", "type": "Directory"}
    assert {"name": "shared", "mountPath": "/shared"} in pod()["containers"][0]["volumeMounts"]
    assert (pod(FULL)["nodeSelector"], pod(FULL)["runtimeClassName"]) == ({"pool": "gpu"}, "nvidia")
    assert pod(FULL)["imagePullSecrets"] == [{"name": "registry"}]
