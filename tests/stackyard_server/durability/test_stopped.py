"""A graceful stop: what is being answered is answered, what is half received leaves nothing."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from stackyard_server.store import Store, data_folder
from stackyard_server.upkeep import verification
from tests.waiting import PATIENCE_SECONDS

from .child import running_child


def test_a_stop_ends_what_is_half_received_and_leaves_a_sound_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_child(folder) as (child, client):
        task = client.call("tasks.create", name="before", type="testing")["id"]
        assert client.upload("whole.bin", b"x" * 10_000).status_code == 200
        host, port = child.files.removeprefix("http://").split(":")
        half = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
        half.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\nAuthorization: "
            + client.header["Authorization"].encode()
            + b'\r\n\r\n--b\r\nContent-Disposition: form-data; name="half.bin"; filename="half.bin"\r\n\r\n'
            + b"y" * 2_000_000
        )
        client.close()
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(PATIENCE_SECONDS) == 0
        half.close()
        assert "Traceback" not in child.log_path.read_text()
    assert not data_folder.held(folder)
    assert not (folder / "server.sqlite-wal").exists(), "the log was folded into the database"
    assert list((folder / "files" / "incoming").iterdir()) == []
    store = Store(folder)
    with store.reading() as tx:
        assert [row[0] for row in tx.all("SELECT id FROM task")] == [task]
        assert [row[0] for row in tx.all("SELECT path FROM file")] == ["whole.bin"]
    assert verification.verify(store)["ok"]
    store.close()


#: Something that never ends when the server is to end, and less patience with it.
HANGS = """
import time
from stackyard_server import app
from stackyard_server.api import Api

app.LAST_SECONDS = 0.5
Api.close = lambda self: time.sleep(3600)
"""


@pytest.mark.promise("stop-ends")
def test_a_stop_that_something_holds_up_ends_all_the_same_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    folder = tmp_path / "data"
    with running_child(folder, environment={"PYTHONPATH": str(tmp_path)}) as (child, client):
        task = client.call("tasks.create", name="before", type="testing")["id"]
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(PATIENCE_SECONDS) == 0
        assert "the process ends without waiting any longer" in child.log_path.read_text()
    store = Store(folder)
    with store.reading() as tx:
        assert [row[0] for row in tx.all("SELECT id FROM task")] == [task]
    assert verification.verify(store)["ok"]
    store.close()
