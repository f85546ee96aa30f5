"""Reads that may take long: in threads, so many at a time and of one user, each with an end.

A read ends when it took too long, when its client went, or when the server stops; it is told so, and a statement under
way is interrupted. One user's reads leave threads to the others. Whose clients do not take their answers waits before
the next one is read.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..protocol import bounds
from ..protocol.error_table import error
from ..store import Reading

Answer = TypeVar("Answer")
#: A read that was told to end is told again until it has: what it began meanwhile has to hear it too.
AGAIN_SECONDS = 0.05


class Readers:
    """The threads in which reads run; one for the server's life.

    Args:
        may_hold: Whether there is room for one more answer of a user.
    """

    def __init__(self, may_hold: Callable[[str], bool] = lambda user: True) -> None:
        self._may_hold = may_hold
        self._threads = ThreadPoolExecutor(bounds.READS, thread_name_prefix="reader")
        self._running: Counter[str] = Counter()
        #: Who waits, by user; the user who was let in longest ago comes first.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._readings: set[Reading] = set()
        self._closed = False

    async def read(
        self,
        user: str,
        work: Callable[[Reading], Answer],
        gone: Callable[[], Awaitable[Any]] | None = None,
        goes_on: bool = False,
    ) -> Answer:
        """What a read finds.

        Args:
            user: Who asks.
            work: Reads; called in a thread.
            gone: Returns once the client has left; None where nobody can leave.
            goes_on: Whether it is the next part of an answer that has begun.

        Raises:
            ApiError: 429 too many wait, or the user's answers are not taken; what ``work`` raises.
        """
        watching = None if gone is None else asyncio.ensure_future(gone())
        try:
            await self._enter(user, watching, goes_on)
            try:
                return await self._run(work, watching)
            finally:
                self._leave(user)
        finally:
            if watching is not None:
                watching.cancel()

    async def _enter(self, user: str, watching: asyncio.Future[Any] | None, goes_on: bool) -> None:
        if self._has_room(user) and not self._waiting.get(user):
            self._running[user] += 1
            return
        line = self._waiting.setdefault(user, deque())
        everybody = sum(map(len, self._waiting.values()))
        if len(line) >= bounds.WAITING_OF_A_USER or everybody >= bounds.WAITING:
            raise error("too_many", "the server is busy reading")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        line.append(turn)
        if watching is not None:
            watching.add_done_callback(lambda _: turn.cancel())
        giving_up = None if goes_on else loop.call_later(bounds.READ_SECONDS, self._give_up, user, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in line:
                line.remove(turn)
            elif turn.done() and not turn.cancelled():  # let in, and gone in the same moment
                self._leave(user)
            if watching is not None and watching.done():
                raise error("read_ended") from None  # nobody hears it
            raise
        finally:
            if giving_up is not None:
                giving_up.cancel()

    def _give_up(self, user: str, turn: asyncio.Future[None]) -> None:
        """Refuse who waited long because earlier answers of theirs are not taken."""
        if not turn.done() and not self._may_hold(user):
            self._waiting[user].remove(turn)
            turn.set_exception(error("too_many", "earlier answers are not read by those who asked for them"))

    def _has_room(self, user: str) -> bool:
        if self._running.total() >= bounds.READS or self._running[user] >= bounds.READS_OF_A_USER:
            return False
        return self._may_hold(user)

    def _leave(self, user: str) -> None:
        self._running[user] -= 1
        if not self._running[user]:
            del self._running[user]
        self.let_in()

    def let_in(self) -> None:
        """Let in who waits and has room now: the next one of each user, at most."""
        for waiting, line in list(self._waiting.items()):
            while line and line[0].done():
                line.popleft()
            if not line:
                del self._waiting[waiting]
            elif self._has_room(waiting):
                self._running[waiting] += 1
                line.popleft().set_result(None)
                self._waiting.move_to_end(waiting)

    async def _run(self, work: Callable[[Reading], Answer], watching: asyncio.Future[Any] | None) -> Answer:
        loop, reading = asyncio.get_running_loop(), Reading(bounds.ANSWER_BYTES)
        if self._closed:
            raise error("stopping")

        def run() -> Answer:
            try:
                return work(reading)
            finally:
                self._readings.discard(reading)

        self._readings.add(reading)
        running = loop.run_in_executor(self._threads, run)
        over: asyncio.TimerHandle | None = None

        def end() -> None:
            nonlocal over
            reading.end()
            over = None if running.done() else loop.call_later(AGAIN_SECONDS, end)

        over = loop.call_later(bounds.READ_SECONDS, end)
        if watching is not None:
            watching.add_done_callback(lambda done: None if done.cancelled() or running.done() else end())
        try:
            # a thread cannot be cancelled: who is told to stop waiting waits for its end all the same
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            end()
            await asyncio.wait([running])
            raise
        finally:
            if over is not None:
                over.cancel()

    def end_all(self) -> None:
        """End what is read now; nothing more begins."""
        self._closed = True
        for reading in list(self._readings):
            reading.end()

    def close(self) -> None:
        """End everything and wait for it."""
        while self._readings:
            self.end_all()
            time.sleep(AGAIN_SECONDS)
        self._threads.shutdown()
