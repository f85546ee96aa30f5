"""What a cluster's answers say of a run: objects as the API's documentation has them, none from a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard.launch import kubernetes_commands as commands
from stackyard.launch.cluster_settings import KubernetesSettings
from stackyard.launch.scheduled import SilentError

SETTINGS = KubernetesSettings(context="lab", namespace="mine", node_selector=(("pool", "cpu"),))
JOB: dict[str, Any] = {"kind": "Job", "status": {}}


def job(condition: str, reason: str = "") -> dict[str, Any]:
    return {
        "kind": "Job",
        "status": {"conditions": [{"type": condition, "status": "True", "reason": reason}]},
    }


def pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    more = {} if state is None else {"containerStatuses": [{"state": state}]}
    return {"spec": {"nodeName": "node1"}, "status": {"phase": phase, **more, **status}}


def ended(reason: str, code: int = 1, message: str = "") -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


DISRUPTED = [
    {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "gone"}
]


@pytest.mark.parametrize(
    ("one", "its_pod", "phase", "kind", "explains"),
    [
        (JOB, None, "waiting", None, False),
        (JOB, pod("Pending"), "waiting", None, False),
        (JOB, pod("Running"), "running", None, False),
        (None, pod("Running"), "running", None, False),
        (job("Complete"), pod("Succeeded", ended("Completed", 0)), "over", "infrastructure", False),
        (
            job("Failed", "BackoffLimitExceeded"),
            pod("Failed", ended("Error")),
            "over",
            "infrastructure",
            False,
        ),
        (job("Failed"), pod("Failed", ended("OOMKilled", 137)), "over", "out_of_memory", True),
        (job("Failed"), pod("Failed", reason="DeadlineExceeded"), "over", "time_limit", True),
        (job("Failed", "BackoffLimitExceeded"), None, "over", "infrastructure", True),
        (job("Failed", "DeadlineExceeded"), None, "over", "time_limit", True),
        (
            job("Failed"),
            pod("Failed", reason="Evicted", message="low on disk"),
            "over",
            "infrastructure",
            True,
        ),
        (
            job("Failed"),
            pod("Failed", ended("Error", 143), conditions=DISRUPTED),
            "over",
            "infrastructure",
            True,
        ),
        (JOB, pod("Failed", ended("Error")), "over", "infrastructure", False),
    ],
)
def test_a_job_and_its_pod_as_kinds_of_a_record(
    one: Any, its_pod: Any, phase: str, kind: str | None, explains: bool
) -> None:
    seen = commands.seen_as("run", one, its_pod)
    assert seen is not None
    assert (seen.phase, seen.failure and seen.failure.kind, seen.explains) == (phase, kind, explains)


def test_one_of_which_nothing_is_left_is_unknown() -> None:
    assert commands.seen_as("run", None, None) is None


def test_the_last_words_of_a_supervisor_that_could_not_write_are_told() -> None:
    seen = commands.seen_as("run", job("Failed"), pod("Failed", ended("Error", 3, "first\n/runs: read-only")))
    assert seen is not None
    assert seen.words == "Kubernetes Job run on node1 ended with status 3, without a record: /runs: read-only"


@pytest.mark.parametrize(
    ("reason", "message", "hopeless"),
    [
        ("ContainerCreating", "", False),
        ("ImagePullBackOff", "dial tcp: i/o timeout", False),
        ("ImagePullBackOff", "manifest for x not found", True),
        ("InvalidImageName", "", True),
        ("CreateContainerConfigError", "secret missing", True),
    ],
)
def test_a_pod_that_can_never_begin_is_told_from_one_that_waits(
    reason: str, message: str, hopeless: bool
) -> None:
    waiting = {"waiting": {"reason": reason, "message": message}}
    seen = commands.seen_as("run", JOB, pod("Pending", waiting))
    assert seen is not None
    assert (seen.hopeless is not None) == hopeless
    assert reason in seen.words


def test_a_pod_without_a_node_says_why() -> None:
    unplaced = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available",
        }
    ]
    seen = commands.seen_as("run", JOB, pod("Pending", conditions=unplaced))
    assert seen is not None
    assert seen.words == "waiting in Kubernetes (Unschedulable: 0/3 nodes are available)"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4),
        ("3920m", 3.92),
        ("16Gi", 16 * 2**30),
        ("500M", 5e8),
        ("1k", 1000),
        (None, 0),
        ("x", 0),
        ("-1", 0),
    ],
)
def test_quantities(text: Any, number: float) -> None:
    assert commands.quantity(text) == pytest.approx(number)


def test_a_call_names_context_and_namespace_and_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/words\necho \'{{"items": [3, {{}}]}}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert commands.nodes(SETTINGS) == [commands.Node("None", 0, 0, 0)]
    assert (tmp_path / "words").read_text().split() == [
        *("--context=lab", "--namespace=mine", "--request-timeout=30s"),
        *("get", "nodes", "--selector=pool=cpu", "--output=json"),
    ]
    program.write_text("#!/bin/sh\necho nonsense\n")
    with pytest.raises(SilentError, match="no list of objects"):
        commands.seen(SETTINGS, ["run"])
