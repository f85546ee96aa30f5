"""A cluster of one node in a container: Debian's Slurm and munge under systemd, with its programs on a PATH of ours.

Folders are mounted under their own names, so that a run finds its Python, its code and its folder as we wrote them.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab import hosts
from tests.lab.hosts import LABEL, LabError, docker

IMAGE = "stackyard-lab-slurm:bookworm"
BUILD = Path(__file__).resolve().with_name("slurm")
PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
UP_SECONDS = 60.0
#: Of the image: one who may do nothing on the host but use Slurm.
USER, USER_ID = "person", 1234


def build_image() -> str:
    """The image of the host, built unless it is there."""
    if not docker("images", "-q", IMAGE):
        base = hosts.build_image()
        arguments = ["--quiet", "--network=host", "--build-arg", f"BASE={base}", "--tag", IMAGE]
        docker("build", *arguments, str(BUILD))
    return IMAGE


class SlurmHost:
    """The host.

    Args:
        container: its container's name.
        folder: where folders of programs are made that call Slurm's there; each is for a PATH.
    """

    def __init__(self, container: str, folder: Path) -> None:
        self.container = container
        self.programs = self._called_by("root", folder / "programs")
        #: The same, called by a user who may do nothing on the host but use Slurm.
        self.programs_of_user = self._called_by(USER, folder / "programs-of-user")

    def _called_by(self, user: str, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for name in PROGRAMS:
            file = folder / name
            file.write_text(f'#!/bin/sh\nexec docker exec -i --user {user} {self.container} {name} "$@"\n')
            file.chmod(0o755)
        return folder

    def shell(self, command: str, check: bool = True) -> str:
        """What a command prints there."""
        return docker("exec", self.container, "bash", "-c", command, check=check, seconds=120)

    def await_up(self, seconds: float = UP_SECONDS) -> None:
        """Wait until the node is idle.

        Raises:
            LabError: it is not within ``seconds``.
        """
        end = time.monotonic() + seconds
        while (state := self.shell("sinfo --noheader -p work -o %T 2>&1", check=False)) != "idle":
            if time.monotonic() > end:
                log = self.shell("tail -n 20 /var/log/slurm/*.log 2>&1", check=False)
                raise LabError(f"the node is not idle within {seconds:.0f} s, but {state!r}: {log[-1500:]}")
            time.sleep(0.2)

    def await_answer(self, seconds: float = UP_SECONDS) -> None:
        """Wait until the controller answers.

        Raises:
            LabError: it does not within ``seconds``.
        """
        end = time.monotonic() + seconds
        while "UP" not in self.shell("scontrol ping 2>&1", check=False):
            if time.monotonic() > end:
                raise LabError(f"the controller does not answer within {seconds:.0f} s")
            time.sleep(0.2)


@contextlib.contextmanager
def slurm_host(folder: Path, mounted: Sequence[Path]) -> Iterator[SlurmHost]:
    """The host for the time of a block: controller and node in one.

    Args:
        folder: where its programs are made.
        mounted: folders that it sees under their own names, and may write to.
    """
    build_image()
    name = f"sy-slurm-{secrets.token_hex(3)}"
    docker("network", "create", "--label", f"{LABEL}={name}", name)
    try:
        _start(name, name, "node1", mounted)
        host = SlurmHost(name, folder)
        host.await_up()
        yield host
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
        docker("network", "rm", name, check=False)


@contextlib.contextmanager
def second_node(host: SlurmHost, mounted: Sequence[Path]) -> Iterator[str]:
    """A second machine in the host's cluster for the time of a block; answers its container's name."""
    name = f"{host.container}-node2"
    line = "NodeName=node2 CPUs=2 RealMemory=4000"
    larger = f"sed -i 's/Nodes=node1 /Nodes=node1,node2 /; /^NodeName=node1/a {line}' /etc/slurm/slurm.conf"
    smaller = "sed -i 's/node1,node2/node1/; /^NodeName=node2/d' /etc/slurm/slurm.conf"
    try:
        _start(name, host.container, "node2", mounted)
        end = time.monotonic() + UP_SECONDS
        running = ["exec", name, "systemctl", "is-active", "munge"]
        while docker(*running, check=False) != "active" and time.monotonic() < end:
            time.sleep(0.2)
        docker("exec", name, "bash", "-c", f"{larger} && systemctl restart slurmd")
        host.shell(f"{larger} && systemctl restart slurmctld slurmd")
        host.await_up()
        yield name
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
        host.shell(f"{smaller} && systemctl restart slurmctld slurmd", check=False)
        host.await_up()


def _start(name: str, network: str, hostname: str, mounted: Sequence[Path]) -> None:
    rights = ["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cgroupns=private"]
    rights += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
    volumes = [word for path in mounted for word in ("--volume", f"{path}:{path}")]
    place = ["--network", network, "--network-alias", hostname, "--hostname", hostname]
    place += ["--label", f"{LABEL}={network}", "--tmpfs", "/run", "--tmpfs", "/run/lock"]
    docker("run", "--detach", "--name", name, *place, *rights, *volumes, IMAGE)
