"""The role nvidia on a host with systemd and apt. **Simulated**: GPU, driver, toolkit and engine are stand-ins.

The stand-ins are packages of a repository on the host. No driver is ever loaded: what is tested is what the role
refuses, asks, writes and leaves alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.hosts import Host, Lab, Result
from tests.lab.repository import control, simulate_packages

PLAY = """
- hosts: all
  become: true
  tasks:
    - ansible.builtin.import_role:
        name: nvidia
"""
ENGINE = """
    - ansible.builtin.import_role:
        name: docker
"""
VERIFY = """
- hosts: all
  become: true
  tasks:
    - ansible.builtin.include_role:
        name: nvidia
        tasks_from: verify
"""
SYS, MODULES = "/srv/sys", "/srv/modules"
#: Answers as the real one does to the options that the role uses; a restart takes its modes, as the driver's.
SMI = """#!/bin/sh
version=$(cat /srv/sys/module/nvidia/version 2>/dev/null)
[ -n "$version" ] || { echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9; }
mkdir -p /run/simulated
word() { if [ -e "/run/simulated/$1" ]; then echo Enabled; else echo Disabled; fi; }
case "$1" in
  -pm) touch /run/simulated/pm ;;
  -am) touch /run/simulated/am ;;
  --query-gpu=driver_version,persistence_mode,accounting.mode) echo "$version, $(word pm), $(word am)" ;;
  *) exit 2 ;;
esac
"""
CTK = """#!/usr/bin/python3
import json, os, sys
words = sys.argv[1:]
assert words[:3] == ["runtime", "configure", "--runtime=docker"] and words[4:] == ["--dry-run"], words
path = words[3].removeprefix("--config=")
settings = json.load(open(path)) if os.path.exists(path) else {}
settings.setdefault("runtimes", {})["nvidia"] = {"path": "nvidia-container-runtime", "args": []}
print("level=info msg=told", file=sys.stderr)
sys.stdout.write(json.dumps(settings, indent=4, sort_keys=True))
"""
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
MODPROBE = "#!/bin/sh\nmkdir -p /srv/sys/module/nvidia && echo 535.216.01 >/srv/sys/module/nvidia/version\n"
#: Package -> the file that it brings.
PACKAGES = {
    "nvidia-driver": ("", ""),
    "nvidia-kernel-dkms": ("", ""),
    "libcuda1": ("", ""),
    "nvidia-smi": ("/usr/bin/nvidia-smi", SMI),
    "nvidia-persistenced": ("/lib/systemd/system/nvidia-persistenced.service", UNIT),
    "nvidia-container-toolkit": ("/usr/bin/nvidia-ctk", CTK),
    "docker.io": ("/lib/systemd/system/docker.service", UNIT),
    "iptables": ("", ""),
}


def simulate_gpu(host: Host, root: str = SYS) -> None:
    """A GPU with its sound function, and headers of the kernel."""
    for number, kind in enumerate(("0x030200", "0x040300")):
        host.put(f"{root}/bus/pci/devices/0000:01:00.{number}/vendor", "0x10de\n")
        host.put(f"{root}/bus/pci/devices/0000:01:00.{number}/class", f"{kind}\n")
    host.shell(f"mkdir -p {MODULES}/$(uname -r)/build")


class Simulated:
    """One host with stand-ins, on which the role can be played."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.host = lab, lab.hosts["worker"]
        self.folder = folder
        variables = {"nvidia_sys_root": SYS, "nvidia_modules_root": MODULES}
        self.inventory = lab.inventory({"agents": ["worker"], "gpu": ["worker"]}, variables)

    def play(self, text: str = PLAY, *options: str, **extra: Any) -> Result:
        """Play these tasks with these variables."""
        path = self.folder / "play.yml"
        path.write_text(text)
        return self.lab.play(str(path), self.inventory, *options, extra=extra)

    def refused(self, **extra: Any) -> str:
        """What a play that has to be refused says, in one line; it changed nothing."""
        done = self.play(**extra)
        assert done.exit_code != 0
        assert done.changed == 0, done.named_changes()
        assert "Traceback" not in done.output
        return " ".join(done.output.split())


@pytest.fixture(scope="module")
def bare(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    lab = make_lab(["worker"])
    simulate_packages(lab.hosts["worker"], PACKAGES, "535.216.01-1")
    simulate_gpu(lab.hosts["worker"])
    return Simulated(lab, tmp_path_factory.mktemp("play"))


@pytest.mark.parametrize(
    ("made", "word"),
    [
        ("rm {0}/bus/pci/devices/0000:01:00.0/vendor", "has no NVIDIA GPU on its PCI bus"),
        ("mkdir -p {0}/module/nouveau", "nouveau holds the GPU"),
        (
            "e={0}/firmware/efi/efivars; mkdir -p $e && printf '\\6\\0\\0\\0\\1' >$e/SecureBoot-8be4df61",
            "Secure boot is on",
        ),
        (
            "mkdir -p {0}/module/nvidia && echo 470.256.02 >{0}/module/nvidia/version",
            "has branch 470 of NVIDIA's driver; 535 is pinned",
        ),
    ],
    ids=["no-gpu", "nouveau", "secure-boot", "another-branch-loaded"],
)
def test_it_refuses_what_the_kernel_tells(bare: Simulated, made: str, word: str) -> None:
    root = "/srv/other"
    bare.host.shell(f"rm -rf {root}")
    simulate_gpu(bare.host, root)
    bare.host.shell(made.format(root))
    said = bare.refused(nvidia_sys_root=root)
    assert word in said, said[-1500:]


def test_it_refuses_a_kernel_without_headers(bare: Simulated) -> None:
    said = bare.refused(nvidia_modules_root="/srv/none")
    assert "has no headers of the kernel that runs" in said
    assert f"Install linux-headers-{bare.host.shell('uname -r')}" in said


def test_it_refuses_a_branch_that_is_not_offered_or_is_none(bare: Simulated) -> None:
    assert "offer branch 535 of NVIDIA's driver; 580 is pinned" in bare.refused(nvidia_driver_branch="580")
    assert 'nvidia_driver_branch is "535.2"' in bare.refused(nvidia_driver_branch="535.2")


def test_it_refuses_packages_that_no_repository_has(bare: Simulated) -> None:
    bare.host.shell(
        "cp /srv/repository/Packages /srv/kept && : >/srv/repository/Packages && apt-get -qq update"
    )
    said = bare.refused()
    bare.host.shell("mv /srv/kept /srv/repository/Packages && apt-get -qq update")
    assert "have no package nvidia-driver, nvidia-kernel-dkms" in said
    assert "the components contrib and non-free" in said


def test_it_refuses_another_driver_that_is_installed(bare: Simulated) -> None:
    bare.host.put("/srv/old/DEBIAN/control", control("nvidia-driver-470", "1:470.256.02-2"))
    bare.host.shell("dpkg-deb --build /srv/old /srv/old.deb && dpkg -i /srv/old.deb")
    assert "has branch 470" in bare.refused()
    bare.host.shell("dpkg --purge nvidia-driver-470")
    bare.host.put("/usr/bin/nvidia-uninstall", "", "0755")
    assert "NVIDIA's own installer" in bare.refused()
    bare.host.shell("rm /usr/bin/nvidia-uninstall")


@pytest.fixture(scope="module")
def finished(bare: Simulated) -> tuple[Simulated, Result, Result, Result]:
    """A look at a bare host, a run that needs a restart, and one after the kernel has the driver."""
    look = bare.play(PLAY, "--check", "--diff")
    assert not bare.host.succeeds(
        "dpkg -s nvidia-driver || test -e /etc/systemd/system/stackyard-nvidia.service"
    )
    stopped = bare.play()
    bare.host.put("/usr/sbin/modprobe", MODPROBE, "0755")
    return bare, look, stopped, bare.play(PLAY + ENGINE)


def test_a_look_at_a_bare_host_changes_nothing(finished: tuple[Simulated, Result, Result, Result]) -> None:
    look = finished[1]
    assert look.exit_code == 0, look.output[-3000:]
    assert "worker: nvidia : Have driver and toolkit" in look.named_changes()
    assert "+ExecStart=/usr/bin/nvidia-smi -am 1" in look.output


def test_it_never_restarts_a_host_without_leave(finished: tuple[Simulated, Result, Result, Result]) -> None:
    stopped = finished[2]
    assert stopped.exit_code != 0
    said = " ".join(stopped.output.split())
    assert "does not answer before a restart" in said
    assert "nvidia_reboot_allowed: true" in said
    assert finished[0].host.shell("cat /proc/1/comm") == "systemd"


def test_a_second_run_changes_nothing_and_a_look_says_so(
    finished: tuple[Simulated, Result, Result, Result],
) -> None:
    here, _, _, first = finished
    assert first.exit_code == 0, first.output[-3000:]
    second = here.play(PLAY + ENGINE)
    assert (second.exit_code, second.named_changes()) == (0, []), second.output[-3000:]
    look = here.play(PLAY + ENGINE, "--check", "--diff")
    assert (look.exit_code, look.named_changes()) == (0, []), look.output[-3000:]


def test_the_engine_has_the_runtime_whoever_writes_last(
    finished: tuple[Simulated, Result, Result, Result],
) -> None:
    here = finished[0]
    settings = json.loads(here.host.shell("cat /etc/docker/daemon.json"))
    assert settings["runtimes"] == {"nvidia": {"path": "nvidia-container-runtime", "args": []}}
    assert settings["log-driver"] == "json-file"
    alone = here.play(PLAY.replace("name: nvidia", "name: docker"))
    assert (alone.exit_code, alone.named_changes()) == (0, []), alone.output[-2000:]


def test_modes_are_on_and_come_back(finished: tuple[Simulated, Result, Result, Result]) -> None:
    here = finished[0]
    assert here.play(VERIFY).exit_code == 0
    here.host.shell("rm /run/simulated/am")
    wrong = here.play(VERIFY)
    assert wrong.exit_code != 0
    assert "535.216.01, Enabled, Disabled" in " ".join(wrong.output.split())
    mended = here.play()
    assert mended.exit_code == 0
    assert len(mended.named_changes()) == 1, mended.named_changes()
    assert here.play(VERIFY).exit_code == 0
    assert (
        here.host.shell("systemctl is-enabled stackyard-nvidia nvidia-persistenced").split()
        == ["enabled"] * 2
    )
