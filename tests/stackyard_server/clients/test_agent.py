"""The unmodified ``clearml-agent`` daemon against the server: runs, aborts, and what becomes of a paused one.

The fence is tested with agents stopped by SIGSTOP in the middle of a task, woken while the next run of it is under way.
"""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import pytest

from stackyard_server.rules import fate
from tests.waiting import until

from ..agents import Agent, agent, console, script_task, task_of
from ..running import Running, running_server

PLAIN = """
import time
for number in range(6):
    print("line", number, flush=True)
    time.sleep(0.3)
"""
ENDLESS = """
import time
while True:
    print("still going", flush=True)
    time.sleep(0.2)
"""
#: Reports who it is, again and again: the variant of its series is its process id.
REPORTING = """
import os, time
from clearml import Task
task = Task.init(project_name="fence", task_name="reporting", auto_connect_frameworks=False)
logger = task.get_logger()
for number in range(60):
    logger.report_scalar("run", str(os.getpid()), number, iteration=number)
    logger.flush()
    print("pid", os.getpid(), "line", number, flush=True)
    time.sleep(0.25)
"""


def workers(server: Running) -> dict[str, dict[str, Any]]:
    return {w["id"]: w for w in server.call("workers.get_all")["workers"]}


def status(server: Running, task: str) -> str:
    found: str = task_of(server, task)["status"]
    return found


@pytest.mark.long
def test_it_registers_runs_streams_the_console_is_aborted_and_leaves(
    server: Running, python: str, tmp_path: Path
) -> None:
    queue = server.call("queues.create", name="real agents")["id"]
    task = script_task(server, PLAIN, "real agents")
    with agent(server, python, tmp_path / "one", "host-one:0", "real agents") as one:
        until(lambda: "line 2" in console(server, task), "the first lines of the console")
        assert status(server, task) == "in_progress", "the console came while the task ran"
        worker = until(lambda: workers(server).get("host-one:0"), "the worker")
        assert worker["queues"][0]["id"] == queue
        assert worker["task"]["id"] == task
        until(lambda: status(server, task) != "in_progress", "the task's end")
        found = task_of(server, task)
        assert (found["status"], found["status_reason"]) == ("completed", "worker execution done")
        assert found["last_worker"] == "host-one:0"
        text = console(server, task)
        assert [text.index(f"line {n}\n") for n in range(6)] == sorted(
            text.index(f"line {n}\n") for n in range(6)
        )

        endless = script_task(server, ENDLESS, "real agents")
        until(lambda: "still going" in console(server, endless), "the endless task's console")
        server.call("tasks.stop", task=endless)
        assert task_of(server, endless)["status_message"] == "stopping"
        until(lambda: status(server, endless) == "stopped", "the abort")
        assert task_of(server, endless)["status_reason"] == "task was stopped by tasks.stop"
        assert "Process aborted by user" in until(
            lambda: "aborted" in console(server, endless) and console(server, endless), "the last line"
        )
        one.stop()
    assert "host-one:0" not in workers(server)


#: Does not end by being told to.
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ENDLESS


@pytest.mark.long
def test_a_task_beyond_its_time_limit_is_ended_and_leaves_no_process(python: str, tmp_path: Path) -> None:
    limit = {"key": "time_limit_seconds", "type": "int", "value": "4"}
    with running_server(watchdog_minutes=0.2, time_limit_grace_seconds=1) as server:
        server.call("queues.create", name="short ones", metadata=[limit])
        with agent(server, python, tmp_path / "one", "host-one:0", "short ones") as one:

            def runs_too_long(code: str) -> None:
                task = script_task(server, code, "short ones")
                until(lambda: status(server, task) == "failed", "the end of its time")
                until(lambda: len(one.processes()) == 1, "the end of its processes")
                assert task_of(server, task)["status_reason"].startswith("time_limit: ran ")

            runs_too_long(ENDLESS)
            runs_too_long(STUBBORN)
            done = script_task(server, "print('quick')", "short ones")
            until(lambda: status(server, done) == "completed", "the next task on the same agent")


@pytest.mark.long
def test_the_task_of_a_killed_agent_is_tried_again_by_another(python: str, tmp_path: Path) -> None:
    asked = [
        {"key": "silence_seconds", "type": "int", "value": "6"},
        {"key": "retries", "type": "int", "value": "1"},
    ]
    with running_server(watchdog_minutes=1) as server:
        server.call("queues.create", name="fenced", metadata=asked)
        with agent(server, python, tmp_path / "one", "host-one:0", "fenced") as one:
            task = script_task(server, PLAIN.replace("range(6)", "range(20)"), "fenced")
            until(lambda: "line 2" in console(server, task), "the first run")
            one.kill()
        with agent(server, python, tmp_path / "two", "host-two:0", "fenced"):
            until(lambda: status(server, task) == "queued", "the watchdog")
            found = task_of(server, task)
            assert found["status_reason"].startswith(
                f"{fate.INFRASTRUCTURE}: {fate.VANISHED}; queued again (1 of 1)"
            )
            until(lambda: status(server, task) == "completed", "the second run")
        found = task_of(server, task)
        assert (found["last_worker"], found["runtime"]["stackyard_retries"]) == ("host-two:0", 1)


def pid_series(server: Running, task: str) -> dict[str, list[tuple[int, float]]]:
    """By process id, what each run reported: iterations and values."""
    shown = server.call("events.scalar_metrics_iter_histogram", task=task).get("run", {})
    return {pid: list(zip(s["x"], s["y"], strict=True)) for pid, s in shown.items()}


def paused_in_the_middle(server: Running, task: str, first: Agent) -> str:
    """Wait for reports of the first run, then pause all of it; the process id of its script."""
    until(lambda: len(next(iter(pid_series(server, task).values()), [])) > 3, "reports of the first run")
    first.signal(signal.SIGSTOP)
    (pid,) = pid_series(server, task)
    return pid


def refusals(caplog: pytest.LogCaptureFixture, task: str) -> set[str]:
    """The calls the fence refused."""
    lines = [r.getMessage() for r in caplog.records if r.name == "stackyard_server.security"]
    return {
        line.split('call="')[1].split('"')[0] for line in lines if "fence.refused" in line and task in line
    }


@pytest.mark.long
@pytest.mark.promise("fence-refuses-the-old-run", on="agent")
def test_a_paused_agent_wakes_after_another_took_its_task(
    python: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        running_server(watchdog_minutes=0.2, requeue_limit=1) as server,
        agent(server, python, tmp_path / "one", "host-one:0", "fenced") as one,
    ):
        task = script_task(server, REPORTING, "fenced")
        old = paused_in_the_middle(server, task, one)
        until(lambda: status(server, task) == "queued", "the watchdog")
        assert task_of(server, task)["status_reason"].startswith(f"{fate.INFRASTRUCTURE}: {fate.VANISHED}")
        before = pid_series(server, task)[old]
        with agent(server, python, tmp_path / "two", "host-two:0", "fenced"):
            until(lambda: len(pid_series(server, task)) == 2, "reports of the second run")
            one.signal(signal.SIGCONT)
            until(lambda: refusals(caplog, task), "a refusal of the woken run")
            until(lambda: status(server, task) != "in_progress", "the second run's end")
        found = task_of(server, task)
        assert (found["status"], found["last_worker"]) == ("completed", "host-two:0")
        assert found["status_message"] == "Changed by clearml-agent host-two:0"
        series = pid_series(server, task)
        assert series[old] == before, "the woken run wrote"
        (new,) = set(series) - {old}
        assert len(series[new]) == 60, "the second run's reports are not all there"
        text = console(server, task)
        woken = text[text.index(f"pid {new} ") :]
        assert f"pid {old} " not in woken, "console lines of the woken run"


@pytest.mark.long
@pytest.mark.promise("fence-lets-in", on="SDK, agent")
def test_a_paused_agent_wakes_and_takes_its_own_task_again(
    python: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        running_server(watchdog_minutes=0.2, requeue_limit=1) as server,
        agent(server, python, tmp_path / "one", "host-one:0", "fenced") as one,
    ):
        task = script_task(server, REPORTING, "fenced")
        old = paused_in_the_middle(server, task, one)
        until(lambda: status(server, task) == "queued", "the watchdog")
        before = pid_series(server, task)[old]
        one.signal(signal.SIGCONT)
        until(lambda: refusals(caplog, task), "a refusal of the woken run")
        until(lambda: len(pid_series(server, task)) == 2, "reports of the next run")
        until(lambda: status(server, task) == "completed", "the next run's end")
        series = pid_series(server, task)
        assert series[old] == before, "the woken run wrote"
        (new,) = set(series) - {old}
        assert len(series[new]) == 60, "the next run's reports are not all there"
        assert task_of(server, task)["last_worker"] == "host-one:0"
