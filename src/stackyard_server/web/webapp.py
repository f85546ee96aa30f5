"""A build of the official web app (Apache-2.0), served as it is: files, the app's own routes, its configuration."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ..call import Services

#: The build brings inline styles and images as data; scripts only its own.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'self'; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)


class WebApp:
    """The application that serves a build's folder.

    Raises:
        ValueError: The folder holds no build.
    """

    def __init__(self, folder: Path, services: Services) -> None:
        self.folder = folder.resolve()
        self.services = services
        if not (self.folder / "index.html").is_file():
            raise ValueError(f"{folder} holds no build of the web app: it has no index.html.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange: a file of the build, the configuration, or the page that knows its own routes."""
        request = Request(scope)
        answer = self.find(request.method, scope.get("path", "/"))
        answer.headers["content-security-policy"] = POLICY
        answer.headers["x-content-type-options"] = "nosniff"
        answer.headers["referrer-policy"] = "same-origin"
        await answer(scope, receive, send)

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
        """The answer to a path."""
        if method not in ("GET", "HEAD"):
            return PlainTextResponse("Only GET is served here.", 405)
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
