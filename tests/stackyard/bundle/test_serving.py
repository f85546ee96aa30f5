"""Hosts get the files that the manifest names, whole or from where they were cut off, and nothing else."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.bundle import serving
from stackyard.errors import StackyardError


@pytest.fixture
def port(bundle: Path) -> Iterator[int]:
    (bundle / "private.txt").write_text("secret")
    with serving.server(bundle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def test_a_file_is_served_whole_or_from_where_it_was_cut_off(bundle: Path, port: int) -> None:
    content = (bundle / "control-3.11.tar").read_bytes()
    assert ask(port, "/control-3.11.tar")[::2] == (200, content)
    status, headers, part = ask(port, "/control-3.11.tar", Range="bytes=100-")
    assert (status, part) == (206, content[100:])
    assert headers["Content-Range"] == f"bytes 100-{len(content) - 1}/{len(content)}"
    assert ask(port, "/control-3.11.tar", Range="bytes=0-9")[2] == content[:10]
    assert ask(port, "/control-3.11.tar", Range=f"bytes={len(content)}-")[0] == 416
    status, headers, nothing = ask(port, "/control-3.11.tar", "HEAD")
    assert (status, headers["Content-Length"], nothing) == (200, str(len(content)), b"")


@pytest.mark.parametrize(
    "path", ["/", "/private.txt", "/../content/control-3.11/one", "/%2e%2e/x", "//etc/passwd"]
)
def test_what_the_manifest_does_not_name_is_not_served(port: int, path: str) -> None:
    status, _headers, content = ask(port, path)
    assert status == 404
    assert b"secret" not in content


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_nothing_can_be_written(port: int, method: str) -> None:
    assert ask(port, "/manifest.json", method)[0] == 501


def test_more_hosts_than_are_served_at_once_wait_for_their_turn(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port)) for _number in range(serving.MOST_CONNECTIONS)]
    answers: list[int] = []
    late = threading.Thread(target=lambda: answers.append(ask(port, "/manifest.json")[0]))
    late.start()
    late.join(0.2)
    assert answers == []
    idle[0].close()
    late.join(10)
    assert answers == [200]
    for one in idle:
        one.close()


def test_an_address_that_is_taken_is_said(bundle: Path, port: int) -> None:
    with pytest.raises(StackyardError, match="cannot be listened on"):
        serving.server(bundle, "127.0.0.1", port)
