"""What breaks is noticed, told with the right word, and put right: agents, services, server, time limits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.agents.lineage import Identity, started_at
from stackyard_server import admin
from tests.stackyard.services.conftest import ONE_QUEUE, Yard, installation
from tests.waiting import until

pytestmark = pytest.mark.whole


@pytest.fixture
def yard(standing: Yard) -> Yard:
    """What is broken here is put right, so one installation stands it all."""
    standing.queues = ONE_QUEUE
    standing.up()
    return standing


#: Leaves a process that does all it can not to be found: another parent, session, environment and name.
HIDES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        code = "import os, time; open({path!r} + str(os.getpid()), 'w').close(); time.sleep(600)"
        os.execve(sys.executable, ["hidden", "-c", code], {{}})
    os._exit(0)
os.wait()
while not any(name.startswith({name!r}) for name in os.listdir({folder!r})):
    time.sleep(0.02)
print('began', flush=True)
"""


class Hidden:
    """A task's code that leaves a hidden process, and that process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = HIDES.format(path=str(folder / "pid-"), name="pid-", folder=str(folder))

    @property
    def process(self) -> Identity:
        (path,) = self.folder.glob("pid-*")
        pid = int(path.name.removeprefix("pid-"))
        return Identity(pid, started_at(pid) or 0)


@pytest.fixture
def hidden(tmp_path: Path) -> Iterator[Hidden]:
    found = Hidden(tmp_path)
    yield found
    found.process.signal(signal.SIGKILL)


ENDLESS = "import time\nprint('began', flush=True)\nwhile True: time.sleep(0.05)\n"


def test_an_agent_killed_in_the_middle_is_started_again_and_its_task_tried_again(
    yard: Yard, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    task = yard.at_work(code)
    pid, restarts = yard.slot()["pid"], yard.slot()["restarts"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: yard.task(task)["status"] == "queued", "the task to be queued again")
    assert yard.task(task)["status_reason"] == (
        "infrastructure: the agent was killed by signal 9; queued again (1 of 1), in 10 s"
    )
    until(lambda: yard.slot()["phase"] == "running" and yard.slot()["pid"] != pid, "another agent")
    assert yard.slot()["restarts"] == restarts + 1
    go_on.touch()
    assert yard.waits(task) == "completed"
    assert yard.task(task)["runtime"]["stackyard_retries"] == 1


def test_a_task_lost_too_often_fails_for_the_infrastructures_sake(yard: Yard) -> None:
    yard.queues = "[queues.cpu]\nretries = 0\n"
    task = yard.at_work(ENDLESS)
    os.kill(yard.slot()["pid"], signal.SIGKILL)
    assert yard.waits(task) == "failed"
    assert yard.task(task)["status_reason"] == (
        "infrastructure: the agent was killed by signal 9; tried again 0 of 0 times"
    )
    until(lambda: len(yard.left()) == 1, "the end of all the old agent had started")


def test_a_tasks_own_failure_is_not_retried(yard: Yard) -> None:
    restarts = yard.slot()["restarts"]
    task = yard.submit("raise SystemExit(3)\n")
    assert yard.waits(task) == "failed"
    assert not yard.task(task)["status_reason"].startswith("infrastructure")
    assert yard.slot()["restarts"] == restarts


@pytest.mark.long
def test_a_task_that_runs_on_paper_only_is_taken_for_lost(yard: Yard) -> None:
    task = yard.submit()
    assert yard.waits(task) == "completed"
    yard.call("tasks.started", task=task, force=True)
    yard.call("tasks.stop", task=task)
    assert yard.waits(task) == "stopped"
    assert yard.task(task)["status_reason"] == (
        "infrastructure: its agent goes on without it while the task was asked to stop"
    )


def test_a_killed_services_process_is_seen_and_the_next_up_takes_its_agents_over(
    yard: Yard, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    task = yard.at_work(code)
    agent = yard.slot()["pid"]
    holder = yard.kill_services()
    assert any("services process has died" in words for words in yard.status()["problems"])
    yard.up()
    assert yard.said[-1] == "agents that still ran go on under it: cpu-0"
    assert yard.files.holder() != holder
    assert yard.slot()["pid"] == agent
    go_on.touch()
    assert yard.waits(task) == "completed"
    assert "stackyard_retries" not in yard.task(task).get("runtime", {})
    assert yard.status()["problems"] == []
    # an agent that does nothing loses nothing
    restarts = yard.slot()["restarts"]
    os.kill(agent, signal.SIGKILL)
    until(
        lambda: (now := yard.slot())["restarts"] == restarts + 1 and now["phase"] == "running",
        "another agent",
    )
    assert yard.waits(yard.submit()) == "completed"


@pytest.mark.long
def test_what_died_with_the_services_process_is_settled_by_the_next_up(
    yard: Yard, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    task = yard.at_work(code)
    agent = yard.slot()["pid"]
    yard.kill_services()
    os.kill(agent, signal.SIGKILL)
    assert yard.left(), "what the agent had started goes on"
    yard.up()
    go_on.touch()
    assert yard.waits(task) == "completed"
    assert yard.task(task)["runtime"]["stackyard_retries"] == 1


def test_what_a_task_hides_goes_on_with_it_ends_after_it_and_its_agent_stays(
    yard: Yard, hidden: Hidden, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    agent = yard.slot()["pid"]
    task = yard.at_work(hidden.code + code)
    left, looked = hidden.process, yard.files.state()["at"]
    until(lambda: yard.files.state()["at"] > looked + 5, "some looks at what the agent runs")
    assert left.alive()
    go_on.touch()
    assert yard.waits(task) == "completed"
    until(lambda: not left.alive(), "the end of what the task left")
    assert yard.waits(yard.submit()) == "completed"
    assert (yard.slot()["pid"], yard.slot()["phase"]) == (agent, "running")


def test_what_a_task_hides_ends_with_its_agent(yard: Yard, hidden: Hidden) -> None:
    yard.queues = "[queues.cpu]\nretries = 0\n"
    task = yard.at_work(hidden.code + ENDLESS)
    left = hidden.process
    os.kill(yard.slot()["pid"], signal.SIGKILL)
    until(lambda: not left.alive(), "the end of what the task hid")
    assert yard.waits(task) == "failed"


def test_what_a_task_hides_is_found_when_agent_and_services_process_are_gone(
    yard: Yard, hidden: Hidden
) -> None:
    yard.at_work(hidden.code + ENDLESS)
    if yard.slot()["group"] is None:
        pytest.skip("no cgroup may be made here")
    left, agent = hidden.process, yard.slot()["pid"]
    yard.kill_services()
    os.kill(agent, signal.SIGKILL)
    assert left.alive()
    yard.down()
    assert not left.alive()


@pytest.mark.long
def test_a_killed_services_process_and_then_down(tmp_path: Path) -> None:
    with installation(tmp_path / "home") as yard:
        yard.at_work(ENDLESS)
        yard.kill_services()
        assert yard.down()["ended"] > 0
        assert yard.left() == []


def test_an_embedded_server_that_died_under_a_task_is_started_again_where_it_was(
    yard: Yard, waiting: tuple[str, Path]
) -> None:
    code, go_on = waiting
    found = yard.up()
    task = yard.submit(code)
    yard.begun(task)
    agent = yard.slot()["pid"]
    pid = admin.status(yard.home / "server")["pid"]
    os.kill(pid, signal.SIGKILL)
    folder = yard.home / "server"
    again = until(
        lambda: (now := admin.status(folder))["pid"] not in (pid, None) and now["urls"] and now, "a server"
    )
    assert again["urls"]["api"] == found["server"]["api"]
    go_on.touch()
    assert yard.waits(task) == "completed"
    assert "stackyard_retries" not in yard.task(task).get("runtime", {})
    assert yard.slot()["pid"] == agent, "the agent goes on"


def test_a_task_is_stopped_at_its_queues_limit(yard: Yard) -> None:
    yard.queues = "[queues.cpu]\ntime_limit_seconds = 2\n"
    yard.up()
    task = yard.submit(ENDLESS)
    assert yard.waits(task) == "failed"
    assert yard.task(task)["status_reason"].startswith("time_limit: ran ")
    assert "queue cpu's limit is 2 s" in yard.task(task)["status_reason"]
    pid = yard.slot()["pid"]
    yard.queues = "[queues.cpu]\n"
    yard.up()
    assert yard.waits(yard.submit()) == "completed", "no limit any more, and the agent goes on"
    assert yard.slot()["pid"] == pid
