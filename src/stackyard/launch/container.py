"""Deployment ``container``: a clearml-agent in docker mode runs the task in its stack's image.

Everything it does is in ``dispatch``; this file says what makes it this deployment: the image, by digest, and the
limits as arguments of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackyard.clearml.sending import Sender
from stackyard.launch.dispatch import DispatchLauncher


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
