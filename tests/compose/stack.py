"""The compose file brought up on stand-in images, in a folder of its own, and taken down with everything it made."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyhocon
import pyparsing

from stackyard.official import installation
from tests.compose.plugin import MissingError
from tests.engine import BASES

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PROFILES = ("monitoring", "agents")
BASE = BASES["3.11"]


def copy_installation(folder: Path) -> None:
    """docker-compose.yml and server/ as they are in the checkout, without an installation's secrets."""
    shutil.copy2(ROOT / "docker-compose.yml", folder)
    shutil.copytree(ROOT / "server", folder / "server", ignore=shutil.ignore_patterns("secrets"))


def free_ports(names: list[str]) -> dict[str, int]:
    """A free port for each name."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    try:
        return {name: opened.getsockname()[1] for name, opened in zip(names, sockets, strict=True)}
    finally:
        for opened in sockets:
            opened.close()


class Stack:
    """One installation on stand-ins.

    Args:
        folder: an empty folder.
        variables: an environment in which ``docker compose`` answers.
        image: the stand-in image.
    """

    def __init__(self, folder: Path, variables: dict[str, str], image: str) -> None:
        self.folder = folder
        copy_installation(folder)
        self.ports = free_ports(list(installation.PORTS))
        self.wanted = installation.Wanted(
            name="clearml.test", data=folder / "data", memory_mb=16000, ports=self.ports
        )
        self.outcome = installation.install(folder, self.wanted)
        # The agent's key; a stand-in takes any.
        agent = folder / "server" / "secrets" / "agent.conf"
        agent.write_text(
            'api {api_server: "https://clearml.test:8008", credentials {access_key: "a", secret_key: "b"}}\n'
        )
        self.project = f"stackyard-check-{secrets.token_hex(4)}"
        self.variables = {
            **variables,
            "STANDIN_IMAGE": image,
            "COMPOSE_FILE": f"{folder / 'docker-compose.yml'}:{HERE / 'standins.yml'}",
            "COMPOSE_PROJECT_NAME": self.project,
        }

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``docker compose`` with both profiles on."""
        chosen = [part for profile in PROFILES for part in ("--profile", profile)]
        done = subprocess.run(
            ["docker", "compose", *chosen, *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"docker compose {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
        return done

    def rendered(self, plain: bool = False) -> dict[str, Any]:
        """The configuration as Compose understands it; ``plain``: without the stand-ins laid over."""
        variables = self.variables
        if plain:
            self.variables = {**variables, "COMPOSE_FILE": str(self.folder / "docker-compose.yml")}
        try:
            found: dict[str, Any] = json.loads(self.compose("config", "--format", "json").stdout)
            return found
        finally:
            self.variables = variables

    def up(self) -> None:
        """Start everything and wait until all of it is healthy."""
        done = self.compose("up", "-d", "--wait", "--wait-timeout", "300", check=False)
        if done.returncode:
            logs = self.compose("logs", "--no-color", "--tail", "5", check=False).stdout
            raise AssertionError(f"docker compose up: {done.stderr.strip()[-1500:]}\n{logs[-4000:]}")

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container, by service."""
        ids = self.compose("ps", "-aq").stdout.split()
        if not ids:
            return {}
        said = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True).stdout
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in json.loads(said)}

    def networks(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each network, by its short name."""
        names = [f"{self.project}_{name}" for name in ("stores", "clearml", "edge")]
        said = subprocess.run(
            ["docker", "network", "inspect", *names], capture_output=True, text=True, check=True
        )
        return {one["Name"].removeprefix(f"{self.project}_"): one for one in json.loads(said.stdout)}

    def down(self) -> None:
        """Stop and remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10", check=False)


@contextmanager
def standin_image(variables: dict[str, str]) -> Iterator[str]:
    """The stand-in image, built on the bookworm base and removed afterwards.

    Raises:
        MissingError: there is no base image, or Debian's packages cannot be had in a build.
    """
    present = subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False)
    if present.returncode:
        raise MissingError(
            f"there is no image {BASE} to build the stand-ins on (tests/engine_setup.sh start)"
        )
    image = f"stackyard-standin:{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as context:
        where = Path(context)
        for name in ("Dockerfile", "standin.py"):
            shutil.copy2(HERE / name, where)
        for package in (pyhocon, pyparsing):
            source = Path(package.__file__ or "").parent
            shutil.copytree(
                source, where / "packages" / source.name, ignore=shutil.ignore_patterns("__pycache__")
            )
        # The engine's own builder: buildx is one more thing that may be missing.
        done = subprocess.run(
            ["docker", "build", "-q", "--build-arg", f"BASE={BASE}", "-t", image, str(where)],
            env={**variables, "DOCKER_BUILDKIT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise MissingError(f"the stand-in image cannot be built: {done.stderr.strip()[-400:]}")
    try:
        yield image
    finally:
        subprocess.run(["docker", "rmi", "-f", image], capture_output=True, check=False)


@contextmanager
def running(variables: dict[str, str], image: str) -> Iterator[Stack]:
    """A stack that is up and healthy, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="compose-check-") as folder:
        stack = Stack(Path(folder), variables, image)
        try:
            stack.up()
            yield stack
        finally:
            stack.down()


def say(what: str) -> None:
    print(what, flush=True, file=sys.stderr if os.environ.get("PYTEST_CURRENT_TEST") else sys.stdout)
