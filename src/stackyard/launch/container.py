"""Deployment ``container``: a clearml-agent in docker mode runs the task in its stack's image.

Everything it does is in ``dispatch``; this file says what makes it this deployment: the image, by digest, and the
limits as arguments of the engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stackyard.clearml.sending import Sender
from stackyard.errors import StackyardError
from stackyard.launch.dispatch import DispatchedDeployment, DispatchLauncher
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from stackyard.stacks import images


class ContainerDeployment(DispatchedDeployment):
    """Runs happen in containers of the stacks' images, which agents start that serve a queue."""

    name = "container"
    about = "a clearml-agent runs it in a container of its stack's image"
    in_container = True
    #: A container has no cgroup that the supervisor may write to.
    measured_by_cgroup = False

    def queue(self, gpus: int) -> str:
        """The queue of agents in docker mode with or without GPUs."""
        return "gpu-container" if gpus else "cpu-container"

    def through(self, sender: Sender, queue: str) -> ContainerLauncher:
        """The launcher of a queue."""
        return ContainerLauncher(sender, queue, self._image)

    def stack_missing(self, stack: str) -> str | None:
        """That there is no engine here, or no image of the stack as it is defined; or ``None``."""
        engine, settings, defined = self._engine, self.premises.settings, self.premises.stacks[stack]
        if isinstance(engine, str):
            return f"no Docker Engine: {engine}"
        if defined.base is not None and defined.folder == defined.base.folder:
            return "its packages are not resolved yet, so there is no image of them: run the scenario once"
        try:
            image = images.recorded(settings).get(defined.name)
            if image is not None and image.stack_digest != defined.digest:
                return (
                    f"the image of {stack} holds the stack as {image.stack_digest[:12]}, here it is "
                    f"{defined.digest[:12]}: run `stackyard stack image build {defined.name}`"
                )
            return images.why_not(defined, settings, engine)
        except StackyardError as error:
            return str(error)

    def warm(self, stack: str, code: Path) -> None:
        """Load a stack's image once, where the workers are on this machine."""
        engine, defined = self._engine, self.premises.stacks[stack]
        image = images.recorded(self.premises.settings).get(defined.name)
        if isinstance(engine, Engine) and image is not None and self.offer.is_local():
            loaded = "import numpy, torch" if defined.torch else "import numpy"
            engine.output(image.image_id, [images.STACK_PYTHON, "-c", loaded])

    @functools.cached_property
    def _engine(self) -> Engine | str:
        try:
            return docker_engine.connect()
        except StackyardError as error:
            return str(error)

    def _image(self, stack: str) -> str:
        elsewhere = not self.offer.is_local()
        found = images.reference(self.premises.stacks[stack], self.premises.settings, elsewhere)
        assert found is not None  # stack_missing says so before
        return found


class ContainerLauncher(DispatchLauncher):
    """Starts runs in containers of the agents that serve a queue.

    Args:
        sender: puts tasks on the server.
        queue: name of the queue.
        image_of: stack name -> the image's reference, with its digest.
        more: the keyword arguments of ``DispatchLauncher``.
    """

    def __init__(self, sender: Sender, queue: str, image_of: Callable[[str], str], **more: Any) -> None:
        super().__init__(sender, queue, image_of, **more)
