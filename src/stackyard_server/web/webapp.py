"""A build of the official web app (Apache-2.0), served as it is: files, the app's own routes, its configuration.

The build for reports' embedded charts is a second one, in the folder ``widgets`` of the first.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import quote

import orjson
from starlette.responses import FileResponse, RedirectResponse, Response

from ..calls import Services
from ..http import headers
from ..http.edge import Port
from ..http.errors import Refused
from ..http.exchange import Exchange
from ..http.origins import FILES_PATH, Origins
from ..settings import WEBAPP_PAGE, webapp_build
from .policy import policy_for

CONFIGURATION = "configuration.json"
#: Read again each time: the next build has other names in it.
FRESH = {"cache-control": "no-cache"}


class WebApp(Port):
    """The application that serves a build's folder.

    Raises:
        ValueError: The folder holds no build.
    """

    always = [(b"content-security-policy", policy_for().encode()), *headers.WEBAPP]  # noqa: RUF012

    def __init__(self, folder: Path, services: Services, origins: Origins) -> None:
        found = webapp_build(folder)
        if found is None:
            raise ValueError(f"{folder} holds no build of the web app: it has no {WEBAPP_PAGE}.")
        self.folder = found.resolve()
        self.services = services
        self._origins = origins
        self._pages = {path: _Page(path) for path in self.folder.rglob("*.html")}

    async def answer(self, exchange: Exchange) -> None:
        """A file of the build, the configuration, or the page that knows its own routes."""
        answer = self.find(exchange)
        await answer(exchange.scope, exchange.gone, exchange.send)

    def configuration(self, files_url: str) -> dict[str, object]:
        """What the app reads at start: everything under its own origin, sign-in by password, no call elsewhere.

        Args:
            files_url: Where this browser gets stored files: below the pages' own origin, as their policy asks.
        """
        urls = self.services.urls
        return {
            "apiBaseUrl": "/api",
            "fileBaseUrl": files_url,
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
            # true would take each user's own switch away, and with it every report's content
            "blockUserScript": False,
        }

    def find(self, exchange: Exchange) -> Response:
        """The answer to a request.

        Raises:
            Refused: 405; 404 a file that the build does not have.
        """
        if exchange.method not in ("GET", "HEAD"):
            refused = Refused(405, "Only GET is served here.")
            refused.headers.append(("Allow", "GET, HEAD"))
            raise refused
        name = exchange.path.lstrip("/")
        if "\0" in name or "\\" in name:
            return self._page(self.folder)
        wanted = (self.folder / name).resolve()
        if not wanted.is_relative_to(self.folder):
            return self._page(self.folder)
        if wanted.name == CONFIGURATION and wanted.parent / WEBAPP_PAGE in self._pages:
            origin = self._origins.of_pages(exchange.headers, exchange.scope["scheme"])
            body = orjson.dumps(self.configuration(f"{origin}{FILES_PATH}"))
            return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
        if wanted in self._pages:
            return self._pages[wanted].response()
        if wanted.is_file():
            kind = mimetypes.guess_type(wanted.name)[0] or "application/octet-stream"
            return FileResponse(wanted, media_type=kind)
        if wanted != self.folder and wanted / WEBAPP_PAGE in self._pages and not name.endswith("/"):
            query = f"?{exchange.query.decode('latin-1')}" if exchange.query else ""
            return RedirectResponse(f"/{quote(name)}/{query}")
        # A browser that goes to a page says so; a script or image that is not there is no page.
        if "." in wanted.name and "text/html" not in exchange.headers.get("accept", ""):
            raise Refused(404, "The build has no such file.")
        return self._page(wanted)

    def _page(self, wanted: Path) -> Response:
        """The page of the build in which a route lies."""
        for folder in (wanted, *wanted.parents):
            page = self._pages.get(folder / WEBAPP_PAGE)
            if page is not None:
                return page.response()
        raise Refused(404)


class _Page:
    """One HTML file of a build, and the policy made from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._policy = policy_for(path.read_text("utf-8", "replace"))

    def response(self) -> Response:
        """The file, with its policy."""
        return FileResponse(
            self._path, media_type="text/html", headers={**FRESH, "content-security-policy": self._policy}
        )
