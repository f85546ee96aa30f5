"""Deployment ``agent``: a clearml-agent takes the task from a queue and runs it on its host, on a pinned stack.

Everything it does is in ``dispatch``; this file says what makes it this deployment: no image.
"""

from __future__ import annotations

from typing import Any

from stackyard.clearml.sending import Sender
from stackyard.launch.dispatch import DispatchLauncher


class AgentLauncher(DispatchLauncher):
    """Starts runs on the hosts of the agents that serve a queue.

    Args:
        sender: puts tasks on the server.
        queue: name of the queue.
        more: the keyword arguments of ``DispatchLauncher``.
    """

    def __init__(self, sender: Sender, queue: str = "cpu", **more: Any) -> None:
        super().__init__(sender, queue, None, **more)
