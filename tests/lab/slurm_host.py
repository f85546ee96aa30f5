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
        programs: a folder of programs that call Slurm's there; for a PATH.
    """

    def __init__(self, container: str, programs: Path) -> None:
        self.container = container
        self.programs = programs
        programs.mkdir(parents=True)
        for name in PROGRAMS:
            file = programs / name
            file.write_text(f'#!/bin/sh\nexec docker exec -i {container} {name} "$@"\n')
            file.chmod(0o755)

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
    """The host for the time of a block.

    Args:
        folder: where its programs are made.
        mounted: folders that it sees under their own names, and may write to.
    """
    build_image()
    container = f"sy-slurm-{secrets.token_hex(3)}"
    rights = ["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cgroupns=private"]
    rights += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
    volumes = [word for path in mounted for word in ("--volume", f"{path}:{path}")]
    label = ["--label", f"{LABEL}={container}", "--tmpfs", "/run", "--tmpfs", "/run/lock"]
    docker("run", "--detach", "--name", container, "--hostname", "node1", *label, *rights, *volumes, IMAGE)
    try:
        host = SlurmHost(container, folder / "programs")
        host.await_up()
        yield host
    finally:
        docker("rm", "--force", "--volumes", container, check=False)
