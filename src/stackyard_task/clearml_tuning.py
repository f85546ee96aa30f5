"""The controller of a study: has our side search, as the task's configuration says, and shows it on the task.

The search is a process of its own, ``stackyard tune run``, in the Python and the home that the operator settled for
this agent. The study lies there under the task's id. So a task that the server queues again, because its agent was
lost, goes on with what is there; a task that was reset begins anew. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import IO, Any, Dict, Mapping, Optional

from stackyard_task import chosen, records
from stackyard_task.api import ApiError
from stackyard_task.clearml_link import Link
from stackyard_task.clearml_study import StudyTask
from stackyard_task.end_request import EndRequest
from stackyard_task.records import Failure, RecordError
from stackyard_task.studies import STUDY
from stackyard_task.wishes import Settled

#: Below our side's home; in it a folder for each task.
FOLDER = "studies"
#: In that of a task: the study file, the study itself, what the tuner tells, how much of that was shown, what the tuner
#: answered at its end, and which run of the task began it.
FILE, RUN, TOLD = "study.toml", "study", "told.jsonl"
SHOWN, ANSWER, BEGUN = "shown", "answer.json", "begun"
#: The runtime property that says the same as BEGUN; a task that is reset loses it.
BEGUN_PROPERTY = "stackyard_study"
#: How often what the tuner tells is shown.
SHOW_SECONDS = 2.0
#: After an abort the tuner gets so long to end its trials, then so long more to kill them.
END_SECONDS, KILL_SECONDS = 28.0, 6.0
#: What is left to show at its end may take so long.
LAST_SECONDS = 60.0
#: A study that nobody went on with for so long is removed when another begins.
KEPT_SECONDS = 30 * 86400.0
#: So much of what the tuner prints is passed on in one line.
_MOST_LETTERS = 4000
_ANSWER_BYTES = 32 << 20
#: Exit statuses of our side that say whose fault it is.
KINDS = {2: "bad_input", 3: "infrastructure", 4: "code"}


def run(link: Link, ending: EndRequest, variables: Mapping[str, str]) -> Optional[Failure]:
    """Run the study of the current task to its end; ``None`` where it came to it.

    Args:
        link: the task.
        ending: how this process is told to end.
        variables: the environment.

    Raises:
        RecordError: the task holds no study.
        ApiError: the server does not answer.
        OSError: the study's folder cannot be written.
    """
    text = link.configuration(STUDY)
    if not text.strip():
        raise RecordError(f"the task has no configuration object {STUDY!r}; clone the template `tune`")
    try:
        settled = chosen.settled(variables)
    except chosen.NotMet as error:
        return Failure(error.kind, str(error))
    home = None if settled is None else settled.variables.get("STACKYARD_HOME")
    if settled is None or home is None or not Path(settled.python).exists():
        return Failure(
            "infrastructure",
            "this agent has no Stackyard beside it to search with; enqueue a study in a queue of agents on a host "
            "that `stackyard up` started, such as services",
        )
    top = Path(home) / FOLDER
    sweep(top)
    place = top / str(link.document["id"])
    shown = StudyTask(link.server, link.document, place / TOLD, place / SHOWN)
    if not _is_begun(link, place):
        _begin(link, place)
        shown.forget()
    (place / FILE).write_text(text, encoding="utf-8")
    shown.server = link.server.another(
        patience_seconds=0.0
    )  # while the tuner goes on, nothing waits for the server
    ending.hand_over()  # from here on the tuner is ended in order
    tuner = _Tuner(settled, place, link, variables)
    aborted = False
    while not tuner.over(SHOW_SECONDS):
        shown.show()
        if ending.asked:
            aborted = link.aborted()
            _ended(tuner, shown, aborted)
            break
    if ending.asked and not aborted:
        # its agent goes, and another goes on: what runs is taken up there
        return Failure("interrupted", "its agent was ended; the study goes on when the task runs again")
    shown.server = link.server  # which waits for a server that is away
    return _finish(shown, tuner, place, aborted)


def sweep(top: Path, now: Optional[float] = None) -> None:
    """Remove studies that nobody went on with for KEPT_SECONDS."""
    oldest = (time.time() if now is None else now) - KEPT_SECONDS
    for folder in top.glob("*") if top.is_dir() else ():
        newest = [path.stat().st_mtime for path in (folder, folder / TOLD, folder / SHOWN) if path.exists()]
        if newest and max(newest) < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _is_begun(link: Link, place: Path) -> bool:
    """Whether an earlier try of the task left its study there; not so where the task was reset."""
    runtime = link.document.get("runtime")
    said = runtime.get(BEGUN_PROPERTY) if isinstance(runtime, dict) else None
    try:
        return bool(said) and (place / BEGUN).read_text(encoding="utf-8") == said
    except OSError:
        return False


def _begin(link: Link, place: Path) -> None:
    """Make the folder of this task's study, new."""
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True, mode=0o700)
    begun = uuid.uuid4().hex
    (place / BEGUN).write_text(begun, encoding="utf-8")
    link.server.edit_runtime(str(link.document["id"]), {BEGUN_PROPERTY: begun})


class _Tuner:
    """``stackyard tune run`` as a process.

    Args:
        settled: whose Python, and with which variables.
        place: the task's folder.
        link: the task, and the server that trials go to.
        variables: this process' environment.
    """

    def __init__(self, settled: Settled, place: Path, link: Link, variables: Mapping[str, str]) -> None:
        resumed = (place / RUN / records.PLAN_FILE).exists()
        words = [settled.python, "-m", "stackyard.cli.main", "tune", "run", str(place / FILE)]
        words += ["--out", str(place / RUN), "--told", str(place / TOLD), "--json"]
        words += ["--task", str(link.document["id"]), *(["--resume"] if resumed else [])]
        with (place / ANSWER).open("wb") as answer:
            self._process = subprocess.Popen(
                words,
                cwd=place,
                env=environment(settled, link, variables),
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.PIPE,
                start_new_session=True,  # what its group is sent is not meant for us, nor the reverse
            )
        #: The last line that it printed.
        self.last = ""
        self._reader = threading.Thread(target=self._pass_on, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    @property
    def status(self) -> Optional[int]:
        """Its exit status; ``None``: it runs."""
        return self._process.poll()

    def over(self, seconds: float) -> bool:
        """Wait so long for its end; whether it came."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(2.0)
        return True

    def interrupt(self) -> None:
        """Ask for its end; asked twice, it kills its trials."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once; its trials go on."""
        self._process.kill()
        self.over(5.0)

    def _pass_on(self, stream: Optional[IO[bytes]]) -> None:
        assert stream is not None
        while True:
            piece = stream.readline(_MOST_LETTERS)
            if not piece:
                return
            text = piece.decode("utf-8", "replace")
            self.last = text.strip() or self.last
            print(text, end="" if text.endswith("\n") else "\n", flush=True)


def environment(settled: Settled, link: Link, variables: Mapping[str, str]) -> Dict[str, str]:
    """What the tuner is given: what the operator settled, and the server of this task with its key."""
    found = {"LANG": "C.UTF-8", "PATH": os.defpath, **settled.variables}
    kept = ("STACKYARD_SLOT", "STACKYARD_MEASURE", "TMPDIR", "TZ")
    found.update((name, variables[name]) for name in kept if name in variables)
    where = link.server.where
    if where.key and where.secret:
        found.update(
            CLEARML_API_HOST=where.api,
            CLEARML_WEB_HOST=where.web or where.api,
            CLEARML_FILES_HOST=where.files,
            CLEARML_API_ACCESS_KEY=where.key,
            CLEARML_API_SECRET_KEY=where.secret,
        )
    return found


def _ended(tuner: _Tuner, shown: StudyTask, aborted: bool) -> None:
    """End the tuner: in order with its trials where the task was aborted, else at once."""
    if not aborted:
        tuner.kill()
        return
    for seconds in (END_SECONDS, KILL_SECONDS):
        tuner.interrupt()
        until = time.monotonic() + seconds
        while not tuner.over(0.5) and time.monotonic() < until:
            shown.show()
        if tuner.status is not None:
            return
    tuner.kill()


def _finish(shown: StudyTask, tuner: _Tuner, place: Path, aborted: bool) -> Optional[Failure]:
    """Show and leave what there is; why the study did not come to its end, or ``None``."""
    until = time.monotonic() + LAST_SECONDS
    while not shown.show() and time.monotonic() < until:
        pass
    if aborted:
        with contextlib.suppress(ApiError):
            shown.end_trials()
    shown.leave(place / RUN)
    if aborted:
        return Failure("interrupted", "the study was aborted; what it found is among its artifacts")
    if tuner.status == 0:
        return None
    try:
        said: Any = records.read_json(Dict[str, Any], place / ANSWER, _ANSWER_BYTES)
    except RecordError:
        said = {}
    if said.get("state") == "finished":  # some of its trials failed, as its pages say
        print(f"note: {tuner.last}", flush=True)
        return None
    kind = KINDS.get(tuner.status or 0, "infrastructure")
    words = tuner.last.removeprefix("stackyard: ").replace(str(place / FILE), f"configuration {STUDY}")
    return Failure(kind, words or f"the tuner ended with status {tuner.status} and said nothing")
