"""The container of an ordinary task, from outside: its image is chosen, it is started, watched, and reported on.

The gate before an agent's containers (``stackyard.agents.gate``) hands the ordinary tasks over to this. Inside the
container ``ordinary`` runs the script and measures it; here its cgroup is read (``witness``), and where everything
inside has died, the record is made here. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

from stackyard_task import (
    aborts,
    attendance,
    chosen,
    handing_in,
    interpreter,
    leaving,
    left,
    records,
    run_folders,
    wished,
)
from stackyard_task.api import ApiError, Server, address
from stackyard_task.chosen import NotMet
from stackyard_task.handing_in import table
from stackyard_task.records import Course, Failure, RecordError, RunRecord, TaskSpec
from stackyard_task.wishes import GIVEN, Choice, Settled

#: In the folder that the container shares with us.
TASKS_FILE = "tasks.json"
#: Signals that are the container's: the client passes them on.
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: How docker says that it could not start a container, or the program in it.
_NOT_STARTED = (125, 126, 127)
#: How it is said that an agent has failed a task.
_BY_AGENT = "set to failed"
#: Of the console, so much is read again; of that a line is told.
_CONSOLE_BYTES, _MOST_SAID = 16 << 10, 200
_WRONG = re.compile(r"\s*(docker|fatal|error|clearml_agent|[A-Za-z.]*(Error|Exception)):", re.IGNORECASE)
FAILED, AGENT_ENDED = leaving.FAILED, leaving.AGENT_ENDED


def looked_up(conf: str, task_id: str, tasks_file: str, variables: Mapping[str, str]) -> Optional[Box]:
    """The task as one that is no task of ours; ``None``: Stackyard sent it, and it measures itself.

    Args:
        conf: the agent's configuration for the container, which says where the server is.
        task_id: its id.
        tasks_file: JSON of ``Settled``.
        variables: the environment that the agent gave.

    Raises:
        NotMet: the server does not say what the task is, or the file cannot be read.
    """
    try:
        server = Server(address({**variables, "CLEARML_CONFIG_FILE": conf}), leaving.PATIENCE_SECONDS)
        task = handing_in.document(server, task_id)
    except ApiError as error:
        raise NotMet(f"what the task wants cannot be asked ({error})", "infrastructure") from error
    if _is_named_own(task):
        try:
            held = handing_in.document(server, task_id, ["id", "configuration"])
        except ApiError as error:
            raise NotMet(f"what the task wants cannot be asked ({error})", "infrastructure") from error
        if _is_own(task, held):
            return None
    how = chosen.settled({**variables, chosen.SETTLED_VARIABLE: tasks_file})
    assert how is not None
    return Box(server, task, how, {**variables, **_login(conf)})


def _is_named_own(task: Mapping[str, Any]) -> bool:
    """Whether a task's script has the name of that of the tasks which Stackyard sends; others' may have it too."""
    entry = str(table(task, "script").get("entry_point") or "")
    return os.path.basename(entry) == interpreter.OWN_SCRIPT


def _is_own(task: Mapping[str, Any], held: Mapping[str, Any]) -> bool:
    """Whether a task whose script is named so is one that Stackyard sends.

    Args:
        task: its document. Where the script is stored whole, its words tell.
        held: its document with its configuration. Of a script in a repository nothing is here: there the task tells
            that carries what our script is to run.
    """
    script = table(task, "script")
    if interpreter.OWN_WORDS.decode() in str(script.get("diff") or ""):
        return True
    return bool(script.get("repository")) and bool(
        table(table(held, "configuration"), interpreter.OWN_CONFIGURATION).get("value")
    )


def _login(conf: str) -> Dict[str, str]:
    """What the agent's configuration says of git, for the process that fetches a repository's requirements."""
    agent: Any = {}
    with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError), open(conf, "rb") as stream:
        agent = json.loads(stream.read(4 << 20)).get("agent")
    found = {}
    for key in ("git_user", "git_pass", "git_host"):
        value = agent.get(key) if isinstance(agent, dict) else None
        if value and isinstance(value, str):
            found[f"STACKYARD_{key.upper()}"] = value
    return found


@dataclass
class Box:
    """One ordinary task, before and while its container runs.

    Args:
        server: where it is.
        task: its document.
        how: what the operator settled for its queue.
        variables: the environment that the agent gave.
    """

    server: Server
    task: Mapping[str, Any]
    how: Settled
    variables: Mapping[str, str]

    def __post_init__(self) -> None:
        self._agent = os.getppid()
        self._watch: Optional[aborts.Watch] = None
        self._told = False
        #: What the container is told of its queue and image, for the record.
        self.told: Dict[str, str] = {}
        #: The number of the container's user, where that is not ours.
        self.owner: Optional[int] = None
        #: Where records are put that the server did not take, for whoever hands them in later.
        self.runs: Optional[Path] = None

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.task["id"])

    def choose(self, image_stack: Optional[str], has_image: Callable[[str], bool]) -> Choice:
        """The image for the task, built now where it is missing.

        Args:
            image_stack: the stack in the image that the task names; ``None``: it names none.
            has_image: whether the engine still has an image.

        Raises:
            NotMet: what it wants cannot be had, or it was ended meanwhile.
        """
        wish = wished.wish_of(self.task, None)
        if image_stack is not None:
            if wish.stack is not None and wish.stack != image_stack:
                raise NotMet(
                    f"{wish.stack_from} names {wish.stack[:60]}, the task's image holds {image_stack}; leave one of "
                    "them out"
                )
            wish.stack, wish.stack_from = image_stack, "the task's image"
        signal.signal(signal.SIGTERM, self._tell)
        choice = chosen.choose(wish, self.how, self.variables, self._over, has_image)
        if self._over_already():
            raise NotMet("the task was ended before its container started", "interrupted")
        for sentence in choice.said:
            print(f"stackyard: {sentence}", flush=True)
        return choice

    def _tell(self, _number: int, _frame: Any) -> None:
        self._told = True

    def _over_already(self) -> bool:
        return self._told or (self._watch is not None and self._watch.why is not None)

    def _over(self) -> bool:
        """Whether the task was ended; asked only while something is made, so that is when it begins to be looked at."""
        self._look()
        return self._over_already()

    def _look(self) -> None:
        """Begin to look whether the task is ended on its server, and have the agent wait for what is left then."""
        if self._watch is None:
            aborts.expect(self.server, self.id, leaving.ABORT_SECONDS)
            self._watch = aborts.Watch(self.server, self.id)
            self._watch.start()

    def not_started(self, kind: str, message: str) -> int:
        """Leave with the task why nothing was started; the exit status that its agent is to see."""
        return self._left(leaving.not_run(self.task, None, Failure(kind, message)))

    def share(self, top: Path, choice: Choice, shared: str) -> Path:
        """The folder that the container gets to write to: what the wrapper in it reads, and its socket.

        Args:
            top: where such folders are made; those of killed ones go.
            choice: what was chosen.
            shared: its name in the container.
        """
        top.mkdir(mode=0o700, exist_ok=True)
        for place in top.iterdir():
            owner = place.name.rpartition("-")[2]
            if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                shutil.rmtree(place, ignore_errors=True)
        folder = top / f"{self.id}-{os.getpid()}"
        folder.mkdir(mode=0o700)
        how = replace(
            self.how,
            environment=GIVEN,
            given=choice,
            images=None,
            variables={},
            runs=f"{shared}/runs",
            witness=f"{shared}/{attendance.SOCKET}",
        )
        records.write_json(how, folder / TASKS_FILE)
        if self.owner is not None:
            os.chown(folder, self.owner, self.owner)
        return folder

    def run(self, words: List[str], folder: Path) -> int:
        """Start the container, see it through, and report on it where nothing inside can; its exit status.

        Args:
            words: docker's client and what it is to do.
            folder: of ``share``.

        Raises:
            OSError: the client cannot be started.
        """
        with attendance.listening(folder, self.owner) as listener:
            started, console = time.time(), {number: _size(number) for number in (1, 2)}
            client = subprocess.Popen(words, stdin=subprocess.DEVNULL)
            for number in _PASSED_ON:
                signal.signal(number, lambda number, _frame: client.send_signal(number))
            if self._told:  # before there was a client to tell
                client.send_signal(signal.SIGTERM)
            self._look()  # what the agent in the container does before the script may take long
            seen = attendance.Attendance(listener, self._watch_no_more)
            seen.until_ended(client)
            self._watch_no_more()
        status = client.returncode if client.returncode >= 0 else 128 - client.returncode
        said = b"".join(_since(number, size) for number, size in console.items())
        kept = self._kept(folder)
        if not seen.over and not kept:
            status = self._report(status, seen, started, folder, last_words(said))
        shutil.rmtree(folder, ignore_errors=True)
        return status

    def _kept(self, folder: Path) -> bool:
        """Keep a record that the server did not take; whether there is one.

        Read and written anew, and nothing that a link leads to: the task could write there too.
        """
        for run in folder.glob("runs/*"):
            files = {name: run / name for name in (records.RECORD_FILE, records.TIMELINE_FILE)}
            if run.is_symlink() or any(file.is_symlink() for file in files.values()) or self.runs is None:
                continue
            try:
                record = records.read_json(RunRecord, files[records.RECORD_FILE])
                course: Optional[Course] = None
                with contextlib.suppress(RecordError):
                    course = records.read_json(Course, files[records.TIMELINE_FILE])
                way = record.dispatch or leaving.dispatch_of(
                    self.task, self.how.queue, None, None, {**self.variables, **self.told}
                )
                place = run_folders.laid(self.runs, self.id, way, record, course)
            except (RecordError, OSError):
                continue
            print(
                f"stackyard: the record is kept in {place} until the server takes it",
                file=sys.stderr,
                flush=True,
            )
            return True
        return False

    def _why(self) -> Optional[str]:
        """Why the task is over on its server, or what becomes of it is somebody else's affair; ``None``: neither."""
        found = None if self._watch is None else self._watch.why
        with contextlib.suppress(ApiError):
            found = found or aborts.why_over(handing_in.document(self.server, self.id))
        if found is None and os.getppid() != self._agent:
            found = AGENT_ENDED
        return found

    def _watch_no_more(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _report(
        self, status: int, seen: attendance.Attendance, started: float, folder: Path, words: Optional[str]
    ) -> int:
        """Say what became of a task whose container ended without a word."""
        why = self._why()
        if not seen.begun and status in (0, FAILED) and (why is None or why.endswith(_BY_AGENT)):
            # the agent in the container could not make the task ready; who looks after agents reads why in its words
            print(
                f"stackyard: not measured: the agent in the container ended with status {status} before the script "
                "began",
                file=sys.stderr,
                flush=True,
            )
            return status
        record = leaving.not_run(self.task, None, _failure(status, seen, words))
        record.started_at = leaving.instant(seen.begun_at or started)
        if seen.begun:
            self._of_the_lost(record, folder)
            record.witness = seen.last
            record.notes.append(
                "what measured the task in the container has ended too; the witness saw what it says"
            )
        return self._left(record, seen.begun_at)

    def _of_the_lost(self, record: RunRecord, folder: Path) -> None:
        """Put into a record what its supervisor left in its run folder, which the task may have written too."""
        try:
            run = next(run for run in folder.glob("runs/*") if not run.is_symlink())
            spec = records.read_json(TaskSpec, run / records.TASK_FILE)
        except (StopIteration, OSError, RecordError):
            return
        lost = left.of_the_lost(spec, run)
        record.environment, record.measurement, record.notes = lost.environment, lost.measurement, lost.notes
        record.started_at = lost.started_at

    def _left(self, record: RunRecord, begun: Optional[float] = None) -> int:
        """Leave a record with the task, and why it failed."""
        why = self._why()
        if why is not None and record.failure is not None and record.failure.kind != "interrupted":
            record.failure.kind, record.failure.message = "interrupted", f"{why}; {record.failure.message}"
        started = None if begun is None else record.started_at
        told = {**self.variables, **self.told}
        record.dispatch = leaving.dispatch_of(self.task, self.how.queue, begun, started, told)
        is_there = leaving.delivered(self.server, self.task, record, None)
        return leaving.said(self.server, self.id, record, why, is_there)


def last_words(said: bytes) -> Optional[str]:
    """What a program said at last of what went wrong, in its console; ``None``: nothing that can be told apart."""
    lines = said.decode("utf-8", "replace").splitlines()
    wrong = [" ".join(line.split()) for line in lines if _WRONG.match(line)]
    fatal = [line for line in wrong if line.startswith("fatal:")]  # git's: it says more than its caller
    return (fatal or wrong)[-1][:_MOST_SAID] if wrong else None


def _failure(status: int, seen: attendance.Attendance, words: Optional[str]) -> Failure:
    """Why a container ended without a word.

    Args:
        status: its exit status.
        seen: what was seen of it.
        words: what it said at last.
    """
    if seen.kernel_kills:
        held = (
            ""
            if seen.last is None or seen.last.charged_peak_bytes is None
            else (f"; it held {seen.last.charged_peak_bytes / 2**20:,.0f} MiB")
        )
        return Failure(
            "out_of_memory",
            f"the kernel ended the task's processes, what measures them included, for lack of memory{held}; give it "
            "more memory, or let it use less",
            exit_code=status,
        )
    if seen.begun:
        return Failure(
            "killed",
            "everything in the container was ended from outside, what measures the task included "
            f"(exit status {status})",
            exit_code=status,
        )
    if status in _NOT_STARTED:
        said = "the Docker Engine could not start the container"
    else:
        said = f"the agent in the container ended with status {status} before the script began"
    why = "the console says why" if words is None else f"its last word: {words}"
    return Failure("infrastructure", f"{said}; {why}", exit_code=status)


def _size(descriptor: int) -> int:
    """How much a file has in it by now that we write to; 0 where it is no file."""
    with contextlib.suppress(OSError):
        return os.fstat(descriptor).st_size if stat.S_ISREG(os.fstat(descriptor).st_mode) else 0
    return 0


def _since(descriptor: int, size: int) -> bytes:
    """The end of what was written to it since then, as far as it is a file."""
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with open(f"/proc/self/fd/{descriptor}", "rb") as stream:
                stream.seek(max(size, os.fstat(descriptor).st_size - _CONSOLE_BYTES))
                return stream.read(_CONSOLE_BYTES)
    return b""
