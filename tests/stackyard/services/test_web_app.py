"""The web app beside server and agents: kept running, ended with what keeps it, and linked from the server's pages."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from stackyard.errors import BadInputError
from stackyard.services import control
from stackyard.services.embedded import a_free_port
from stackyard.services.files import ServicesFiles, WebApp
from stackyard.services.web_app import LOG_BYTES, WebAppKeeper
from tests.stackyard.services.conftest import Yard
from tests.waiting import until


class SimulatedProcess:
    """Ends when told to by the test, or when asked."""

    def __init__(self, number: int) -> None:
        self.pid, self.status, self.listens, self.asked = number, None, False, False

    def ended(self) -> int | None:
        return self.status

    def answers(self) -> bool:
        return self.listens

    def end(self, seconds: float) -> None:
        self.asked, self.status = True, 0


Started = list[tuple[WebApp, SimulatedProcess]]


def keeper(folder: Path) -> tuple[WebAppKeeper, Started]:
    started: Started = []

    def start(_: ServicesFiles, wanted: WebApp) -> SimulatedProcess:
        started.append((wanted, SimulatedProcess(len(started) + 1)))
        return started[-1][1]

    return WebAppKeeper(ServicesFiles(folder), start), started


WANTED = WebApp("127.0.0.1", 8090, "http://127.0.0.1:8090")


def test_it_is_started_and_told_of_once_it_answers(tmp_path: Path) -> None:
    made, started = keeper(tmp_path)
    made.step(0.0, WANTED)
    assert made.describe() == {
        "address": "http://127.0.0.1:8090",
        "phase": "starting",
        "pid": 1,
        "restarts": 0,
        "trouble": None,
    }
    started[0][1].listens = True
    made.step(0.5, WANTED)
    assert (made.describe() or {})["phase"] == "running"


def test_one_that_dies_young_is_started_later_each_time(tmp_path: Path) -> None:
    made, started = keeper(tmp_path)
    now, pauses = 0.0, []
    for _ in range(8):
        made.step(now, WANTED)
        started[-1][1].status = 1
        died, before = now, len(started)
        while len(started) == before:
            now += 0.5
            made.step(now, WANTED)
        pauses.append(now - died)
    assert pauses == sorted(pauses)
    assert pauses[0] <= 2.0
    assert pauses[-1] == pytest.approx(60.5, abs=1)
    found = made.describe() or {}
    assert found["restarts"] == 8
    assert found["trouble"] == "the web app ended by itself (exit status 1); see `stackyard logs web`"


def test_another_wish_ends_it_and_starts_another(tmp_path: Path) -> None:
    made, started = keeper(tmp_path)
    made.step(0.0, WANTED)
    other = WebApp("127.0.0.1", 8091, "http://127.0.0.1:8091")
    made.step(0.5, other)
    assert [(wanted.port, process.asked) for wanted, process in started] == [(8090, True), (8091, False)]
    made.step(1.0, None)
    assert started[1][1].asked
    assert made.describe() is None


def test_its_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    made, _ = keeper(tmp_path)
    log = ServicesFiles(tmp_path).web_log
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * (LOG_BYTES + 1))
    made.step(0.0, WANTED)
    made.step(0.5, WANTED)
    assert log.stat().st_size == 0


@pytest.mark.whole
def test_up_starts_it_the_pages_lead_to_it_and_it_ends_with_the_services(yard: Yard, tmp_path: Path) -> None:
    found = yard.up(web_app=control.WebAppWishes(a_free_port("127.0.0.1"), (tmp_path,)))
    assert found["problems"] == []
    address = found["web_app"]
    assert httpx.get(f"{address}/login").status_code == 200
    shown = yard.status()
    assert (shown["web_app"]["phase"], shown["web_app"]["address"]) == ("running", address)
    login = {"login": found["admin"]["login"], "password": found["admin"]["password"]}
    with httpx.Client(base_url=found["server"]["web"]) as visitor:
        signed_in = visitor.post("/login", data=login, headers={"Origin": found["server"]["web"]})
        assert signed_in.status_code == 303
        assert f'<a href="{address}/compare">Compare</a>' in visitor.get("/").text
        # who is signed in there is signed in here: a browser sends its cookie to every port of a host
        here = httpx.get(f"{address}/reports", cookies=dict(visitor.cookies))
    assert here.status_code == 200

    pid = shown["web_app"]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: (yard.status()["web_app"] or {}).get("pid") not in (None, pid), "another web app")
    until(lambda: yard.status()["web_app"]["phase"] == "running", "that it answers")
    port = int(address.rpartition(":")[2])
    with pytest.raises(BadInputError, match="others have it"):
        yard.up(web_app=control.WebAppWishes(int(found["server"]["api"].rpartition(":")[2])))
    assert yard.up(web_app=control.WebAppWishes())["web_app"] == address, "where it is, it stays"
    yard.kill_services()
    until(lambda: _refuses(port), "the web app to end with the services process")
    assert yard.up()["web_app"] is None
    assert yard.status()["web_app"] is None


def _refuses(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/login")
    except httpx.TransportError:
        return True
    return False
