"""Ordinary tasks on a queue of containers: a real agent, the gate, a real engine, and the record that each leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from stackyard.agents.configuration import SLOT_LABEL
from stackyard.agents.container_rules import NO_IMAGE
from stackyard.agents.slots import Slot
from stackyard.machine.docker_engine import Engine
from stackyard.stacks.images import STACK_PYTHON, StackImage
from stackyard_task import handing_in
from tests.installation.agents import RunningAgent, agent_of
from tests.installation.site import Site, site
from tests.waiting import until

QUEUE = "boxes"
#: Stands for our side's Python, which chooses: tasks that list "slow" are chosen for without end, others get the image.
CHOOSES = """#!/bin/sh
question=$(cat)
case "$question" in
*slow*) echo choosing >&2; exec sleep 600 ;;
*nowhere*) printf '{"refused": "nowhere is not here", "kind": "bad_input"}' ;;
*) printf '%s' 'ANSWER' ;;
esac
"""


class Boxes:
    """A server, and an agent that gives every ordinary task the default stack's image as it is."""

    def __init__(self, here: Site, agent: RunningAgent, image: StackImage, engine: Engine) -> None:
        self.here, self.agent, self.image, self.engine = here, agent, image, engine

    def submit(self, text: str, requirements: str = "", arguments: str = "") -> str:
        script = {"binary": "python3", "entry_point": "work.py", "working_dir": ".", "diff": text}
        told: dict[str, Any] = {"script": {**script, "requirements": {"pip": requirements}}}
        if arguments:
            told["container"] = {"image": NO_IMAGE, "arguments": arguments}
        id = str(self.here.client.call("tasks.create", name="work", type="training", **told)["id"])
        self.here.client.call("tasks.enqueue", task=id, queue_name=QUEUE)
        return id

    def ended(self, id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The task and its record."""
        self.here.ended(id)
        held = until(lambda: self._artifacts(id).get(handing_in.RECORD), "the record", lambda: self.said(id))
        return self.here.task(id), json.loads(held["type_data"]["preview"])

    def _artifacts(self, id: str) -> dict[str, Any]:
        return {a["key"]: a for a in self.here.task(id).get("execution", {}).get("artifacts") or []}

    def said(self, id: str) -> str:
        return self.here.console(id)

    def says(self, id: str, words: str) -> None:
        until(lambda: words in self.said(id), words, lambda: self.said(id))

    def containers(self) -> list[Any]:
        mark = self.agent.prepared.environment["STACKYARD_SLOT"]
        return self.engine.containers(f"{SLOT_LABEL}={mark}")


@pytest.fixture(scope="module")
def boxes(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, stack_image: Callable[..., StackImage]
) -> Iterator[Boxes]:
    home = tmp_path_factory.mktemp("h")
    image = stack_image()
    slot = Slot(f"{QUEUE}-0", QUEUE, in_container=True, cpus=1.0, memory_bytes=2 << 30)
    with (
        site(home, with_agent=False) as here,
        agent_of(home, here.client.connection, slot, {}, {image.stack: image.image_id}) as agent,
    ):
        chooses = home / "chooses"
        pin = asdict(stacks.load()[image.stack].pin)
        answer = {"python": STACK_PYTHON, "stack": pin, "image": image.image_id, "said": ["stack s: because"]}
        chooses.write_text(CHOOSES.replace("ANSWER", json.dumps(answer)))
        chooses.chmod(0o755)
        settled = Path(agent.prepared.folder) / "tasks.json"
        settled.write_text(json.dumps({**json.loads(settled.read_text()), "python": str(chooses)}))
        made = Boxes(here, agent, image, engine)
        yield made
        until(lambda: not made.containers(), "the end of all containers")


@pytest.mark.engine
@pytest.mark.promise("box-measured", on="agent")
def test_a_task_that_names_no_image_is_measured_and_a_second_witness_agrees(boxes: Boxes) -> None:
    text = (
        "import os, time\n"
        "print('has-ours', sorted(n for n in os.environ if n.startswith('STACKYARD_')))\n"
        "kept = bytearray(100_000_000)\n"
        "end = time.process_time() + 1\n"
        "while time.process_time() < end: pass\n"
    )
    task, record = boxes.ended(boxes.submit(text))
    assert (task["status"], record["failure"]) == ("completed", None)
    assert record["command"] == [STACK_PYTHON, "-u", "work.py"]
    assert record["notes"] == ["stack s: because"]
    assert record["environment"]["stack"] == boxes.image.stack
    assert record["dispatch"]["image"] == boxes.image.image_id
    assert record["dispatch"]["queue"] == QUEUE
    way = [record["dispatch"][name] for name in ("pulled_at", "container_started_at", "user_code_at")]
    assert way == sorted(way)
    said = boxes.said(task["id"])
    assert "stackyard: stack s: because" in said
    assert "STACKYARD_SLOT" in said.partition("has-ours")[2].partition("]")[0]
    assert "STACKYARD_TASKS_FILE" not in said.partition("has-ours")[2].partition("]")[0]
    seen, measured = record["witness"], record["measurement"]
    assert seen["method"].endswith("of the container, read by its agent")
    assert seen["cpu_seconds"] > measured["cpu_seconds"] > 1.0
    assert abs(seen["cpu_differs_percent"]) < 2
    assert abs(seen["peak_differs_percent"]) < 2
    values = {v["variant"]: v["value"] for m in task["last_metrics"].values() for v in m.values()}
    assert values["second witness: CPU differs by (%)"] == pytest.approx(
        seen["cpu_differs_percent"], abs=1e-3
    )


@pytest.mark.engine
def test_what_cannot_be_had_fails_before_anything_starts(boxes: Boxes) -> None:
    task, record = boxes.ended(boxes.submit("print('started')\n", "nowhere\n"))
    assert task["status_reason"] == "bad_input: nowhere is not here"
    assert record["failure"]["message"] == "nowhere is not here"
    assert "started" not in boxes.said(task["id"])
    assert boxes.containers() == []


@pytest.mark.engine
@pytest.mark.long
def test_a_script_that_takes_more_memory_than_its_limit_says_so(boxes: Boxes) -> None:
    text = "import time\nkept = []\nwhile True: kept.append(bytearray(10_000_000))\n"
    task, record = boxes.ended(boxes.submit(text, arguments="--memory=150m"))
    assert task["status"] == "failed"
    assert record["failure"]["kind"] == "out_of_memory"
    assert "under a limit of 157 MB" in record["failure"]["message"]
    assert record["environment"]["ram_limit_bytes"] == 150 << 20


@pytest.mark.engine
def test_where_everything_inside_dies_the_record_is_made_outside(boxes: Boxes) -> None:
    text = (
        "import os\n"
        "open(f'/proc/{os.getppid()}/oom_score_adj', 'w').write('1000')\n"  # the kernel takes the supervisor first
        "kept = []\n"
        "while True: kept.append(bytearray(10_000_000))\n"
    )
    task, record = boxes.ended(boxes.submit(text, arguments="--memory=150m"))
    assert record["failure"]["kind"] == "out_of_memory"
    assert task["status_reason"] == f"out_of_memory: {record['failure']['message']}"
    assert record["measurement"]["wall_seconds"] is None
    assert 100 << 20 < record["witness"]["charged_peak_bytes"] <= 150 << 20


@pytest.mark.engine
@pytest.mark.promise("box-aborts", on="agent")
def test_an_abort_ends_what_is_made_and_what_runs_and_leaves_a_record(boxes: Boxes) -> None:
    making = boxes.submit("print('started')\n", "slow\n")
    boxes.says(making, "choosing")
    boxes.here.client.call("tasks.stop", task=making)
    task, record = boxes.ended(making)
    assert task["status"] == "stopped"
    assert record["failure"]["kind"] == "interrupted"
    assert boxes.containers() == []

    running = boxes.submit(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
        "print('begun', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    boxes.says(running, "begun")
    boxes.here.client.call("tasks.stop", task=running)
    task, record = boxes.ended(running)
    assert task["status"] == "stopped"
    assert record["failure"]["message"].startswith("the task was aborted; stopped by SIGTERM after")
    assert record["witness"]["cpu_seconds"] > 0
    boxes.says(running, "saved")
    until(lambda: not boxes.containers(), "the container's end")
