"""Waiting for a run through a queue: cuts of the network, tasks that vanish, reasons, refusals."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stackyard.clearml.client import Client, UnreachableError
from stackyard.clearml.connection import Connection
from stackyard.clearml.sending import Sender
from stackyard.launch import InDoubtError, LaunchError, Place
from stackyard.launch.dispatch import DispatchedRun, DispatchLauncher
from stackyard_task.commands import Command
from stackyard_task.records import Failure, Limits, RunRecord, StackPin, TaskSpec, read_json
from stackyard_task.workloads import Workload
from tests.stackyard.launch.conftest import connection_of
from tests.stackyard_server.running import Running


class Clock:
    """Seconds that pass by waiting only."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Wire:
    """A cable to the server's API that can be cut and mended."""

    def __init__(self, api: str) -> None:
        host, port = api.removeprefix("http://").split(":")
        self.target, self.whole = (host, int(port)), True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.whole = False
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.close()


@pytest.fixture
def wire(server: Running) -> Iterator[Wire]:
    made = Wire(server.api)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def started(client: Client, clock: Clock, folder: Path, code: Path, **more: Any) -> DispatchedRun:
    folder.mkdir(parents=True, exist_ok=True)
    launcher = DispatchLauncher(
        Sender(client), "nobody-serves-it", patience_seconds=100.0, clock=clock, sleep=clock.sleep, **more
    )
    return launcher.start(
        TaskSpec("r", "simulate-firewall", {"sessions": 1}), Place(folder, Path("python"), code)
    )


def failure_in(folder: Path) -> Failure:
    failure = read_json(RunRecord, folder / "record.json").failure
    assert failure is not None
    return failure


def test_a_cut_is_survived_and_said(
    server: Running, wire: Wire, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    known = connection_of(server)
    through = Connection(wire.url, known.web, known.files, known.access_key, known.secret_key)
    with Client(through) as client:
        run = started(client, clock, tmp_path / "run", contract_code)
        wire.cut()
        assert run.wait(90.0) is None
        assert run.trouble is not None
        assert "no answer from the server" in run.trouble
        assert json.loads((tmp_path / "run" / "progress.json").read_text())["phase"] == run.trouble
        wire.whole = True
        assert run.wait(5.0) is None
        wire.cut()
        assert run.wait(90.0) is None  # patience begins anew
        wire.whole = True
        server.call(
            "tasks.failed", task=run.id, force=True, status_reason="infrastructure: its agent is gone"
        )
        assert run.wait(5.0) == 1
    failure = failure_in(tmp_path / "run")
    assert (failure.kind, failure.message) == ("infrastructure", "its agent is gone")
    assert not (tmp_path / "run" / "progress.json").exists()


def test_patience_ends_in_doubt_and_the_task_is_found_again(
    server: Running, wire: Wire, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    known = connection_of(server)
    folder = tmp_path / "run"
    with Client(Connection(wire.url, known.web, known.files, known.access_key, known.secret_key)) as client:
        run = started(client, clock, folder, contract_code)
        wire.cut()
        with pytest.raises(InDoubtError, match=f"does not answer.* task {run.id} may still run"):
            run.wait(1000.0)
        assert clock.now < 110
        assert sorted(path.name for path in folder.iterdir()) == ["dispatched.json", "task.json"]
        wire.whole = True
        launcher = DispatchLauncher(Sender(client), "nobody-serves-it")
        found = launcher.again(
            read_json(TaskSpec, folder / "task.json"), Place(folder, Path("python"), contract_code)
        )
        assert found is not None
        assert found.id == run.id
        found.kill()


def test_a_task_that_may_be_in_the_queue_is_not_made_a_second_time(
    server: Running, client: Client, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    """The server takes the task, and its answer is lost, as all later ones are."""
    asked = Client(client.connection, patience_seconds=0.0)
    call, cut = asked.call, False

    def lossy(method: str, **fields: Any) -> Any:
        nonlocal cut
        answer = None if cut else call(method, **fields)
        cut = cut or method == "tasks.enqueue"
        if cut:
            raise UnreachableError("the server does not answer.")
        return answer

    asked.call = lossy  # type: ignore[method-assign]
    with asked, pytest.raises(InDoubtError, match=r"Task \w+ may be in queue 'nobody-serves-it'"):
        started(asked, clock, tmp_path, contract_code)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dispatched.json", "task.json"]
    task, place = read_json(TaskSpec, tmp_path / "task.json"), Place(tmp_path, Path("python"), contract_code)
    found = DispatchLauncher(Sender(client), "nobody-serves-it").again(task, place)
    assert found is not None
    found.kill()


def test_a_queue_that_nobody_serves_is_said(
    client: Client, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    run = started(client, clock, tmp_path / "run", contract_code)
    assert run.wait(30.0) is None
    assert run.trouble == "waiting in queue nobody-serves-it: no agent serves it"
    run.kill()
    assert run.wait(5.0) == 1
    assert not (tmp_path / "run" / "record.json").exists()  # the runner says who killed it


def test_an_abort_before_an_agent_takes_it(
    client: Client, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    run = started(client, clock, tmp_path / "run", contract_code)
    run.interrupt()
    assert run.wait(5.0) == 1
    assert failure_in(tmp_path / "run").kind == "interrupted"


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        ("time_limit: ran 2 h, queue cpu's limit is 1 h", "time_limit", "ran 2 h"),
        ("container refused: image 'a' is not allowed", "infrastructure", "container refused: image 'a'"),
        ("", "infrastructure", "ended as failed without a record"),
    ],
)
def test_a_task_without_a_record_is_told_by_its_reason(
    server: Running,
    client: Client,
    clock: Clock,
    contract_code: Path,
    tmp_path: Path,
    reason: str,
    kind: str,
    words: str,
) -> None:
    run = started(client, clock, tmp_path / "run", contract_code)
    server.call("tasks.failed", task=run.id, force=True, status_reason=reason)
    assert run.wait(5.0) == 1
    failure = failure_in(tmp_path / "run")
    assert failure.kind == kind
    assert words in failure.message


def test_a_task_that_is_deleted_ends_the_run(
    server: Running, client: Client, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    run = started(client, clock, tmp_path / "run", contract_code)
    server.call("tasks.delete", task=run.id, force=True)
    assert run.wait(5.0) == 1
    assert "gone from the server" in failure_in(tmp_path / "run").message


def test_a_server_that_is_not_there_is_one_sentence(
    contract_code: Path, tmp_path: Path, clock: Clock
) -> None:
    gone = Connection("http://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9", "key", "secret")
    with Client(gone, patience_seconds=0.0) as client, pytest.raises(LaunchError, match="does not answer"):
        started(client, clock, tmp_path / "run", contract_code)


def test_a_run_is_not_started_twice_because_the_server_does_not_answer(
    server: Running, wire: Wire, clock: Clock, contract_code: Path, tmp_path: Path
) -> None:
    known = connection_of(server)
    through = Connection(wire.url, known.web, known.files, known.access_key, known.secret_key)
    with Client(through, patience_seconds=0.0) as client:
        run = started(client, clock, tmp_path, contract_code)
        launcher = DispatchLauncher(Sender(client), "nobody-serves-it")
        place = Place(tmp_path, Path("python"), contract_code)
        task = read_json(TaskSpec, tmp_path / "task.json")
        wire.cut()
        with pytest.raises(
            LaunchError, match=f"does not answer.* Task {run.id} .* not started a second time"
        ):
            launcher.again(task, place)
        wire.whole = True
        found = launcher.again(task, place)
        assert found is not None
        assert found.id == run.id
        found.kill()


@pytest.mark.parametrize("at_work", [False, True])
def test_a_task_with_other_settings_is_ended_before_its_run_is_made_again(
    server: Running, client: Client, clock: Clock, contract_code: Path, tmp_path: Path, at_work: bool
) -> None:
    run = started(client, clock, tmp_path, contract_code)
    if at_work:
        server.call("tasks.started", task=run.id, force=True)
    launcher = DispatchLauncher(Sender(client), "nobody-serves-it")
    other = TaskSpec("r", "simulate-firewall", {"sessions": 2})
    assert launcher.again(other, Place(tmp_path, Path("python"), contract_code)) is None
    assert server.call("tasks.get_by_id", task=run.id)["task"]["status"] == "stopped"
    waiting = server.call("queues.get_all", name="nobody-serves-it")["queues"][0]["entries"]
    assert run.id not in [entry["task"] for entry in waiting]


def test_gpus_are_the_slots_to_choose_and_limits_the_engines(
    server: Running, client: Client, contract_code: Path, tmp_path: Path
) -> None:
    task = TaskSpec(
        "r",
        "simulate-firewall",
        stack=StackPin("s"),
        limits=Limits(1.5, 10**9),
        environment={"CUDA_VISIBLE_DEVICES": "3", "A": "b"},
    )
    launcher = DispatchLauncher(Sender(client), "nobody-serves-it", lambda stack: f"{stack}@sha256:0")
    run = launcher.start(task, Place(tmp_path, Path("python"), contract_code))
    found = server.call("tasks.get_by_id", task=run.id)["task"]
    assert found["container"]["image"] == "s@sha256:0"
    assert found["container"]["arguments"] == f"--cpus=1.5 --memory={10**9 + (512 << 20)}b"
    assert json.loads(found["configuration"]["Stackyard"]["value"])["environment"] == {"A": "b"}
    run.kill()


def test_a_command_that_works_in_a_folder_of_this_machine_is_not_sent(
    client: Client, contract_code: Path, tmp_path: Path
) -> None:
    declared = Workload("w", "", "", command=Command(("ls",), folder=str(tmp_path)))
    task = TaskSpec("r", "w", declared=declared, stack=StackPin("s"))
    before = client.call("tasks.get_all", only_fields=["id"])["tasks"]
    with pytest.raises(LaunchError, match="name the folder as code"):
        DispatchLauncher(Sender(client), "q").start(task, Place(tmp_path, Path("python"), contract_code))
    assert client.call("tasks.get_all", only_fields=["id"])["tasks"] == before
