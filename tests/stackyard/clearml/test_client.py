"""The one client of a ClearML server, against a real one."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stackyard.clearml import client as clients
from stackyard.clearml.client import Client, ServerError, TooLargeError
from stackyard.clearml.connection import Connection


@pytest.mark.parametrize("path", ["a\x7fb", "a\nb", "x" * 100_000])
def test_a_stored_address_that_is_none_is_one_sentence(client: Client, path: str, tmp_path: Path) -> None:
    """Whoever made a task may have stored anything as the address of an artifact."""
    with pytest.raises(ServerError) as refused:
        client.download(f"{client.connection.files}/{path}", tmp_path / "file")
    assert len(str(refused.value)) < 500
    assert list(tmp_path.iterdir()) == []


def test_a_download_leaves_room_for_others(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How large a task's outputs are, the task decides: they must not fill the disk of whoever asked for them."""
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    url = client.upload(tmp_path / "large", "outputs/large")
    (tmp_path / "here").mkdir()
    room = 200_000
    monkeypatch.setattr(
        clients, "room_bytes", lambda folder: room - sum(path.stat().st_size for path in folder.iterdir())
    )
    with pytest.raises(TooLargeError, match="too large for the disk"):
        client.download(url, tmp_path / "here" / "large")
    assert list((tmp_path / "here").iterdir()) == []
    room = 300_000
    client.download(url, tmp_path / "here" / "large")
    assert (tmp_path / "here" / "large").read_bytes() == b"x" * 300_000


def test_an_answer_and_a_file_are_read_up_to_a_bound(client: Client, tmp_path: Path) -> None:
    data, size = client.read("users.get_current_user", 100_000)
    assert data["user"]["id"]
    assert size > 100
    with pytest.raises(TooLargeError, match="more than 10 bytes"):
        client.read("users.get_current_user", 10)
    with pytest.raises(ServerError, match=r"tasks\.get_by_id"):
        client.read("tasks.get_by_id", 100_000, task="none")
    (tmp_path / "file").write_bytes(b"x" * 1000)
    url = client.upload(tmp_path / "file", "small/file")
    assert client.content(url, 1000) == b"x" * 1000
    with pytest.raises(TooLargeError, match="more than 999 bytes"):
        client.content(url, 999)
    with pytest.raises(ServerError, match="cannot be read"):
        client.content(f"{client.connection.files}/small/none", 10)
    with pytest.raises(ServerError, match="not on the file server"):
        client.content("http://elsewhere/file", 10)


def test_a_person_comes_with_a_token_and_it_is_shown_as_it_is(client: Client) -> None:
    token = client.sign_in()
    connection = client.connection.with_token(token)
    assert (connection.access_key, connection.secret_key) == ("", "")
    assert token not in repr(connection)
    mine = client.call("users.get_current_user")["user"]["id"]
    with Client(connection) as person:
        assert person.call("users.get_current_user")["user"]["id"] == mine
        person.call("auth.logout")
        with pytest.raises(ServerError) as refused:
            person.call("users.get_current_user")
    assert refused.value.code == 401, "nobody signs in again for a person"


def test_a_name_and_password_that_are_wrong_give_no_token(client: Client) -> None:
    with (
        Client(client.connection.with_key("nobody", "wrong")) as stranger,
        pytest.raises(ServerError) as refused,
    ):
        stranger.sign_in()
    assert refused.value.code == 401
    assert "wrong" not in str(refused.value).replace("it is wrong", "")


@contextmanager
def endless(begins: bytes) -> Iterator[str]:
    """A server that answers everything, and never comes to an end; its address."""

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(begins)
            with suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_an_answer_without_an_end_is_one_sentence_and_not_all_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clients, "MOST_ANSWER_BYTES", 1_000_000)
    (tmp_path / "file").write_bytes(b"x")
    with endless(b'{"meta": {"result_code": 200}, "data": "') as url:
        person = Client(Connection(url, url, url, "", "", "given").with_token("a token"))
        tracemalloc.start()
        try:
            for ask in (
                lambda: person.call("tasks.get_all"),
                lambda: person.call("tasks.edit", task="t"),
                lambda: person.call_lines("events.add_batch", [{}]),
                lambda: person.upload(tmp_path / "file", "a/file"),
            ):
                with pytest.raises(TooLargeError, match="answered with more than 1,000,000 bytes"):
                    ask()
            with Client(Connection(url, url, url, "key", "secret", "given")) as other:
                for ask in (lambda: other.call("tasks.get_all"), other.sign_in):
                    with pytest.raises(
                        TooLargeError, match=r"auth\.login: the server answered with more than"
                    ):
                        ask()
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()
            person.close()
