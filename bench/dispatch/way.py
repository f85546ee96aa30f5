"""Where the seconds of a tiny task go: the parts of its way, from the agent's pull to the next one.

Every request to the server passes a tap that notes when it began; the record has the instants of the worker. Tiny tasks
go through one queue, as in ``overhead``, and each part is the median over them. The parts follow each other without a
gap, so their sum is what one task takes of the queue's time, but for what medians leave out. No figure of its own.
"""

from __future__ import annotations

import dataclasses
import re
import socket
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.dispatch.yard import PATIENCE_SECONDS, Yard, yard
from bench.result import NotHere, Result
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Sender
from stackyard.launch import Place
from stackyard.launch.agent import AgentLauncher
from stackyard_task.records import RunRecord, read_json
from tests.installation.relay import Relay

FIGURES: tuple[str, ...] = ()
#: The parts in their order: what ends each, and in words what it is.
PARTS = (
    ("agent_loads", "the agent's process for the task starts and loads the agent"),
    ("agent_prepares", "it asks the server, tries the Python, writes the script"),
    ("wrapper", "Python for the script, through the wrapper interpreter"),
    ("supervisor", "the entry script: code, task, inputs, until the child starts"),
    ("run", "the measured run"),
    ("hand_in", "figures, plot and artifacts are left with the task"),
    ("agent_looks", "the process ends, and the agent looks and says so"),
    ("agent_next", "the agent asks the queue for the next"),
)


class Call(NamedTuple):
    """A request as the tap saw it."""

    at: float
    method: str
    body: bytes


class Tap(Relay):
    """Notes every request on its way to the server.

    Args:
        port: the server's, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.calls: list[Call] = []
        super().__init__(port)

    def _pass_on(self, source: socket.socket, target: socket.socket, held: bool = False) -> None:
        if held:
            source = _Noted(source, self.calls)  # type: ignore[assignment]
        super()._pass_on(source, target, held)


class _Noted:
    """A connection whose requests are noted as they are read."""

    def __init__(self, source: socket.socket, calls: list[Call]) -> None:
        self._source, self._calls = source, calls
        self._text, self._since = b"", 0.0

    def recv(self, size: int) -> bytes:
        """Read on."""
        piece = self._source.recv(size)
        if not self._text:
            self._since = time.time()
        self._text += piece
        while (end := self._text.find(b"\r\n\r\n")) >= 0:
            head = self._text[:end].decode("latin-1")
            length = re.search(r"(?im)^content-length:\s*(\d+)", head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._text) < whole:
                break
            method = head.split(" ", 2)[1].rpartition("/")[2]
            self._calls.append(Call(self._since, method, self._text[end + 4 : whole]))
            self._text = self._text[whole:]
        return piece


def figures(result: Result, quick: bool, options: Any) -> None:
    """Send tiny tasks past the tap, and print what each part takes."""
    count = 4 if quick else 20
    with tempfile.TemporaryDirectory() as scratch, yard(Path(scratch) / "yard") as here:
        tap = Tap(int(here.connection().api.rpartition(":")[2]))
        try:
            with Client(dataclasses.replace(here.connection(), api=tap.url)) as client:
                here.client, here.sender = client, Sender(client)
                ways = _ways(here, tap, count)
        finally:
            tap.close()
    total = 0.0
    for index, (name, words) in enumerate(PARTS):
        seconds = statistics.median(way[index] for way in ways)
        total += seconds
        result.row(part="way", of="a tiny task", name=name, what=words, p50_seconds=round(seconds, 3))
        print(f"  {seconds:6.3f} s  {words}", flush=True)
    result.row(part="way", of="a tiny task", name="sum", n=len(ways), p50_seconds=round(total, 3))
    print(f"  {total:6.3f} s  together", flush=True)


def _ways(here: Yard, tap: Tap, count: int) -> list[list[float]]:
    """The parts' seconds of each task but the last, which no other follows."""
    launcher = AgentLauncher(here.sender, "cpu")
    with here.agent("agent"):
        here.run(launcher, here.tiny())  # the first one fetches the code and compiles it
        places = [here.place() for _ in range(count + 1)]
        runs = [launcher.start(here.tiny(), Place(place, here.python, here.code)) for place in places]
        deadline = time.monotonic() + PATIENCE_SECONDS
        for run in runs:
            while run.wait(1.0) is None:
                if time.monotonic() > deadline:
                    raise NotHere("the tiny tasks did not end in time")
    marks = []
    for run, place in zip(runs, places, strict=True):
        record = read_json(RunRecord, place / "record.json")
        if record.failure is not None:
            raise NotHere(f"a tiny task failed: {record.failure.message}")
        marks.append(_marks([call for call in tap.calls if run.id.encode() in call.body], record))
    ways = []
    for mine, next_one in zip(marks, marks[1:], strict=False):
        instants = [*mine, next_one[0]]
        ways.append([later - earlier for earlier, later in zip(instants, instants[1:], strict=False)])
    return ways


def _marks(calls: list[Call], record: RunRecord) -> list[float]:
    """When each part of a task's way began."""

    def said(method: str, words: bytes = b"", last: bool = False) -> float:
        found = [call.at for call in calls if call.method == method and words in call.body]
        if not found:
            raise NotHere(f"no {method} was seen on a task's way")
        return found[-1] if last else found[0]

    way = record.dispatch
    if way is None or way.user_code_at is None or way.workload_started_at is None:
        raise NotHere("a run told nothing of its way")
    return [
        said("tasks.started", b"pulled by agent"),
        said("tasks.dequeue"),
        said("tasks.started", b"worker starting task execution"),
        *(
            datetime.fromisoformat(instant).timestamp()
            for instant in (way.user_code_at, way.workload_started_at, record.finished_at)
        ),
        said("tasks.add_or_update_artifacts", last=True),
        said("tasks.completed"),
    ]
