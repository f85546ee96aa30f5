"""Up, status, down of a real server and real agents: idempotent, in words, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from stackyard.clearml import connection
from stackyard.clearml.client import Client, ServerError
from stackyard.errors import StackyardError
from stackyard.services import control
from stackyard.services.files import FINISH
from tests.installation.agents import connection_of
from tests.stackyard.services.conftest import UNTIL, Yard
from tests.stackyard_server.running import running_server
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.whole


def test_a_queue_that_another_machine_makes_at_the_same_moment_is_taken() -> None:
    said: list[str] = []
    with running_server() as server, Client(connection_of(server)) as client:
        id = client.call("queues.create", name="night")["id"]
        assert control._make_queue(client, "night", [], said.append)["id"] == id
        assert said == []
        made = control._make_queue(client, "day", [], said.append)
        assert (made["metadata"], said) == ({}, ["queue day made"])
        with pytest.raises(ServerError):
            control._make_queue(client, "", [], said.append)


@pytest.mark.promise("keys-administer-nothing")
def test_up_works_twice_runs_a_task_and_down_leaves_nothing(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "of the user")
    first = yard.up()
    assert first["admin"]["login"] == "admin"
    assert (first["slots"], first["problems"]) == (["cpu-0"], [])
    pids = (yard.slot()["pid"], yard.files.holder())
    assert [slot["outdated"] for slot in yard.status()["slots"]] == [False]
    again = yard.up()
    assert again["server"] == first["server"]
    assert again["admin"] is None, "shown once"
    assert (yard.slot()["pid"], yard.files.holder()) == pids

    task = yard.submit("import json, os\nprint('variables', json.dumps(sorted(os.environ.items())))\n")
    assert yard.waits(task) == "completed"
    assert "of the user" not in yard.console(task), "nothing of the user's environment leaks in"

    found = yard.status()
    assert found["problems"] == []
    (worker,) = found["workers"]
    assert (worker["queues"], worker["task"], worker["here"]) == (["cpu"], None, True)
    assert {row["name"]: row["waiting"] for row in found["queues"]}["cpu"] == 0
    with urllib.request.urlopen(found["services"]["metrics"], timeout=10) as answer:
        text = answer.read().decode()
    assert 'stackyard_agent_up{queue="cpu",slot="cpu-0"} 1.0' in text
    rss = next(line for line in text.splitlines() if line.startswith("stackyard_agent_rss_bytes{"))
    assert float(rss.split()[-1]) > 1e7

    agents_and_our_side_have_keys_of_their_own_that_administer_nothing(yard)

    done = yard.down(FINISH)
    assert (done["was_up"], done["ended"], done["aborted"]) == (True, 0, [])
    assert yard.left() == []
    assert yard.files.holder() is None
    assert not (yard.home / "server" / "server.lock").read_text(), "the server's lock is free"
    assert yard.status()["problems"] == ["not up; start with: stackyard up"]
    assert yard.down() == {"was_up": False, "ended": 0, "aborted": []}


def agents_and_our_side_have_keys_of_their_own_that_administer_nothing(yard: Yard) -> None:
    own = connection.find(yard.settings)
    access_key, secret_key = yard.files.key() or ("", "")
    assert own.access_key != access_key
    assert (yard.home / "clearml.conf").stat().st_mode & 0o777 == 0o600
    theirs = connection.Connection(own.api, own.web, own.files, access_key, secret_key)
    for key, name in ((theirs, "Agents"), (own, "Stackyard")):
        with Client(key) as client:
            me = client.call("users.get_current_user")["user"]
            assert (me["name"], me.get("role")) == (name, "user")
            with pytest.raises(ServerError):
                client.call("users.create", name="somebody", login="somebody", password="a long password")
    for path in (*yard.files.agents.rglob("*"), *yard.files.folder.rglob("*")):
        if yard.files.agents / "cpu-0" not in path.parents:  # what tasks leave there is theirs
            assert path.stat().st_mode & 0o077 == 0 or path.is_symlink(), path
    for path in (yard.files.plan_file, yard.files.state_file, yard.files.log_file):
        assert secret_key not in path.read_text(), path


def test_nothing_was_ever_up(yard: Yard) -> None:
    assert yard.down()["was_up"] is False
    with pytest.raises(StackyardError, match="stackyard up"):
        yard.status()


def test_down_waits_for_the_running_task_and_leaves_the_next_one_in_its_queue(
    yard: Yard, tmp_path: Path, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    yard.up()
    first, second = yard.submit(code), yard.submit(UNTIL.format(path=str(tmp_path / "never")))
    yard.begun(first)
    said = yard.said

    def say_and_let_go(text: str) -> None:
        said.append(text)
        if text.startswith("waiting for 1 running"):
            go_on.touch()

    from stackyard.services import control

    done = control.down(yard.settings, FINISH, PATIENCE_SECONDS, say_and_let_go)
    assert any(text.startswith("waiting for 1 running") for text in said)
    assert done["aborted"] == []
    yard.queues = "[queues.cpu]\nslots = 0\n"
    yard.up()
    assert yard.task(first)["status"] == "completed"
    assert yard.task(second)["status"] == "queued"
    assert "stackyard_retries" not in yard.task(second).get("runtime", {}), "nothing was lost"
    (queue,) = [row for row in yard.status()["queues"] if row["name"] == "cpu"]
    assert (queue["waiting"], queue["why_not_here"]) == (1, "queues.toml gives it no slot on this machine")
    assert any("no agent listens" in problem for problem in yard.status()["problems"])


@pytest.mark.parametrize("mode", [pytest.param("abort", marks=pytest.mark.long), "finish"])
def test_down_aborts_what_it_is_told_to_or_what_takes_longer_than_the_limit(
    yard: Yard, mode: str, waiting: tuple[str, Path]
) -> None:
    code, _ = waiting
    task = yard.at_work(code)
    done = yard.down(mode, 0.5)
    assert done["aborted"] == [task]
    assert yard.left() == []
    yard.queues = "[queues.cpu]\nslots = 0\n"
    yard.up()
    assert (yard.task(task)["status"], yard.task(task)["status_reason"]) == (
        "stopped",
        "aborted by stackyard down",
    )


def test_a_server_that_runs_elsewhere_is_used_as_it_is(yard: Yard, tmp_path: Path) -> None:
    from stackyard_server.admin.client_config import client_config

    with running_server() as server:
        path = tmp_path / "given.conf"
        urls = {"api": server.api, "web": server.web, "files": server.files}
        path.write_text(client_config(urls, server.access_key, server.secret_key))
        found = yard.up(config=path)
        assert found["server"]["kind"] == "given"
        assert not (yard.home / "server").exists(), "no embedded server"
        assert yard.waits(yard.submit()) == "completed"
        assert yard.up()["server"]["kind"] == "given", "what runs stays"
        yard.down()
        assert server.call("workers.get_all")["workers"] == [], "unregistered"


def test_slots_follow_queues_toml_while_up(yard: Yard) -> None:
    yard.up()
    pid = yard.slot()["pid"]
    yard.queues = "[queues.cpu]\nretries = 1\n[queues.more]\ntime_limit_seconds = 60\n"
    assert yard.up()["slots"] == ["cpu-0", "more-0"]
    assert yard.slot()["pid"] == pid, "the first was left alone"
    entry = next(q for q in yard.call("queues.get_all")["queues"] if q["name"] == "more")
    assert entry["metadata"]["time_limit_seconds"]["value"] == "60"
    yard.queues = "[queues.more]\n"
    yard.up()
    until(lambda: [slot["slot"] for slot in yard.files.state()["slots"]] == ["more-0"], "the end of cpu-0")
    until(lambda: [w["id"].partition(":")[2] for w in yard.status()["workers"]] == ["more-0"], "its leaving")


@pytest.mark.long
def test_the_services_process_ends_in_order_when_it_is_told_by_a_signal(
    yard: Yard, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    task = yard.at_work(code)
    holder = yard.files.holder()
    assert holder is not None
    os.kill(holder.pid, signal.SIGTERM)
    assert holder.wait(PATIENCE_SECONDS)
    assert yard.left() == []
    found = yard.task(task)
    assert found["status"] == "queued"
    assert found["status_reason"].startswith("infrastructure: the services of its machine were ended")
    problems = yard.status()["problems"]
    assert any("services process has died" in problem for problem in problems)
    go_on.touch()
    yard.up()
    assert yard.waits(task) == "completed"
    assert json.loads(yard.files.plan_file.read_text())["mode"] == "run"
