"""The app: the edge, the pages of every section, the few files they load."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stackyard.web import compare, reports, signing, studies
from stackyard.web.edge import Edge
from stackyard.web.section import Section
from stackyard.web.site import Site, Visit

#: The rooms, in the order of the navigation. A new one is added here and nowhere else.
SECTIONS: tuple[Section, ...] = (compare.SECTION, reports.SECTION, studies.SECTION)
STATIC = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make(site: Site) -> ASGIApp:
    """The app of a site."""
    files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in _KINDS}

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404)
        headers = {"cache-control": "public, max-age=300"}
        return Response(files[name], media_type=_KINDS[Path(name).suffix], headers=headers)

    async def first(visit: Visit) -> Response:
        return await visit.page("first.html")

    async def not_there(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return site.refusal(
            request, None, status, "There is no such page." if status == 404 else "Not allowed."
        )

    async def broken(request: Request, error: Exception) -> Response:
        return site.refusal(
            request, None, 500, "Something broke here; the log of `stackyard web` has the rest."
        )

    routes = [
        Route("/", site.showing(first), methods=["GET"]),
        Route("/static/{name}", static, methods=["GET"]),
        *signing.routes(site),
        *(route for section in site.sections for route in section.routes(site)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: not_there, Exception: broken})
    app.router.redirect_slashes = False  # it would repeat whatever the Host header says
    return Edge(app, site.names)
