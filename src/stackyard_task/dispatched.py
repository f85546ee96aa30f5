"""A run that came through a ClearML server: from the task to its record, in the agent's Python.

Reads what the task says through ``clearml_link``, finds the stack's Python on this machine (or in this image),
fetches the inputs, lets ``run`` supervise the child in that Python, and hands the record over. Nothing here is
imported in the child, and the child never sees clearml.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from stackyard_task import clearml_link, inputs, records, run
from stackyard_task.clearml_link import Link
from stackyard_task.records import Failure, RunRecord, TaskSpec

#: Names a JSON file: stack name -> {"python", "digest", "environment", "tunables"...}, what this machine has.
STACKS_VARIABLE = "STACKYARD_STACKS_FILE"
FAILED = 1


@dataclass
class Stack:
    """A stack as this machine or image has it."""

    python: str
    digest: Optional[str]
    environment: Dict[str, str]


class NotHere(Exception):
    """This machine cannot run the task; another may. The message says what is missing."""


def main(code: Path, begun: float, wheel: Optional[str]) -> int:
    """Run the task this process was started for; 0 if it completed.

    Args:
        code: The folder that holds the package; goes to the child's PYTHONPATH.
        begun: Epoch seconds at the entry script's first line.
        wheel: SHA-256 of the wheel the package came in; ``None``: from a clone of the repository.
    """
    link = clearml_link.connect()
    folder = Path(tempfile.mkdtemp(prefix="stackyard-run-"))
    failure: Optional[Failure] = None
    try:
        record = _run(link, folder, code, begun, wheel)
        link.deliver(record, folder)
        failure = record.failure
    except inputs.InputError as error:
        failure = Failure(error.kind, str(error))
    except records.RecordError as error:  # what the task says, or a field of its form
        failure = Failure("bad_input", str(error))
    except (NotHere, clearml_link.NotDelivered, run.TaskError, run.RecordNotWritten, OSError) as error:
        failure = Failure("infrastructure", str(error))
    finally:
        link.close()
        shutil.rmtree(folder, ignore_errors=True)
    if failure is None:
        return 0
    print(f"{failure.kind}: {failure.message}", file=sys.stderr, flush=True)
    if failure.kind == "interrupted" and link.asked_to_stop():
        return FAILED
    # The agent gives a task that exits with another status a reason of its own, over ours. One that has already
    # failed cannot complete, so 0 leaves what we said.
    return 0 if link.fail(failure) else FAILED


def _run(link: Link, folder: Path, code: Path, begun: float, wheel: Optional[str]) -> RunRecord:
    spec = link.spec()
    spec.code.wheel = wheel
    stack = stack_of(spec, os.environ)
    spec.environment = {**stack.environment, **spec.environment}
    compiling = _compile(stack.python, code)
    try:
        spec.parameters = inputs.resolved(spec.parameters, link.inputs)
    finally:
        compiling.wait()
    records.write_json(spec, folder / records.TASK_FILE)
    dispatch = link.dispatch()
    dispatch.user_code_at = _instant(begun)
    dispatch.container_started_at = _container_start()
    os.environ["PYTHONPATH"] = str(code)
    record = run.supervise(folder, python=stack.python, watcher=link.watcher(spec, folder))
    dispatch.workload_started_at = record.started_at
    record.dispatch = dispatch
    records.write_json(record, folder / records.RECORD_FILE)
    return record


def stack_of(spec: TaskSpec, variables: Mapping[str, str]) -> Stack:
    """The stack a task asks for, as this machine has it.

    Raises:
        NotHere: it does not have it, or another one of that name.
    """
    if spec.stack is None:
        return Stack(sys.executable, None, {})
    held = _held(variables.get(STACKS_VARIABLE, ""))
    found = held.get(spec.stack.name)
    if found is None:
        has = ", ".join(sorted(held)) or "none"
        raise NotHere(f"stack {spec.stack.name} is not on this machine (it has: {has}); build it there")
    digest = found.get("digest")
    if spec.stack.digest is not None and digest != spec.stack.digest:
        raise NotHere(
            f"stack {spec.stack.name} is pinned as {spec.stack.digest[:12]}, but this machine has "
            f"{str(digest)[:12]}; build it again there"
        )
    return Stack(str(found["python"]), digest, dict(found.get("environment", {})))


def _held(path: str) -> Dict[str, Dict[str, Any]]:
    if not path:
        raise NotHere(f"{STACKS_VARIABLE} is not set: this agent was not started by stackyard")
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise NotHere(f"{path}: the list of stacks cannot be read ({error})") from error


def _compile(python: str, code: Path) -> subprocess.Popen:
    """Compile the package for the stack's Python, so that no child pays for it."""
    return subprocess.Popen(
        [python, "-m", "compileall", "-qq", str(code / "stackyard_task")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _container_start() -> Optional[str]:
    """When this container's first process started; ``None`` outside a container."""
    if not os.environ.get("CLEARML_DOCKER_IMAGE"):  # set by the agent in the containers it starts
        return None
    try:
        ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    # uptime and start time share the boot clock; only "now" is taken from the wall clock
    age = up - ticks / os.sysconf("SC_CLK_TCK")
    return _instant(datetime.datetime.now(datetime.timezone.utc).timestamp() - age)


def _instant(epoch_seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds")
