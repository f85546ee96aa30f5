"""How a run of a pipeline stands: its controller and its steps, as the server tells; and a line for each change.

Reads only. A step that has no task yet is pending; steps made again by hand stand behind the run's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stackyard.clearml.client import FINAL, Client
from stackyard.clearml.pipelines.runs import PROJECT, newest_run, pipeline_project
from stackyard.clearml.sending import SPEC
from stackyard.errors import BadInputError
from stackyard_task import records
from stackyard_task.records import RecordError

POLL_SECONDS = 0.5
#: A step that was made again by hand: the end of its task's name.
AGAIN = " again"
_FIELDS = (
    *("id", "name", "status", "status_reason", "status_message", "created", "started", "completed", "parent"),
    *("last_worker", "execution.queue", "runtime", "system_tags", "status_changed"),
)
_ID = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True)
class StepState:
    """One step of a run."""

    name: str
    #: ClearML's status; "pending": it has no task yet.
    status: str = "pending"
    id: str | None = None
    queue: str | None = None
    worker: str | None = None
    #: From its task's creation until an agent took it; from then until its end.
    waited_seconds: float | None = None
    ran_seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class RunState:
    """One run of a pipeline."""

    id: str
    name: str
    status: str
    reason: str
    created: str
    worker: str | None
    #: From the controller's start to its end; ``None``: not over.
    seconds: float | None
    #: What of that no step was waiting or running: the controller's own share.
    controller_seconds: float | None
    steps: tuple[StepState, ...] = field(default_factory=tuple)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in FINAL

    @property
    def completed(self) -> bool:
        """Whether it ended well."""
        return self.status in ("completed", "published")


def state_of(client: Client, id: str) -> RunState:
    """How a run stands.

    Args:
        client: of the server.
        id: of the controller's task.

    Raises:
        StackyardError: the server does not answer or does not know the task.
    """
    controller = client.call("tasks.get_by_id", task=id)["task"]
    tasks = _asked(client, parent=id)
    by_name: dict[str, Mapping[str, Any]] = {}
    for task in tasks:
        by_name[task["name"]] = task  # a controller that was tried again made them anew: the newest counts
    named = [step.name for step in told_steps(controller)]
    names = [*named, *(name for name in by_name if name not in named)]
    steps = tuple(_step(name, by_name.get(name)) for name in names)
    seconds = _seconds(controller.get("started"), controller.get("completed"))
    own = None
    if seconds is not None:
        spans = [
            (task["created"], task.get("completed") or task.get("status_changed") or task["created"])
            for name, task in by_name.items()
            if name in named
        ]
        own = max(0.0, seconds - _covered(spans))
    return RunState(
        id=id,
        name=controller["name"],
        status=controller["status"],
        reason=controller.get("status_reason") or "",
        created=controller.get("created") or "",
        worker=controller.get("last_worker"),
        seconds=seconds,
        controller_seconds=own,
        steps=steps,
    )


def follow(
    client: Client, id: str, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[str, RunState]]:
    """A line and the state for each thing that happens to a run, until it is over."""
    seen: dict[str, str] = {}
    while True:
        state = state_of(client, id)
        for step in state.steps:
            if seen.get(step.name, "pending") != step.status:
                seen[step.name] = step.status
                yield described(step), state
        if seen.get("") != state.status:
            seen[""] = state.status
            why = f": {state.reason}" if state.reason and state.status in ("failed", "stopped") else ""
            yield f"pipeline {state.name}: {_WORDS.get(state.status, state.status)}{why}", state
        if state.over:
            return
        sleep(POLL_SECONDS)


def follow_step(
    client: Client, id: str, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[str, StepState]]:
    """A line and the state for each change of one step's task, until it has ended."""
    seen = ""
    while True:
        step = _step("", _asked(client, id=[id])[0])
        if step.status != seen:
            seen = step.status
            yield described(step), step
        if step.status in FINAL:
            return
        sleep(POLL_SECONDS)


def described(step: StepState) -> str:
    """A step's state in words."""
    where = f" on {step.worker}" if step.worker and step.status == "in_progress" else ""
    if step.status == "queued":
        where = f" in queue {step.queue}" if step.queue else ""
    took = f" after {step.ran_seconds:.1f} s" if step.ran_seconds is not None else ""
    why = f": {step.reason}" if step.reason and step.status in ("failed", "stopped") else ""
    return f"step {step.name}: {_WORDS.get(step.status, step.status)}{where}{took}{why}"


_WORDS = {
    "created": "a draft",
    "queued": "waits",
    "in_progress": "runs",
    "stopped": "aborted",
    "published": "completed",
}


def found_run(client: Client, named: str) -> str:
    """The id of a run: its id, or a pipeline's name, of which it is the newest run.

    Raises:
        BadInputError: there is no such run.
    """
    if _ID.fullmatch(named):
        held = client.call("tasks.get_all_ex", id=[named], search_hidden=True, only_fields=["id"])["tasks"]
        if held:
            return str(held[0]["id"])
    run = newest_run(client, pipeline_project(client, named, make=False))
    if run is None:
        raise BadInputError(f"pipeline {named!r} has not run yet; start it with: stackyard pipeline run FILE")
    return str(run["id"])


def pipelines(client: Client) -> list[tuple[str, dict[str, Any] | None]]:
    """The pipelines on the server: name and newest run."""
    prefix = f"{PROJECT}/.pipelines/"
    found = client.call(
        "projects.get_all", name=f"^{re.escape(prefix)}", search_hidden=True, only_fields=["id", "name"]
    )["projects"]
    return [(one["name"].removeprefix(prefix), newest_run(client, one["id"])) for one in found]


def rerun(client: Client, id: str, step: str) -> tuple[str, str]:
    """Make one step of a run again, with the inputs it had; (id of the new task, its queue).

    Raises:
        BadInputError: the run has no such step, or it was never started.
    """
    state = state_of(client, id)
    by_name = {one.name: one for one in state.steps}
    if step not in by_name:
        raise BadInputError(f"run {id} has no step {step!r}; it has: {', '.join(by_name)}")
    found = by_name[step]
    if found.id is None:
        raise BadInputError(
            f"step {step!r} of run {id} was never started, so it has no inputs to run again with"
        )
    original = client.call("tasks.get_by_id", task=found.id)["task"]
    queue = (original.get("execution") or {}).get("queue")
    if not queue:
        raise BadInputError(
            f"step {step!r} of run {id} names no queue; enqueue a clone of {found.id} by hand"
        )
    again = client.call(
        "tasks.clone",
        task=found.id,
        new_task_name=f"{step.removesuffix(AGAIN)}{AGAIN}",
        new_task_parent=id,
        new_task_project=original["project"],
    )["id"]
    client.call("tasks.enqueue", task=again, queue=queue)
    return str(again), found.queue or str(queue)


def abort(client: Client, id: str) -> None:
    """End a run and the steps it has under way."""
    state = state_of(client, id)
    if not state.over:
        client.call("tasks.stop", task=id, status_reason="aborted by its user")
    for step in state.steps:
        if step.id is not None and step.status in ("queued", "in_progress"):
            client.call("tasks.stop", task=step.id, status_reason="its pipeline was aborted")


@dataclass(frozen=True)
class ToldStep:
    """What of a PipelineStep is read here."""

    name: str


@dataclass(frozen=True)
class _Parameters:
    steps: tuple[ToldStep, ...] = ()


@dataclass(frozen=True)
class _Told:
    """What of a controller's TaskSpec is read here."""

    parameters: _Parameters = _Parameters()


def told_steps(controller: Mapping[str, Any]) -> Sequence[ToldStep]:
    """The steps that a controller's task names; none where it is no controller of ours."""
    held = ((controller.get("configuration") or {}).get(SPEC) or {}).get("value") or "{}"
    try:
        told = records.from_json(_Told, records.parse(held, SPEC), SPEC)
    except (RecordError, TypeError):
        return ()
    return told.parameters.steps


def _asked(client: Client, **which: Any) -> list[dict[str, Any]]:
    """Tasks of steps, the oldest first."""
    found: list[dict[str, Any]] = client.call(
        "tasks.get_all_ex",
        search_hidden=True,
        order_by=["created"],
        page=0,
        page_size=500,
        only_fields=[*_FIELDS, "execution.queue.name"],
        **which,
    )["tasks"]
    return found


def _step(name: str, task: Mapping[str, Any] | None) -> StepState:
    if task is None:
        return StepState(name)
    queue = (task.get("execution") or {}).get("queue")
    ended = task.get("completed") or (task.get("status_changed") if task["status"] in FINAL else None)
    return StepState(
        name=name or task["name"],
        status=task["status"],
        id=task["id"],
        queue=queue.get("name") if isinstance(queue, Mapping) else queue,
        worker=task.get("last_worker"),
        waited_seconds=_seconds(task.get("created"), task.get("started")),
        ran_seconds=_seconds(task.get("started"), ended),
        reason=task.get("status_reason") or "",
    )


def _seconds(begun: str | None, ended: str | None) -> float | None:
    if not begun or not ended:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def _covered(spans: list[tuple[str, str]]) -> float:
    """Seconds that at least one of the spans covers."""
    total, until = 0.0, 0.0
    for begin, end in sorted(
        (datetime.fromisoformat(a).timestamp(), datetime.fromisoformat(b).timestamp()) for a, b in spans
    ):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
