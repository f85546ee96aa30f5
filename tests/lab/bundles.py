"""The bundle that tests without internet install from, and what serves it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab import hosts

STACK = "torch-2.13.0-cpu"
#: Made once and kept: a call of `bundle create` goes on from it. A bundle that was made elsewhere is taken as it is.
FOLDER = hosts.ROOT / ".stackyard" / "lab" / "bundle"
MADE_ELSEWHERE = "STACKYARD_LAB_BUNDLE"
CREATE_SECONDS = 1800.0


def bundle() -> Path:
    """The folder of a bundle with our side, Debian's packages, the default stack and an image of a base.

    Raises:
        LabError: it cannot be made here; the message is the command's.
    """
    if given := os.environ.get(MADE_ELSEWHERE):
        return Path(given)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    command = [str(hosts.BINARIES / "stackyard"), "bundle", "create", str(FOLDER), "--stack", STACK]
    command += ["--debian", "bookworm", "--image", hosts.BASE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CREATE_SECONDS, check=False)
    if done.returncode != 0:
        raise hosts.LabError(done.stderr.strip()[-600:])
    return FOLDER


@contextlib.contextmanager
def served(folder: Path, address: str) -> Iterator[dict[str, str]]:
    """What an inventory says of a bundle, which `bundle serve` serves on an address until the end."""
    command = [str(hosts.BINARIES / "stackyard"), "bundle", "serve", str(folder)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--host", address, "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            said = [server.stdout.readline().strip() for _line in range(3)]
            yield {name: value for name, _colon, value in (line.partition(": ") for line in said[1:])}
        finally:
            server.terminate()
