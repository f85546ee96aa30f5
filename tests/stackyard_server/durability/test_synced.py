"""An fsync precedes the answer of every task-state and queue write: a trace shows it, a killed process cannot.

The trace comes from a library preloaded into the server (compiled here), or from strace where there is no compiler.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .child import Child, Client, found_folder

SOURCE = Path(__file__).with_name("sync_trace.c")


class Trace:
    """What a traced server did: "R" a request came, "S" something was synced, "A" an answer left."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trace"
        self.before: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler:
            library = folder / "sync_trace.so"
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
            self.environment = {"LD_PRELOAD": str(library), "SYNC_TRACE": str(self.path)}
        elif strace := shutil.which("strace"):
            calls = "trace=fsync,fdatasync,read,recvfrom,write,writev,sendto,sendmsg"
            self.before = (strace, "-f", "-qq", "-s", "16", "-e", calls, "-o", str(self.path))
        else:
            pytest.skip("neither a C compiler (cc, gcc) nor strace is here to trace the server with")

    def events(self) -> str:
        """The events so far, in order."""
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        if self.environment:
            return text.replace("\n", "")
        found = []
        for line in text.splitlines():
            if re.search(r"f(?:data)?sync(?:\(\d+\)| resumed>.*\)) += 0", line):
                found.append("S")
            elif re.search(r'(?:read|recvfrom).*"(?:POST|GET) /', line):
                found.append("R")
            elif '"HTTP/1.1' in line:
                found.append("A")
        return "".join(found)


@pytest.mark.promise("synced-before-the-answer")
def test_state_and_queue_writes_are_on_the_disk_before_their_answer(tmp_path: Path) -> None:
    trace = Trace(tmp_path)
    folder = tmp_path / "data"
    key = found_folder(folder)
    child = Child(folder, before=trace.before, environment=trace.environment)
    client = Client(child, key)
    try:
        seen = _order_of_every_call(client, trace)
    finally:
        client.close()
        child.stop()
    unsynced = [name for name, events in seen.items() if not re.fullmatch(r"RS+A", events)]
    assert unsynced == [], {name: seen[name] for name in unsynced}


def test_the_trace_can_tell(tmp_path: Path) -> None:
    """A read, and a batch of metrics (which need not be synced), leave no such mark."""
    trace = Trace(tmp_path)
    folder = tmp_path / "data"
    key = found_folder(folder)
    child = Child(folder, before=trace.before, environment=trace.environment)
    client = Client(child, key)
    try:
        task = client.call("tasks.create", name="the task", type="testing")["id"]
        assert _during(trace, lambda: client.call("tasks.get_by_id", task=task)) == "RA"
        event = {
            "type": "training_stats_scalar",
            "task": task,
            "metric": "m",
            "variant": "v",
            "iter": 1,
            "value": 1,
        }
        client.send_events([event])
        assert _during(trace, lambda: client.send_events([{**event, "iter": 2}])) == "RA"
    finally:
        client.close()
        child.stop()


def _during(trace: Trace, action: Callable[[], Any]) -> str:
    old = len(trace.events())
    action()
    return trace.events()[old:]


def _order_of_every_call(client: Client, trace: Trace) -> dict[str, str]:
    """Call -> the events it left, for each call that changes a task's state or a queue."""
    seen: dict[str, str] = {}

    def call(name: str, /, **data: Any) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []
        label = f"{name} {len(seen)}"
        seen[label] = _during(trace, lambda: answers.append(client.call(name, **data)))
        return answers[0]

    queue = call("queues.create", name="the queue")["id"]
    task = call("tasks.create", name="the task", type="testing")["id"]
    call("tasks.enqueue", task=task, queue=queue)
    other = call("tasks.clone", task=task)["id"]
    call("tasks.enqueue", task=other, queue=queue)
    call("queues.move_task_to_front", queue=queue, task=other)
    assert call("queues.get_next_task", queue=queue)["entry"]["task"] == other
    call("tasks.dequeue", task=task)
    call("tasks.enqueue", task=task, queue=queue)
    call("queues.remove_task", queue=queue, task=task)
    call("tasks.started", task=task, force=True)
    call("tasks.edit", task=task, comment="x", force=True)
    call("tasks.stop", task=task)
    call("tasks.stopped", task=task, force=True)
    call("tasks.reset", task=task, force=True)
    call("tasks.started", task=task)
    call("tasks.failed", task=task)
    call("tasks.started", task=task, force=True)
    call("tasks.completed", task=task)
    call("tasks.close", task=task, force=True)
    call("tasks.publish", task=task, force=True)
    call("tasks.archive", tasks=[other])
    call("tasks.delete", task=other, force=True)
    call("models.create", name="the model", uri="http://x/y")
    call("queues.delete", queue=queue)
    files: list[int] = []
    seen["upload"] = _during(trace, lambda: files.append(client.upload("a/b.bin", b"x" * 1000).status_code))
    seen["replacement"] = _during(
        trace, lambda: files.append(client.upload("a/b.bin", b"y" * 1000).status_code)
    )
    assert files == [200, 200]
    return seen
