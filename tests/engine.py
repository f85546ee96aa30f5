"""A real Docker Engine for tests, its base images and the stacks' images; and why a test goes without.

``tests/engine_setup.sh start`` makes what is missing on a fresh Debian machine; here nothing is installed, only
looked at. A test asks for the fixture ``engine`` (or one that builds on it) and is skipped with the reason where
there is none. What is built stays in ``.stackyard/tests/engine`` for the next run.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.errors import StackyardError
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from stackyard.settings import Settings
from stackyard.stacks import images

HOME = Path(__file__).resolve().parent.parent / ".stackyard" / "tests" / "engine"
#: Python's minor version -> the base image that has it.
BASES = {"3.11": "stackyard-base:bookworm", "3.9": "stackyard-base:bullseye"}
#: Marks containers of a test, so that none is left behind.
LABEL = "stackyard.test"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine that answers."""
    try:
        return docker_engine.connect()
    except StackyardError as reason:
        pytest.skip(f"{reason} (tests/engine_setup.sh start)")


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> Callable[[str], str]:
    """Gives the base image with a Python: "3.11" or "3.9"."""

    def base(minor: str = "3.11") -> str:
        reference = BASES.get(minor)
        if reference is None or engine.image_id(reference) is None:
            pytest.skip(f"no base image with Python {minor} (tests/engine_setup.sh start)")
        return reference

    return base


@pytest.fixture(scope="session")
def stack_image(engine: Engine, base_image: Callable[[str], str]) -> Callable[[str], images.StackImage]:
    """Gives the image of a real stack, built where it is not there yet (about a minute)."""
    settings = Settings(home=HOME)

    def image(name: str = stacks.DEFAULT) -> images.StackImage:
        stack = stacks.load()[name]
        HOME.mkdir(parents=True, exist_ok=True)
        with (HOME / "build.lock").open("w") as lock:  # several processes may share the tests
            fcntl.flock(lock, fcntl.LOCK_EX)
            if images.why_not(stack, settings, engine) is not None:
                options = images.BuildOptions(base=base_image(stack.python))
                try:
                    print(f"building the image of {name} ...", flush=True)
                    return images.build(stack, settings, options)
                except StackyardError as reason:
                    pytest.skip(f"no image of {name}: {reason}")
            return images.recorded(settings)[name]

    return image


@pytest.fixture
def no_containers_left(engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """A label ("key=value") for the containers of one test; whatever still carries it afterwards is an error."""
    label = f"{LABEL}={request.node.name}"
    yield label
    left = engine.containers(label)
    for container in left:
        engine.stop(container.id, 0)
    assert not left, "containers were left behind"


def docker(*arguments: str) -> str:
    """What the docker client prints; for looking from outside, as an operator would."""
    client = docker_engine.client_path()
    assert client is not None
    return subprocess.run([str(client), *arguments], capture_output=True, text=True, check=True).stdout
