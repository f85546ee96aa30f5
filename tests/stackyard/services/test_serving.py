"""The server that ``up`` takes: whatever cuts ``up`` off, ``down`` and ``status`` know what it started."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from stackyard.errors import BadInputError, StackyardError
from stackyard.services import control, embedded
from stackyard_server import admin
from stackyard_server.admin import processes
from tests.stackyard.services.conftest import Yard
from tests.waiting import until

pytestmark = pytest.mark.whole

#: No agent is waited for: what is asked here is about the server.
NO_AGENT = "[queues.cpu]\nslots = 0\n"
FREE_PORTS = {"web_port": 0, "api_port": 0, "files_port": 0}


def cut_off(yard: Yard, at: str) -> list[dict[str, str]]:
    """What ``up`` told of a new server's administrator before Ctrl-C came, with the line that begins so."""
    path = yard.home.parent / "queues.toml"
    path.write_text(NO_AGENT)
    told: list[dict[str, str]] = []

    def say(text: str) -> None:
        if text.startswith(at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        control.up(yard.settings, control.Wishes(queues_file=path, options=FREE_PORTS), say, told.append)
    return told


@pytest.mark.parametrize("at", ["server started", "queue cpu made", "services process"])
def test_whatever_cuts_it_off_down_ends_what_it_started(yard: Yard, at: str) -> None:
    (told,) = cut_off(yard, at)
    assert (told["login"], told["folder"]) == ("admin", str(yard.home / "server"))
    assert len(told["password"]) > 12
    assert embedded.runs(yard.home / "server")
    problems = yard.status()["problems"]
    if at != "services process":
        assert problems == [
            "`stackyard up` was cut off when the server ran and no agent yet: run it again, "
            "or end the server with `stackyard down`"
        ]
        assert yard.status()["server"]["answers"]
    assert yard.down()["was_up"]
    assert not embedded.runs(yard.home / "server")
    assert yard.status()["problems"] == ["not up; start with: stackyard up"]
    assert not [line for line in yard.said if line.startswith("!")]


def test_another_up_goes_on_where_it_was_cut_off(yard: Yard) -> None:
    cut_off(yard, "server started")
    port = admin.listening_ports(yard.home / "server")["api_port"]
    yard.queues = NO_AGENT
    found = yard.up()
    assert found["server"]["api"].endswith(f":{port}")
    assert yard.status()["problems"] == []


def test_an_interrupted_start_leaves_no_server_and_says_whose_password_is_lost(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, path = yard.home / "server", yard.home.parent / "queues.toml"
    path.write_text(NO_AGENT)

    def interrupted(number: int, patience_seconds: float) -> bytes:
        until(lambda: embedded.runs(folder) and admin.listening_ports(folder), "the server that starts")
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "_hear", interrupted)
    told: list[dict[str, str]] = []
    with pytest.raises(KeyboardInterrupt):
        control.up(
            yard.settings,
            control.Wishes(queues_file=path, options=FREE_PORTS),
            yard.said.append,
            told.append,
        )
    assert not embedded.runs(folder)
    assert told == ([{"login": "admin", "password": "", "folder": str(folder)}] if told else [])
    assert bool(told) == bool(admin.list_users(folder))
    with pytest.raises(StackyardError, match="nothing was ever up here"):
        yard.status()
    assert yard.down() == {"was_up": False, "ended": 0, "aborted": []}


def test_a_start_that_fails_leaves_what_was_known_as_it_was(yard: Yard) -> None:
    yard.queues = NO_AGENT
    with pytest.raises(BadInputError, match="host is ''; expected an IP address"):
        yard.up(options={**FREE_PORTS, "host": ""})
    with pytest.raises(StackyardError, match=r"Cannot listen on 203\.0\.113\.7"):
        yard.up(options={**FREE_PORTS, "host": "203.0.113.7"})
    assert not yard.files.plan_file.exists()


def test_what_runs_and_is_not_as_wished_is_said(yard: Yard, tmp_path: Path) -> None:
    yard.queues = NO_AGENT
    found = yard.up()
    port = int(found["server"]["api"].rpartition(":")[2])
    metrics = int(found["metrics"].rpartition(":")[2].partition("/")[0])
    given = tmp_path / "given.conf"
    given.write_text("")
    others: list[tuple[dict[str, Any], str]] = [
        ({"options": {"api_port": port + 1}}, f"is up with api port {port}, not {port + 1}"),
        ({"options": {"host": "127.0.0.2"}}, "is up with host 127.0.0.1, not 127.0.0.2"),
        ({"folder": tmp_path / "other"}, f"--folder {tmp_path / 'other'} names another"),
        ({"config": given}, f"--config {given} names another"),
        ({"metrics_port": metrics + 1}, f"with metrics on port {metrics}, not {metrics + 1}"),
    ]
    for wishes, said in others:
        with pytest.raises(BadInputError) as refused:
            yard.up(**wishes)
        assert said in str(refused.value)
        assert str(refused.value).endswith("run `stackyard down` first")
    assert not (tmp_path / "other").exists()
    same = {"options": {"api_port": port, "web_port": 0, "host": "127.0.0.1"}, "metrics_port": metrics}
    assert yard.up(**same)["server"] == found["server"]


def test_a_port_for_metrics_that_is_taken_is_a_problem(yard: Yard) -> None:
    yard.queues = NO_AGENT
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = yard.up(metrics_port=port)
    said = f"the agents' metrics have no port: {port} is taken; see {yard.files.log_file}"
    assert (found["metrics"], found["problems"]) == (None, [said])


def test_what_is_up_in_another_folder_stays_there(yard: Yard, tmp_path: Path) -> None:
    yard.queues = NO_AGENT
    found = yard.up(folder=tmp_path / "mine")
    assert yard.up()["server"] == found["server"]
    assert not (yard.home / "server").exists()
    yard.kill_services()
    assert yard.up()["server"] == found["server"], "as it does after the services died"
    assert not (yard.home / "server").exists()
    yard.down()
    assert yard.status()["problems"] == [f"not up; start with: stackyard up --folder {tmp_path / 'mine'}"]
