"""Records of tasks that a real agent ran, as a comparison reads them: an ordinary task's and a sent one's."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard import comparing, workloads
from stackyard.agents.slots import Slot
from stackyard.comparing import Asked
from stackyard.comparing.selection import Selection
from stackyard_task.records import StackPin, TaskSpec
from tests.installation.agents import agent_of
from tests.installation.site import QUEUE, site
from tests.stackyard.comparing.lab import codes

pytestmark = pytest.mark.whole
WORK = """
from clearml import Task
task = Task.init()
task.get_logger().report_single_value("accuracy", 0.5)
"""


@pytest.mark.long
def test_records_are_read_whichever_way_the_task_was_run(tmp_path: Path) -> None:
    slot = Slot(f"{QUEUE}-0", QUEUE, default_stack="none")
    with site(tmp_path / "h", with_agent=False) as here:
        with agent_of(here.home, here.client.connection, slot, here.stacks):
            script = {"binary": "python3", "entry_point": "work.py", "working_dir": ".", "diff": WORK}
            script |= {"requirements": {"pip": ""}}
            ordinary = str(
                here.client.call("tasks.create", name="work", type="training", script=script)["id"]
            )
            here.client.call("tasks.enqueue", task=ordinary, queue_name=QUEUE)
            code, _ = workloads.load().taken(here.home)
            declared = workloads.load().declared["simulate-firewall"]
            spec = TaskSpec("one", "simulate-firewall", {"sessions": 20}, declared, stack=StackPin("plain"))
            sent = here.send(spec, code)
            assert {here.ended(id)["status"] for id in (ordinary, sent)} == {"completed"}
        asked = Asked(Selection(ids=(ordinary, sent)), ["stack"])
        report = comparing.compared([here.client], asked)
        cells = {cell.label: cell for cell in report.workloads[0].cells}
        assert sorted(cells) == ["none", "plain"]
        for cell in cells.values():
            assert cell.metrics["wall_seconds"].median > 0
            assert cell.metrics["peak_rss_bytes"].median > 1e6
        own = {metric.key for metric in report.metrics if metric.group == "own"}
        assert {"results.accuracy", "results.sessions"} <= own
        assert not [key for key in own if "wall time" in key or "RAM" in key], "a record is told once"
        assert not {"not-measured", "unreadable-records"} & set(codes(report))
        # a copy has no record of its own
        copy = str(here.client.call("tasks.clone", task=ordinary, new_task_name="copy")["id"])
        here.client.call("tasks.started", task=copy)
        here.client.call("tasks.completed", task=copy)
        copied = comparing.compared(
            [here.client], Asked(Selection(ids=(copy,)), ["name"], ["server_seconds"])
        )
        assert "not-measured" in codes(copied)
