"""The supervisor's end of the channel: takes the child's JSON lines in and keeps what they say.

The child's end and the names of the messages live in ``channel``. A line that is not a message we know is
counted, never fatal: the child may run a newer or broken workload. So is a value of the wrong type, which alone is left
out: what gets into the record is what its readers accept, and how many were not. Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from stackyard_task.channel import PHASES
from stackyard_task.counting import are, count, were
from stackyard_task.courses import Courses, unpacked
from stackyard_task.pace import Pace, since
from stackyard_task.records import (
    FAILURE_KINDS,
    Environment,
    Failure,
    GpuUse,
    Measurement,
    from_json,
)

#: What of its environment a command's Python says, by the start-up hook.
_TOLD_BY_COMMANDS = ("python", "torch", "cuda", "numpy", "threads")
#: Packages a record names.
PACKAGES_KEPT = 1000
#: A message is a line of at most so many bytes; what is longer is none.
LINE_BYTES = 16 << 20
#: What is longer is no step; so sums stay numbers.
_LONGEST_STEP_SECONDS = 1e12
#: What several processes of a run may each say of one GPU.
_PEAKS = ("torch_peak_allocated_bytes", "torch_peak_reserved_bytes")
#: Phases that a record names; a script that enters more is in a loop.
PHASES_KEPT = 1000
#: Values of a metric that one message may say were left out.
_MOST_LEFT_OUT = 10**9
#: Result figures of a run, and GPUs that it may speak of.
RESULTS_KEPT, GPUS_KEPT = 10_000, 1024
#: Pieces that are read at a time, more than a full pipe holds: whoever writes faster than we read must not keep the
#: supervisor from its clock.
_PIECE_BYTES, _PIECES = 1 << 16, 32
#: How old the CPU seconds may be that a point is given, and the share of the time that reading them may take: without a
#: cgroup each process is asked.
_CPU_SECONDS_OLD, _CPU_SECONDS_SHARE = 0.05, 0.002
#: A failure is told in one sentence, and so is a note; a workload may say more, which is cut.
_FAILURE_LETTERS = 500
#: Notes that a workload tells for its record.
NOTES_KEPT = 20


class Listener:
    """What the child said.

    Args:
        descriptor: The pipe's reading end, non-blocking.
        started_at: CLOCK_MONOTONIC instant of the child's start.
        command: Process id of a command; its start-up ends where its Python says so, and is not known otherwise.
            ``None``: a function's child, whose start-up ends with its first phase.
        wanted: names of metrics and results that are kept whenever they come.
    """

    def __init__(
        self, descriptor: int, started_at: float, command: Optional[int] = None, wanted: Iterable[str] = ()
    ) -> None:
        self.phases: List[Dict[str, Any]] = [
            {"name": "startup" if command is None else "script", "at_seconds": 0.0}
        ]
        #: Packages that were loaded, with their versions; ``None``: nobody told.
        self.packages: Optional[Dict[str, str]] = None
        #: And those from folders of the script's own.
        self.packages_elsewhere: Optional[Dict[str, str]] = None
        self._command = command
        self.progress: Dict[str, Any] = {}
        self.loss: Optional[float] = None
        self.facts: Dict[str, Any] = {}
        self.gpu_facts: Dict[int, Dict[str, Any]] = {}
        self.results: Dict[str, Any] = {}
        self.failure: Optional[Failure] = None
        #: Whether the function returned, or ended the program in order.
        self.ended = False
        #: Lines that are no message, and values that are left out because they are none.
        self.not_understood = 0
        #: Why the first of them was; what a process lost on its way is counted, and says itself nothing of it.
        self._why_not: Optional[str] = None
        #: What was told beyond PHASES_KEPT and RESULTS_KEPT.
        self._more_phases = self._more_results = self._more_notes = 0
        self._notes: List[str] = []
        #: What was told of its steps, and its metrics.
        self.pace = Pace()
        self._wanted = frozenset(wanted)
        self.courses = Courses(self._wanted)
        #: The CPU seconds of the run so far, for what compares by them; ``None``: nobody can say.
        self.cpu_seconds: Callable[[], Optional[float]] = lambda: None
        self.descriptor = descriptor
        self._started_at = started_at
        self._rest = b""
        self._step_told = (0, 0.0)
        self._cpu: Optional[float] = None
        self._cpu_until = -math.inf

    def read(self) -> bool:
        """Take in what has arrived, so much at a time; False once the other end is closed."""
        for _ in range(_PIECES):
            try:
                data = os.read(self.descriptor, _PIECE_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > LINE_BYTES:
                self._rest = b""
                self._leave_out(f"a line is longer than {LINE_BYTES:,} bytes")
            for line in lines:
                self._take(line)
        return True

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line.decode("utf-8"))
            getattr(self, "_on_" + str(message["kind"]))(message)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            self._leave_out("a line is no message, or a value in it has another kind")

    def _leave_out(self, why: str) -> None:
        """Count something that is left out; why the first was is told."""
        self.not_understood += 1
        self._why_not = self._why_not or why

    def _on_phase(self, message: Dict[str, Any]) -> None:
        at = from_json(float, message["at"]) - self._started_at
        if message["name"] not in PHASES:
            raise ValueError(message["name"])
        if len(self.phases) >= PHASES_KEPT:
            self._more_phases += 1
            return
        self.phases.append({"name": message["name"], "at_seconds": max(at, self.phases[-1]["at_seconds"])})
        self.pace.told_at = None

    def _on_steps(self, message: Dict[str, Any]) -> None:
        if not isinstance(message["seconds"], list):
            raise ValueError("seconds")
        at, cpu = self._instant()
        for told in message["seconds"]:
            seconds = self._number(told)
            if seconds is None:
                continue
            if not 0 <= seconds <= _LONGEST_STEP_SECONDS:
                self._leave_out(f"a step took {seconds:g} s, expected 0 to {_LONGEST_STEP_SECONDS:g} s")
                continue
            self.pace.add(seconds, at, cpu, self.loss)

    def _on_progress(self, message: Dict[str, Any]) -> None:
        told = {key: self._number(message[key]) for key in ("done", "total")}
        self.progress.update((key, value) for key, value in told.items() if value is not None)
        self.progress["unit"] = from_json(str, message["unit"])

    def _on_loss(self, message: Dict[str, Any]) -> None:
        for key in ("training", "validation"):  # where both are told, the second is the run's loss
            told = message.get(key)
            if told is None:
                continue
            is_finite = not isinstance(told, float) or math.isfinite(told)
            number = self._number(told) if is_finite else None
            if number is None and is_finite:
                continue
            self.loss = (
                number  # one that left the numbers is not known, which is more than its last value says
            )
            if "step" in message:
                self._metric(f"loss/{key}", message["step"], told)

    def _on_metrics(self, message: Dict[str, Any]) -> None:
        for step, at, values in unpacked(message):
            told_at = max(0.0, from_json(float, at) - self._started_at)
            for name, value in values.items():
                self._metric(name, step, value, told_at)

    def _on_left_out(self, message: Dict[str, Any]) -> None:
        """Values that a process left out before it told them."""
        for name, counts in from_json(Dict[str, List[int]], message["values"]).items():
            backwards, no_number = counts
            self.courses.left_out(name, min(backwards, _MOST_LEFT_OUT), min(no_number, _MOST_LEFT_OUT))

    def metric(self, name: str, step: Any, value: Any) -> None:
        """A value that somebody else has seen, now."""
        self._metric(name, step, value)

    def _metric(self, name: Any, step: Any, value: Any, told_at: Optional[float] = None) -> None:
        """A point of a course; counted where it is none."""
        at, cpu = self._instant()
        try:
            self.courses.add(name, step, value, at if told_at is None else min(at, told_at), cpu)
        except ValueError as error:
            self._leave_out(f"a metric's {error} is none that is kept")

    def _instant(self) -> Tuple[float, Optional[float]]:
        """(seconds since the start, CPU seconds of the run) of what is told now."""
        now = time.monotonic()
        if now > self._cpu_until:
            self._cpu = self.cpu_seconds()
            self._cpu_until = now + max(_CPU_SECONDS_OLD, (time.monotonic() - now) / _CPU_SECONDS_SHARE)
        return now - self._started_at, self._cpu

    def _number(self, told: Any) -> Optional[float]:
        """A finite number; ``None`` and counted where it is none."""
        try:
            return from_json(float, told)
        except (ValueError, OverflowError):
            self._leave_out("a value is no finite number")
            return None

    def _on_environment(self, message: Dict[str, Any]) -> None:
        told = message["facts"]
        # anything of a command may write here: what we know ourselves is not its to say
        if self._command is not None:
            told = {name: told[name] for name in _TOLD_BY_COMMANDS if name in told}
        self.facts.update(_fitting(Environment, told))

    def _on_gpu(self, message: Dict[str, Any]) -> None:
        facts = _fitting(GpuUse, {**message["facts"], "index": message["index"]})
        index = facts.pop("index")
        if index not in self.gpu_facts and len(self.gpu_facts) >= GPUS_KEPT:
            raise ValueError("index")
        held = self.gpu_facts.setdefault(index, {})
        for name, value in facts.items():  # a peak is that of the process that used most
            peak = name in _PEAKS and isinstance(held.get(name), int) and isinstance(value, int)
            held[name] = max(held[name], value) if peak else value

    def _on_results(self, message: Dict[str, Any]) -> None:
        told = from_json(Dict[str, Any], plain(message["values"]))
        for name, value in told.items():
            if name in self.results or len(self.results) < RESULTS_KEPT or name in self._wanted:
                self.results[name] = value
            else:
                self._more_results += 1

    def _on_failure(self, message: Dict[str, Any]) -> None:
        kind = message["failure"]
        self.failure = Failure(kind if kind in FAILURE_KINDS else "code", _sentence(str(message["message"])))

    def _on_note(self, message: Dict[str, Any]) -> None:
        note = _sentence(from_json(str, message["sentence"]))
        if not note or note in self._notes:
            return
        if len(self._notes) < NOTES_KEPT:
            self._notes.append(note)
        else:
            self._more_notes += 1

    def _on_begun(self, message: Dict[str, Any]) -> None:
        """The interpreter of a process is up; its script begins now."""
        at = from_json(float, message["at"]) - self._started_at
        if message["pid"] == self._command and len(self.phases) == 1 and self.phases[0]["name"] == "script":
            self.phases = [
                {"name": "startup", "at_seconds": 0.0},
                {"name": "script", "at_seconds": max(0.0, at)},
            ]

    def _on_loaded(self, message: Dict[str, Any]) -> None:
        self.packages = _with(self.packages, message)

    def _on_loaded_elsewhere(self, message: Dict[str, Any]) -> None:
        self.packages_elsewhere = _with(self.packages_elsewhere, message)

    def _on_lost(self, message: Dict[str, Any]) -> None:
        """A process found the FIFO full, and what it had to say is lost."""
        self.not_understood += max(0, from_json(int, message["messages"]))

    def _on_ended(self, message: Dict[str, Any]) -> None:
        self.ended = True

    def steps_since(self) -> Tuple[int, Optional[float]]:
        """Steps so far, and the mean seconds of those since the last call; ``None`` without new ones."""
        found = since(self.pace, self._step_told)
        self._step_told = (self.pace.count, self.pace.total_seconds)
        return found

    # What it amounts to.
    def fill(self, measurement: Measurement, environment: Environment) -> None:
        """Put what the child said into its record: phase times, step times, what it loaded, its GPU facts."""
        wall = measurement.wall_seconds or 0.0
        spent: Dict[str, float] = {}
        ends = [phase["at_seconds"] for phase in self.phases[1:]] + [wall]
        for phase, end in zip(self.phases, ends):
            spent[phase["name"]] = spent.get(phase["name"], 0.0) + max(0.0, end - phase["at_seconds"])
        if set(spent) - {"startup", "finish"} and set(spent) != {"script"}:
            # else the function or the command named none, and is one whole: nothing is start-up
            for name, seconds in spent.items():
                setattr(measurement, f"{name}_seconds", seconds)
        measurement.steps = self.pace.times()
        for name, value in self.facts.items():
            setattr(environment, name, value)
        environment.packages = self.packages
        environment.packages_elsewhere = self.packages_elsewhere
        uses = {use.index: use for use in measurement.gpus}
        for index, facts in sorted(self.gpu_facts.items()):
            if index not in uses:
                uses[index] = GpuUse(index)
                measurement.gpus.append(uses[index])
            for name, value in facts.items():
                setattr(uses[index], name, value)

    def notes(self) -> List[str]:
        """What the child told as notes, and a sentence for each kind of thing of which more was told than is kept."""
        told = (
            (PHASES_KEPT, "phases", self._more_phases),
            (RESULTS_KEPT, "result figures", self._more_results),
            (NOTES_KEPT, "notes", self._more_notes),
        )
        left_out = self._notes + [
            f"the first {kept:,} {what} are kept; {more:,} more that {were(more)} told {are(more)} left out"
            for kept, what, more in told
            if more
        ]
        left_out += self.courses.notes()
        if self._why_not is not None:
            number = self.not_understood
            said = f"{count(number, 'thing')} that it told {were(number)} not understood and left out"
            left_out.append(f"{said}; the first: {self._why_not}")
        return left_out


def _sentence(text: str) -> str:
    """One line of bounded length, without what a terminal would act on."""
    said = " ".join("".join(c if c.isprintable() else " " for c in plain(text)).split())
    return said if len(said) <= _FAILURE_LETTERS else said[: _FAILURE_LETTERS - 3] + "..."


def _with(held: Optional[Dict[str, str]], message: Dict[str, Any]) -> Dict[str, str]:
    """The packages that are known, and those of a message."""
    found = {**(held or {}), **from_json(Dict[str, str], message["packages"])}
    return dict(sorted(found.items())[:PACKAGES_KEPT]) if len(found) > PACKAGES_KEPT else found


def plain(value: Any) -> Any:
    """``value`` as a record can hold it: NaN, infinities and numbers beyond all floats become text."""
    if isinstance(value, (float, int)) and not -sys.float_info.max <= value <= sys.float_info.max:
        if isinstance(value, float):
            return str(value)
        return f"a {'negative ' if value < 0 else ''}whole number of {len(str(abs(value)))} digits"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _fitting(shape: type, facts: Dict[str, Any]) -> Dict[str, Any]:
    """The facts that ``shape`` has fields for.

    Raises:
        RecordError: one is not of its field's type.
    """
    found = {
        name: plain(facts[name]) for name in (f.name for f in dataclasses.fields(shape)) if name in facts
    }
    from_json(shape, found)
    return found
