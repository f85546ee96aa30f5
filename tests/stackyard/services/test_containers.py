"""A slot whose tasks run in containers, on a real engine: they reach the server, and none outlives its agent."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

import pytest

from stackyard.agents.configuration import SLOT_LABEL, mark_of
from stackyard.machine.docker_engine import Engine
from stackyard.stacks.images import StackImage
from tests.engine import HOME
from tests.stackyard.services.conftest import Yard
from tests.waiting import until

pytestmark = pytest.mark.engine

ENDLESS = """
import os, time
print('began', os.environ.get('CLEARML_DOCKER_IMAGE'), flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.long
def test_no_container_outlives_its_agent(
    yard: Yard, engine: Engine, stack_image: Callable[..., StackImage]
) -> None:
    image = stack_image()
    yard.home.mkdir()
    shutil.copy(HOME / "images.json", yard.home / "images.json")
    yard.queues = f"[queues.boxes]\ndeployment = 'container'\nstacks = ['{image.stack}']\nretries = 1\n"
    found = yard.up()
    assert (found["slots"], found["problems"]) == (["boxes-0"], [])
    label = f"{SLOT_LABEL}={mark_of('boxes-0', yard.home)}"
    refused = yard.submit(
        ENDLESS, "boxes", container={"image": image.reference, "arguments": "--memory=900t"}
    )
    assert yard.waits(refused) == "failed"
    reason = yard.task(refused)["status_reason"]
    assert reason.startswith("bad_input: --memory 900t is more than queue 'boxes' gives a task ("), reason
    task = yard.submit(ENDLESS, "boxes", container={"image": image.reference, "arguments": "--memory 1g"})
    yard.begun(task)
    (container,) = engine.containers(label)
    assert container.labels["stackyard.stack"].startswith(image.stack), (
        "the stack's image, with the SDK on top"
    )
    assert container.memory_bytes == 2**30
    assert container.cpus == len(os.sched_getaffinity(0)), "it asked for none, and has the queue's limit"
    assert container.shm_bytes

    os.kill(yard.slot()["pid"], signal.SIGKILL)
    until(
        lambda: yard.task(task)["status"] == "queued", "the task to be queued again", lambda: yard.task(task)
    )
    assert yard.task(task)["status_reason"].startswith("infrastructure: the agent was killed by signal 9")
    assert engine.container(container.id) is None
    until(lambda: yard.console(task).count("began") == 2, "the next try")

    done = yard.down()
    assert done["aborted"] == [task]
    assert engine.containers(label) == []


def test_without_an_image_the_queue_says_what_to_build(yard: Yard, engine: Engine) -> None:
    yard.queues = "[queues.boxes]\ndeployment = 'container'\nstacks = ['torch-2.13.0-cpu']\n"
    assert "stackyard stack image build torch-2.13.0-cpu" in yard.up()["absent"]["boxes"]
