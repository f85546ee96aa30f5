"""What a ClearML server and its workers offer a matrix: which cells can be dispatched, and the launchers for them.

Asked by ``site`` only when a matrix has a dispatched deployment, because the client's libraries take a moment to
load. Everything is looked up once and kept: a plan is made at one moment. May import connection, the client, launch
and stacks; never planning, runner, reports or cli.
"""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from stackyard import stacks
from stackyard.clearml import connection
from stackyard.clearml.client import Client
from stackyard.clearml.sending import Sender
from stackyard.errors import StackyardError
from stackyard.launch import Launcher
from stackyard.launch.agent import AgentLauncher
from stackyard.launch.container import ContainerLauncher
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from stackyard.settings import Settings
from stackyard.specs import CONTAINER, StackSpec
from stackyard.stacks import images

#: How long planning waits for a server that does not answer.
PATIENCE_SECONDS = 2.0
#: A worker that has reported within so long is there.
LAST_SEEN_SECONDS = 120


@dataclass(frozen=True)
class Offer:
    """The server as it was found."""

    client: Client
    #: Queue name -> ids of the workers that listen on it.
    workers: Mapping[str, tuple[str, ...]]
    #: Whether the server is on this machine, and so its agents.
    local: bool


class Dispatching:
    """The dispatched half of a site.

    Args:
        settings: where the server's credentials and the images are recorded.
        defined: the stacks that are defined, by name.
    """

    def __init__(self, settings: Settings, defined: Mapping[str, StackSpec]) -> None:
        self._settings = settings
        self._defined = defined

    def why_not(self, deployment: str, stack: str, gpus: int, workers: int) -> str | None:
        """Why a cell cannot be dispatched, in words, or ``None``.

        Args:
            deployment: "agent" or "container".
            stack: the stack's name.
            gpus: how many GPUs the cell needs.
            workers: how many workers are to share its work.
        """
        offer = self._offer
        if isinstance(offer, str):
            return offer
        queue = queue_of(deployment, gpus)
        listening = offer.workers.get(queue, ())
        if len(listening) < workers:
            if listening:
                return (
                    f"{len(listening)} of {workers} workers serve queue {queue}: give it more slots in "
                    "agents/queues.toml and run `stackyard up`"
                )
            return f"no worker serves queue {queue}: run `stackyard up`"
        if not offer.local:
            return None  # what the workers' machines hold is theirs to say, when a task comes
        if deployment == CONTAINER:
            return self._image_missing(self._defined[stack])
        if stacks.python_of(self._defined[stack], self._settings) is None:
            return f"not built: run `stackyard stack build {stack}`"
        return None

    def is_local(self) -> bool:
        """Whether the workers are on this machine, as far as the server's address tells."""
        return isinstance(self._offer, Offer) and self._offer.local

    def launcher(self, deployment: str, gpus: int) -> Launcher:
        """The launcher of a dispatched deployment.

        Raises:
            StackyardError: there is no server; ``why_not`` says so before.
        """
        queue = queue_of(deployment, gpus)
        if deployment == CONTAINER:
            return ContainerLauncher(self._sender, queue, self._image)
        return AgentLauncher(self._sender, queue)

    def warm(self, stack: str) -> None:
        """Load a stack's image once, so that no measured run pays for a cold disk."""
        engine, image = self._engine, images.recorded(self._settings).get(stack)
        if isinstance(engine, Engine) and image is not None and self.is_local():
            engine.output(image.image_id, [images.STACK_PYTHON, "-c", "import numpy, torch"])

    # -- looked up once ----------------------------------------------------------------------------

    @functools.cached_property
    def _offer(self) -> Offer | str:
        """The server, or why there is none."""
        try:
            found = connection.find(self._settings)
        except StackyardError:
            return "no ClearML server is known: run `stackyard up`"
        try:
            with Client(found, patience_seconds=PATIENCE_SECONDS) as probe:
                seen = probe.call("workers.get_all", last_seen=LAST_SEEN_SECONDS)["workers"]
        except StackyardError as error:
            return f"{error} (run `stackyard up`)"
        workers: dict[str, tuple[str, ...]] = {}
        for worker in seen:
            for queue in worker.get("queues") or []:
                workers[queue["name"]] = (*workers.get(queue["name"], ()), worker["id"])
        host = urllib.parse.urlsplit(found.api).hostname or ""
        return Offer(Client(found), workers, host in ("localhost", "::1") or host.startswith("127."))

    @functools.cached_property
    def _sender(self) -> Sender:
        if isinstance(self._offer, str):
            raise StackyardError(self._offer)
        return Sender(self._offer.client)

    @functools.cached_property
    def _engine(self) -> Engine | str:
        try:
            return docker_engine.connect()
        except StackyardError as error:
            return str(error)

    def _image_missing(self, stack: StackSpec) -> str | None:
        if isinstance(self._engine, str):
            return f"no Docker Engine: {self._engine}"
        try:
            image = images.recorded(self._settings).get(stack.name)
            if image is not None and image.stack_digest != stack.digest:
                return (
                    f"the image of {stack.name} holds the stack as {image.stack_digest[:12]}, here it is "
                    f"{stack.digest[:12]}: run `stackyard stack image build {stack.name}`"
                )
            return images.why_not(stack, self._settings, self._engine)
        except StackyardError as error:
            return str(error)

    def _image(self, stack: str) -> str:
        return images.recorded(self._settings)[stack].reference


def queue_of(deployment: str, gpus: int) -> str:
    """The queue of ``agents/queues.toml`` that serves a deployment."""
    return f"{'gpu' if gpus else 'cpu'}{'-container' if deployment == CONTAINER else ''}"
