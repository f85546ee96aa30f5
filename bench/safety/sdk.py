"""The unmodified SDK with its usual settings: scripts that fork, and what it costs to end their connections.

A round is a script that edits its hyperparameters while the SDK reports from its forked process, and one whose work a
pool of processes does. It is clean where both end well, complain of nothing, and all that they sent is on the server.
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.result import NotHere, Result
from bench.server.ingest import row
from tests.stackyard_server.clients.conftest import FLOWS, clients_python, complaints, environment
from tests.stackyard_server.clients.forked import SCRIPTS, lost
from tests.stackyard_server.running import Running, running_server

FIGURES = (
    "forked_sdk_runs_clean_of_50",
    "forked_sdk_cost_ratio_1000_rows",
    "forked_sdk_cost_ratio_ping",
)
ROUNDS, QUICK_ROUNDS, AT_ONCE = 50, 5, 6
PATIENCE_SECONDS = 240
#: As the SDK calls, and as a client does that forks nothing.
FORKS = {"X-ClearML-Client": "clearml-2.1.12"}
ASKED = 200


def figures(result: Result, quick: bool, options: Any) -> None:
    """What processes forked of the SDK lose, and what their requests cost."""
    python = clients_python()
    if python is None:
        raise NotHere("no Python with clearml and clearml-agent: set STACKYARD_CLIENTS_PYTHON")
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with running_server() as server:
        # two first runs at once would both make it, and the SDK tells of the refusal
        server.call("projects.create", name="Forked")
        with ThreadPoolExecutor(AT_ONCE) as threads:
            found = list(threads.map(lambda number: _round(server, python, number), range(rounds)))
        clean = sum(not wrong for wrong in found)
        result.row(
            part="sdk", rounds=rounds, scripts=list(SCRIPTS), clean=clean, wrong=[w for w in found if w]
        )
        if not quick:  # of fewer rounds the row alone tells
            result.figure("forked_sdk_runs_clean_of_50", clean)
        for name, cost in _costs(server).items():
            result.row(part="sdk", request=name, **cost)
            result.figure(f"forked_sdk_cost_ratio_{name}", cost["closed_ms"] / cost["kept_ms"])


def _round(server: Running, python: str, number: int) -> list[str]:
    """What went wrong with both scripts."""
    return [
        wrong for script, count in SCRIPTS.items() for wrong in _wrong(server, python, script, count, number)
    ]


def _wrong(server: Running, python: str, script: str, count: int, number: int) -> list[str]:
    """What went wrong with a script."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / script).write_text((FLOWS / script).read_text())
        try:
            ended = subprocess.run(
                [python, script, f"{script} {number}"], cwd=home, env=environment(server, Path(home), ""),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return [f"{script}: hangs"]
    task = re.search(r"^OK (\w+)", ended.stdout, re.MULTILINE)
    if ended.returncode or not task:
        return [f"{script}: ends with {ended.returncode}: {ended.stdout[-400:]}"]
    return [*(f"{script}: {line}" for line in complaints(ended.stdout)), *lost(server, task[1], count)]


def _costs(server: Running) -> dict[str, dict[str, float]]:
    """By kind of request: its median time on a connection of its own and on one that stays open, in turns."""
    task = server.call("tasks.create", name="load", type="training")["id"]
    rows = "\n".join(json.dumps(row(task, "v", step, 0.5)) for step in range(1000))
    address = urlsplit(server.api).netloc
    authorized = {"Authorization": f"Bearer {server.token}"}
    ways = {"closed_ms": http.client.HTTPConnection(address), "kept_ms": http.client.HTTPConnection(address)}
    said = {"closed_ms": FORKS, "kept_ms": {}}

    def timed(side: str, path: str, body: str, kind: str) -> float:
        begun = time.perf_counter()
        way = ways[side]  # connects by itself where the last answer ended the connection
        way.request("POST", path, body, {**authorized, "Content-Type": kind, **said[side]})
        answer = way.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return (time.perf_counter() - begun) * 1000

    requests = {
        "1000_rows": ("/v2.34/events.add_batch", rows, "application/json-lines"),
        "ping": ("/v2.34/debug.ping", "{}", "application/json"),
    }
    costs = {}
    for name, asked in requests.items():
        times: dict[str, list[float]] = {side: [] for side in ways}
        for _ in range(ASKED):
            for side in ways:
                times[side].append(timed(side, *asked))
        costs[name] = {side: statistics.median(values) for side, values in times.items()}
    for way in ways.values():
        way.close()
    return costs
