"""Who belongs to an agent: found below it, in its cgroup, or as a child of who started it; nobody else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.agents import lineage
from stackyard.agents.lineage import Group, Identity, started_at
from tests.waiting import until

#: Starts a process in a session and an environment of its own, whose parent is gone at once; then waits.
HIDES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, ["hidden", "-c", "import time; time.sleep(600)"], {})
    os._exit(0)
os.wait()
time.sleep(600)
"""
#: A services process in small: starts an agent, and a neighbour that is to be left alone; does what it is told.
SERVICES = """
import os, signal, subprocess, sys, time
from stackyard.agents import lineage
lineage.become_subreaper()
command = [sys.executable, "-c", sys.argv[1]]
since = lineage.ticks()
shell = ["sh", "-c", "setsid sleep 600 & echo $!; exec sleep 0.1"]
starter = subprocess.Popen(shell, stdout=subprocess.PIPE, start_new_session=True)
neighbour = int(starter.stdout.readline())
starter.wait()
until = lineage.ticks()
time.sleep(0.05)
agent = subprocess.Popen(command, start_new_session=True, preexec_fn=lineage.become_subreaper)
own = subprocess.Popen(["sleep", "600"])
adopted = lineage.Adopted(lambda: {agent.pid})
adopted.spare(since, until)
print(agent.pid, neighbour, own.pid, flush=True)
for line in sys.stdin:
    if line.strip() == "left":
        print(*[one.pid for one in adopted.left()], flush=True)
    else:
        lineage.end_all(adopted.left, 1.0)
        print("ended", flush=True)
"""


def called_hidden(found: list[Identity]) -> Identity | None:
    """The one that the agent's task hides, once it is what it will be."""
    names = {one: (Path("/proc") / str(one.pid) / "cmdline").read_bytes() for one in found if one.alive()}
    return next((one for one, name in names.items() if name.startswith(b"hidden")), None)


@pytest.fixture
def processes() -> Iterator[list[int]]:
    """Numbers of processes that are killed afterwards."""
    found: list[int] = []
    yield found
    for pid in found:
        if (started := started_at(pid)) is not None:
            Identity(pid, started).signal(signal.SIGKILL)


def test_what_outlives_an_agent_becomes_the_child_of_its_starter_and_nothing_else_is_touched(
    processes: list[int],
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICES, HIDES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as services:
        assert services.stdin is not None
        assert services.stdout is not None
        agent, neighbour, own = map(int, services.stdout.readline().split())
        processes += [services.pid, agent, neighbour, own]

        def said(word: str) -> str:
            print(word, file=services.stdin, flush=True)
            assert services.stdout is not None
            return services.stdout.readline().strip()

        hidden = until(lambda: called_hidden(lineage.children(agent)), "its adoption by the agent")
        assert said("left") == "", "it is below its agent"
        os.kill(agent, signal.SIGKILL)
        until(lambda: said("left") == str(hidden.pid), "its adoption by the services process")
        assert said("end") == "ended"
        assert not hidden.alive()
        assert said("left") == ""
        assert started_at(neighbour) is not None, "a server that was started meanwhile stays"
        assert started_at(own) is not None
        services.stdin.close()


def test_a_cgroup_holds_what_hides_after_its_agent_is_gone(processes: list[int]) -> None:
    group = Group.make(f"test:{os.getpid()}")
    if group is None:
        pytest.skip("no cgroup may be made here")
    try:
        agent = subprocess.Popen([sys.executable, "-c", f"input()\n{HIDES}"], stdin=subprocess.PIPE)
        processes.append(agent.pid)
        assert group.join(agent.pid)
        found = Group.of(agent.pid)
        assert found is not None
        assert found.folder == group.folder
        assert agent.stdin is not None
        agent.stdin.write(b"\n")
        agent.stdin.close()
        hidden = until(lambda: called_hidden(group.members()), "the hidden process")
        processes.append(hidden.pid)
        agent.kill()
        agent.wait()
        assert group.members() == [hidden]
        assert lineage.end_all(group.members, 1.0, group.kill) == 1
        assert not hidden.alive()
    finally:
        group.remove()
    assert not group.folder.exists()


def test_the_dead_that_nobody_waits_for_are_counted() -> None:
    code = "import os, time\nfor _ in range(3):\n    os.fork() or os._exit(0)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        until(lambda: lineage.dead_children(parent.pid) == 3, "three dead children")
        assert lineage.children(parent.pid) == []
        parent.kill()


MOUNTS = "30 25 0:26 {root} {point} rw,nosuid - {kind} cgroup rw{options}\n"


@pytest.mark.parametrize(
    ("groups", "mounts", "expected"),
    [
        ("0::/user.slice/s\n", [("/", "v2", "cgroup2", "")], "v2/user.slice/s"),
        (
            "9:pids:/a\n1:cpu:/b\n0::/\n",
            [("/", "pids", "cgroup", ",pids"), ("/", "unified", "cgroup2", "")],
            "unified",
        ),
        (
            "9:pids:/a\n1:cpu:/b\n",
            [("/", "cpu", "cgroup", ",cpu"), ("/", "pids", "cgroup", ",pids")],
            "pids/a",
        ),
        ("9:name=systemd:/a\n", [("/", "sd", "cgroup", ",xattr,name=systemd")], "sd/a"),
        ("0::/docker/abc/in\n", [("/docker/abc", "v2", "cgroup2", "")], "v2/in"),
        ("1:cpu:/b\n", [("/", "cpu", "cgroup", ",cpu")], None),
    ],
    ids=["v2", "both", "v1", "v1 by name", "in a container", "only what measures"],
)
def test_the_place_of_an_agents_cgroup(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: str,
    mounts: list[tuple[str, str, str, str]],
    expected: str | None,
) -> None:
    own = tmp_path / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(groups)
    lines = [
        MOUNTS.format(root=root, point=tmp_path / point, kind=kind, options=options)
        for root, point, kind, options in mounts
    ]
    (own / "mountinfo").write_text("".join(lines))
    for folder in ("v2/user.slice/s", "v2/in", "unified", "pids/a", "cpu/b", "sd/a"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(lineage, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(os, "access", lambda *_: True)
    made = Group.make("mark")
    assert (made and made.folder.parent) == (expected and tmp_path / expected)
