"""The time from a run's start to the end of its last process: heard, sampled, and ended at its limits."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from typing import Callable, List, Optional, Tuple, Union

from stackyard_task import progress, signals
from stackyard_task.criteria import Stopped
from stackyard_task.judging import Judge
from stackyard_task.listener import Listener
from stackyard_task.measure.sampler import Sampler
from stackyard_task.measure.tree import Tree
from stackyard_task.progress import Watcher

#: How often it is told what the run does, and where somebody follows it closely.
PROGRESS_SECONDS, FOLLOWED_SECONDS = 1.0, 0.25
#: SIGTERM, this long, then SIGKILL.
GRACE_SECONDS = 3.0
#: The same for what is stopped at a criterion: all of it has to be over within a second.
STOPPED_GRACE_SECONDS = 0.5
#: A command that was itself told to end gets so long to do as it does without us: a container gives it 10 s or more.
TOLD_GRACE_SECONDS = 8.0
#: Processes that outlive the child may go on working, this long at most; idle ones are ended sooner.
ORPHAN_WORKING_SECONDS = 60.0
ORPHAN_IDLE_SECONDS = 2.0
#: Below this share of a core an orphan counts as idle.
ORPHAN_IDLE_SHARE = 0.02
#: How often the end of what no pidfd tells of is looked for, and when it takes longer.
_POLL_SECONDS = 0.01
_LATE_POLL_SECONDS = 0.05
#: What a limit of time is looked at after it, so that it is over then.
_AFTER_SECONDS = 0.001


class Vigil:
    """Stays awake until the whole tree of a run has ended.

    Args:
        started_at: when the run began, in monotonic seconds.
        run_folder: where it is told what the run does.
        taken: how signals to this process are taken.
        time_limit_seconds: how long the run may take; ``None``: any time.
        memory_limit_bytes: more resident memory the tree may not have, where nobody else sees to it; ``None``: any.
        watcher: told about once a second what the run does.
        judge: knows at which criteria the run is stopped; ``None``: at none.
    """

    def __init__(
        self,
        started_at: float,
        run_folder: Path,
        taken: Union[signals.Taken, signals.PassedOn, signals.Forwarded],
        time_limit_seconds: Optional[float] = None,
        memory_limit_bytes: Optional[int] = None,
        watcher: Optional[Watcher] = None,
        judge: Optional[Judge] = None,
    ) -> None:
        self.started_at = started_at
        #: When the last process ended; in monotonic seconds, as all instants here.
        self.ended_at = 0.0
        #: Why the run was told to end; ``None``: it was not.
        self.stop: Optional[str] = None
        #: The criterion that it was stopped at, where ``stop`` is "stopped".
        self.stopped: Optional[Stopped] = None
        #: Processes that outlived the child and were ended.
        self.orphans_ended = 0
        #: Done about once a second before anybody is told; ``None``: nothing.
        self.beside: Optional[Callable[[], None]] = None
        self._judge = judge if judge is not None and judge.is_needed else None
        self._run_folder, self._signals, self._watcher = run_folder, taken, watcher
        self._time_limit_seconds, self._memory_limit_bytes = time_limit_seconds, memory_limit_bytes
        self._main_ended_at: Optional[float] = None
        #: When what outlived the child was last seen to work; from the child's end on.
        self._worked_at: Optional[float] = None
        self._kill_at: Optional[float] = None
        #: How often ``progress.json`` is written; the watcher is told every PROGRESS_SECONDS.
        self.progress_seconds = PROGRESS_SECONDS
        self._progress_at = self._watch_at = 0.0
        #: Since when what outlives the child is idle, and the CPU seconds of the run by then.
        self._idle: Optional[Tuple[float, float]] = None
        #: Since when what outlived the child was idle, where that was why it was ended: waiting for it was our affair.
        self._idle_since: Optional[float] = None

    def keep(self, tree: Tree, listener: Listener, sampler: Sampler) -> None:
        """Listen and sample until the whole tree has ended."""
        poll = select.poll()
        poll.register(listener.descriptor, select.POLLIN)
        poll.register(self._signals.descriptor, select.POLLIN)
        main = _pidfd(tree.main_pid)
        if main is not None:
            poll.register(main, select.POLLIN)
        sample_at = self.started_at
        while True:
            now = time.monotonic()
            if now >= sample_at:
                wait = sampler.sample(now)
                sample_at = now + wait
                tree.reap()
                if self._memory_limit_bytes and (sampler.rss_bytes or 0) > self._memory_limit_bytes:
                    self._end("out_of_memory", tree)
                self._look(now, tree, listener, sampler)
            wait_until = sample_at
            if self._judge is not None and self._judge.wall_seconds is not None and self.stop is None:
                over_at = self.started_at + self._judge.wall_seconds + _AFTER_SECONDS
                if now < over_at:
                    wait_until = sample_at = min(sample_at, over_at)
            if self._main_ended_at is not None or main is None:
                late = self._main_ended_at is not None and now - self._main_ended_at > 1.0
                wait_until = min(wait_until, now + (_LATE_POLL_SECONDS if late else _POLL_SECONDS))
            elif self._time_limit_seconds is not None and self.stop is None:
                wait_until = min(wait_until, self.started_at + self._time_limit_seconds)
            if self._kill_at is not None:
                wait_until = min(wait_until, self._kill_at)
            ready = poll.poll(max(0.0, min(3600.0, wait_until - time.monotonic())) * 1000.0)
            for descriptor, _ in ready:
                if descriptor == self._signals.descriptor:
                    self._signals.read(tree.main_pid)
                elif descriptor == listener.descriptor and not listener.read():
                    poll.unregister(descriptor)
            now = time.monotonic()
            if self._main_ended_at is None and self._main_has_ended(main, ready, tree):
                self._main_ended_at = self._worked_at = now
                tree.reap()
                if main is not None:
                    poll.unregister(main)
                    os.close(main)
            if self._main_ended_at is not None:
                tree.reap()
                if not tree.processes():
                    self.ended_at = now if self._idle_since is None else self._idle_since
                    if self.stopped is not None:
                        self.stopped.ended_seconds = self.ended_at - self.started_at - self.stopped.at_seconds
                    return
                self._watch_orphans(now, tree, sampler)
            self._watch_limits(now, tree)
            if now >= self._progress_at:
                self._progress_at = now + self.progress_seconds
                if self.beside is not None:
                    self.beside()
                watcher = self._watcher if now >= self._watch_at else None
                if watcher is not None:
                    self._watch_at = now + PROGRESS_SECONDS
                progress.shown(self._run_folder, now - self.started_at, listener, sampler, watcher)

    @staticmethod
    def _main_has_ended(main: Optional[int], ready: List[Tuple[int, int]], tree: Tree) -> bool:
        if main is None:
            tree.reap()
            return tree.main_status is not None
        return tree.main_status is not None or any(descriptor == main for descriptor, _ in ready)

    def _look(self, now: float, tree: Tree, listener: Listener, sampler: Sampler) -> None:
        """End the run where it has broken one of its criteria; what has ended by itself meanwhile is left as it is."""
        if self._judge is None:
            return
        if self.stopped is not None and self._judge.grows(self.stopped, sampler):
            self._kill_at = now  # what it was to tidy up would cost the machine more than it is worth
        if self.stop is not None:
            return
        worked_until = None if self._worked_at is None else self._worked_at - self.started_at
        stopped = self._judge.look(now - self.started_at, listener, sampler, worked_until)
        if stopped is None or not tree.processes():
            return
        was_told = self._kill_at is not None  # what lingers, and instead of ending takes more than it may
        self.stopped, self._idle_since = stopped, None
        self._end("stopped", tree)
        if was_told:
            self._kill_at = now

    def _watch_limits(self, now: float, tree: Tree) -> None:
        limit = self._time_limit_seconds
        if self._signals.received:
            self._end("interrupted", tree)
        elif limit is not None and now - self.started_at >= limit:
            self._end("time_limit", tree)
        if self._kill_at is not None and now >= self._kill_at:
            tree.signal(signal.SIGKILL)
            self._kill_at = now + 0.1  # again, for what was being forked

    def _end(self, why: str, tree: Tree) -> None:
        """Tell the whole tree to stop, once; ``_watch_limits`` kills what has not after the grace."""
        if self.stop is None:
            self.stop = why
            self._kill_at = time.monotonic() + GRACE_SECONDS
            if why == "interrupted" and self._signals.is_told:
                self._kill_at = time.monotonic() + TOLD_GRACE_SECONDS
                return
            if why == "stopped":
                self._kill_at = time.monotonic() + STOPPED_GRACE_SECONDS
            tree.signal(signal.SIGTERM)
            tree.signal(signal.SIGCONT)  # what is stopped learns of it only when it goes on

    def _watch_orphans(self, now: float, tree: Tree, sampler: Sampler) -> None:
        """Let what outlives the child finish its work, and end what only lingers."""
        if self._kill_at is not None or self._main_ended_at is None:
            return
        tree.refresh()
        used = sampler.cpu_seconds() or 0.0
        if self._idle is None or used - self._idle[1] > ORPHAN_IDLE_SHARE * ORPHAN_IDLE_SECONDS:
            if self._idle is not None:
                self._worked_at = now
            self._idle = (now, used)
        elif now - self._idle[0] >= ORPHAN_IDLE_SECONDS:
            self._kill_at, self._idle_since = now, self._idle[0]
        if now - self._main_ended_at >= ORPHAN_WORKING_SECONDS:
            self._kill_at = now
        if self._kill_at is not None:
            self.orphans_ended = len(tree.processes())
            tree.signal(signal.SIGTERM)
            tree.signal(signal.SIGCONT)
            self._kill_at = now + GRACE_SECONDS


def _pidfd(pid: int) -> Optional[int]:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # Linux before 5.3: polled instead
        return None
