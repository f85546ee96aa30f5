"""A build of the official web app (Apache-2.0), served as it is: files, the app's own routes, its configuration."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import orjson
from starlette.responses import FileResponse, Response

from ..calls import Services
from ..http import headers
from ..http.edge import Port
from ..http.errors import Refused
from ..http.exchange import Exchange


class WebApp(Port):
    """The application that serves a build's folder.

    Raises:
        ValueError: The folder holds no build.
    """

    always = headers.WEBAPP

    def __init__(self, folder: Path, services: Services) -> None:
        self.folder = folder.resolve()
        self.services = services
        if not (self.folder / "index.html").is_file():
            raise ValueError(f"{folder} holds no build of the web app: it has no index.html.")

    async def answer(self, exchange: Exchange) -> None:
        """A file of the build, the configuration, or the page that knows its own routes."""
        answer = self.find(exchange.method, exchange.path)
        await answer(exchange.scope, exchange.gone, exchange.send)

    def configuration(self) -> dict[str, object]:
        """What the app reads at start: everything under its own origin, sign-in by password, no call elsewhere."""
        urls = self.services.urls
        return {
            "apiBaseUrl": "/api",
            "fileBaseUrl": urls["files"],
            "useFilesProxy": True,
            "displayedServerUrls": {"apiServer": urls["api"], "filesServer": urls["files"]},
            "onlyPasswordLogin": True,
            "loginFallback": "error",
            "userKey": "",
            "userSecret": "",
            "hideUpdateNotice": True,
            "showSurvey": False,
            "displayTips": False,
            "GTM_ID": None,
            "blockUserScript": True,
        }

    def find(self, method: str, path: str) -> Response:
        """The answer to a path.

        Raises:
            Refused: 405.
        """
        if method not in ("GET", "HEAD"):
            raise Refused(405, "Only GET is served here.")
        name = path.lstrip("/")
        if name == "configuration.json":
            body = orjson.dumps(self.configuration())
            return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
        if "\0" not in name and "\\" not in name:
            wanted = (self.folder / name).resolve()
            if wanted.is_relative_to(self.folder) and wanted.is_file():
                kind = mimetypes.guess_type(wanted.name)[0] or "application/octet-stream"
                return FileResponse(wanted, media_type=kind)
        return FileResponse(
            self.folder / "index.html", media_type="text/html", headers={"cache-control": "no-cache"}
        )
