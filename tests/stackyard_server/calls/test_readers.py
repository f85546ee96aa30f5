"""Reads in threads: an end for each, a share for each user, and a stop that waits for none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard_server.calls.readers import Readers
from stackyard_server.protocol import bounds
from stackyard_server.protocol.error_table import ApiError
from stackyard_server.store import Reading, Store
from stackyard_server.store.refusals import AnswerTooLarge, ReadEnded
from tests.waiting import PATIENCE_SECONDS

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data")
    yield made
    made.close()


def endless(store: Store, begun: threading.Event):
    """A read without an end."""

    def read(reading: Reading) -> None:
        with store.reading(reading) as tx:
            begun.set()
            tx.all(ENDLESS)

    return read


@pytest.mark.promise("reads-end")
def test_a_read_that_takes_too_long_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "READ_SECONDS", 0.05)

    async def main() -> None:
        readers = Readers()
        with pytest.raises(ReadEnded):
            await readers.read("u", endless(store, threading.Event()))
        assert await readers.read("u", lambda _: 1) == 1
        readers.close()

    asyncio.run(main())


@pytest.mark.promise("reads-end")
def test_a_read_ends_when_its_client_has_gone(store: Store) -> None:
    async def main() -> None:
        readers, begun = Readers(), threading.Event()

        async def gone() -> None:
            await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)

        with pytest.raises(ReadEnded):
            await readers.read("u", endless(store, begun), gone)
        readers.close()

    asyncio.run(main())


@pytest.mark.promise("reads-end")
def test_a_stop_ends_every_read(store: Store) -> None:
    async def main() -> None:
        readers, begun = Readers(), threading.Event()
        reading = asyncio.ensure_future(readers.read("u", endless(store, begun)))
        assert await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        readers.close()
        with pytest.raises(ReadEnded):
            await reading
        with pytest.raises(ApiError, match="stopping"):
            await readers.read("u", lambda _: 1)

    asyncio.run(main())


@pytest.mark.promise("reads-shared")
def test_one_users_reads_leave_room_for_others() -> None:
    """Whatever one user asks, the next user's read begins at once; theirs go on in their order."""

    async def main() -> None:
        readers, held, order = Readers(), threading.Event(), []

        def slow(reading: Reading) -> None:
            assert held.wait(PATIENCE_SECONDS)

        greedy = [asyncio.ensure_future(readers.read("greedy", slow)) for _ in range(20)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(readers.read("other", lambda _: 7), PATIENCE_SECONDS) == 7
        last = [
            asyncio.ensure_future(readers.read("greedy", lambda _, n=n: order.append(n))) for n in range(5)
        ]
        await asyncio.sleep(0)
        held.set()
        await asyncio.gather(*greedy, *last)
        assert sorted(order) == list(range(5))
        readers.close()

    asyncio.run(main())


@pytest.mark.promise("reads-shared")
def test_who_waits_and_leaves_takes_no_place() -> None:
    async def main() -> None:
        readers, held = Readers(), threading.Event()
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def gone() -> None:
            await left

        def slow(reading: Reading) -> None:
            assert held.wait(PATIENCE_SECONDS)

        busy = [asyncio.ensure_future(readers.read("u", slow)) for _ in range(bounds.READS_OF_A_USER)]
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(readers.read("u", lambda _: 1, gone))
        await asyncio.sleep(0)
        left.set_result(None)
        with pytest.raises(ApiError):
            await waiting
        held.set()
        await asyncio.gather(*busy)
        assert await readers.read("u", lambda _: 2) == 2
        readers.close()

    asyncio.run(main())


def test_a_read_holds_so_many_bytes(store: Store) -> None:
    with store.reading(Reading(100)) as tx:
        rows = "SELECT value FROM json_each(?)"
        assert len(tx.weighed(rows, ('["aaaa", "bbbb"]',), lambda row: 50)) == 2
        assert tx.reading is not None
        tx.reading.give_back()
        with pytest.raises(AnswerTooLarge):
            tx.weighed(rows, ('["a", "b", "c"]',), lambda row: 50)


@pytest.mark.promise("unread-bounded", on="API, pages")
def test_who_takes_no_answers_waits_and_is_refused_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others go on; a read waits for room, begins once there is some, and is refused where there is none for long."""

    async def main() -> None:
        full = {"greedy"}
        readers = Readers(lambda user: user not in full)
        waiting = asyncio.ensure_future(readers.read("greedy", lambda _: 1))
        await asyncio.sleep(0)
        assert await readers.read("other", lambda _: 2) == 2
        assert not waiting.done()
        full.clear()
        readers.let_in()
        assert await waiting == 1
        full.add("greedy")
        monkeypatch.setattr(bounds, "READ_SECONDS", 0.01)
        goes_on = asyncio.ensure_future(readers.read("greedy", lambda _: 3, goes_on=True))
        with pytest.raises(ApiError, match="earlier answers are not read"):
            await readers.read("greedy", lambda _: 4)
        assert not goes_on.done()
        monkeypatch.setattr(bounds, "READ_SECONDS", 20)
        full.clear()
        readers.let_in()
        assert await goes_on == 3
        readers.close()

    asyncio.run(main())
