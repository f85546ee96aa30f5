"""The process: its port, its end, connections that send nothing, what it says without its extra."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError
from stackyard.web import server
from stackyard.web.server import Listening, Wishes
from tests.stackyard.web.conftest import web_app

NOWHERE = Connection("http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "clearml.conf"
    file.write_text(
        'api { api_server: "http://127.0.0.1:1", web_server: "http://127.0.0.1:1", files_server: "http://127.0.0.1:1" }'
    )
    return file


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "stackyard.cli.main", "web", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_its_address_and_ends_cleanly_when_told(config: Path, number: int) -> None:
    with command("--port", "0", "--config", str(config)) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.fullmatch(r"web app (http://127\.0\.0\.1:\d+)\n", said)
        assert address, said
        assert httpx.get(f"{address[1]}/login").status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_a_port_that_others_have_is_one_sentence(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with command("--port", str(port), "--config", str(config)) as process:
            _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == (
        f"stackyard: 127.0.0.1:{port} cannot be listened on (Address already in use); choose another with --port, "
        "or --port 0 for a free one\n"
    )


def test_a_host_that_is_none_is_one_sentence() -> None:
    with pytest.raises(BadInputError, match=r"--host no\.such\.host\.invalid: no address of this machine"):
        Listening(Wishes(NOWHERE, "no.such.host.invalid", 0))


def test_who_sends_half_a_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with web_app(NOWHERE) as app:
        port = app.listening.names.port
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
            assert connection.recv(100) == b"", "the connection is closed"
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            assert connection.recv(100) == b"", "so is one that sends nothing"
        assert httpx.get(f"{app.address}/login").status_code == 200


def test_a_server_that_does_not_answer_is_said_on_the_page() -> None:
    with web_app(NOWHERE) as app, app.visitor(cookies={"clearml_token_basic": "x.y.z"}) as visitor:
        answer = visitor.get("/reports")
        assert answer.status_code == 502
        assert "the ClearML server at http://127.0.0.1:1 does not answer" in answer.text
