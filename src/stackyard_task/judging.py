"""A run under way against its criteria: what of it is looked at, how often, and what could not be judged."""

from __future__ import annotations

from typing import Dict, List, Optional

from stackyard_task.criteria import WORDS, Criteria, Stopped, Use, amount_of, broken, given, not_judged
from stackyard_task.listener import Listener
from stackyard_task.measure.sampler import Sampler
from stackyard_task.records import Measurement

#: A run that has criteria is looked at so often at least, whatever it costs.
LOOK_SECONDS = 0.1
#: Memory that a run being ended may take beyond what was seen.
_FAR_BEYOND = 1.2
#: What a run has left running, once it has ended itself, is held to these even while it idles.
_OF_WHAT_IDLES = ("ram_bytes", "ram_minus_shared_bytes", "gpu_memory_bytes", "cpu_seconds", "wall_seconds")
#: Without new work for so long, what is left idles.
_WORKING_SECONDS = 0.5
#: Phases of a run that are no steps: nobody waits for one then.
_NO_STEPS = ("startup", "data", "finish")


class Judge:
    """Looks at one run.

    Args:
        criteria: what it is held to.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self._names = given(criteria)
        self._saw_slowing = False
        #: Whether the run's time was over only while what it had left running idled.
        self._over_idling = False

    @property
    def is_needed(self) -> bool:
        """Whether there is any criterion."""
        return bool(self._names)

    @property
    def wall_seconds(self) -> Optional[float]:
        """When the run's time is over; ``None``: never."""
        return self.criteria.wall_seconds

    def asks(self, what: str) -> bool:
        """Whether there is a criterion of that name."""
        return what in self._names

    def look(
        self,
        elapsed_seconds: float,
        listener: Listener,
        sampler: Sampler,
        worked_until: Optional[float] = None,
    ) -> Optional[Stopped]:
        """The criterion that the run has broken by now; ``None``: none.

        Args:
            elapsed_seconds: since the start of the run.
            listener: what it said.
            sampler: what it uses.
            worked_until: the main process has ended, and so far, in seconds since the start, the run was seen to
                work on. Waiting for what only lingers is no use of the run's; ``None``: it has not ended.
        """
        over = worked_until is not None
        use = Use(elapsed_seconds if worked_until is None else worked_until)
        idles = worked_until is not None and elapsed_seconds - worked_until > _WORKING_SECONDS
        names = [name for name in self._names if not idles or name in _OF_WHAT_IDLES]
        if "ram_bytes" in names:
            use.rss_bytes = sampler.peak_rss_bytes
        if "ram_minus_shared_bytes" in names:
            use.rss_minus_shared_bytes = sampler.peak_minus_shared_bytes
        if "gpu_memory_bytes" in names:
            use.gpu_memory_bytes = sampler.peak_gpu_memory_bytes
        if "cpu_seconds" in names:
            use.cpu_seconds = sampler.cpu_seconds()
        if "energy_joules" in names:
            use.energy_joules = sampler.energy_joules()
        if "step_seconds" in names:
            use.step_seconds = listener.pace.last_seconds()
            told_at = listener.pace.told_at
            if told_at is not None and not over and listener.phases[-1]["name"] not in _NO_STEPS:
                use.silent_seconds = elapsed_seconds - told_at
        if "slowing" in names:
            use.slowing = listener.pace.slowing()
            self._saw_slowing = self._saw_slowing or use.slowing is not None
        found = broken(self.criteria, use)
        if found is not None:
            found.at_seconds = elapsed_seconds
        elif self.wall_seconds is not None and elapsed_seconds > self.wall_seconds:
            self._over_idling = True
        return found

    def grows(self, stopped: Stopped, sampler: Sampler) -> bool:
        """Whether a run that is being ended goes on to take memory, far beyond the limit that it broke."""
        seen = {
            "ram_bytes": sampler.rss_bytes,
            "ram_minus_shared_bytes": sampler.minus_shared_bytes,
            "gpu_memory_bytes": sampler.gpu_memory_bytes,
        }.get(stopped.criterion)
        return seen is not None and seen > _FAR_BEYOND * max(stopped.limit, stopped.seen)

    def notes(self, listener: Listener, sampler: Sampler, measurement: Measurement) -> List[str]:
        """What a reader should know of a run that has ended by itself: criteria that held nothing, or came too late."""
        why: Dict[str, str] = {}
        if sampler.peak_gpu_memory_bytes is None:
            why["gpu_memory_bytes"] = (
                "the run was seen on no GPU" if measurement.gpus else "no GPU can be measured on this machine"
            )
        if measurement.energy_joules is None and sampler.energy_joules() is None:
            why["energy_joules"] = "this machine has no energy counters that can be read"
        if not listener.pace.count:
            why["step_seconds"] = why["slowing"] = "the run told no steps"
        elif listener.pace.last_seconds() is None:
            why["step_seconds"] = "the run told too few steps"
        elif not self._saw_slowing:
            why["slowing"] = (
                "the run told no loss at its steps"
                if not listener.pace.has_loss
                else "the run told too few steps"
            )
        found = not_judged(self.criteria, why)
        for name, seen in (
            ("ram_bytes", measurement.peak_rss_bytes),
            ("ram_minus_shared_bytes", measurement.peak_rss_minus_shared_bytes),
            ("cpu_seconds", measurement.cpu_seconds),
            ("wall_seconds", measurement.wall_seconds),
        ):
            limit = self._names.get(name)
            if limit is not None and seen is not None and seen > limit:
                if name == "wall_seconds" and self._over_idling:
                    found.append(
                        f"the run took {amount_of(seen, name)}, {amount_of(limit, name)} allowed: at its limit it "
                        "only waited for idle processes that it had left running"
                    )
                    continue
                found.append(
                    f"the run ended before it could be stopped: {amount_of(seen, name)} of {WORDS[name]}, "
                    f"{amount_of(limit, name)} allowed"
                )
        return found
