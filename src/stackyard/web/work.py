"""What is done for a request beside the event loop: in a few threads, with a bounded queue before them and an end.

Two requests for the same thing of the same person wait for one job. A thread cannot be ended: a job whose time is over
is answered for, and holds its place until it has ended by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from stackyard.errors import StackyardError

T = TypeVar("T")


class BusyError(StackyardError):
    """There is no place for another job, or one took too long: try again later."""


class Work:
    """Threads for one kind of job.

    Args:
        name: what the jobs are called in a sentence: "comparison".
        threads: jobs at a time.
        waiting: further jobs that wait.
        seconds: how long somebody waits for one, from the asking on.
        each: jobs of one person, running and waiting.
    """

    def __init__(self, name: str, threads: int, waiting: int, seconds: float, each: int) -> None:
        self._name, self._most, self._seconds, self._each = name, threads + waiting, seconds, each
        self._threads = ThreadPoolExecutor(threads, name)
        #: (person, what) -> the job.
        self._jobs: dict[tuple[str, Hashable], Future[Any]] = {}

    async def do(self, person: str, what: Hashable, job: Callable[[], T]) -> T:
        """What a job answers.

        Args:
            person: for whom.
            what: jobs of one person that are alike are one job.
            job: called in a thread.

        Raises:
            BusyError: too many wait, or it took too long.
        """
        key = (person, what)
        running = self._jobs.get(key)
        if running is None:
            if len(self._jobs) >= self._most:
                raise BusyError(f"too many {self._name}s wait already; try again in a moment")
            if sum(1 for other, _ in self._jobs if other == person) >= self._each:
                raise BusyError(
                    f"{self._each} {self._name}s of yours run already; try again when one is done"
                )
            loop = asyncio.get_running_loop()
            running = self._threads.submit(job)
            self._jobs[key] = running
            running.add_done_callback(partial(self._forget, loop, key))
        waiting = asyncio.wrap_future(running)
        waiting.add_done_callback(_seen)
        try:
            return cast(T, await asyncio.wait_for(asyncio.shield(waiting), self._seconds))
        except TimeoutError:
            raise BusyError(
                f"the {self._name} took longer than {self._seconds:.0f} s and was given up; choose less"
            ) from None

    def _forget(self, loop: asyncio.AbstractEventLoop, key: tuple[str, Hashable], _: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it all who waited
            loop.call_soon_threadsafe(self._jobs.pop, key, None)

    def close(self) -> None:
        """Begin nothing new; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _seen(job: asyncio.Future[Any]) -> None:
    """Look at how a job ended, although nobody waits for it any more."""
    if not job.cancelled():
        job.exception()
