"""The supervisor: starts the workload as a child, listens to it, measures it, and leaves a record.

``python -m stackyard_task.run RUN_FOLDER`` reads ``task.json`` there and writes ``record.json``,
``timeline.json`` and ``output.log``, whatever happens to the child, and ``series.json`` where it told metrics.
Exit status: 0 completed, 1 failed with a record, 2 ``task.json`` unusable, 3 the record cannot be written, 4 stopped at
one of its criteria. With ``--here`` a command has this process' own files, folder, session and environment, as at a
terminal, and signals are passed on to it: given with it are the signals that are to be blocked for it and the
descriptors to be closed, "10,12" for example or "". Standard library only; the child imports nothing of this module.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import stat
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from stackyard_task import criteria, levels, signals, spawn
from stackyard_task.ending import Ending, advice, failure_of, memory_note, system_sentence
from stackyard_task.judging import LOOK_SECONDS, Judge
from stackyard_task.listener import Listener
from stackyard_task.measure import cgroup as cgroups
from stackyard_task.measure import energy
from stackyard_task.measure.cgroup_places import (
    Places,
    find_places,
    kernel_kills,
    memory_limit_bytes,
    quota_cores,
)
from stackyard_task.measure.environment import Surroundings, describe
from stackyard_task.measure.gpu import GpuMeter
from stackyard_task.measure.limits import Holding, LimitError, default_threads, hold
from stackyard_task.measure.proc import own_peak_rss_bytes
from stackyard_task.measure.sampler import Sampler
from stackyard_task.measure.tree import (
    Tree,
    become_subreaper,
    own_children,
    stop_being_subreaper,
)
from stackyard_task.program import CommandProgram, FunctionProgram, NotReady, program_of
from stackyard_task.progress import Watcher
from stackyard_task.records import (
    LOG_FILE,
    METHODS,
    OUTPUTS_FOLDER,
    PROGRESS_FILE,
    RECORD_FILE,
    SERIES_FILE,
    TASK_FILE,
    TIMELINE_FILE,
    WANTED_KEPT,
    Environment,
    Failure,
    Measurement,
    RecordError,
    RunRecord,
    TaskSpec,
    fits,
    read_json,
    status_of,
    write_json,
)
from stackyard_task.vigil import FOLLOWED_SECONDS, Vigil

METHOD_VARIABLE = "STACKYARD_MEASURE"
#: Exit status of a supervisor whose run was stopped at one of its criteria.
STOPPED = 4


class TaskError(Exception):
    """``task.json`` cannot be used: nothing was started, no record is written."""


class RecordNotWritten(Exception):
    """The run folder does not take the record (disk full, read-only, removed by the command)."""

    #: What it would have been; ``None``: nothing was started.
    record: Optional[RunRecord] = None


def supervise(
    run_folder: Path,
    *,
    python: Optional[str] = None,
    interval_seconds: float = 0.1,
    method: Optional[str] = None,
    watcher: Optional[Watcher] = None,
    inherited: Optional[Mapping[str, str]] = None,
    here: Optional[spawn.Given] = None,
    stands_in: bool = False,
    console: Optional[Callable[[], bytes]] = None,
) -> RunRecord:
    """The record of the task in ``run_folder``, after running it to its end.

    Call it from the main thread of a process that starts no other children meanwhile: the process becomes
    the reaper of everything the task leaves behind.

    Args:
        run_folder: Holds ``task.json``; the record and its companions are written there.
        python: The stack's interpreter, which runs the child; ``None``: this process' own, where a stack is asked for.
        interval_seconds: Distance of samples; infinite: only start and end are read.
        method: one of METHODS; ``None``: as the task says, else $STACKYARD_MEASURE, else "auto".
        watcher: Told about once a second what the run does.
        inherited: The environment the child starts from; ``None``: this process' own.
        here: The task is a command that has this process' own files, folder and session, and what is given back to
            it; there is no log then. ``None``: it has a log, and a session of its own.
        stands_in: Of a command that runs here: whoever started this process takes it for the command, and whatever
            signal comes is the command's.
        console: Of such a command: the end of its output, asked once it has ended; ``None``: it is read again from
            this process' own, where that is a file.

    Raises:
        TaskError: ``task.json`` is missing or not a task.
        RecordNotWritten: the folder cannot be written to.
    """
    try:
        spec = read_json(TaskSpec, run_folder / TASK_FILE)
    except RecordError as error:
        raise TaskError(str(error)) from error
    method = method or spec.measure or os.environ.get(METHOD_VARIABLE) or "auto"
    if method not in METHODS:
        raise TaskError(
            f"the method of measuring (in the task, or {METHOD_VARIABLE}) is {method!r}, "
            f"expected one of {', '.join(METHODS)}"
        )
    try:
        energy.simulated_watts()
    except ValueError as error:
        raise TaskError(str(error)) from error
    why = criteria.problem(spec.criteria)
    if why is not None:
        raise TaskError(f"{run_folder / TASK_FILE}: criteria.{why}")
    if len(spec.wanted) > WANTED_KEPT:
        raise TaskError(
            f"{run_folder / TASK_FILE}: wanted has {len(spec.wanted)} names, expected {WANTED_KEPT} at most"
        )
    is_command = spec.command is not None
    if here is not None and not is_command:
        raise TaskError(f"{run_folder / TASK_FILE}: only a command can be run here; this is a function")
    log = None
    try:
        (run_folder / OUTPUTS_FOLDER).mkdir(exist_ok=True)
        if here is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | (os.O_APPEND if is_command else 0)
            log = os.open(str(run_folder / LOG_FILE), flags, 0o644)
    except OSError as error:
        raise _not_written(run_folder, error) from error
    try:
        if not is_command or spec.stack is not None:
            python = python or sys.executable
        said: Union[Path, Callable[[], bytes], None] = run_folder / LOG_FILE
        if log is None:
            said = (console or _own_output()) if stands_in else None
        program = program_of(spec, run_folder, python, log, said)
        taken: Union[signals.Taken, signals.PassedOn, signals.Forwarded]
        if here is None:
            taken = signals.Taken()
        else:
            taken = signals.Forwarded() if stands_in else signals.PassedOn()
        run = _Supervision(spec, run_folder, program, interval_seconds, method, watcher, here, taken)
        run.inherited = os.environ if inherited is None else inherited
        record = run.to_its_end()
    finally:
        if log is not None:
            os.close(log)
    if not fits(record):
        _leave_out_what_was_told(record)
    try:
        if run.sampler is not None:
            write_json(run.sampler.timeline.to_json(record.phases), run_folder / TIMELINE_FILE)
        if run.series:
            write_json(run.series, run_folder / SERIES_FILE)
        write_json(record, run_folder / RECORD_FILE)
    except OSError as error:
        not_written = _not_written(run_folder, error)
        not_written.record = record
        raise not_written from error
    return record


def _leave_out_what_was_told(record: RunRecord) -> None:
    """Make a record readable again whose workload told more than a record may hold; that is its failure."""
    record.results, record.phases = {}, record.phases[:1]
    record.status, record.stopped = "failed", None
    record.failure = record.failure or Failure(
        "code",
        "the workload told more results or phases than a record holds; results are figures and short texts, "
        "what is longer is a file in the output folder",
    )


def _not_written(run_folder: Path, error: OSError) -> RecordNotWritten:
    if not run_folder.is_dir():
        return RecordNotWritten(
            f"{run_folder}: the run's record cannot be written, for the run removed its own folder; "
            "let it leave that alone, and run again"
        )
    return RecordNotWritten(
        f"{run_folder}: the run's record cannot be written ({error.strerror or error}); "
        f"{advice(error.errno) or 'choose a folder that can be written to'}, and run again"
    )


class _Supervision:
    """One run from its start to its record."""

    def __init__(
        self,
        spec: TaskSpec,
        run_folder: Path,
        program: Union[FunctionProgram, CommandProgram],
        interval_seconds: float,
        method: str,
        watcher: Optional[Watcher],
        here: Optional[spawn.Given],
        taken: Union[signals.Taken, signals.PassedOn, signals.Forwarded],
    ) -> None:
        self.spec = spec
        self.run_folder = run_folder
        self.program = program
        self.watcher = watcher
        self.here = here
        self.inherited: Mapping[str, str] = os.environ
        self.interval_seconds = interval_seconds
        self.method = method
        self.sampler: Optional[Sampler] = None
        #: Of each figure that has a course: its points, as series.json holds them.
        self.series: Dict[str, List[List[Any]]] = {}
        self._signals = taken

    def to_its_end(self) -> RunRecord:
        """Run the task; every way it can go ends in a record."""
        started_at = _utc_now()
        foreign = own_children()
        become_subreaper()
        places = find_places()
        limits = self.spec.limits
        limited = limits.cores is not None or limits.memory_bytes is not None
        cgroup = None
        if self.method == "auto" or (self.method == "alike" and limited):
            cgroup = cgroups.create(f"{os.getpid()}-{time.monotonic_ns() & 0xFFFFFF:x}", places)
        environment = Environment()
        try:
            holding = hold(limits, cgroup, quota_cores(places), memory_limit_bytes(places))
            threads = self.spec.threads
            if threads is None and (limits.cores is not None or not self.program.in_place):
                threads = default_threads(holding.allowed_cores)
            what, variables = self.program.start(self.inherited, threads)
            environment = describe(self.spec, holding, places, variables)
            environment.threads = _threads_told(variables, threads)
            record = self._measured(started_at, cgroup, holding, what, environment, foreign, places)
        except NotReady as error:
            record = self._not_started(started_at, environment, Failure(error.kind, str(error)))
        except spawn.NotExecutable as error:
            kind = "bad_input" if self.program.words else "infrastructure"
            record = self._not_started(
                started_at, environment, Failure(kind, str(error), exit_code=error.status)
            )
        except (LimitError, spawn.StartError, OSError) as error:
            said = system_sentence(error) if isinstance(error, OSError) else str(error)
            record = self._not_started(started_at, environment, Failure("infrastructure", said))
        finally:
            if cgroup is not None:
                cgroup.remove()
            stop_being_subreaper()
            self._signals.close()
            with contextlib.suppress(OSError):
                (self.run_folder / PROGRESS_FILE).unlink()
        return record

    def _not_started(self, started_at: str, environment: Environment, failure: Failure) -> RunRecord:
        self.program.abandon()
        record = self._record(started_at, Measurement(), environment)
        record.failure, record.status, record.command = failure, "failed", self.program.words
        return record

    def _measured(
        self,
        started_at: str,
        cgroup: Optional[cgroups.Cgroup],
        holding: Holding,
        what: spawn.Start,
        environment: Environment,
        foreign: set[int],
        places: Places,
    ) -> RunRecord:
        gpus = GpuMeter()
        environment.gpu_names = [device.use.name or "unknown" for device in gpus.devices]
        environment.gpu_driver = gpus.driver
        surroundings = Surroundings()
        kills_before = kernel_kills(places)
        own_cpu, own_peak = time.process_time(), own_peak_rss_bytes() or 0
        judge = Judge(self.spec.criteria)
        vigil = Vigil(
            time.monotonic(),
            self.run_folder,
            self._signals,
            self.spec.time_limit_seconds,
            holding.watched_memory_bytes,
            self.watcher,
            judge,
        )
        if self.spec.followed:
            vigil.progress_seconds = FOLLOWED_SECONDS
        pid = spawn.start(what, cgroup, holding.steps, self.here, self._signals.look)
        self._signals.begin(pid)
        self.program.started()
        metered = cgroup if self.method == "auto" else None
        tree = Tree(pid, metered, foreign)
        command = None if self.program.says_its_end else pid
        listener = Listener(self.program.descriptor, vigil.started_at, command, self.spec.wanted)
        vigil.beside = self.program.following(listener.metric)
        interval = min(self.interval_seconds, LOOK_SECONDS) if judge.is_needed else self.interval_seconds
        sampler = self.sampler = Sampler(
            tree, metered, vigil.started_at, interval, gpus, watchful=judge.is_needed
        )
        listener.cpu_seconds = sampler.cpu_seconds
        try:
            vigil.keep(tree, listener, sampler)
        except BaseException:  # whatever went wrong here, nothing of the run may stay behind
            tree.signal(signal.SIGKILL)
            tree.reap()
            raise
        listener.read()
        if vigil.beside is not None:
            vigil.beside()
        self.program.close()
        tree.close()
        closed = self._opened_again()

        measurement = sampler.finish(vigil.ended_at, holding.allowed_cores, own_peak)
        measurement.orphans_ended = vigil.orphans_ended
        environment.other_cpu_percent_of_machine = surroundings.other_cpu_percent(measurement.cpu_seconds)
        environment.clock_jump_seconds = surroundings.clock_jump_seconds()
        environment.throttled_seconds = None if cgroup is None else cgroup.throttled_seconds()
        listener.fill(measurement, environment)
        measurement.overhead_cpu_seconds = time.process_time() - own_cpu
        record = self._record(started_at, measurement, environment)
        record.results = {**listener.courses.results(), **listener.results}
        record.phases = listener.phases
        record.not_understood = listener.not_understood
        record.notes += listener.notes()
        ending = Ending(
            status=tree.main_status or 0,
            stop=vigil.stop,
            # without a cgroup of its own the run shares that of the supervisor, as in a container
            kernel_kills=kernel_kills(places) - kills_before if cgroup is None else cgroup.kernel_kills(),
            said=listener.failure,
            returned=listener.ended or not self.program.says_its_end,
            signal_received=self._signals.received,
            memory_limit_bytes=environment.ram_limit_bytes,
            last_words=self.program.last_words(),
            logged=self.here is None,
            alone=self._signals.alone,
        )
        record.stopped = vigil.stopped
        record.failure = None if vigil.stopped is not None else failure_of(ending, self.spec, measurement)
        record.status = status_of(record)
        timeline = sampler.timeline.to_json(record.phases)
        record.alarms = levels.alarms(timeline, listener.pace.course, listener.pace.begun_at)
        record.notes += [alarm.message for alarm in record.alarms]
        if record.status == "completed":
            record.notes += judge.notes(listener, sampler, measurement)
        if closed:
            record.notes.append(f"the run took its own rights on {closed} away; they were given back")
        note = memory_note(measurement, environment.ram_limit_bytes, sampler.escaped)
        if note is not None and record.failure is None:
            record.notes.append(note)
        try:
            self.program.ended(record)
        except Exception as error:  # noqa: BLE001 whatever cannot be read or tidied up, the run has its record
            traceback.print_exc()
            record.notes.append(f"what the run left could not be looked at ({type(error).__name__}: {error})")
        self.series = listener.courses.joined(self.program.series)
        return record

    def _opened_again(self) -> Optional[str]:
        """Give this user back the rights on the run's folders; answers which of them the run had taken away."""
        found = []
        for place, name in (
            (self.run_folder, "its run folder"),
            (self.run_folder / OUTPUTS_FOLDER, "its outputs"),
        ):
            with contextlib.suppress(OSError):
                mode = stat.S_IMODE(place.stat().st_mode)
                if mode & stat.S_IRWXU != stat.S_IRWXU:
                    place.chmod(mode | stat.S_IRWXU)
                    found.append(name)
        return " and ".join(found) or None

    def _record(self, started_at: str, measurement: Measurement, environment: Environment) -> RunRecord:
        spec = self.spec
        return RunRecord(
            run_id=spec.run_id,
            workload=spec.workload,
            status="completed",
            started_at=started_at,
            finished_at=_utc_now(),
            scenario=spec.scenario,
            cell=spec.cell,
            block=spec.block,
            warm_up=spec.warm_up,
            measurement=measurement,
            environment=environment,
            parameters=spec.parameters,
        )


def _own_output() -> Optional[Path]:
    """The file that this process' stderr goes to, to be read again; ``None``: it is none."""
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.fstat(2).st_mode):
            return Path("/proc/self/fd/2")
    return None


def _threads_told(variables: Mapping[str, str], threads: Optional[int]) -> Optional[int]:
    told = variables.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) > 0 else threads


def _utc_now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def main(arguments: Optional[List[str]] = None) -> int:
    """The command line: the run folder, and how a command is run here."""
    given = sys.argv[1:] if arguments is None else arguments
    # What lies beside this package has any name, and is for the child: here Python's own modules go before it.
    code = str(Path(__file__).resolve().parent.parent)
    sys.path.sort(key=lambda entry: os.path.realpath(entry) == code)
    here = None
    if given[:1] == ["--here"] and len(given) == 4:
        blocked, closed = (frozenset(int(n) for n in text.split(",") if n) for text in given[1:3])
        here = spawn.Given(blocked, closed)
        given = given[3:]
    if len(given) != 1:
        print(
            "usage: python -m stackyard_task.run [--here BLOCKED_SIGNALS CLOSED_FILES] RUN_FOLDER",
            file=sys.stderr,
        )
        return 2
    try:
        record = supervise(Path(given[0]).absolute(), here=here)
    except TaskError as error:
        print(error, file=sys.stderr)
        return 2
    except RecordNotWritten as error:
        print(f"stackyard: {error}" if here is not None else error, file=sys.stderr)
        failure = None if error.record is None else error.record.failure
        if here is None or failure is None:
            return 3
        return 128 + failure.signal if failure.signal else failure.exit_code or 3
    if record.failure is not None:
        if here is None:
            print(f"{record.failure.kind}: {record.failure.message}", file=sys.stderr)
        return 1
    if record.stopped is not None:
        if here is None:
            print(record.stopped.message, file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
