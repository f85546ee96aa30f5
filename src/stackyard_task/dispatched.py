"""A run that came through a ClearML server: from the task to its record, in the agent's Python.

Reads what the task says through ``clearml_link``, finds the stack's Python on this machine (or in this image),
fetches the inputs, lets ``run`` supervise the child in that Python, and hands the record over. Nothing here is
imported in the child, and the child never sees clearml. Neither does this process, unless the task needs the SDK.
"""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from stackyard_task import byte_code, clearml_link, inputs, installed, records, run
from stackyard_task.api import ApiError
from stackyard_task.clearml_link import Link
from stackyard_task.criteria import Stopped
from stackyard_task.end_request import EndRequest, Interrupted
from stackyard_task.measure.proc import first_process_started
from stackyard_task.records import Code, Failure, RunRecord, TaskSpec
from stackyard_task.workloads import entry_of

#: Names a JSON file: stack name -> {"python", "digest", "environment", "tunables"...}, what this machine has.
STACKS_VARIABLE = "STACKYARD_STACKS_FILE"
FAILED = 1
#: What an agent takes for a run that was stopped, and reports as such (its own -2).
STOPPED = 254
#: Names in the temporary folder; the process id follows.
RUN_PREFIX, CODE_PREFIX = "stackyard-run-", "stackyard-code-"
#: In the run folder: what parameters name, as far as it is put together for this run alone.
INPUTS = "inputs"
#: What of a clone is never a task's code, as git takes it: compiled files are Python's own.
_UNCOMPILED = ":(exclude)**/__pycache__/**"
#: A task that is aborted gets so long to end its workload and to deliver its record.
ABORT_SECONDS = 45.0
#: A task that has been ended without this process having heard of it: so soon its agent kills it.
KILL_SECONDS = 30.0
#: Variables of the agent, of the Python it runs and of this side; the workload gets none of them ...
AGENT_PREFIXES = ("CLEARML", "TRAINS", "ALG_", "PYTHON", "PIP_", "VIRTUAL_ENV", "LOCAL_PYTHON", "STACKYARD_")
#: ... but these: how to measure, and what tells to which agent a process belongs.
KEPT_VARIABLES = ("STACKYARD_MEASURE", "STACKYARD_SLOT")


@dataclass
class Stack:
    """A stack as this machine or image has it."""

    python: str
    digest: Optional[str] = None
    environment: Dict[str, str] = field(default_factory=dict)


class NotHere(Exception):
    """This machine cannot run the task; another may. The message says what is missing."""


def main(code: Path, begun: float, wheel: Optional[str]) -> int:
    """Run the task this process was started for; 0 if it completed, STOPPED at one of its criteria.

    Args:
        code: The folder that holds the package; goes to the child's PYTHONPATH.
        begun: Epoch seconds at the entry script's first line.
        wheel: SHA-256 of the wheel the package came in; ``None``: from a clone of the repository.
    """
    ending = EndRequest()
    try:
        link = clearml_link.connect()
    except ApiError as error:
        unheard = Failure("infrastructure", str(error))
        print(f"{unheard.kind}: {unheard.message}", file=sys.stderr, flush=True)
        return FAILED
    except Interrupted:
        return FAILED
    folder = Path(tempfile.mkdtemp(prefix=f"{RUN_PREFIX}{os.getpid()}-")).resolve()
    failure: Optional[Failure] = None
    stopped: Optional[Stopped] = None
    try:
        spec = link.spec()
        if spec.workload == records.PIPELINE:
            # ClearML's automation is loaded by the few tasks that need it; the SDK first, as we want it
            from stackyard_task import clearml_sdk

            link.inputs.sdk = clearml_sdk
            from stackyard_task import clearml_pipeline

            link.end_on_abort(ABORT_SECONDS)
            failure = clearml_pipeline.run(spec)
        elif spec.workload == records.TUNING:
            from stackyard_task import clearml_tuning

            link.end_on_abort(ABORT_SECONDS)
            failure = clearml_tuning.run(link, ending, os.environ)
        else:
            record = _run(link, spec, folder, code, begun, wheel, ending)
            link.deliver(record, folder)
            failure, stopped = record.failure, record.stopped
            for alarm in record.alarms:
                print(f"note: {alarm.message}", file=sys.stderr, flush=True)
    except Interrupted:
        failure = Failure("interrupted", "told to end before the workload began; run it again to complete it")
    except inputs.InputError as error:
        failure = Failure(error.kind, str(error))
    except (records.RecordError, run.TaskError) as error:  # what the task says, or a field of its form
        failure = Failure("bad_input", str(error))
    except (NotHere, clearml_link.NotDelivered, ApiError, run.RecordNotWritten, OSError) as error:
        failure = Failure("infrastructure", str(error))
    finally:
        ending.protect()
        link.close()
        shutil.rmtree(folder, ignore_errors=True)
    if failure is None and stopped is not None:
        print(stopped.message, file=sys.stderr, flush=True)
        link.let_go()
        if link.stop(stopped):
            ending.wait(KILL_SECONDS)  # an exit would be reported over what has been said
        return STOPPED
    if failure is None:
        return 0
    ended = failure.kind == "infrastructure" and link.ended()
    if failure.kind == "infrastructure" and (ending.asked or ended):
        # what goes wrong while this process is being ended goes wrong because of that
        failure = Failure("interrupted", f"told to end while the results were delivered ({failure.message})")
    print(f"{failure.kind}: {failure.message}", file=sys.stderr, flush=True)
    link.let_go()
    if failure.kind == "interrupted":
        # Whoever ended this process says what becomes of the task: the agent where it was aborted, and where the
        # agent itself died, whoever looks after agents, who may try the task again.
        if ended:
            ending.wait(KILL_SECONDS)  # an exit would be reported over what has been said
        return FAILED
    # The agent gives a task that exits with another status a reason of its own, over ours. One that has already
    # failed cannot complete, so 0 leaves what we said.
    return 0 if link.fail(failure) else FAILED


def _run(
    link: Link,
    spec: TaskSpec,
    folder: Path,
    code: Path,
    begun: float,
    wheel: Optional[str],
    ending: EndRequest,
) -> RunRecord:
    stack = stack_of(spec, os.environ)
    packages = packages_of(spec)
    places = [code] if wheel else [code / name for name in packages]
    compiling = [  # beside all that is asked of the server
        byte_code.Compiling(python, code, places, wheel, os.environ) for python in _pythons(stack.python)
    ]
    link.end_on_abort(ABORT_SECONDS)
    spec.code.wheel = wheel
    if wheel is None:
        found = code_of(code, packages)  # the user's folder travels by itself
        spec.code = replace(spec.code, version=found.version, dirty=found.dirty, digest=found.digest)
    spec.environment = {**stack.environment, **spec.environment}
    try:
        (folder / INPUTS).mkdir()
        spec.parameters = inputs.resolved(spec.parameters, link.inputs, folder / INPUTS)
        spec.inputs = inputs.resolved(spec.inputs, link.inputs, folder / INPUTS)
        spec.work = inputs.resolved(spec.work, link.inputs)
        records.write_json(spec, folder / records.TASK_FILE)
        dispatch = link.dispatch()
        watcher = link.watcher(spec, folder)
        sweep(Path(tempfile.gettempdir()))
    finally:
        for one in compiling:
            one.wait()
    dispatch.user_code_at = _instant(begun)
    dispatch.container_started_at = _container_start()
    os.chdir(folder)  # where a bare run is, too
    variables = child_environment(os.environ, code, Path(sys.executable))
    ending.hand_over()
    record = run.supervise(folder, python=stack.python, watcher=watcher, inherited=variables)
    dispatch.workload_started_at = record.started_at
    record.dispatch = dispatch
    records.write_json(record, folder / records.RECORD_FILE)
    return record


def child_environment(variables: Mapping[str, str], code: Path, agent_python: Path) -> Dict[str, str]:
    """What the workload inherits: nothing of the agent's, above all neither its key nor its Python.

    Args:
        variables: This process' environment.
        code: The folder that holds the package.
        agent_python: The interpreter whose folder leaves PATH.
    """
    left = {
        name: value
        for name, value in variables.items()
        if name in KEPT_VARIABLES or not name.startswith(AGENT_PREFIXES)
    }
    path = [entry for entry in left.get("PATH", os.defpath).split(os.pathsep) if entry]
    left["PATH"] = os.pathsep.join(entry for entry in path if Path(entry) != agent_python.parent)
    left.update(LANG="C.UTF-8", PYTHONPATH=str(code), PYTHONNOUSERSITE="1", PYTHONDONTWRITEBYTECODE="1")
    return left


def packages_of(spec: TaskSpec) -> List[str]:
    """The packages and modules of a clone that a task runs: the harness, and where its workload's entry lies."""
    if spec.command is not None:
        return ["stackyard_task"]
    entry = spec.declared.entry if spec.declared is not None else entry_of(spec.workload)
    return ["stackyard_task", entry.partition(":")[0].partition(".")[0]]


def code_of(code: Path, packages: Sequence[str]) -> Code:
    """Which commit a clone's ``code`` folder is at, and whether ``packages`` differ; unknown where git cannot tell."""

    def git(*arguments: str) -> str:
        command = ["git", "-c", "safe.directory=*", "-C", str(code), *arguments]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True
        )
        return done.stdout.decode("utf-8", "replace").strip()

    try:
        return Code(
            git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", *packages, _UNCOMPILED))
        )
    except (OSError, subprocess.SubprocessError):
        return Code()


def sweep(folder: Path) -> None:
    """Remove what tasks that were killed left in the temporary ``folder``: each name holds its process id."""
    for left in folder.glob("stackyard-*-*"):
        kind = next((prefix for prefix in (RUN_PREFIX, CODE_PREFIX) if left.name.startswith(prefix)), None)
        owner = left.name[len(kind) :].split("-")[0] if kind else ""
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(left, ignore_errors=True)


def stack_of(spec: TaskSpec, variables: Mapping[str, str]) -> Stack:
    """The stack a task asks for, as this machine has it.

    Raises:
        NotHere: it does not have it, or another one of that name.
    """
    if spec.stack is None:
        return Stack(sys.executable)
    held = _held(variables.get(STACKS_VARIABLE, ""))
    found = held.get(spec.stack.name)
    if found is None or found.digest != spec.stack.digest:
        found = _built_since(held, spec.stack.digest) or found
    if found is None:
        has = ", ".join(sorted(held)) or "none"
        raise NotHere(f"stack {spec.stack.name} is not on this machine (it has: {has}); build it there")
    if spec.stack.digest is not None and found.digest != spec.stack.digest:
        raise NotHere(
            f"stack {spec.stack.name} is pinned as {spec.stack.digest[:12]}, but this machine has "
            f"{str(found.digest)[:12]}; build it again there"
        )
    changes = installed.since_built(found.python)
    if changes is not None:
        raise NotHere(
            f"stack {spec.stack.name} on this machine has other packages than it was built with ({changes}); build it "
            f"again there: stackyard stack build {spec.stack.name}"
        )
    return found


def _built_since(held: Mapping[str, Stack], digest: Optional[str]) -> Optional[Stack]:
    """A stack that was built on this machine after its list was written, such as one that a scenario adds packages to.

    It lies beside those of the list, named by its digest.
    """
    tops = {os.path.dirname(os.path.dirname(os.path.dirname(stack.python))) for stack in held.values()}
    for top in sorted(tops) if digest else ():
        for folder in Path(top).glob(f"*[-+]{str(digest)[:12]}"):
            try:
                marker = records.read_json(Dict[str, Any], folder / installed.MARKER)
            except records.RecordError:
                continue
            python = folder / "bin" / "python"
            if marker.get("digest") == digest and python.exists():
                return Stack(str(python), digest)
    return None


def _held(path: str) -> Dict[str, Stack]:
    if not path:
        raise NotHere(f"{STACKS_VARIABLE} is not set: this agent was not started by stackyard")
    try:
        return records.read_json(Dict[str, Stack], Path(path))
    except records.RecordError as error:
        raise NotHere(f"the list of stacks cannot be read ({error})") from error


def _pythons(of_stack: str) -> List[str]:
    """Whose byte code is made: the stack's Python, so that no child pays for it, and, where it is kept for later tasks,
    this one's own."""
    same = byte_code.tag_of(of_stack) == sys.implementation.cache_tag
    return [of_stack] if same or byte_code.cache_of(os.environ) is None else [of_stack, sys.executable]


def _container_start() -> Optional[str]:
    """When this container's first process started; ``None`` outside a container."""
    if not os.environ.get("CLEARML_DOCKER_IMAGE"):  # set by the agent in the containers it starts
        return None
    started = first_process_started()
    return None if started is None else _instant(started)


def _instant(epoch_seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds")
