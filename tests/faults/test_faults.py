"""Plays the table of faults row by row."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stackyard.clearml import connection
from stackyard.services import status
from stackyard.stacks import DEFAULT
from stackyard.stacks.images import StackImage
from tests.engine import HOME as ENGINE_HOME
from tests.installation.lab import CONTAINER_QUEUE, Lab, beyond, gone, lab
from tests.waiting import until

from .page import TABLE

pytestmark = pytest.mark.whole

#: A workload that is broken off is given so long: far longer than anybody waits for it.
LONG_SECONDS = 90.0
#: Whether an installation is tried after each row, rather than by the next row.
LONG = os.environ.get("STACKYARD_LONG") == "1"


def row_id(row: dict[str, Any]) -> str:
    return f"{row['play']}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One installation for the rows that leave it whole: the next row's task shows it, and one after the last."""
    with lab(tmp_path_factory.mktemp("lab"), slots=1, relayed=True) as made:
        yield made
        if not made.works:
            still_works(made)


@pytest.fixture(scope="module")
def boxed(
    stack_image: Callable[[str], StackImage], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """An installation whose agent runs containers."""
    stack_image(DEFAULT)
    home = tmp_path_factory.mktemp("boxed")
    shutil.copyfile(ENGINE_HOME / "images.json", home / "images.json")
    with lab(home, slots=0, containers=1) as made:
        yield made
        still_works(made, boxed=True)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row_id(row), marks=[pytest.mark.long] if row.get("long") else []) for row in TABLE],
)
def test_fault(row: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if row.get("needs") == "root" and os.geteuid() != 0:
        pytest.skip(f"{row['name']}: mounts and network namespaces need root")
    if row.get("lab"):
        with lab(tmp_path / "own", **row["lab"]) as own:
            played(row, own, tmp_path)
    else:
        name = "boxed" if row.get("needs") == "engine" else "shared"
        played(row, request.getfixturevalue(name), tmp_path)


def played(row: dict[str, Any], shared: Lab, tmp_path: Path) -> None:
    """Play a row, and look at what the table says must be true afterwards."""
    boxed = row.get("needs") == "engine"
    id = PLAYS[row["play"]](shared, tmp_path)
    task = until(
        lambda: (t := shared.task(id))["status"] == row["status"] and t,
        f"status {row['status']}",
        lambda: f"{shared.task(id)}\n{shared.console(id)()}",
    )
    print(f"{row['play']}: {task['status']}: {task.get('status_reason')}\n{shared.console(id)()}")
    assert task.get("status_reason", "").startswith(row.get("reason", ""))
    record = shared.record(id)
    kind = row.get("kind")
    if kind == "none":
        assert record is None
    elif kind is not None:
        assert record is not None
        assert (record.failure.kind if record.failure else "") == kind
    assert int((task.get("runtime") or {}).get("stackyard_retries", 0)) == row["retries"]
    if row.get("log"):
        assert row["log"] in task.get("status_reason", "") + shared.console(id)()
    shared.quiet()
    if boxed:
        until(lambda: not shared.containers(), "the containers to be gone", lambda: str(shared.containers()))
    shared.works = row["status"] == "completed"
    if row.get("lab") or LONG:
        still_works(shared, boxed)


def still_works(lab: Lab, boxed: bool = False) -> None:
    """A task runs, after all that was done to the installation."""
    after = lab.ended(lab.submit_boxed("hold", seconds=0.1) if boxed else lab.submit("hold", seconds=0.1))
    assert after["status"] == "completed", after.get("status_reason")
    lab.works = True


# -- the plays: each answers the id of the task it was played on ------------------------------------


def agent_killed(lab: Lab, folder: Path) -> str:
    agent = lab.agent()
    id = lab.submit("hold", seconds=6)
    first = lab.runs(id)
    agent.signal(signal.SIGKILL)
    until(lambda: gone(first), "the orphaned workload to end")
    return id


def workload_killed(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    lab.runs(id).send_signal(signal.SIGKILL)
    return id


def supervisor_killed(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    supervisor = lab.runs(id).parent()
    assert supervisor is not None
    supervisor.send_signal(signal.SIGKILL)
    return id


def code_raises(lab: Lab, folder: Path) -> str:
    return lab.submit("fail")


def bad_input(lab: Lab, folder: Path) -> str:
    return lab.submit("refuse")


def server_restarted(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=8)
    lab.runs(id)
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "stackyard_server" in line and str(lab.home) in line:
            process.send_signal(signal.SIGKILL)
    return id  # the services process starts it again


def services_killed(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=8)
    lab.runs(id)
    holder = lab.files.holder()
    assert holder is not None
    agent = lab.agent()
    holder.signal(signal.SIGKILL)
    lab.stackyard(*lab.up_words)
    assert lab.agent() == agent, "taken over"
    return id


def abort_queued(lab: Lab, folder: Path) -> str:
    blocking = lab.submit("hold", seconds=4)
    lab.runs(blocking)
    id = lab.submit("hold")
    lab.stackyard("task", "abort", id)
    lab.ended(blocking)
    return id


def abort_pulled(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    until(lambda: lab.task(id)["status"] == "in_progress", "the task to be pulled")
    lab.abort(id)
    return id


def abort_running(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    lab.runs(id)
    lab.stackyard("task", "abort", id)
    return id


def abort_uploading(lab: Lab, folder: Path) -> str:
    assert lab.relay is not None
    go_on = folder / "go on"
    id = lab.submit("write", bytes=4 << 20, after=str(go_on))
    lab.runs(id)
    lab.relay.hold()
    go_on.touch()
    until(lab.relay.holding.is_set, "the upload to begin", lab.console(id))
    lab.stackyard("task", "abort", id)
    until(lambda: "the task was aborted" in lab.console(id)(), "the task to hear of it", lab.console(id))
    lab.relay.release()
    return id


def race(lab: Lab, folder: Path) -> str:
    ledger = folder / "ledger"
    lab.up(slots=2)
    lab.agent("cpu-0"), lab.agent("cpu-1")
    ids = [lab.submit("count", ledger=str(ledger), name=f"{n}", seconds=0.2) for n in range(4)]
    for id in ids:
        lab.ended(id)
    lines = ledger.read_text().splitlines()
    assert sorted(lines) == sorted(f"{word} {n}" for n in range(4) for word in ("begin", "end"))
    lab.up(slots=1)
    return ids[0]


def time_limit(lab: Lab, folder: Path) -> str:
    return lab.submit("hold", seconds=LONG_SECONDS, time_limit_seconds=1.0)


def queue_time_limit(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    lab.runs(id)
    lab.up(time_limit_seconds=1)  # also for what runs already
    lab.ended(id)
    lab.up()
    return id


def agent_killed_always(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    for _ in range(2):
        workload, agent = lab.runs(id), lab.agent()
        agent.signal(signal.SIGKILL)
        until(lambda w=workload: gone(w), "the orphaned workload to end")
    return id


def wrong_credential(lab: Lab, folder: Path) -> str:
    """A machine is to serve this server with a key whose secret is wrong: it says so and starts nothing."""
    other = Lab(folder / "other")
    other.home.mkdir()
    shutil.copyfile(lab.queues_file, other.queues_file)
    held = (lab.home / "clearml.conf").read_text()
    secret = connection.read(lab.home / "clearml.conf", {}).secret_key
    (other.home / "wrong.conf").write_text(held.replace(secret, secret[::-1]))
    said = other.stackyard(*other.up_words, "--config", str(other.home / "wrong.conf"), check=False)
    assert said.returncode == 1
    words = said.stdout + said.stderr
    assert "key" in words, words
    assert "Traceback" not in words, words
    assert secret[::-1] not in words
    assert other.processes() == []
    assert other.files.holder() is None
    return lab.submit("hold", seconds=0.1)


def key_revoked(lab: Lab, folder: Path) -> str:
    """The agents' key is withdrawn while they run; what waits, waits, until `up` has given them another."""
    lab.agent()
    key = lab.files.key()
    assert key is not None
    lab.stackyard("server", "credentials", "revoke", key[0])
    id = lab.submit("hold", seconds=0.1)
    until(lambda: "key" in str(status.status(lab.settings)["problems"]), "the services process to see it")
    said = [""]

    def says_so() -> bool:
        said[0] = lab.stackyard("status", check=False).stdout
        return "key" in said[0]

    # Agents ask with the same key: the server may answer first that this was too often.
    until(says_so, "the command to say so")
    assert "Traceback" not in said[0]
    assert lab.task(id)["status"] == "queued"
    lab.stackyard(*lab.up_words)
    return id


def disk_full(lab: Lab, folder: Path) -> str:
    """The agent's temporary folder, where its tasks run, is a file system of 24 MB."""
    disk = lab.home / "agents" / "cpu-0" / "tmp"
    lab.agent()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        lab.agent().signal(signal.SIGKILL)  # the next one has it from its start
        id = lab.submit("write", bytes=64 << 20)
        lab.ended(id)
        lab.quiet()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        lab.agent().signal(signal.SIGKILL)
    return id


def network_cut(lab: Lab, folder: Path) -> str:
    """The agents' side runs in a network namespace of its own, whose one wire is unplugged for a minute."""
    name = f"sy{os.getpid()}"
    ip = ["ip", "netns", "exec", name, "ip"]
    here, there = f"{name[-8:]}a", f"{name[-8:]}b"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (
            ["ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name],
            ["ip", "addr", "add", "198.18.77.1/30", "dev", here],
            ["ip", "link", "set", here, "up"],
            [*ip, "addr", "add", "198.18.77.2/30", "dev", there],
            [*ip, "link", "set", there, "up"],
            [*ip, "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)
        with beyond(folder / "far", "198.18.77.1", ["ip", "netns", "exec", name]) as far:
            id = far.submit("hold", seconds=75)
            far.runs(id)
            subprocess.run(["ip", "link", "set", here, "down"], check=True)
            time.sleep(60)  # the length of the cut is what is tested
            subprocess.run(["ip", "link", "set", here, "up"], check=True)
            ended = far.ended(id)
            record = far.record(id)
            assert ended["status"] == "completed", ended.get("status_reason")
            assert record is not None
            assert record.results == {"held": 1}
            far.quiet()
    finally:
        subprocess.run(["ip", "link", "del", here], check=False)
        subprocess.run(["ip", "netns", "del", name], check=True)
    return lab.submit("hold", seconds=0.1)


def container_out_of_memory(lab: Lab, folder: Path) -> str:
    return lab.submit_boxed("eat", memory="300m", bytes=1 << 32)


def image_missing(lab: Lab, folder: Path) -> str:
    image = f"stackyard/{DEFAULT}@sha256:{'0' * 64}"
    id = lab.submit("hold", queue=CONTAINER_QUEUE, container={"image": image, "arguments": ""})
    lab.ended(id)
    assert lab.containers() == [], "a container was started"
    return id


def abort_container_starting(lab: Lab, folder: Path) -> str:
    id = lab.submit_boxed("hold", seconds=LONG_SECONDS)
    until(lab.containers, "the container")
    lab.abort(id)
    return id


def abort_in_container(lab: Lab, folder: Path) -> str:
    id = lab.submit_boxed("hold", seconds=LONG_SECONDS)
    until(lambda: "holding" in lab.console(id)(), "the workload to run", lab.console(id))
    lab.stackyard("task", "abort", id)
    return id


PLAYS = {
    function.__name__: function
    for function in (
        agent_killed,
        workload_killed,
        supervisor_killed,
        code_raises,
        bad_input,
        server_restarted,
        services_killed,
        abort_queued,
        abort_pulled,
        abort_running,
        abort_uploading,
        race,
        time_limit,
        queue_time_limit,
        agent_killed_always,
        wrong_credential,
        key_revoked,
        disk_full,
        network_cut,
        container_out_of_memory,
        image_missing,
        abort_container_starting,
        abort_in_container,
    )
}
