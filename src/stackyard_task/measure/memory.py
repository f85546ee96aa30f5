"""The peak of a tree's resident memory, each shared page once, from readings taken now and then.

Two estimators, each with a lower and an upper bound. Pure: readings come in, nothing is read here.

* ``ChargedMemory`` for a cgroup whose peak counter can be reset: the counter misses no spike, but counts page
  cache and kernel memory too. What was not resident memory at both ends of an interval is taken off.
* ``ProcessMemory`` without one: high-water marks of single processes, reset at every reading, miss no spike
  either, but do not say which of them fell together, and a forked page is in two of them.

Files mapped into memory (libraries) are charged to whoever read them first, so a cgroup cannot count them;
their union over the tree is taken as that of its largest process, at most the sum of all.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Tuple

from stackyard_task.measure.cgroup import Charge
from stackyard_task.measure.proc import Residency, Shares

#: Page cache moving less than this within an interval is not worth a second opinion.
TOLERANCE_BYTES = 2 << 20
#: A process whose memory stood still may be read up to this many intervals later.
MARKS_LATE = 3


class Peak:
    """The greatest value seen, with bounds: the peak lies between the greatest low and the greatest high."""

    def __init__(self) -> None:
        self.bytes: Optional[int] = None
        self.low_bytes: Optional[int] = None
        self.high_bytes: Optional[int] = None
        #: Mapped files at the time of the greatest value; ``None``: not known.
        self.files_bytes: Optional[int] = None

    def include(self, estimate: int, low: int, high: int, files: Optional[int] = None) -> None:
        """Take an interval's figure in."""
        if files is not None and estimate > (self.bytes or 0):
            self.files_bytes = files
        self.bytes = max(self.bytes or 0, estimate)
        self.low_bytes = max(self.low_bytes or 0, low)
        self.high_bytes = max(self.high_bytes or 0, high)

    def include_process_peak(self, peak: int, beside: int) -> None:
        """Take in what a process had at its end (wait4's maximum), others holding at most ``beside``."""
        self.include(max(peak, self.bytes or 0), peak, peak + beside)
        self.high_bytes = max(self.high_bytes or 0, self.bytes or 0)

    def may_have_been(self, size: int) -> None:
        """Nothing that was seen rules out that the peak was as high as this."""
        self.high_bytes = max(self.high_bytes or 0, size)


class ChargedMemory:
    """The peak from a cgroup's charges and the processes' mapped files."""

    def __init__(self) -> None:
        self.peak = Peak()
        #: The cgroup's own peak: page cache and kernel memory included.
        self.charged_peak: Optional[int] = None
        self._resident = 0
        self._overhead = 0

    def observe(
        self, charge: Charge, files_low: int, files_high: int, marks: Callable[[], Optional[int]]
    ) -> int:
        """Take in an interval and return the resident memory at its end.

        Args:
            charge: The cgroup's reading at the end of the interval.
            files_low: Mapped files of the process that maps most.
            files_high: Mapped files of all processes, summed.
            marks: Asked only in doubt: the sum of the processes' high-water marks, mapped files included.
        """
        overhead = max(0, charge.usage - charge.resident)
        low = max(self._resident, charge.resident, charge.peak - max(self._overhead, overhead))
        high = max(low, charge.peak - min(self._overhead, overhead))
        self.charged_peak = max(self.charged_peak or 0, charge.peak)
        self._resident, self._overhead = charge.resident, overhead

        estimate = low
        if high - low > TOLERANCE_BYTES and high + files_high > (self.peak.bytes or 0):
            summed = marks()  # page cache moved: what the processes had themselves decides within the bounds
            estimate = low if summed is None else min(high, max(low, summed - files_low))
        self.peak.include(estimate + files_low, low + files_low, high + files_high, files_low)
        return charge.resident + files_low


class ProcessMemory:
    """The peak from the processes' own readings."""

    def __init__(self) -> None:
        self.peak = Peak()
        #: RSS minus shared pages, summed over the tree (Study 002's definition).
        self.peak_minus_shared: Optional[int] = None
        #: The same at the last reading.
        self.minus_shared: Optional[int] = None
        self._before: Dict[int, Residency] = {}
        self._overlap: Dict[int, int] = {}
        self._last_marks: List[Dict[int, int]] = []

    def observe(
        self, now: Dict[int, Residency], marks_reset: bool, shares: Callable[[int], Optional[Shares]]
    ) -> int:
        """Take in an interval and return the resident memory at its end, each shared page once.

        Args:
            now: Readings of the living processes by process id.
            marks_reset: Whether the high-water marks were set back after the last reading.
            shares: Asked only when a new peak is in sight and several processes live; ``None``: unknown.
        """
        steady = {p: min(self._before[p].total, r.total) for p, r in now.items() if p in self._before}
        marks = {p: self._mark(p, r, marks_reset) for p, r in now.items()}
        total = sum(r.total for r in now.values())
        summed_steady = sum(steady.values())
        spike = max((mark - steady.get(p, 0) for p, mark in marks.items()), default=0) + summed_steady
        recent = self._recent_marks(marks)
        ended = sum(r.total for p, r in self._before.items() if p not in now)
        most = max(total, spike)
        high = max(sum(recent.values()) + ended, most)
        files = [r.mapped_files for r in now.values()]
        files_overlap = sum(files) - max(files, default=0)

        overlap, known = self._known_overlap(now, copies=False)
        in_sight = most - files_overlap - overlap > (self.peak.bytes or 0) * (1.01 if known else 1.0)
        fresh = len(now) <= 1
        if not fresh and in_sight and self._learn_overlap(now, shares):
            overlap, fresh = self._known_overlap(now, copies=False)
            known = fresh
        cautious = overlap if known else self._known_overlap(now, copies=True)[0]
        least = max(marks.values(), default=0)
        simultaneous = max(0, total - files_overlap - cautious)
        self.peak.include(
            max(most - files_overlap - cautious, least),
            max(simultaneous, least) if fresh else least,
            max(high - overlap, least),
            max(files, default=0),
        )
        self.minus_shared = sum(r.anonymous for r in now.values())
        self.peak_minus_shared = max(self.peak_minus_shared or 0, self.minus_shared)
        self._before = now
        return simultaneous

    def last_total(self, without: Optional[int] = None) -> int:
        """Resident memory at the last reading, summed over all processes but ``without``."""
        return sum(r.total for p, r in self._before.items() if p != without)

    def _recent_marks(self, marks: Dict[int, int]) -> Dict[int, int]:
        """Each process's greatest mark of the last few intervals: some are read a few intervals late."""
        self._last_marks = [*self._last_marks[-MARKS_LATE:], marks]
        return {pid: max(seen.get(pid, 0) for seen in self._last_marks) for pid in marks}

    def _mark(self, pid: int, reading: Residency, was_reset: bool) -> int:
        before = self._before.get(pid)
        if before is None or was_reset or reading.high_water > before.high_water:
            return reading.high_water
        return max(before.total, reading.total)  # an old mark: it says nothing about this interval

    def _known_overlap(self, now: Dict[int, Residency], copies: bool) -> Tuple[int, bool]:
        """Anonymous and shared pages counted more than once, as last seen, and whether all were seen.

        A process not seen yet counts as sharing nothing, or with ``copies`` as sharing everything.
        """
        overlap, known = 0, True
        for pid, reading in now.items():
            own = reading.anonymous + reading.shared_memory
            if pid in self._overlap:
                overlap += min(own, self._overlap[pid])
            elif len(now) > 1:
                known = False
                overlap += own if copies and self._overlap else 0
        return overlap, known

    def _learn_overlap(self, now: Dict[int, Residency], shares: Callable[[int], Optional[Shares]]) -> bool:
        found: Dict[int, int] = {}
        for pid, reading in now.items():
            share = shares(pid)
            if share is None:
                return False
            own = (
                share.resident - reading.mapped_files
                if share.resident
                else reading.total - reading.mapped_files
            )
            found[pid] = max(0, own - share.anonymous - share.shared_memory)
        self._overlap = found
        return True
