"""Deployment ``agent``: a clearml-agent takes the task from a queue and runs it on its host, on a pinned stack.

Everything it does is in ``dispatch``; this file says what makes it this deployment: no image, a stack that is built.
"""

from __future__ import annotations

from typing import Any

from stackyard.clearml.sending import Sender
from stackyard.launch.dispatch import DispatchedDeployment, DispatchLauncher


class AgentDeployment(DispatchedDeployment):
    """Runs happen on the hosts of the agents that serve a queue, on the stacks that are built there."""

    name = "agent"
    about = "a clearml-agent runs it on its host"

    def queue(self, gpus: int) -> str:
        """The queue of agents on hosts with or without GPUs."""
        return "gpu" if gpus else "cpu"

    def through(self, sender: Sender, queue: str) -> AgentLauncher:
        """The launcher of a queue."""
        return AgentLauncher(sender, queue)

    def stack_missing(self, stack: str) -> str | None:
        """That the stack is not built here, or ``None``."""
        if self.premises.python_of(stack) is None:
            return f"not built: run `stackyard stack build {stack}`"
        return None


class AgentLauncher(DispatchLauncher):
    """Starts runs on the hosts of the agents that serve a queue.

    Args:
        sender: puts tasks on the server.
        queue: name of the queue.
        more: the keyword arguments of ``DispatchLauncher``.
    """

    def __init__(self, sender: Sender, queue: str = "cpu", **more: Any) -> None:
        super().__init__(sender, queue, None, **more)
