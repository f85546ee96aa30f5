"""``stackyard up | down | status | logs`` as a user types them, with a real server and agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.cli.main import run

pytestmark = pytest.mark.whole

UP = ("up", "--no-templates", "--web-port", "0", "--api-port", "0", "--files-port", "0")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    for name in ("STACKYARD_SERVER_FOLDER", "CLEARML_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    run(["down", "--abort"])


def test_up_status_logs_and_down(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:hidden@host/simple")
    queues = tmp_path / "queues.toml"
    queues.write_text("[queues.cpu]\n[queues.gpu]\nslots = 'gpus'\n")
    assert run([*UP, "--queues", str(queues)]) == 0
    said = capsys.readouterr().out
    assert "agents cpu-0" in said
    assert "compare and reports  http://127.0.0.1:" in said
    assert "login     admin" in said
    assert "PIP_INDEX_URL holds a login and is not handed to those who make environments" in said
    assert "hidden" not in said
    assert "no agent for gpu:" in said or "gpu-0" in said

    assert run(["status"]) == 0
    said = capsys.readouterr().out
    assert "embedded, answers" in said
    assert "web app   running: http://127.0.0.1:" in said
    assert ":cpu-0" in said
    assert run(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["up"], found["problems"]) == (True, [])

    assert run(["logs"]) == 0
    assert "agent started" in capsys.readouterr().out
    assert run(["logs", "cpu-0", "--json"]) == 0
    assert any(
        "polling" in line or "Listening" in line for line in json.loads(capsys.readouterr().out)["lines"]
    )
    assert run(["logs", "web"]) == 0
    assert "web app http://127.0.0.1:" in capsys.readouterr().out
    assert run(["logs", "cpu-7"]) == 2
    assert "there are: services, server, web, cpu-0" in capsys.readouterr().err

    assert run(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["was_up"] is True
    assert run(["status"]) == 1
    assert "not up" in capsys.readouterr().out
    assert run(["down"]) == 0
    assert capsys.readouterr().out == "nothing was up\n"


def test_what_cannot_be_is_one_sentence(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status"]) == 1
    assert "nothing was ever up here" in capsys.readouterr().err
    assert run(["down", "--finish", "--abort"]) == 2
    for limit in ("-1", "nan", "inf"):
        assert run(["down", "--limit", limit]) == 2
        assert f"--limit is {limit}, expected seconds from 0 to" in capsys.readouterr().err
    assert run(["up", "--no-web-app", "--web-app-port", "8090"]) == 2
    assert "--no-web-app leaves nothing for --web-app-port" in capsys.readouterr().err
    assert run(["up", "--reports", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    for usage in (["--metrics-port", "65536"], ["--metrics-port", "-1"], ["--folder", ""]):
        assert run(["up", *usage]) == 2
        assert f"Invalid value for '{usage[0]}'" in capsys.readouterr().err
    assert run(["up", "--config", str(tmp_path / "none.conf")]) == 2
    assert "none.conf: cannot be read" in capsys.readouterr().err
    queues = tmp_path / "queues.toml"
    queues.write_text("[queues.cpu]\nslots = 'many'\n")
    assert run(["up", "--queues", str(queues)]) == 2
    assert "slots is 'many'" in capsys.readouterr().err
    assert not (home / "server").exists(), "nothing was started"


@pytest.mark.long
def test_up_into_a_closed_pipe_goes_on_and_says_how_to_have_another_password(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queues = tmp_path / "queues.toml"
    queues.write_text("[queues.cpu]\nslots = 0\n")
    nobody, out = os.pipe()
    os.close(nobody)
    command = [sys.executable, "-m", "stackyard.cli.main", *UP, "--queues", str(queues)]
    try:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(out)
    assert done.returncode == 1
    folder = home / "server"
    assert done.stderr == (
        "Cut off: the first password of admin is kept nowhere; if you have not seen it, make another with "
        f"`stackyard server user password admin --folder {folder}`.\n"
    )
    assert run(["status"]) == 0
    assert run(["server", "user", "password", "admin", "--folder", str(folder)]) == 0
    capsys.readouterr()
    assert run(["down"]) == 0
    assert "server stopped" in capsys.readouterr().out


def test_options_of_an_embedded_server_are_refused_beside_one_that_runs_elsewhere(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (["--api-port", "9"], ["--folder", str(tmp_path / "mine")], ["--host", "127.0.0.1"]):
        assert run(["up", "--config", str(tmp_path / "given.conf"), *given]) == 2
        assert f"and {given[0]} is for the embedded one" in capsys.readouterr().err


def test_an_up_that_is_killed_is_known_to_status_and_down(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queues = tmp_path / "queues.toml"
    queues.write_text("[queues.cpu]\nslots = 0\n")
    command = [sys.executable, "-m", "stackyard.cli.main", *UP, "--queues", str(queues)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as begun:
        assert begun.stdout is not None
        assert begun.stdout.readline().startswith("server started (process ")
        begun.kill()
    run(["status"])
    assert "server    embedded, answers" in capsys.readouterr().out
    assert run(["down"]) == 0
    said = capsys.readouterr().out
    assert "server stopped (process " in said
    assert said.endswith("down\n")
    assert run(["status"]) == 1
    assert "! not up; start with: stackyard up" in capsys.readouterr().out
