"""Hosts without a way out install from a bundle: engine, our side and a stack; what it lacks is said before that."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import bundles, hosts

#: What a host does with a bundle, without Ansible and without any network.
SCRIPT = """
set -eu
mkdir -p /var/cache/stackyard/bundle /src
cd /var/cache/stackyard/bundle
for name in control-3.11 debian-bookworm stack-STACK; do mkdir $name; tar -xf /bundle/$name.tar -C $name; done
tar -xf /source.tar -C /src
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo "deb [trusted=yes] file:$PWD/debian-bookworm ./" >/etc/apt/sources.list.d/bundle.list
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
apt-get -qq update
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -y --no-install-recommends install docker.io nftables nfs-common prometheus >/dev/null
docker --version
python3.11 -m venv /uv
/uv/bin/pip -q install --no-index --find-links control-3.11 uv
from="--quiet --no-config --python /our --no-index --find-links $PWD/control-3.11"
/uv/bin/uv venv --quiet --no-config --python python3.11 /our
cd /src
locks=$(for part in clearml containers server tuning web; do echo -r requirements/$part.lock; done)
/uv/bin/uv pip install $from --no-verify-hashes $locks
/uv/bin/uv pip install $from --no-deps --no-build-isolation --editable .
export STACKYARD_HOME=/home/stackyard
/our/bin/stackyard stack build STACK --wheels /var/cache/stackyard/bundle/stack-STACK
/our/bin/stackyard stack verify STACK
"""
#: The role alone, as playbooks/hosts.yml calls it: all hosts look first, then all install.
PLAYBOOK = """
- name: Look
  hosts: all
  tasks:
    - name: What it has
      ansible.builtin.import_role: {name: bundle, tasks_from: preflight}
- name: Install
  hosts: all
  tasks:
    - name: Bundle
      ansible.builtin.import_role: {name: bundle}
"""
COMPONENTS = ["control-3.11", "debian-bookworm"]


@pytest.fixture(scope="module")
def bundle() -> Path:
    if (reason := hosts.why_not()) is not None:
        pytest.skip(reason)
    try:
        return bundles.bundle()
    except hosts.LabError as error:
        pytest.skip(f"no bundle can be made here: {error}")


def test_engine_our_side_and_a_stack_install_without_any_network(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.tar"
    subprocess.run(["git", "archive", "--output", str(source), "HEAD"], cwd=hosts.ROOT, check=True)
    name = f"sy-bundle-{tmp_path.parent.name}-{tmp_path.name}"[:60]
    mounted = ["-v", f"{bundle}:/bundle:ro", "-v", f"{source}:/source.tar:ro"]
    script = SCRIPT.replace("STACK\n", f"{bundles.STACK}\n").replace("-STACK", f"-{bundles.STACK}")
    script = script.replace(" STACK ", f" {bundles.STACK} ")
    try:
        said = hosts.docker(
            "run",
            "--rm",
            "--name",
            name,
            "--network",
            "none",
            *mounted,
            hosts.BASE,
            "bash",
            "-c",
            script,
            seconds=900,
        )
    finally:
        hosts.docker("rm", "--force", name, check=False)
    assert "Docker version" in said
    assert f"{bundles.STACK}: as pinned" in said


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., hosts.Lab]) -> hosts.Lab:
    return make_lab(["lone"], internet=False)


@pytest.fixture(scope="module")
def playbook(lab: hosts.Lab) -> Path:
    path = lab.folder / "bundle.yml"
    path.write_text(PLAYBOOK)
    return path


def test_what_a_bundle_lacks_is_named_together_and_nothing_was_changed(
    bundle: Path, lab: hosts.Lab, playbook: Path
) -> None:
    with bundles.served(bundle, lab.gateway) as said:
        wanted = {**said, "bundle_components": [*COMPONENTS, "python-3.6", "stack-nobody"]}
        played = play(lab, playbook, wanted)
    assert played.exit_code != 0
    assert "lacks python-3.6, stack-nobody, which lone needs" in " ".join(played.output.split())
    assert played.named_changes() == []


def test_a_bundle_that_nobody_vouched_for_is_refused(bundle: Path, lab: hosts.Lab, playbook: Path) -> None:
    with bundles.served(bundle, lab.gateway) as said:
        other = play(lab, playbook, {**said, "lab_bundle_digest": "0" * 64})
        none = play(lab, playbook, {**said, "lab_bundle_digest": ""})
    assert "somebody changed it" in " ".join(other.output.split())
    assert "lab_bundle_digest is missing" in " ".join(none.output.split())
    assert other.named_changes() == none.named_changes() == []


def test_a_host_takes_its_parts_once_and_its_packages_from_them(
    bundle: Path, lab: hosts.Lab, playbook: Path
) -> None:
    host = lab.hosts["lone"]
    with bundles.served(bundle, lab.gateway) as said:
        wanted: dict[str, Any] = {**said, "bundle_components": COMPONENTS}
        checked = play(lab, playbook, wanted, "--check", "--diff")
        assert checked.exit_code == 0, checked.output[-2000:]
        assert not host.succeeds("test -e /var/cache/stackyard/bundle")
        first = play(lab, playbook, wanted)
        assert first.exit_code == 0, first.output[-2000:]
        second = play(lab, playbook, wanted)
        assert second.named_changes() == []
        assert play(lab, playbook, wanted, "--check", "--diff").named_changes() == []
    print(f"first {first.seconds:.1f} s, second {second.seconds:.1f} s")
    policy = host.shell("apt-cache policy docker.io prometheus")
    assert policy.count("file:/var/cache/stackyard/bundle/debian-bookworm") == 2
    assert not host.succeeds("ls /var/cache/stackyard/bundle/*.tar")


def test_a_part_that_was_cut_off_is_brought_anew(bundle: Path, lab: hosts.Lab, playbook: Path) -> None:
    host = lab.hosts["lone"]
    host.shell("cd /var/cache/stackyard/bundle/control-3.11 && rm .complete *.whl")
    with bundles.served(bundle, lab.gateway) as said:
        again = play(lab, playbook, {**said, "bundle_components": COMPONENTS})
    assert again.exit_code == 0, again.output[-2000:]
    assert any("control-3.11" in name for name in again.named_changes())
    assert not any("debian-bookworm" in name for name in again.named_changes())
    assert host.succeeds("ls /var/cache/stackyard/bundle/control-3.11/*.whl")


def play(lab: hosts.Lab, playbook: Path, variables: dict[str, Any], *options: str) -> hosts.Result:
    return lab.play(str(playbook), lab.inventory({"agents": list(lab.hosts)}, variables), *options)
