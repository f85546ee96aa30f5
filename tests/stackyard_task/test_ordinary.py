"""Ordinary tasks, which know nothing of Stackyard: run by a real agent, each with the record that it leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip(
    "clearml", reason="what comes over a server is in the agent's Python only, never in a stack's"
)

from stackyard.agents.slots import Slot
from stackyard_task import handing_in, ordinary
from stackyard_task.records import RunRecord
from stackyard_task.wishes import Choice
from tests.installation.agents import agent_of
from tests.installation.site import QUEUE, Site, site

INIT = "from clearml import Task\ntask = Task.init()\n"


class Ordinary:
    """A server, and an agent that gives ordinary tasks its own Python."""

    def __init__(self, here: Site) -> None:
        self.here = here

    def submit(
        self, text: str, name: str = "work", hyperparams: dict[str, Any] | None = None, **script: Any
    ) -> str:
        told = {
            "binary": "python3",
            "entry_point": "work.py",
            "working_dir": ".",
            "diff": text,
            "requirements": {"pip": ""},
            **script,
        }
        made = {"name": name, "type": "training", "script": told, "hyperparams": hyperparams or {}}
        id = str(self.here.client.call("tasks.create", **made)["id"])
        self.here.client.call("tasks.enqueue", task=id, queue_name=QUEUE)
        return id

    def ran(self, text: str, **script: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The task and its record."""
        task = self.here.ended(self.submit(text, **script))
        return task, self.record(task)

    def record(self, task: dict[str, Any]) -> dict[str, Any]:
        held = {a["key"]: a for a in task["execution"]["artifacts"]}
        assert handing_in.RECORD in held, f"{sorted(held)}: {task.get('status_reason')}"
        record: dict[str, Any] = json.loads(held[handing_in.RECORD]["type_data"]["preview"])
        assert record == json.loads(self.here.artifact(task, handing_in.RECORD).read_text())
        return record


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordinary]:
    home = tmp_path_factory.mktemp("h")
    slot = Slot(f"{QUEUE}-0", QUEUE, default_stack="none")
    with site(home, with_agent=False) as here, agent_of(home, here.client.connection, slot, here.stacks):
        yield Ordinary(here)


def single_values(task: dict[str, Any]) -> dict[str, float]:
    found = (variant for metric in task["last_metrics"].values() for variant in metric.values())
    return {one["variant"]: one["value"] for one in found if one["metric"] == "Summary"}


def test_a_task_of_the_sdk_is_measured_and_what_it_reports_is_untouched(tasks: Ordinary) -> None:
    text = INIT + (
        "import sys\n"
        "lr = task.connect({'lr': 0.1})['lr']\n"
        "kept = bytearray(200_000_000)\n"
        "task.get_logger().report_scalar('loss', 'train', 0.25, 3)\n"
        "task.get_logger().report_single_value('wall time (s)', -1)\n"
        "task.upload_artifact('record', {'mine': 1})\n"
        "print('python', sys.executable, sys.argv)\n"
    )
    task, record = tasks.ran(text)
    assert (task["status"], record["status"], record["failure"]) == ("completed", "completed", None)
    assert record["run_id"] == task["id"]
    assert record["command"] == [sys.executable, "-u", "work.py"]
    assert 200e6 < record["measurement"]["peak_rss_bytes"] < 400e6
    assert record["measurement"]["cpu_seconds"] > 0.1
    assert record["parameters"]["General/lr"] == "0.1"
    assert record["dispatch"]["queue"] == QUEUE
    assert record["notes"][0] == "stack none: the default of queue cpu"
    assert task["runtime"]["stackyard_stack_why"] == "stack none: the default of queue cpu"
    values = single_values(task)
    assert values["wall time (s)"] == -1, "the task's own value keeps its name"
    assert values["wall time (s) (measured)"] == pytest.approx(record["measurement"]["wall_seconds"])
    assert values["peak RAM (MB)"] == pytest.approx(record["measurement"]["peak_rss_bytes"] / 1e6)
    artifacts = {a["key"] for a in task["execution"]["artifacts"]}
    assert artifacts == {"record", handing_in.RECORD, handing_in.TIMELINE}
    assert "stackyard: stack none: the default of queue cpu" in tasks.here.console(task["id"])
    plots = tasks.here.client.call("events.get_task_plots", task=task["id"])["plots"]
    assert [(p["metric"], p["variant"]) for p in plots] == [("Resources", "timeline")]


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("raise KeyError('x')\n", "code", "the command exited with status 1: KeyError: 'x'"),
        ("import os\nos._exit(3)\n", "code", "the command exited with status 3"),
        ("import os\nos.kill(os.getpid(), 11)\n", "code", "the command crashed with SIGSEGV"),
        ("import os\nos.kill(os.getpid(), 9)\n", "killed", "the command was killed by SIGKILL after"),
        ("raise MemoryError('no more')\n", "out_of_memory", "MemoryError: no more"),
    ],
    ids=["raises", "exits", "crashes", "killed", "memory"],
)
def test_a_task_that_fails_says_why_and_has_its_record(
    tasks: Ordinary, text: str, kind: str, sentence: str
) -> None:
    task, record = tasks.ran(text)
    assert task["status"] == "failed"
    assert (record["status"], record["failure"]["kind"]) == ("failed", kind)
    assert sentence in record["failure"]["message"]
    assert task["status_reason"] == f"{kind}: {record['failure']['message']}"
    assert record["measurement"]["wall_seconds"] > 0


def test_an_aborted_task_gets_to_clean_up_and_has_its_record(tasks: Ordinary) -> None:
    id = tasks.submit(
        "import signal, sys, time\n"
        "def over(number, frame):\n    print('saved', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, over)\n"
        "print('begun', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    from tests.waiting import until

    until(lambda: "begun" in tasks.here.console(id), "the script's first word")
    tasks.here.client.call("tasks.stop", task=id)
    task = tasks.here.ended(id)
    until(lambda: tasks.here.task(id)["execution"]["artifacts"], "the record")
    record = tasks.record(tasks.here.task(id))
    assert task["status"] == "stopped"
    assert record["failure"]["kind"] == "interrupted"
    assert record["failure"]["message"].startswith("the task was aborted; stopped by SIGTERM after")
    until(lambda: "saved" in tasks.here.console(id), "the script's last word")


POOLS = """
import multiprocessing
from clearml import Task

def work(number):
    Task.current_task().connect({'number': number}, name=f'part {number}')
    return number * number

def closed():
    pool = multiprocessing.Pool(4)
    found = sum(pool.map(work, range(8)))
    pool.close()
    return found

if __name__ == '__main__':
    Task.init()
    print('closed', closed(), flush=True)
    with multiprocessing.Pool(4) as pool:
        print('ended', sum(pool.map(work, range(8))), flush=True)
"""


@pytest.mark.whole
def test_pools_whose_workers_speak_to_the_task_come_to_an_end(tasks: Ordinary) -> None:
    task, record = tasks.ran(POOLS)
    assert (task["status"], record["failure"]) == ("completed", None)
    console = tasks.here.console(task["id"])
    assert "closed 140" in console
    assert "ended 140" in console
    assert {f"part {number}" for number in range(8)} <= set(task["hyperparams"])


def test_a_module_with_arguments_is_a_task_too(tasks: Ordinary) -> None:
    task, record = tasks.ran(
        "import sys\nprint('as', __name__, sys.argv[1:])\n", entry_point="-m untitled --lr 0.3"
    )
    assert task["status"] == "completed", task["status_reason"]
    assert "as __main__ ['--lr', '0.3']" in tasks.here.console(task["id"])
    assert record["command"][1:] == ["-u", "-m", "untitled", "--lr", "0.3"]


def test_a_module_that_is_not_there_is_named(tasks: Ordinary) -> None:
    task, _ = tasks.ran("print('started')\n", entry_point="-m nowhere")
    assert task["status_reason"] == "code: the command exited with status 1: No module named nowhere"


def test_what_cannot_be_had_fails_before_the_script_starts(tasks: Ordinary) -> None:
    task, record = tasks.ran("print('started')\n", requirements={"pip": "numpy==1.26.4\n"})
    assert task["status"] == "failed"
    assert task["status_reason"] == (
        "bad_input: the task's requirements cannot be had: stack none is the Python of this machine's agents as it is; "
        "name a stack in Run/stack"
    )
    assert record["measurement"]["wall_seconds"] is None
    assert record["dispatch"]["user_code_at"] is not None
    assert record["dispatch"]["workload_started_at"] is None, "nothing was started"
    assert "user code to workload (s)" not in single_values(task)
    assert "started" not in tasks.here.console(task["id"])


def test_a_task_is_ended_at_the_limit_that_it_sets_itself(tasks: Ordinary) -> None:
    limit = {"Run": {"time_limit_seconds": {"section": "Run", "name": "time_limit_seconds", "value": "0.5"}}}
    task, record = tasks.ran("import time\ntime.sleep(600)\n", hyperparams=limit)
    assert task["status_reason"].startswith("time_limit: still running at the time limit of 0.5 s"), task[
        "status_reason"
    ]
    assert record["failure"]["kind"] == "time_limit"


def test_another_version_fails_a_task_unless_its_script_brought_it() -> None:
    choice = Choice("python", pins={"typing-extensions": "4.1", "torch": "2.13.0+cpu", "six": "1.16.0"})
    record = RunRecord("r", "w", "completed", "", "")
    record.environment.packages = {"torch": "2.13.0", "six": "1.16.0", "numpy": "1.0"}
    record.environment.packages_elsewhere = {"typing_extensions": "3.7", "helper": "0.1", "six": "1.16.0"}
    assert ordinary.mismatch(choice, record) is None
    assert ordinary.own_versions(choice, record) == [
        "the task lists typing_extensions, its environment has 4.1, and its script loaded 3.7 from a folder of its own"
    ]
    record.environment.packages["six"] = "1.15.0"
    failure = ordinary.mismatch(choice, record)
    assert failure is not None
    assert failure.kind == "stack_mismatch"
    assert "the task lists six, its environment has 1.16.0, but 1.15.0 was loaded" in failure.message
