"""The file server: its own port, its own rules."""

from __future__ import annotations

from .api import Receive, Scope, Send, respond
from .dispatch import Services


class FileServer:
    """The application of the files port."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange."""
        await respond(send, 404, b"", [])
