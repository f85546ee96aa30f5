"""The gate between a real clearml-agent in docker mode and a real engine, for a real server's tasks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard.clearml.client import Client
from stackyard.clearml.tasks import submissions
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from stackyard.stacks.images import StackImage
from tests.installation.agents import connection_of
from tests.stackyard_server.clients.conftest import environment
from tests.stackyard_server.running import Running, running_server
from tests.waiting import until

SCRIPT = """
import os, signal, sys, time

print("uid", os.getuid(), "task", os.environ["CLEARML_TASK_ID"], "image", os.environ["STACKYARD_IMAGE"])
print("evil", os.path.exists("/tmp/evil"), "host", os.path.exists("/host"))
if sys.argv[1:] or WAIT:
    def told(*_):
        print("told to end", flush=True)
        open("/cache/ended", "w").write("well")
        sys.exit(0)
    signal.signal(signal.SIGTERM, told)
    print("waiting", flush=True)
    while True:
        time.sleep(0.1)
"""


class Yard:
    """A server, an agent in docker mode with the gate, and what a user does with them."""

    def __init__(self, server: Running, folder: Path, image: StackImage, label: str) -> None:
        self.server, self.folder, self.image = server, folder, image
        settings = environment(server, folder)
        with open(settings["CLEARML_CONFIG_FILE"], "a") as file:
            file.write('agent { worker_id: "w:0", disable_ssh_mount: true, docker_force_pull: false }\n')
        programs = folder / "bin"
        programs.mkdir()
        script = programs / "docker"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m stackyard.agents.gate "$@"\n')
        script.chmod(0o700)
        key, _equals, value = label.partition("=")
        policy = {
            "queue": "boxes",
            "docker": str(docker_engine.client_path()),
            "agent_folder": str(folder),
            "images": {image.stack: image.image_id},
            "labels": {key: value},
            "network": "host",  # the server is on this machine's loopback
        }
        (folder / "policy.json").write_text(json.dumps(policy))
        self.environment = {
            **settings,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "STACKYARD_GATE_POLICY": str(folder / "policy.json"),
            "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5",
        }
        server.call("queues.create", name="boxes")
        command = [sys.executable, "-m", "clearml_agent", "daemon", "--queue", "boxes", "--cpu-only"]
        command += ["--foreground", "--docker", "--standalone-mode", "--force-current-version"]
        with (folder / "agent.log").open("wb") as log:
            self.agent = subprocess.Popen(
                command, env=self.environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )

    def submit(self, image: str, arguments: str = "", wait: bool = False) -> str:
        """A task with a script and a hostile set-up script, enqueued; its id."""
        script = {
            "binary": "python3",
            "entry_point": "dispatched.py",
            "working_dir": ".",
            "diff": f"WAIT = {wait}\n{SCRIPT}",
            "requirements": {},
        }
        container = {"image": image, "arguments": arguments, "setup_shell_script": "touch /tmp/evil"}
        task: str = self.server.call(
            "tasks.create", name="a task", type="training", script=script, container=container
        )["id"]
        self.server.call("tasks.enqueue", task=task, queue_name="boxes")
        return task

    def log(self) -> str:
        """The agent's last words."""
        return (self.folder / "agent.log").read_text(errors="replace")[-4000:]

    def ended(self, task: str) -> dict[str, Any]:
        """The task once it has ended, and the agent has no more to say of it."""

        def done() -> dict[str, Any] | None:
            found: dict[str, Any] = self.server.call("tasks.get_by_id", task=task)["task"]
            busy = [w for w in self.server.call("workers.get_all")["workers"] if w.get("task")]
            return found if found["status"] in ("completed", "failed", "stopped") and not busy else None

        return until(done, f"the end of {task}", self.log) or {}

    def console(self, task: str) -> str:
        """What the task's log says."""
        events = self.server.call("events.get_task_log", task=task, order="asc", batch_size=500)["events"]
        return "".join(event["msg"] for event in events)


@pytest.fixture
def yard(
    tmp_path: Path,
    engine: Engine,
    stack_image: Callable[..., StackImage],
    no_containers_left: str,
) -> Iterator[Yard]:
    image = stack_image()
    with running_server() as server:
        made = Yard(server, tmp_path, image, no_containers_left)
        try:
            yield made
        finally:
            made.agent.send_signal(signal.SIGINT)
            try:
                made.agent.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(made.agent.pid, signal.SIGKILL)
                made.agent.wait()


@pytest.mark.engine
@pytest.mark.promise("gate-comes-first", on="agent")
@pytest.mark.promise("gate-writes-the-command", on="agent")
@pytest.mark.promise("gate-refusals-told", on="agent")
@pytest.mark.promise("container-ending", on="agent")
def test_tasks_run_in_their_queues_images_only_and_are_told_when_they_are_to_end(
    yard: Yard, engine: Engine, no_containers_left: str
) -> None:
    # An image that is not the queue's: nothing starts, and the reason stays, whatever the agent makes of the exit.
    forbidden = yard.ended(yard.submit("stackyard-base:bookworm"))
    assert forbidden["status"] == "failed"
    assert "'stackyard-base:bookworm' is not allowed on queue 'boxes'" in forbidden["status_reason"]
    assert yard.image.image_id in forbidden["status_reason"]
    assert not engine.containers(no_containers_left)

    # The queue's image, with everything a task must not have: it runs, without it.
    allowed = yard.submit(yard.image.reference, "--cpus=1 --privileged -v /:/host --user 0")
    assert yard.ended(allowed)["status"] == "completed"
    log = yard.console(allowed)
    assert f"task {allowed} image {yard.image.image_id}" in log
    assert "uid 1000" in log or f"uid {os.geteuid()}" in log
    assert "evil False host False" in " ".join(log.split())  # a report of the agent may end within a line
    assert "stackyard: ignored: --privileged, -v, --user" in log

    # Aborted while its container starts: the agent stops it.
    starting = yard.submit(yard.image.reference, wait=True)
    until(lambda: engine.containers(no_containers_left), "the container", yard.log)
    with Client(connection_of(yard.server)) as client:
        submissions.abort(client, yard.server.call("tasks.get_by_id", task=starting)["task"])
    until(lambda: not engine.containers(no_containers_left), "the container's end", yard.log)
    assert yard.ended(starting)["status"] == "stopped"

    # Aborted: the script itself hears of it and has time to end.
    waiting = yard.submit(yard.image.reference, wait=True)
    until(lambda: "waiting" in yard.console(waiting), "the script to wait", yard.log)
    (container,) = engine.containers(no_containers_left)
    assert container.labels["stackyard.task"] == waiting
    yard.server.call("tasks.stop", task=waiting, status_reason="enough")
    until(lambda: not engine.containers(no_containers_left), "the container's end", yard.log)
    assert (yard.folder / "cache" / "ended").read_text() == "well"
    assert yard.ended(waiting)["status"] == "stopped"
