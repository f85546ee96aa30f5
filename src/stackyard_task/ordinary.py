"""An ordinary task of a ClearML server, measured: its agent starts this in the place of Python.

The task is not changed and knows nothing of it. Its script runs with the environment, files, folder and signals that
the agent gave, in the Python that ``chosen`` finds, below a supervisor; the record is left with the task however it
ended. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional, Tuple

from stackyard_task import (
    aborts,
    chosen,
    entry,
    handing_in,
    leaving,
    records,
    run,
    run_folders,
    signals,
    spawn,
    wished,
)
from stackyard_task.api import ApiError, Server, address
from stackyard_task.chosen import NotMet
from stackyard_task.commands import Command, verbatim
from stackyard_task.ending import system_sentence
from stackyard_task.handing_in import table
from stackyard_task.interpreter import MEASURED_VARIABLE, PYTHON_VARIABLE, SHELL_VARIABLE, restore_shell
from stackyard_task.records import Failure, Limits, RunRecord, TaskSpec
from stackyard_task.wishes import SETTLED_VARIABLE, Choice, Settled, script_digest
from stackyard_task.witness import Outside
from stackyard_task.workloads import Workload

TASK_VARIABLE = "CLEARML_TASK_ID"
#: Variables of this side; the script gets none of them, nor those that make an agent start us.
_OURS = ("STACKYARD_", "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL", "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL")
_KEPT = ("STACKYARD_SLOT",)
#: Sentences of one kind that a record gets.
_MOST_SAID = 10


def main(words: List[str], begun: float, shell: bool = False) -> int:
    """Run the task that this process was started for; the exit status that its agent is to see.

    Args:
        words: what the agent wanted of Python: "-u", "train.py", ...
        begun: epoch seconds at this program's first line.
        shell: whether it is a shell that the agent wanted, and its words.
    """
    agent = os.getppid()
    # from the first thread on: a thread that does not block a signal is ended by it, and the process with it
    blocked = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, signals.passed_on()))
    # an agent is in our group, and the agent that started that one too
    given = spawn.Given(blocked, apart=not spawn.has_terminal())
    id = os.environ[TASK_VARIABLE]
    try:
        server = Server(address(os.environ), leaving.PATIENCE_SECONDS)
        task = handing_in.document(server, id)
    except ApiError as error:
        if os.environ.get(SETTLED_VARIABLE):  # another environment than it wants is not given to it
            print(f"stackyard: not begun: {error}", file=sys.stderr, flush=True)
            return leaving.FAILED
        _unmeasured(str(error), words, given, shell)
    folder: Optional[Path] = None
    watch = aborts.Watch(server, id)
    how: Optional[Settled] = None
    outside = Outside(None)
    choice: Optional[Choice] = None
    try:
        how = chosen.settled(os.environ)
        outside = Outside(how.witness if how else None)
        folder = _folder(how.runs if how else None, id)
        # what is needed where this process does not live to hand the record in
        way = leaving.dispatch_of(task, how.queue if how else None, begun, None, os.environ)
        records.write_json(way, folder / records.WAY_FILE)
        watch.start()
        entry.check(table(task, "script"), words, Path.cwd(), shell=shell)
        watch.note(aborts.expectation(leaving.ABORT_SECONDS))  # also while its environment is made
        program = entry.shell_of(table(task, "script"), os.environ.get("PATH", os.defpath)) if shell else None
        wish = wished.wish_of(task, Path.cwd())
        choice = chosen.choose(wish, how, os.environ, lambda: watch.why is not None or _is_told_to_end())
        choice.said += wished.not_followed(task, wish, how)
        limit, not_held = (None, []) if how is None else wished.time_limit_of(task)
        choice.said += not_held
        for sentence in choice.said:
            print(f"stackyard: {sentence}", file=sys.stderr, flush=True)
        watch.note(handing_in.stack_noted(choice))
        spec = spec_of(task, words, choice, program)
        spec.time_limit_seconds = limit
        records.write_json(spec, folder / records.TASK_FILE)
        way.workload_started_at = leaving.instant(time.time())
        records.write_json(way, folder / records.WAY_FILE)
        outside.begin()
        record = run.supervise(
            folder,
            python=choice.python,
            inherited=_inherited(
                os.environ, choice.python, shell and how is not None and how.environment != "agent"
            ),
            here=given,
            stands_in=True,
            console=outside.console,
        )
        outside.end(record)
    except (NotMet, run.TaskError, run.RecordNotWritten, records.RecordError, OSError) as error:
        why = system_sentence(error) if isinstance(error, OSError) else str(error)
        kind = error.kind if isinstance(error, NotMet) else "infrastructure"
        held = getattr(error, "record", None)
        if held is None and kind != "interrupted" and not os.environ.get(SETTLED_VARIABLE):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            _unmeasured(why, words, given, shell)
        record = held or leaving.not_run(task, words, Failure(kind, why))
        if record.failure is None:
            record.notes.append(why)
    if choice is not None:
        told = [*chosen.changed(choice), *own_versions(choice, record)]
        for sentence in told:
            print(f"stackyard: {sentence}", file=sys.stderr, flush=True)
        record.notes = [*choice.said, *record.notes, *told]
        record.failure = record.failure or mismatch(choice, record)
        record.status = records.status_of(record)
    watch.stop()
    if os.getppid() != agent:
        watch.why = watch.why or leaving.AGENT_ENDED
    # of a script that was never started there is nothing to measure, and no moment when it was
    started = None if record.measurement.wall_seconds is None else record.started_at
    record.dispatch = leaving.dispatch_of(task, how.queue if how else None, begun, started, os.environ)
    if watch.why is not None and record.failure is not None:
        record.failure.kind = "interrupted"
        record.failure.message = f"{watch.why}; {record.failure.message}"
    is_there = leaving.delivered(server, task, record, folder)
    outside.over()
    return leaving.said(server, id, record, watch.why, is_there)


def _unmeasured(why: str, words: List[str], given: spawn.Given, shell: bool) -> NoReturn:
    """Become what the agent wanted, as it would be without us: nobody settled that tasks get another environment."""
    print(f"stackyard: not measured: {why}", file=sys.stderr, flush=True)
    signal.pthread_sigmask(signal.SIG_SETMASK, given.blocked)
    program = os.environ.get(SHELL_VARIABLE) or "/bin/sh" if shell else os.environ.get(PYTHON_VARIABLE)
    restore_shell(os.environ)
    words = [program or sys.executable, *words]
    os.execv(words[0], words)


def spec_of(
    task: Mapping[str, Any], words: List[str], choice: Choice, program: Optional[str] = None
) -> TaskSpec:
    """The task as a command that is run here; ``program``: what runs its script, where that is not Python."""
    script = table(task, "script")
    command = Command(
        tuple(verbatim(word) for word in [program or choice.python, *words]), folder=os.getcwd()
    )
    name = handing_in.called(task)
    spec = TaskSpec(str(task["id"]), name, declared=Workload(name, "", "", command=command))
    spec.stack, spec.environment = choice.stack, choice.variables
    spec.limits = Limits()
    spec.code.own_version = str(script.get("version_num") or "") or None
    diff = str(script.get("diff") or "")
    spec.code.own_dirty = bool(diff) if spec.code.own_version else None
    said = [str(script.get(key) or "") for key in ("repository", "version_num", "diff", "entry_point")]
    spec.code.own_digest = script_digest(*said)
    return spec


def mismatch(choice: Choice, record: RunRecord) -> Optional[Failure]:
    """The package that was loaded in another version than the task lists; ``None``: none was, as far as is told."""
    for name, pinned, loaded in _otherwise(choice, record.environment.packages):
        return Failure(
            "stack_mismatch",
            f"the task lists {name}, its environment has {pinned}, but {loaded} was loaded; was another one installed "
            "while it ran, or is one on its PYTHONPATH?",
        )
    return None


def own_versions(choice: Choice, record: RunRecord) -> List[str]:
    """A sentence for each listed package that the script brought itself, in another version: its author wanted that."""
    return [
        f"the task lists {name}, its environment has {pinned}, and its script loaded {loaded} from a folder of its own"
        for name, pinned, loaded in _otherwise(choice, record.environment.packages_elsewhere)
    ][:_MOST_SAID]


def _otherwise(choice: Choice, packages: Optional[Mapping[str, str]]) -> Iterator[Tuple[str, str, str]]:
    """Of listed packages that were loaded in another version: name, the environment's version, the loaded one."""
    for name, loaded in (packages or {}).items():
        pinned = choice.pins.get(re.sub(r"[-_.]+", "-", name).lower())
        if pinned is not None and loaded.partition("+")[0] != pinned.partition("+")[0]:
            yield name, pinned, loaded


def _is_told_to_end() -> bool:
    """Whether a signal waits that asks for an end."""
    return bool(signal.sigpending() & {signal.SIGTERM, signal.SIGINT})


def _folder(top: Optional[str], id: str) -> Path:
    """The run folder. Below the operator's it is named by the task and this process, with when that began."""
    if top:
        began = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        folder = Path(top) / run_folders.name(id, os.getpid(), began)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{leaving.RUN_PREFIX}{os.getpid()}-")).resolve()


def _inherited(variables: Mapping[str, str], python: str, first: bool = False) -> Dict[str, str]:
    """The environment that the agent gave, without what is ours or of a Python that is not the task's.

    Args:
        variables: this process' environment.
        python: the interpreter that the task gets.
        first: whether programs are looked for beside it first, as a shell's script has to.
    """
    left = {name: value for name, value in variables.items() if name in _KEPT or not name.startswith(_OURS)}
    left[MEASURED_VARIABLE] = variables.get(TASK_VARIABLE, "")
    path = [one for one in left.get("PATH", os.defpath).split(os.pathsep) if one]
    left["PATH"] = os.pathsep.join(one for one in path if one != os.path.dirname(sys.executable))
    if first:
        left["PATH"] = entry.python_first(left["PATH"], python)
    if SHELL_VARIABLE in variables:
        left[SHELL_VARIABLE] = variables[SHELL_VARIABLE]
        restore_shell(left)
    agents = variables.get(PYTHON_VARIABLE) or sys.executable
    if "PYTHONPATH" in left and agents != python:
        # the agent adds where its interpreter finds modules, and these would go before the environment's own
        roots = {os.path.dirname(os.path.dirname(one)) for one in (agents, os.path.realpath(agents))}
        foreign = tuple(os.path.join(root, "lib") + os.sep for root in roots)
        entries = dict.fromkeys(left.pop("PYTHONPATH").split(os.pathsep))
        kept = [one for one in entries if one and not one.startswith(foreign)]
        left.update({"PYTHONPATH": os.pathsep.join(kept)} if kept else {})
    return left
