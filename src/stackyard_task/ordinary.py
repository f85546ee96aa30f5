"""An ordinary task of a ClearML server, measured: its agent starts this in the place of Python.

The task is not changed and knows nothing of it. Its script runs with the environment, files, folder and signals that
the agent gave, in the Python that ``chosen`` finds, below a supervisor; the record is left with the task however it
ended. Standard library only.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple

from stackyard_task import aborts, chosen, entry, handing_in, records, run, run_folders, signals, spawn
from stackyard_task.api import ApiError, Server, address
from stackyard_task.chosen import NotMet
from stackyard_task.commands import Command, verbatim
from stackyard_task.ending import system_sentence
from stackyard_task.handing_in import table
from stackyard_task.interpreter import MEASURED_VARIABLE, PYTHON_VARIABLE, SHELL_VARIABLE, restore_shell
from stackyard_task.measure.proc import first_process_started
from stackyard_task.records import Dispatch, Failure, Limits, RunRecord, TaskSpec
from stackyard_task.wishes import SETTLED_VARIABLE, Choice, Repository, Settled, Wish, script_digest
from stackyard_task.witness import Outside
from stackyard_task.workloads import Workload

TASK_VARIABLE = "CLEARML_TASK_ID"
#: The image that a container was started from, by its id; what the agent says of it is a name.
IMAGE_VARIABLE = "STACKYARD_IMAGE"
#: When a container was asked for; in those that the gate starts.
ASKED_AT_VARIABLE = "STACKYARD_CONTAINER_ASKED_AT"
#: After an abort the agent waits so long for what is left with the task, before it kills what runs.
ABORT_SECONDS = 30.0
#: How long the results wait for a server that is away.
PATIENCE_SECONDS = 60.0
#: Variables of this side; the script gets none of them, nor those that make an agent start us.
_OURS = ("STACKYARD_", "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL", "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL")
_KEPT = ("STACKYARD_SLOT",)
_MOST_REQUIREMENTS_BYTES = 1 << 20
#: Folders for a record whose own takes nothing.
_SPARE = (tempfile.gettempdir(), "/dev/shm")
RUN_PREFIX = "stackyard-task-"
#: Of section Run: what is read here.
_RUN_NAMES = ("stack", "time_limit_seconds")
#: Of its other names, so many are told.
_MOST_NAMED = 5
FAILED = 1
#: Whoever looks after agents says what becomes of a task whose agent is gone.
AGENT_ENDED = "its agent ended"
#: Of a task that was aborted: what an agent takes for the end that it waited for, however soon that comes.
ABORTED = 137


def main(words: List[str], begun: float, shell: bool = False) -> int:
    """Run the task that this process was started for; the exit status that its agent is to see.

    Args:
        words: what the agent wanted of Python: "-u", "train.py", ...
        begun: epoch seconds at this program's first line.
        shell: whether it is a shell that the agent wanted, and its words.
    """
    agent = os.getppid()
    # from the first thread on: a thread that does not block a signal is ended by it, and the process with it
    given = spawn.Given(frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, signals.passed_on())))
    id = os.environ[TASK_VARIABLE]
    try:
        server = Server(address(os.environ), PATIENCE_SECONDS)
        task = handing_in.document(server, id)
    except ApiError as error:
        if os.environ.get(SETTLED_VARIABLE):  # another environment than it wants is not given to it
            print(f"stackyard: not begun: {error}", file=sys.stderr, flush=True)
            return FAILED
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
        way = dispatch_of(task, how.queue if how else None, begun, None, os.environ)
        records.write_json(way, folder / records.WAY_FILE)
        watch.start()
        entry.check(table(task, "script"), words, Path.cwd(), shell=shell)
        aborts.expect(server, id, ABORT_SECONDS)  # also while its environment is made
        program = entry.shell_of(table(task, "script"), os.environ.get("PATH", os.defpath)) if shell else None
        wish = wish_of(task, Path.cwd())
        choice = chosen.choose(wish, how, os.environ, lambda: watch.why is not None or _is_told_to_end())
        choice.said += not_followed(task, wish, how)
        limit, not_held = (None, []) if how is None else time_limit_of(task)
        choice.said += not_held
        for sentence in choice.said:
            print(f"stackyard: {sentence}", file=sys.stderr, flush=True)
        handing_in.note_stack(server, id, choice)
        spec = spec_of(task, words, choice, program)
        spec.time_limit_seconds = limit
        records.write_json(spec, folder / records.TASK_FILE)
        way.workload_started_at = instant(time.time())
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
        record = held or not_run(task, words, Failure(kind, why))
        if record.failure is None:
            record.notes.append(why)
    if choice is not None:
        record.notes = [*choice.said, *record.notes]
        record.failure = record.failure or mismatch(choice, record)
        record.status = "completed" if record.failure is None else "failed"
    watch.stop()
    if os.getppid() != agent:
        watch.why = watch.why or AGENT_ENDED
    # of a script that was never started there is nothing to measure, and no moment when it was
    started = None if record.measurement.wall_seconds is None else record.started_at
    record.dispatch = dispatch_of(task, how.queue if how else None, begun, started, os.environ)
    if watch.why is not None and record.failure is not None:
        record.failure.kind = "interrupted"
        record.failure.message = f"{watch.why}; {record.failure.message}"
    is_there = delivered(server, task, record, folder)
    outside.over()
    return said(server, id, record, watch.why, is_there)


def _unmeasured(why: str, words: List[str], given: spawn.Given, shell: bool) -> NoReturn:
    """Become what the agent wanted, as it would be without us: nobody settled that tasks get another environment."""
    print(f"stackyard: not measured: {why}", file=sys.stderr, flush=True)
    signal.pthread_sigmask(signal.SIG_SETMASK, given.blocked)
    program = os.environ.get(SHELL_VARIABLE) or "/bin/sh" if shell else os.environ.get(PYTHON_VARIABLE)
    restore_shell(os.environ)
    words = [program or sys.executable, *words]
    os.execv(words[0], words)


def wish_of(task: Mapping[str, Any], folder: Optional[Path]) -> Wish:
    """What a task wants of its environment.

    Args:
        task: its document.
        folder: where its script is: a file of requirements is looked for there, and at the top of the repository, where
            the task lists none. ``None``: it is not here; the wish says where it can be fetched.
    """
    script, params = table(task, "script"), table(task, "hyperparams")
    wish = Wish()
    listed = table(script, "requirements").get("pip")
    text = "\n".join(map(str, listed)) if isinstance(listed, list) else str(listed or "")
    if _says_something(text):
        wish.requirements = text
    elif script.get("repository") and folder is None:
        parts = ("repository", "version_num", "branch", "tag", "working_dir")
        wish.repository = Repository(*(str(script.get(part) or "").strip() for part in parts))
    elif script.get("repository") and folder is not None:
        wish.requirements, wish.requirements_from = _of_repository(folder)
    for section, said in (("Run", "Run/stack"), ("properties", "the user property stack")):
        named = table(table(params, section), "stack").get("value")
        if named and str(named).strip():
            wish.stack, wish.stack_from = str(named).strip(), said
            break
    wish.python = _python_of(str(script.get("binary") or ""))
    return wish


def not_followed(task: Mapping[str, Any], wish: Wish, how: Optional[Settled]) -> List[str]:
    """What a task's section Run says and nobody here follows, as sentences.

    A section of that name may be the script's own, so nothing in it is a fault; a name that was mistyped is said.

    Args:
        task: its document.
        wish: what was read of it.
        how: what the operator settled; ``None``: nothing, then nobody here reads the section.
    """
    if how is None:
        return []
    if how.environment == "agent":
        queue = f"queue {how.queue}" if how.queue else "this queue"
        named = f"{wish.stack_from} is not followed: tasks of {queue} run in the environment of their agent"
        return [named] if wish.stack else []
    names = sorted(name for name in table(table(task, "hyperparams"), "Run") if name not in _RUN_NAMES)
    if not names:
        return []
    from difflib import get_close_matches  # only who needs it loads it: starts are waited for

    near = {name: meant[0] for name in names if (meant := get_close_matches(name.lower(), _RUN_NAMES, 1))}
    left = [name for name in names if name not in near]
    told = [
        f"Run/{_plain(name)} is no parameter of Stackyard's and changes nothing here; is Run/{meant} meant?"
        for name, meant in list(near.items())[:_MOST_NAMED]
    ]
    if left:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        shown = ", ".join(f"Run/{_plain(name)}" for name in left[:_MOST_NAMED])
        told.append(
            f"left to the script: {shown}{more}; of section Run, Stackyard reads {' and '.join(_RUN_NAMES)}"
        )
    return told


def time_limit_of(task: Mapping[str, Any]) -> Tuple[Optional[float], List[str]]:
    """(how long a task may take in seconds, by its section Run; what is said of a limit that cannot be read)."""
    name = _RUN_NAMES[1]
    text = str(table(table(table(task, "hyperparams"), "Run"), name).get("value") or "").strip()
    try:
        seconds = float(text or "nan")
    except ValueError:
        seconds = 0.0
    if 0 < seconds < float("inf"):
        return seconds, []
    said = f"Run/{name} is {_plain(text)!r}, expected a number above 0; no limit is held"
    return None, [said] if text else []


def _plain(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:60])


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _of_repository(folder: Path) -> Tuple[Optional[str], str]:
    """(text, name) of a repository's requirements.txt: beside the script, else at the top."""
    for place in (folder, *folder.parents):
        file = place / "requirements.txt"
        with contextlib.suppress(OSError):
            if file.is_file():
                with file.open("rb") as stream:
                    text = stream.read(_MOST_REQUIREMENTS_BYTES).decode("utf-8", "replace")
                return (text if _says_something(text) else None), "the repository's requirements.txt"
        if (place / ".git").exists():
            break
    return None, Wish().requirements_from


def _python_of(binary: str) -> Optional[str]:
    """The Python that a task's script names: "3.11" of "/usr/bin/python3.11"."""
    name = binary.rpartition("/")[2]
    version = name[len("python") :] if name.startswith("python") else ""
    parts = version.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 and all(part.isdigit() for part in parts[:2]) else None


def spec_of(
    task: Mapping[str, Any], words: List[str], choice: Choice, program: Optional[str] = None
) -> TaskSpec:
    """The task as a command that is run here; ``program``: what runs its script, where that is not Python."""
    script = table(task, "script")
    command = Command(
        tuple(verbatim(word) for word in [program or choice.python, *words]), folder=os.getcwd()
    )
    name = str(script.get("entry_point") or task.get("name") or "task")[:200]
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
    for name, loaded in (record.environment.packages or {}).items():
        pinned = choice.pins.get(re.sub(r"[-_.]+", "-", name).lower())
        if pinned is not None and loaded.partition("+")[0] != pinned.partition("+")[0]:
            return Failure(
                "stack_mismatch",
                f"the task lists {name}, its environment has {pinned}, but {loaded} was loaded; is another one in its "
                "folder or on its PYTHONPATH?",
            )
    return None


def dispatch_of(
    task: Mapping[str, Any],
    queue: Optional[str],
    begun: Optional[float],
    started_at: Optional[str],
    variables: Mapping[str, str],
) -> Dispatch:
    """How the task came here.

    Args:
        task: its document.
        queue: the name of its queue; ``None``: the id of that, as far as the server tells.
        begun: epoch seconds at the first line of what its agent started; ``None``: it started nothing.
        started_at: when its script was started; ``None``: it was not.
        variables: the environment that its agent gave.
    """
    return Dispatch(
        task_id=str(task["id"]),
        queue=queue or str(table(table(task, "execution"), "queue").get("id") or "") or None,
        worker=variables.get("CLEARML_WORKER_ID"),
        image=variables.get(IMAGE_VARIABLE) or variables.get("CLEARML_DOCKER_IMAGE"),
        pulled_at=task.get("started"),
        container_started_at=_container_start(variables) if begun is not None else None,
        user_code_at=None if begun is None else instant(begun),
        workload_started_at=started_at,
    )


def _container_start(variables: Mapping[str, str]) -> Optional[str]:
    """When the first process of this container started; ``None``: this is none, or another than the task's."""
    started = first_process_started() if variables.get(ASKED_AT_VARIABLE) else None
    return None if started is None else instant(started)


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
    return Path(tempfile.mkdtemp(prefix=f"{RUN_PREFIX}{os.getpid()}-")).resolve()


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


def not_run(task: Mapping[str, Any], words: Optional[List[str]], failure: Failure) -> RunRecord:
    """The record of a task whose script was never started."""
    now = instant(time.time())
    name = str(table(task, "script").get("entry_point") or task.get("name") or "task")[:200]
    return RunRecord(str(task["id"]), name, "failed", now, now, failure=failure, command=words)


def delivered(server: Server, task: Mapping[str, Any], record: RunRecord, folder: Optional[Path]) -> bool:
    """Leave the record with the task; whether the server took it. What it did not take stays in its folder."""
    place: Optional[Path] = None
    try:
        place = _kept(record, folder)
        began = task.get("started")
        task = handing_in.document(server, str(task["id"]))  # as the script left it
        if handing_in.is_another_run(task, began):
            raise ApiError("the task has been started anew since")
        record.parameters = handing_in.parameters_of(task)
        records.write_json(record, place / records.RECORD_FILE)
        handing_in.hand_in(server, task, record, place)
    except (ApiError, OSError) as error:
        kept = "" if place is None else f"; it lies in {place}"
        said = f"stackyard: the record could not be left with the task ({error}){kept}"
        print(said, file=sys.stderr, flush=True)
        return False
    shutil.rmtree(place, ignore_errors=True)
    return True


def _kept(record: RunRecord, folder: Optional[Path]) -> Path:
    """Where a record is written before the server takes it: elsewhere where its folder is full or not to be written."""
    why: Optional[OSError] = None
    for top in (None, *_SPARE):
        try:
            place = (
                folder
                if folder is not None and top is None
                else Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=top))
            )
            place.mkdir(parents=True, exist_ok=True, mode=0o700)  # a script may remove it
            records.write_json(record, place / records.RECORD_FILE)
            if record.dispatch is not None:
                records.write_json(record.dispatch, place / records.WAY_FILE)
        except OSError as error:
            why = why or error
            continue
        return place
    assert why is not None
    raise why


def said(server: Server, id: str, record: RunRecord, why: Optional[str], is_there: bool) -> int:
    """Say how it ended, and with which status to exit.

    Args:
        server: where the task is.
        id: the task's.
        record: what was left with it.
        why: it was ended on the server; ``None``: it was not.
        is_there: whether the server has the record.
    """
    failure = record.failure
    began = record.dispatch.pulled_at if record.dispatch is not None else None
    if why is not None:
        if is_there:
            aborts.is_over(server, id)
        return ABORTED
    if failure is None:
        return 0
    print(f"stackyard: {failure.kind}: {failure.message}", file=sys.stderr, flush=True)
    if failure.kind != "interrupted" and handing_in.fail(server, id, failure, began):
        return 0
    return failure.exit_code or FAILED


def instant(epoch_seconds: float) -> str:
    """A moment as records write it."""
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds")
