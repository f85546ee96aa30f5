"""Jobs beside the event loop: alike ones are one, a full queue and a slow job are answered with a sentence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from stackyard.web.work import BusyError, Work
from tests.waiting import PATIENCE_SECONDS


def working(threads: int = 1, waiting: int = 1, seconds: float = PATIENCE_SECONDS, each: int = 10) -> Work:
    return Work("comparison", threads, waiting, seconds, each)


class Held:
    """A job that ends when it is told to."""

    def __init__(self) -> None:
        self.go, self.calls = threading.Event(), 0

    def __call__(self) -> str:
        self.calls += 1
        assert self.go.wait(PATIENCE_SECONDS)
        return "done"


async def begun(work: Work, person: str, what: str, job: Callable[[], str]) -> asyncio.Task[str]:
    task = asyncio.ensure_future(work.do(person, what, job))
    await asyncio.sleep(0)
    return task


def test_two_requests_for_the_same_of_one_person_are_one_job() -> None:
    async def both() -> list[str]:
        work, held = working(), Held()
        tasks = [await begun(work, "ada", "x", held) for _ in range(3)]
        held.go.set()
        found = await asyncio.gather(*tasks)
        assert held.calls == 1
        assert await work.do("ada", "x", lambda: "again") == "again", "what is done is not kept"
        return found

    assert asyncio.run(both()) == ["done"] * 3


def test_a_second_job_waits_and_a_full_queue_is_said() -> None:
    async def three() -> None:
        work, first, second = working(), Held(), Held()
        running = await begun(work, "ada", 1, first)
        waiting = await begun(work, "bob", 2, second)
        with pytest.raises(BusyError, match="too many comparisons wait already; try again in a moment"):
            await work.do("eve", 3, lambda: "never")
        second.go.set()
        assert second.calls == 0, "there is one thread"
        first.go.set()
        assert [await running, await waiting] == ["done", "done"]

    asyncio.run(three())


def test_one_person_does_not_fill_the_queue() -> None:
    async def two() -> None:
        work, held = working(waiting=10, each=2), Held()
        tasks = [await begun(work, "ada", n, held) for n in range(2)]
        with pytest.raises(BusyError, match="2 comparisons of yours run already"):
            await work.do("ada", 3, lambda: "never")
        held.go.set()
        await asyncio.gather(*tasks)
        assert await work.do("bob", 1, lambda: "bob's") == "bob's"

    asyncio.run(two())


def test_a_job_that_takes_too_long_is_answered_for_and_keeps_its_place_until_it_ends() -> None:
    async def slow() -> None:
        work, held = working(waiting=0, seconds=0.01), Held()
        with pytest.raises(BusyError, match="took longer than 0 s and was given up; choose less"):
            await work.do("ada", 1, held)
        with pytest.raises(BusyError, match="too many"):
            await work.do("bob", 2, lambda: "never")
        held.go.set()
        work._threads.shutdown(wait=True)

    asyncio.run(slow())


def test_what_a_job_raises_reaches_who_asked() -> None:
    def fails() -> str:
        raise BusyError("no")

    async def one() -> None:
        with pytest.raises(BusyError, match="no"):
            await working().do("ada", 1, fails)

    asyncio.run(one())
