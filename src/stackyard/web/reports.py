"""The room "Reports": reports that lie on this machine, listed and shown, each in a sandbox of the browser."""

from __future__ import annotations

import functools
import io
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from stackyard.web import run_folders
from stackyard.web.edge import POLICY
from stackyard.web.run_folders import FILES, RunFolders
from stackyard.web.section import Section
from stackyard.web.site import Site, Visit

_CHUNK = 1 << 18
#: A report's own two scripts run, in an origin of its own: it reads nothing of ours, asks for nothing, leads nowhere.
_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_FRAMING = POLICY.replace("frame-ancestors", "frame-src 'self'; frame-ancestors")


def _routes(site: Site) -> Sequence[BaseRoute]:
    folders = RunFolders(site.folders)

    async def listed(visit: Visit) -> Response:
        found = await visit.short("reports", folders.found)
        return await visit.page("reports.html", found=found, folders=[str(folder) for folder in site.folders])

    async def show(visit: Visit) -> Response:
        params = visit.request.path_params
        place, name = params["place"], params["name"]
        there = await visit.short(("report", place, name), functools.partial(folders.files, place, name))
        if not there:
            return site.refusal(visit.request, visit, 404, "There is no such report.")
        base = f"/reports/files/{quote(place)}/{quote(name)}"
        return await visit.page("report.html", policy=_FRAMING, name=name, files=there, base=base)

    async def file(visit: Visit) -> Response:
        params = visit.request.path_params
        kind = FILES.get(params["file"])
        opening = functools.partial(folders.open, params["place"], params["name"], params["file"])
        opened = await run_in_threadpool(opening) if kind else None
        if opened is None or kind is None:
            return site.refusal(visit.request, visit, 404, "There is no such file.")
        shown = params["file"].endswith(".html")
        headers = {
            "content-length": str(opened[1]),
            "content-security-policy": _SANDBOX if shown else "sandbox; default-src 'none'",
            "content-disposition": f'{"inline" if shown else "attachment"}; filename="{params["file"]}"',
        }
        if shown:
            headers["x-frame-options"] = "SAMEORIGIN"
        return StreamingResponse(_pieces(*opened), media_type=kind, headers=headers)

    return [
        Route("/reports", site.showing(listed), methods=["GET"]),
        Route("/reports/show/{place}/{name:path}", site.showing(show), methods=["GET"]),
        Route("/reports/files/{place}/{name:path}/{file}", site.showing(file), methods=["GET"]),
    ]


async def _pieces(file: io.FileIO, size: int) -> AsyncIterator[bytes]:
    """The bytes of a file, up to the size that was told; closes it."""
    with file:
        while size > 0:
            piece = await run_in_threadpool(file.read, min(_CHUNK, size))
            if not piece:
                break
            size -= len(piece)
            yield piece


SECTION = Section(
    "Reports",
    "/reports",
    f"Reports of this machine, the newest {run_folders.MOST_SHOWN} first: scenarios, and what else was compared here.",
    _routes,
)
