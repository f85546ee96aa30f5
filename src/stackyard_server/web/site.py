"""The web port: our own pages, or a build of the official web app, API and files under the same origin."""

from __future__ import annotations

from ..api import Api, Receive, Scope, Send, respond
from ..dispatch import Services
from ..files import FileServer


class Site:
    """The application of the web port."""

    def __init__(self, services: Services, api: Api, files: FileServer) -> None:
        self.services = services
        self.api = api
        self.files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange."""
        await respond(send, 404, b"", [])
