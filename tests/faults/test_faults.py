"""Plays the table of faults row by row."""

from __future__ import annotations

import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from .lab import Lab, gone, lab, until

TABLE: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("table.toml").read_text())["fault"]
#: A workload that is broken off is given so long: far longer than anybody waits for it.
LONG_SECONDS = 90.0


def row_id(row: dict[str, Any]) -> str:
    return f"{row['play']}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One installation for the rows that leave it whole."""
    with lab(tmp_path_factory.mktemp("lab"), slots=1) as made:
        yield made


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row_id(row), marks=[pytest.mark.long] if row.get("long") else []) for row in TABLE],
)
def test_fault(row: dict[str, Any], shared: Lab, tmp_path: Path) -> None:
    play = PLAYS.get(row["play"])
    if play is None:
        pytest.skip(f"{row['name']}: needs {row.get('needs')}, played elsewhere")
    id = play(shared, tmp_path)
    task = until(
        lambda: (t := shared.task(id))["status"] == row["status"] and t,
        f"status {row['status']}",
        lambda: f"{shared.task(id)}\n{shared.console(id)()}",
    )
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
    # and the installation still works
    after = shared.ended(shared.submit("hold", seconds=0.1))
    assert after["status"] == "completed", after.get("status_reason")


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
    holder = lab.site.holder()
    assert holder is not None
    holder.signal(signal.SIGKILL)
    lab.ended(id)
    lab.stackyard("up", "--queues", str(lab.home / "queues.toml"))
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
    lab.stackyard("task", "abort", id)
    return id


def abort_running(lab: Lab, folder: Path) -> str:
    id = lab.submit("hold", seconds=LONG_SECONDS)
    lab.runs(id)
    lab.stackyard("task", "abort", id)
    return id


def abort_uploading(lab: Lab, folder: Path) -> str:
    id = lab.submit("write", bytes=400 << 20)
    first = lab.runs(id)
    until(lambda: gone(first), "the workload's end")
    lab.stackyard("task", "abort", id)
    return id


def race(lab: Lab, folder: Path) -> str:
    ledger = folder / "ledger"
    lab.up(slots=2)
    lab.agent("cpu-0"), lab.agent("cpu-1")
    ids = [lab.submit("count", ledger=str(ledger), name=f"{n}", seconds=0.2) for n in range(6)]
    for id in ids:
        lab.ended(id)
    lines = ledger.read_text().splitlines()
    assert sorted(lines) == sorted(f"{word} {n}" for n in range(6) for word in ("begin", "end"))
    lab.up(slots=1)
    return ids[0]


def time_limit(lab: Lab, folder: Path) -> str:
    return lab.submit("hold", seconds=LONG_SECONDS, time_limit_seconds=1.0)


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
    )
}
