"""Which trial of a study begins next, given those under way: by number, and by what they will need. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from stackyard.tuning import packing
from stackyard.tuning.packing import Machine, Need, Waiting
from stackyard.tuning.trial import Trial

#: Where nothing is predicted of a trial and no limit ends it, it is given so many times the most that one has used.
ROOM_FACTOR = 2.0


class Room:
    """The room of one study.

    Args:
        at_once: trials side by side at most; ``None``: as many as fit.
        machine: what they share; ``None``: they run elsewhere, each where a queue's agent has room for it.
        limits: quantity -> greatest that a trial may use.
        cores: of one trial.
        shared_bytes: answers what lies in memory once for all of them; 0: nothing does.
    """

    def __init__(
        self,
        at_once: int | None,
        machine: Machine | None,
        limits: Mapping[str, float],
        cores: float,
        shared_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self._at_once, self._machine, self._limits = at_once, machine, limits
        self._cores, self._shared_bytes = cores, shared_bytes
        #: Of trials that wait: how often they were passed. Of trials under way: the GPU that they have.
        self._passed: dict[int, int] = {}
        self._gpus: dict[int, int | None] = {}
        #: Memory -> the most that a trial used.
        self._greatest = dict.fromkeys(("ram_bytes", "ram_minus_shared_bytes", "gpu_memory_bytes"), 0.0)

    def full(self, running: Sequence[Trial]) -> bool:
        """Whether no further trial can begin, whatever it needs."""
        if self._at_once is not None and len(running) >= self._at_once:
            return True
        if self._machine is None:
            return self._at_once is None and bool(running)
        one = min(self._cores, self._machine.cores)
        return bool(running) and (len(running) + 1) * one > self._machine.cores + 1e-9

    def seen(self, trial: Trial) -> None:
        """Take in a trial that is over: what nothing is predicted of is given room by the greatest so far."""
        for name in self._greatest:
            self._greatest[name] = max(self._greatest[name], trial.used.get(name, 0.0))

    def next(self, waiting: Sequence[Trial], running: Sequence[Trial]) -> Trial | None:
        """The waiting trial that begins now; ``None``: none does.

        Args:
            waiting: in the order in which they were planned.
            running: under way, with what they have used so far.
        """
        if not waiting or self.full(running):
            return None
        if self._machine is None:
            return waiting[0]
        shared = self._shared_bytes()
        machine = replace(self._machine, memory_bytes=max(0.0, self._machine.memory_bytes - shared))
        needs = [self._need(trial, shared > 0) for trial in running]
        entries = [
            Waiting(self._need(trial, shared > 0), self._passed.get(trial.number, 0)) for trial in waiting
        ]
        place = packing.next_to_start(machine, entries, needs)
        if place is None:
            # whatever it needs, one trial runs alone
            place = None if running else 0
        if place is None:
            return None
        chosen = waiting[place]
        for trial in waiting[:place]:
            self._passed[trial.number] = self._passed.get(trial.number, 0) + 1
        self._gpus[chosen.number] = packing.gpu_for(self._machine, entries[place].need, needs)
        return chosen

    def gpu_of(self, trial: Trial) -> int | None:
        """Place among the machine's GPUs of the one that a trial was given; ``None``: it needs none."""
        return self._gpus.get(trial.number)

    def _need(self, trial: Trial, shared: bool) -> Need:
        assert self._machine is not None
        told = trial.predicted.keys() | trial.predicted_early.keys()
        unknown = {
            name: ROOM_FACTOR * most for name, most in self._greatest.items() if most and name not in told
        }
        limits = {**unknown, **self._limits}
        found = packing.need(trial, limits, self._cores, self._machine, shared)
        return Need(found.cores, found.memory_bytes, found.gpu_memory_bytes, self._gpus.get(trial.number))
