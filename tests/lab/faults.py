"""What goes wrong in a lab, done to a real one: each fault, what was seen of it, and that the lab is whole afterwards.

The lab's tests run them all; ``bench/lab`` does too, and keeps figures. A function gets an installed lab (``Yard``) and
leaves one; what it returns are figures by name. What is not as it has to be is an AssertionError.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab import hosts
from tests.lab.yard import PASSWORD, SILENCE_SECONDS, Yard
from tests.waiting import until

Figures = Mapping[str, Any]
Fault = Callable[[Yard], Figures]


def _completed(yard: Yard, *ids: str) -> None:
    for told in yard.await_end(*ids):
        assert told["status"] == "completed", f"{told['id']}: {told['status']}, {told['reason']}"
        assert told["record"], f"{told['id']} has no record"


def _works(yard: Yard) -> None:
    """A task completes."""
    _completed(yard, yard.send(0.1))


def _whole(yard: Yard) -> None:
    """The lab is as it was meant to be: a play changes nothing, and a task completes."""
    again = yard.good("site.yml")
    assert again.named_changes() == [], again.named_changes()
    _works(yard)


# -- hosts ------------------------------------------------------------------------------------------


def a_node_restarts(yard: Yard) -> Figures:
    """Its services come back by themselves, and the task that it ran is repeated."""
    task = yard.send(15)
    name = yard.await_running(task).partition(":")[0]
    began = time.monotonic()
    yard.lab.hosts[name].reboot()
    yard.lab.hosts[name].await_up()
    yard.await_workers(name)
    seconds = time.monotonic() - began
    _completed(yard, task)
    return {"reboot_back_seconds": seconds}


def a_node_is_lost_while_it_runs_a_task(yard: Yard) -> Figures:
    """The task counts as lost, for the infrastructure, and another host takes it."""
    task = yard.send(20)
    name = yard.await_running(task).partition(":")[0]
    other = next(one for one in yard.groups["agents"] if one != name)
    yard.lab.hosts[name].power_off()
    began = time.monotonic()
    try:
        yard.await_running(task, on=other)
        seconds = time.monotonic() - began
        _completed(yard, task)
        assert str(yard.task(task)["worker"]).startswith(f"{other}:")
    finally:
        yard.lab.hosts[name].power_on()
    yard.lab.hosts[name].await_up()
    yard.await_workers(name)
    return {"taken_elsewhere_seconds": seconds, "silence_seconds": SILENCE_SECONDS}


def the_servers_host_restarts(yard: Yard) -> Figures:
    """Agents and tasks go on, and report when the server is back."""
    task = yard.send(20)
    worker = yard.await_running(task)
    began = time.monotonic()
    yard.head.reboot()
    yard.head.await_up()
    until(
        lambda: yard.head.succeeds("stackyard --version && curl -sk https://127.0.0.1:8008/debug.ping"),
        "the server",
    )
    seconds = time.monotonic() - began
    _completed(yard, task)
    assert yard.task(task)["worker"] == worker
    assert yard.runs_of(task) == 1
    return {"server_back_seconds": seconds}


def the_services_process_is_killed(yard: Yard) -> Figures:
    """Agents and tasks go on, and systemd starts it again."""
    task = yard.send(12)
    host = yard.lab.hosts[yard.await_running(task).partition(":")[0]]
    before = host.shell("systemctl show --property MainPID --value stackyard-agents")
    host.shell(f"kill -KILL {before}")
    until(
        lambda: host.shell("systemctl show --property MainPID --value stackyard-agents") not in ("0", before),
        "another services process",
    )
    _completed(yard, task)
    assert yard.runs_of(task) == 1
    yard.await_workers(host.name)
    return {}


# -- secrets, upgrades, backups ---------------------------------------------------------------------


def secrets_change_while_a_task_runs(yard: Yard) -> Figures:
    """The task completes with its old key; then that key opens nothing."""
    task = yard.send(25)
    host = yard.lab.hosts[yard.await_running(task).partition(":")[0]]
    key = host.shell("grep access_key /etc/stackyard/clearml.conf")
    served = yard.head.shell("openssl x509 -noout -serial -in /var/lib/stackyard-server/tls.crt")
    yard.good("playbooks/rotate-secrets.yml")
    _completed(yard, task)
    assert yard.runs_of(task) == 1
    assert host.shell("grep access_key /etc/stackyard/clearml.conf") != key
    assert yard.head.shell("openssl x509 -noout -serial -in /var/lib/stackyard-server/tls.crt") != served
    assert yard.head.shell("ls /etc/stackyard/keys/old") == ""
    _whole(yard)
    return {}


def agents_are_upgraded_with_a_full_queue(yard: Yard) -> Figures:
    """Nothing is lost and nothing runs twice."""
    tasks = [yard.send(2) for _number in range(12)]
    marker = hosts.ROOT / "examples" / ".lab-upgrade"
    marker.write_text(f"{time.time()}\n")  # another checkout
    try:
        yard.good("playbooks/upgrade.yml")
        _completed(yard, *tasks)
        runs = [yard.runs_of(task) for task in tasks]
        _whole(yard)
    finally:
        marker.unlink()
    yard.good("site.yml")
    lost, doubled = sum(count == 0 for count in runs), sum(count > 1 for count in runs)
    assert (lost, doubled) == (0, 0)
    return {"tasks": len(tasks), "tasks_lost": lost, "tasks_doubled": doubled}


def a_backup_is_restored_on_a_fresh_host(yard: Yard) -> Figures:
    """Tasks, people and files are as they were, and agents go on with new keys."""
    task = yard.send(0.1)
    _completed(yard, task)
    folder = yard.lab.folder / "backups"
    yard.good("playbooks/backup.yml", lab_backup_to=str(folder))
    backup = next(folder.glob("*.tar"))
    assert backup.stat().st_mode & 0o077 == 0
    yard.head.power_off()
    fresh = yard.lab.replace("head")
    began = time.monotonic()
    yard.good("playbooks/restore.yml", lab_backup=str(backup))
    seconds = time.monotonic() - began
    backup.unlink()
    assert yard.task(task)["status"] == "completed"
    fresh.shell(f"curl -sk --fail -u 'admin:{PASSWORD}' https://127.0.0.1:8008/auth.login >/dev/null")
    again = yard.play("playbooks/restore.yml", lab_backup="/var/backups/stackyard/none")
    assert again.exit_code != 0
    assert "holds a server's data" in " ".join(again.output.split())
    _whole(yard)
    return {"restore_seconds": seconds}


def a_node_is_removed_and_added_while_another_works(yard: Yard) -> Figures:
    """The other's running task is not touched; the removed one's key opens nothing."""
    yard.head.shell("true")
    task = yard.send(30)
    name = yard.await_running(task).partition(":")[0]
    other = next(one for one in yard.groups["agents"] if one != name)
    pid = yard.lab.hosts[name].shell("systemctl show --property MainPID --value stackyard-agents")
    yard.good("playbooks/remove-node.yml", lab_node=other)
    assert not yard.head.succeeds(f"test -e /etc/stackyard/keys/{other}.conf")
    assert not yard.lab.hosts[other].succeeds("systemctl is-active stackyard-agents")
    yard.good("playbooks/add-node.yml", lab_node=other)
    yard.await_workers(other)
    _completed(yard, task)
    assert yard.runs_of(task) == 1
    assert yard.lab.hosts[name].shell("systemctl show --property MainPID --value stackyard-agents") == pid
    _whole(yard)
    return {}


# -- what a play refuses, and what cuts it off ------------------------------------------------------


def _refused(yard: Yard, words: str, **extra: Any) -> None:
    """A play that refuses, in these words, before it changed anything."""
    result = yard.play("site.yml", **extra)
    told = " ".join(result.output.split())
    assert result.exit_code != 0
    assert words in told, told[-1500:]
    assert result.changed == 0, result.named_changes()
    assert "Traceback" not in told


def disks_are_nearly_full(yard: Yard) -> Figures:
    """A play says so before it changes anything; no backup is made, and the server goes on."""
    _refused(yard, "GiB are needed (base_free_gib)", base_free_gib=10**6)
    yard.good("playbooks/server.yml", stackyard_server_backup_free_gib=10**6)
    done = yard.play("playbooks/backup.yml")
    assert done.exit_code != 0
    assert "are to stay free (stackyard_server_backup_free_gib)" in " ".join(done.output.split())
    yard.good("playbooks/server.yml")
    _works(yard)
    return {}


def a_clock_is_wrong(yard: Yard) -> Figures:
    """A play says by how much. The clock is wrong for what asks ``date``: containers have one machine's clock."""
    host = yard.lab.hosts["two"]
    host.put("/usr/local/bin/date", "#!/bin/sh\nexec /bin/date --date '+3 hours' \"$@\"\n", "0755")
    try:
        _refused(yard, "The clock of two is 10")
    finally:
        host.shell("rm /usr/local/bin/date")
    _works(yard)
    return {}


def an_installation_is_half_done(yard: Yard) -> Figures:
    """A release whose making was cut off is made anew."""
    host = yard.lab.hosts["one"]
    host.shell(
        "rm -rf /opt/stackyard/current/.complete /opt/stackyard/current/.venv/lib/python3.11/site-packages/clearml*"
    )
    yard.good("site.yml")
    _whole(yard)
    return {}


def a_play_is_killed(yard: Yard) -> Figures:
    """The next one converges."""
    for name in yard.groups["agents"]:
        yard.lab.hosts[name].shell("rm -rf /opt/stackyard/releases/* /opt/stackyard/uv")
    process = yard.lab.start("site.yml", yard.inventory())
    until(
        lambda: yard.lab.hosts["one"].succeeds("ls /opt/stackyard/releases/*/src >/dev/null 2>&1"),
        "the play to have unpacked the checkout",
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    yard.good("site.yml")
    _whole(yard)
    return {}


def a_host_restarts_in_the_middle_of_a_play(yard: Yard) -> Figures:
    """That play names the host; the next one converges."""
    host = yard.lab.hosts["one"]
    host.shell("rm -rf /opt/stackyard/releases/*")
    process = yard.lab.start("site.yml", yard.inventory())
    until(lambda: host.succeeds("ls /opt/stackyard/releases/*/src >/dev/null 2>&1"), "the play to be at work")
    host.reboot()
    output, _nothing = process.communicate(timeout=hosts.PLAY_SECONDS)
    host.await_up()
    assert process.returncode != 0, output[-2000:]
    yard.good("site.yml")
    yard.await_workers("one", "two")
    _whole(yard)
    return {}


def inventories_are_wrong(yard: Yard) -> Figures:
    """Each is refused in plain words, before anything changes."""
    two = yard.lab.hosts["two"]
    two.shell("hostname one")
    try:
        _refused(yard, "both call themselves one")
    finally:
        two.shell("hostname two")
    _refused(yard, "which", clearml_agent_slots={"cqu": {"slots": 2}})
    _refused(yard, "a host may set slots", clearml_agent_slots={"cpu": {"retries": 9}})
    _refused(yard, "No stack is called torch-9", lab_stacks=["torch-9"], bundle_stacks=["torch-2.13.0-cpu"])
    result = yard.lab.play(
        "site.yml", yard.inventory(groups={"server": ["head"], "agents": ["one", "nobody"]})
    )
    assert result.exit_code != 0
    assert "UNREACHABLE" in result.output or "Could not" in result.output
    _works(yard)
    return {}


def a_new_lab_has_no_password(yard: Yard) -> Figures:
    """A server is not made without one."""
    yard.head.shell("systemctl stop stackyard-server; mv /var/lib/stackyard-server /var/lib/kept")
    try:
        result = yard.play("playbooks/server.yml", lab_admin_password="")
        assert result.exit_code != 0
        assert "There is no default" in result.output
        assert result.changed == 0
    finally:
        yard.head.shell("mv /var/lib/kept /var/lib/stackyard-server; systemctl start stackyard-server")
    yard.await_workers("one", "two")
    _works(yard)
    return {}


ALL: tuple[Fault, ...] = (
    disks_are_nearly_full,
    a_clock_is_wrong,
    inventories_are_wrong,
    a_new_lab_has_no_password,
    the_services_process_is_killed,
    a_node_restarts,
    a_node_is_lost_while_it_runs_a_task,
    the_servers_host_restarts,
    secrets_change_while_a_task_runs,
    a_node_is_removed_and_added_while_another_works,
    agents_are_upgraded_with_a_full_queue,
    a_backup_is_restored_on_a_fresh_host,
    an_installation_is_half_done,
    a_play_is_killed,
    a_host_restarts_in_the_middle_of_a_play,
)


def words_of(fault: Fault) -> str:
    """A fault's name for people."""
    return fault.__name__.replace("_", " ")
