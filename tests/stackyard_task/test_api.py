"""ClearML's API in plain calls: what is sent, what is repeated, what is said where it fails."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from stackyard_task.api import Address, Refused, Server, Unreachable, address


class There:
    """A server that keeps what it is asked, and answers what it is told to: (status, data) in turn, else 200."""

    def __init__(self) -> None:
        self.asked: List[Tuple[str, bytes, str]] = []
        self.answers: Dict[str, List[Tuple[int, Any]]] = {}
        there = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                method = self.path.strip("/")
                there.asked.append((method, body, self.headers["Authorization"]))
                status, data = (there.answers.get(method) or [(200, {"token": "T"})]).pop(0)
                if status == 0:  # hangs up after it took the request
                    self.close_connection = True
                    return
                said = json.dumps({"meta": {"result_msg": "because"}, "data": data}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def methods(self) -> List[str]:
        return [method for method, _, _ in self.asked]


@pytest.fixture
def there() -> Iterator[There]:
    found = There()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def server(there: There) -> Iterator[Server]:
    found = Server(Address(there.url, there.url, "", "key", "secret"), 60.0, lambda seconds: None)
    yield found
    found.close()


def test_another_is_signed_in_as_the_first_is(there: There, server: Server) -> None:
    server.call("tasks.ping", task="t")
    other = server.another(0.0)
    other.call("tasks.ping", task="t")
    other.close()
    assert there.methods() == ["auth.login", "tasks.ping", "tasks.ping"]
    assert there.asked[-1][2] == "Bearer T"


@pytest.mark.parametrize("status", [0, 503], ids=["hangs up", "a proxy of one that is away"])
def test_what_may_be_done_twice_is_repeated(there: There, server: Server, status: int) -> None:
    there.answers["tasks.edit"] = [(status, {})] * 2 + [(200, {"updated": 1})]
    assert server.call("tasks.edit", task="t") == {"updated": 1}
    assert there.methods().count("tasks.edit") == 3


def test_what_may_not_be_done_twice_is_not(there: There, server: Server) -> None:
    there.answers["models.create"] = [(0, {}), (200, {"id": "second"})]
    with pytest.raises(Unreachable):
        server.call("models.create", name="m")
    assert there.methods().count("models.create") == 1


def test_nobody_is_waited_for_longer_than_patience(there: There) -> None:
    where = Address(there.url, token="T")
    there.answers["tasks.edit"] = [(503, {})] * 2
    with pytest.raises(Unreachable, match="503"):
        Server(where, 0.0).call("tasks.edit", task="t")
    assert there.methods() == ["tasks.edit"]


def test_a_file_is_sent_as_it_lies_there_each_time(there: There, server: Server, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    file = tmp_path / "weights.bin"
    file.write_bytes(content)
    there.answers[""] = [(503, {}), (200, {})]
    assert server.upload(file, "a b/weights.bin") == f"{there.url}/a%20b/weights.bin"
    first, second = (body for method, body, _ in there.asked if not method)
    assert content in second
    assert first == second
    assert b'filename="/a b/weights.bin"' in second


def test_a_file_that_is_refused_or_cannot_be_read_is_one_sentence(
    there: There, server: Server, tmp_path: Path
) -> None:
    there.answers[""] = [(507, {})]
    with pytest.raises(Refused, match=r"^x/f: the file server refused it \(507"):
        server.upload(b"content", "x/f")
    with pytest.raises(OSError, match="none"):
        server.upload(tmp_path / "none", "x/none")


def test_runtime_properties_are_laid_over_those_there_are_on_any_server(there: There, server: Server) -> None:
    there.answers["tasks.edit_runtime"] = [(400, {})]
    there.answers["tasks.get_all_ex"] = [(200, {"tasks": [{"runtime": {"kept": "1"}}]})]
    server.edit_runtime("t", {"progress": "5"})
    method, body, _ = there.asked[-1]
    assert method == "tasks.edit"
    assert json.loads(body)["runtime"] == {"kept": "1", "progress": "5"}


def test_the_server_is_the_agents(tmp_path: Path) -> None:
    configuration = {
        "api": {
            "api_server": "http://a/",
            "files_server": "http://f",
            "credentials": {"access_key": "k", "secret_key": "s"},
        },
        "sdk": {"development": {"default_output_uri": "s3://bucket"}},
    }
    file = tmp_path / "clearml.conf"
    file.write_text(json.dumps(configuration))
    found = address({"CLEARML_CONFIG_FILE": str(file), "CLEARML_API_ACCESS_KEY": "other"})
    assert (found.api, found.files, found.key, found.secret) == ("http://a", "http://f", "other", "s")
    assert found.output == "s3://bucket"
    file.write_text("[" * 100_000)
    with pytest.raises(Refused, match="no ClearML server is named"):
        address({"CLEARML_CONFIG_FILE": str(file)})
