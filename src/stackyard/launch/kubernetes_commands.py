"""What is asked of Kubernetes and told to it through ``kubectl``, and what of its answers a run's state is.

One call for all runs that are waited for. No state. Never run against a real cluster: see docs/clusters.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackyard.launch import outside_programs
from stackyard.launch.cluster_settings import KubernetesSettings
from stackyard.launch.kubernetes_manifest import GPU_RESOURCE, MANAGED_LABEL, MANAGER, RUN_LABEL
from stackyard.launch.outside_programs import RefusedError
from stackyard.launch.scheduled import Seen, SilentError
from stackyard_task.records import Failure

PROGRAM = "kubectl"
_SILENT = re.compile(
    r"unable to connect to the server|connection refused|was refused|timed? ?out|timeout|TLS handshake|unexpected EOF"
    r"|no such host|no route to host|currently unable to handle|etcdserver|too many requests|service unavailable",
    re.IGNORECASE,
)
#: Reasons for which a container waits forever, unless a person changes something.
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError")
_NO_IMAGE = re.compile(r"not found|denied|unauthorized|does not exist", re.IGNORECASE)
#: A pod's own reasons for an end that its node or the cluster brought on it.
_LOST = (
    "Evicted",
    "NodeLost",
    "NodeShutdown",
    "Terminated",
    "Preempting",
    "NodeAffinity",
    "UnexpectedAdmissionError",
)
_MOST_SAID = 300


@dataclass(frozen=True)
class Node:
    """What a node may give to pods."""

    name: str
    millicores: int
    memory_bytes: int
    gpus: int


def called(settings: KubernetesSettings, arguments: Sequence[str], text: str | None = None) -> str:
    """What ``kubectl`` prints.

    Raises:
        SilentError: the cluster does not answer it.
        RefusedError: it ends with another error.
    """
    context = [] if settings.context is None else [f"--context={settings.context}"]
    common = [*context, f"--namespace={settings.namespace}", "--request-timeout=30s"]
    return outside_programs.called([PROGRAM, *common, *arguments], _SILENT, "the cluster", text)


def may_create(settings: KubernetesSettings) -> bool:
    """Whether Jobs may be made in the namespace.

    Raises:
        SilentError: the cluster does not answer.
    """
    try:
        return called(settings, ["auth", "can-i", "create", "jobs.batch"]).strip().startswith("yes")
    except RefusedError:  # it says no by its exit status too
        return False


def nodes(settings: KubernetesSettings) -> list[Node] | None:
    """The nodes that take our pods; ``None``: one may not ask.

    Raises:
        SilentError: the cluster does not answer.
    """
    selector = ",".join(f"{name}={value}" for name, value in settings.node_selector)
    chosen = [f"--selector={selector}"] if selector else []
    try:
        said = called(settings, ["get", "nodes", *chosen, "--output=json"])
    except RefusedError:
        return None
    found = []
    for item in _items(said):
        given = (item.get("status") or {}).get("allocatable") or {}
        if not (item.get("spec") or {}).get("unschedulable"):
            name = str((item.get("metadata") or {}).get("name"))
            gpus = int(quantity(given.get(GPU_RESOURCE)))
            found.append(
                Node(name, int(1000 * quantity(given.get("cpu"))), int(quantity(given.get("memory"))), gpus)
            )
    return found


def quantity(text: Any) -> float:
    """A quantity of Kubernetes such as ``3920m``, ``16Gi`` or ``4``, as a number; 0 for what is none."""
    found = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|[kMGTPE]i?|Ki)?", str(text))
    if found is None:
        return 0.0
    unit = found[2] or ""
    if unit == "m":
        return float(found[1]) / 1000
    power = " KMGTPE".index(unit[:1].upper()) if unit else 0
    return float(found[1]) * (1024 if unit.endswith("i") else 1000) ** power


def seen(settings: KubernetesSettings, names: Collection[str]) -> dict[str, Seen]:
    """What becomes of runs: all our Jobs and pods of the namespace, by one call.

    Raises:
        SilentError: the cluster does not answer.
    """
    try:
        said = called(
            settings, ["get", "jobs,pods", f"--selector={MANAGED_LABEL}={MANAGER}", "--output=json"]
        )
    except RefusedError as error:
        raise SilentError(f"kubectl: {error}") from error
    jobs: dict[str, Mapping[str, Any]] = {}
    pods: dict[str, Mapping[str, Any]] = {}
    for item in _items(said):
        name = str(((item.get("metadata") or {}).get("labels") or {}).get(RUN_LABEL))
        if name in names:
            (jobs if item.get("kind") == "Job" else pods)[name] = item
    every = {name: seen_as(name, jobs.get(name), pods.get(name)) for name in names}
    return {name: state for name, state in every.items() if state is not None}


def found(settings: KubernetesSettings, name: str) -> str | None:
    """The name again, if there is such a Job.

    Raises:
        SilentError: the cluster does not answer.
    """
    try:
        said = called(settings, ["get", "jobs", name, "--ignore-not-found", "--output=name"])
    except RefusedError as error:
        raise SilentError(f"kubectl: {error}") from error
    return name if said.strip() else None


def deleted(settings: KubernetesSettings, name: str, *, at_once: bool) -> None:
    """Delete a Job, and with it its pod: in order, or at once.

    Raises:
        SilentError: the cluster does not answer, or refuses.
    """
    same = ["--ignore-not-found", "--wait=false"]
    try:
        called(settings, ["delete", "jobs", name, "--cascade=background", *same])
        if at_once:
            pods = ["delete", "pods", f"--selector={RUN_LABEL}={name}", "--grace-period=0", "--force"]
            called(settings, [*pods, *same])
    except RefusedError as error:
        raise SilentError(f"kubectl: {error}") from error


# -- what is said of one run -----------------------------------------------------------------------


def seen_as(name: str, job: Mapping[str, Any] | None, pod: Mapping[str, Any] | None) -> Seen | None:
    """A run from its Job and its pod, as the API has them; ``None``: it knows neither."""
    if job is None and pod is None:
        return None
    status = (pod or {}).get("status") or {}
    where = ((pod or {}).get("spec") or {}).get("nodeName")
    here = f" on {where}" if where else ""
    end = _end(name, here, job or {}, status)
    if end is not None and status.get("phase") not in ("Running", "Pending"):
        return end
    if status.get("phase") == "Running":
        return Seen("running", f"running in Kubernetes{here}")
    if end is not None:
        return end
    return _waiting(name, status)


def _end(name: str, here: str, job: Mapping[str, Any], status: Mapping[str, Any]) -> Seen | None:
    """How a run ended; ``None``: it has not."""
    conditions = _conditions(job.get("status") or {})
    ended = (
        "Complete" in conditions or "Failed" in conditions or status.get("phase") in ("Succeeded", "Failed")
    )
    if not ended:
        return None
    by_job = str((conditions.get("Failed") or {}).get("reason") or "")
    by_pod = str(status.get("reason") or "")
    stop = _terminated(status)
    what = f"Kubernetes Job {name}{here}"
    disrupted = _conditions(status).get("DisruptionTarget")
    if "DeadlineExceeded" in (by_job, by_pod):
        words = f"{what} was ended at Kubernetes' own time limit; raise the run's"
        return Seen("over", words, Failure("time_limit", words), explains=True)
    if stop.get("reason") == "OOMKilled":
        words = f"{what} was ended for lack of memory; give it more, or smaller batches"
        return Seen("over", words, Failure("out_of_memory", words), explains=True)
    if disrupted is not None or by_pod in _LOST:
        reason = by_pod or str((disrupted or {}).get("reason") or "disrupted")
        words = f"{what} was ended by the cluster ({_said(reason)}: {_said(_message(status, disrupted))})"
        return Seen("over", words, Failure("infrastructure", words), explains=True)
    if (
        "Failed" in conditions and not status
    ):  # a drained node: its pods are deleted, and a Job notes no more of them
        words = f"{what} lost its pod ({_said(by_job) or 'no more is said'})"
        return Seen("over", words, Failure("infrastructure", words), explains=True)
    last = (_said(stop.get("message")).splitlines() or [""])[-1]
    code = f" with status {stop['exitCode']}" if isinstance(stop.get("exitCode"), int) else ""
    words = f"{what} ended{code}, without a record" + (f": {last}" if last else "")
    return Seen("over", words, Failure("infrastructure", words))


def _waiting(name: str, status: Mapping[str, Any]) -> Seen:
    """For what a run waits."""
    waiting: Mapping[str, Any] = next(
        (state["waiting"] for state in _states(status) if isinstance(state.get("waiting"), Mapping)), {}
    )
    scheduled = _conditions(status, "False").get("PodScheduled") or {}
    reason = str(waiting.get("reason") or scheduled.get("reason") or "")
    message = _said(waiting.get("message") or scheduled.get("message"))
    hopeless = None
    if reason in _HOPELESS or (reason in ("ErrImagePull", "ImagePullBackOff") and _NO_IMAGE.search(message)):
        hopeless = (
            f"Kubernetes would never start Job {name} ({reason}: {message}): mend images or the volume below "
            "[kubernetes] in clusters.toml; it was deleted"
        )
    why = f" ({reason}{': ' + message if message else ''})" if reason else ""
    return Seen("waiting", f"waiting in Kubernetes{why}", hopeless=hopeless)


def _items(said: str) -> Iterable[Mapping[str, Any]]:
    try:
        items = json.loads(said)["items"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SilentError(f"kubectl printed what is no list of objects ({said[:80]!r})") from error
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _conditions(status: Mapping[str, Any], holds: str = "True") -> dict[str, Mapping[str, Any]]:
    found = status.get("conditions")
    every = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    return {str(each.get("type")): each for each in every if each.get("status") == holds}


def _states(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = status.get("containerStatuses")
    every = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    return [state for each in every if isinstance(state := each.get("state"), Mapping)]


def _terminated(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((s["terminated"] for s in _states(status) if isinstance(s.get("terminated"), Mapping)), {})


def _message(status: Mapping[str, Any], condition: Mapping[str, Any] | None) -> str:
    return str(status.get("message") or (condition or {}).get("message") or "no more is said")


def _said(text: Any) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in str(text or "").strip())[-_MOST_SAID:]
