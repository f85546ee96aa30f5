"""Images of this machine's Docker Engine as files that another engine loads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from stackyard.errors import NotRunnableError, StackyardError
from stackyard.machine import docker_engine
from stackyard.stacks.installation import Progress

_SECONDS = 3600


def component_of(reference: str) -> str:
    """The name of the component that holds an image."""
    return "image-" + re.sub(r"[^a-z0-9.]+", "-", reference.lower()).strip("-.")


def id_of(reference: str) -> str:
    """The id of an image of this machine.

    Raises:
        NotRunnableError: no engine, or it has no such image.
    """
    found = docker_engine.connect().image_id(reference)
    if found is None:
        raise NotRunnableError(f"the engine has no image {reference}: pull or build it first")
    return found


def fill(folder: Path, reference: str, say: Progress) -> None:
    """Save an image into a folder.

    Raises:
        NotRunnableError: no docker client.
        StackyardError: it could not be saved.
    """
    client = docker_engine.client_path()
    if client is None:
        raise NotRunnableError("no docker client is on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    say(f"saving the image {reference}")
    done = subprocess.run(
        [str(client), "save", "--output", str(folder / "image.tar"), reference],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise StackyardError(f"{reference}: docker save failed: {done.stderr.strip()[-200:]}")
