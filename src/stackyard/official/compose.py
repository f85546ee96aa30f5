"""``docker compose`` on one installation: what backup and restore ask of it.

Compose reads its own variables (COMPOSE_FILE, DOCKER_HOST, DOCKER_CONFIG) as it does in a shell.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from stackyard.errors import NotRunnableError, StackyardError


class Compose:
    """Runs ``docker compose`` in a folder.

    Args:
        folder: where docker-compose.yml is.

    Raises:
        NotRunnableError: Compose v2 does not answer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if shutil.which("docker") is None:
            raise NotRunnableError(
                "the docker command is missing; docs/official-server.md says what to install"
            )
        done = subprocess.run(
            ["docker", "compose", "version", "--short"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NotRunnableError(
                "`docker compose` does not answer: install Compose v2 (the package docker-compose-plugin)"
            )
        self.version = done.stdout.strip()

    def run(
        self,
        *arguments: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        profiles: Sequence[str] = (),
    ) -> str:
        """What a command wrote.

        Args:
            arguments: what follows ``docker compose``.
            stdin: what it reads.
            stdout: where its output goes, instead of being answered.
            profiles: profiles that are on.

        Raises:
            StackyardError: it failed; the message has its last lines.
        """
        chosen = [part for profile in profiles for part in ("--profile", profile)]
        done = subprocess.run(
            ["docker", "compose", *chosen, *arguments],
            cwd=self.folder,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-6:]
            raise StackyardError(f"docker compose {' '.join(arguments[:2])}: {' | '.join(said)}")
        return "" if stdout else done.stdout.decode(errors="replace")

    def shell(
        self, service: str, script: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> str:
        """What a shell script wrote in a running container."""
        return self.run("exec", "-T", service, "sh", "-euc", script, stdin=stdin, stdout=stdout)
