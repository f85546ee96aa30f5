"""The role shared_storage on real hosts with systemd. **Nothing is mounted**: the kernel below has no NFS.

Refusals are real. What the role writes is tested with a *simulated* module, server and exportfs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.hosts import Lab, Result

PLAY = """
- hosts: all
  become: true
  tasks:
    - ansible.builtin.import_role:
        name: shared_storage
"""
MOUNTS = """
- hosts: agent
  become: true
  tasks:
    - ansible.builtin.include_role:
        name: shared_storage
        tasks_from: mounts
"""
EXPORTS = MOUNTS.replace("hosts: agent", "hosts: disk").replace("tasks_from: mounts", "tasks_from: exports")
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
EXPORTFS = '#!/bin/sh\necho "$@" >>/srv/exportfs\n'


class Stored:
    """A storage host and an agent."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.disk, self.agent = lab.hosts["disk"], lab.hosts["agent"]

    def play(self, text: str, *options: str, groups: Any = None, **extra: Any) -> Result:
        """Play these tasks with these variables."""
        (self.folder / "play.yml").write_text(text)
        wanted = groups or {"agents": ["disk", "agent"], "storage": ["disk"]}
        inventory = self.lab.inventory(wanted, {})
        return self.lab.play(str(self.folder / "play.yml"), inventory, *options, extra=extra)

    def refused(self, **extra: Any) -> str:
        """What a play that has to be refused says, in one line; it changed nothing."""
        done = self.play(PLAY, **extra)
        assert done.exit_code != 0
        assert done.changed == 0, done.named_changes()
        return " ".join(done.output.split())


@pytest.fixture(scope="module")
def stored(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(make_lab(["disk", "agent"]), tmp_path_factory.mktemp("play"))


def nfs(stored: Stored) -> bool:
    return "nfs" in stored.disk.shell("cat /proc/filesystems")


def test_it_refuses_a_kernel_without_nfs_or_leaves_the_host_out(stored: Stored) -> None:
    if nfs(stored):
        pytest.skip("the kernel here has NFS")
    said = stored.refused()
    assert "has no nfsd, and no module of that name" in said
    assert "has no nfs, and no module of that name" in said
    left = stored.play(PLAY, shared_storage_required=False)
    assert (left.exit_code, left.changed) == (0, 0), left.output[-2000:]
    assert "agent is left out (shared_storage_required: false)" in " ".join(left.output.split())


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ({"lab_data_folder": "/srv"}, '"/srv" cannot be shared: give a path from the root'),
        ({"lab_data_folder": "/srv/a b"}, '"/srv/a b" cannot be shared'),
        ({"lab_data_folder": "/srv/x", "shared_storage_models_folder": "/srv/x/y"}, "are one in the other"),
        (
            {"stackyard_server_folder": "/srv/stackyard/data/server"},
            "/srv/stackyard/data/server would lie within",
        ),
        (
            {"shared_storage_models_folder": "/etc/stackyard/models"},
            "/etc/stackyard would lie within",
        ),
        (
            {"groups": {"agents": ["agent"], "storage": ["disk", "agent"]}},
            "Group storage has 2 hosts (disk, agent)",
        ),
    ],
    ids=["root", "space", "nested", "database", "settings", "two-hosts"],
)
def test_it_refuses_before_it_changes_anything(stored: Stored, extra: dict[str, Any], word: str) -> None:
    said = stored.refused(**extra)
    assert word in said, said[-1500:]


def test_a_database_behind_a_link_is_found(stored: Stored) -> None:
    stored.disk.shell("mkdir -p /var/lib/stackyard-server && ln -s /var/lib/stackyard-server /srv/linked")
    assert "A database on NFS breaks" in stored.refused(lab_data_folder="/srv/linked")
    stored.disk.shell("rm /srv/linked")


@pytest.fixture(scope="module")
def written(stored: Stored) -> Stored:
    for host in (stored.disk, stored.agent):
        host.put("/usr/sbin/modprobe", "#!/bin/sh\nexit 0\n", "0755")
    stored.disk.put("/usr/sbin/exportfs", EXPORTFS, "0755")
    stored.disk.put("/etc/systemd/system/nfs-server.service", UNIT)
    stored.disk.shell("useradd --system stackyard")
    return stored


def test_files_of_an_agent_are_not_hidden(written: Stored) -> None:
    written.agent.put("/srv/mine/data/own", "mine")
    assert "on agent has files of its own" in " ".join(
        written.play(PLAY, "--limit", "agent", lab_data_folder="/srv/mine/data").output.split()
    )


def test_exactly_the_labs_other_agents_may_mount(written: Stored) -> None:
    first = written.play(EXPORTS)
    assert first.exit_code == 0, first.output[-2000:]
    numbers = written.disk.shell("echo anonuid=$(id -u stackyard),anongid=$(id -g stackyard)")
    lines = written.disk.shell("grep -v '^#' /etc/exports.d/stackyard.exports").splitlines()
    more = f"sync,no_subtree_check,root_squash,all_squash,{numbers})"
    assert lines == [
        f"/srv/stackyard/data {written.agent.address}(ro,{more}",
        f"/srv/stackyard/models {written.agent.address}(rw,{more}",
    ]
    assert written.disk.shell("cat /srv/exportfs") == "-ra"
    assert written.disk.shell("stat -c %U /srv/stackyard/models") == "stackyard"
    assert written.play(EXPORTS).named_changes() == []


def test_mounts_are_units_that_systemd_takes(written: Stored) -> None:
    folder = {"shared_storage_models_folder": "/srv/stackyard/our-models"}
    first = written.play(MOUNTS, **folder)
    assert first.exit_code == 0, first.output[-2000:]
    data = written.agent.shell("cat /etc/systemd/system/srv-stackyard-data.mount")
    assert f"What={written.disk.address}:/srv/stackyard/data" in data
    assert "Options=ro,hard,nosuid,nodev,nofail,_netdev" in data
    name = written.agent.shell("systemd-escape --path --suffix=mount /srv/stackyard/our-models")
    assert "Options=rw," in written.agent.shell(f"cat '/etc/systemd/system/{name}'")
    units = "/etc/systemd/system/srv-stackyard-*mount"
    assert (
        written.agent.shell(f"systemd-analyze verify --man=no {units} 2>&1 | grep -i srv-stack || true") == ""
    )
    assert written.play(MOUNTS, **folder).named_changes() == []
