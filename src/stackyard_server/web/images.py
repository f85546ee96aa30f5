"""The page of a task's debug images and other media, newest first, a bounded number at a time."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from .task_pages import task_head
from .visit import Visit, file_link, title_of

#: Images of one page.
MOST_IMAGES = 60


@dataclass(frozen=True, slots=True)
class Image:
    """What was reported at one iteration."""

    title: str
    iteration: int
    #: Where it is to be had; None where a browser cannot get it.
    link: str | None
    address: str
    #: Whether it is shown on the page: a picture that this server has.
    shown: bool


def read(event: dict[str, Any], link: str | None) -> Image:
    """An image from its event. Pure."""
    address = str(event.get("url") or "")
    try:
        kind = mimetypes.guess_type(urlsplit(address).path)[0] or ""
    except ValueError:  # a client may report anything, such as "http://["
        kind = ""
    shown = link is not None and link.startswith("/") and kind.startswith("image/")
    return Image(title_of(event), int(event.get("iter") or 0), link, address, shown)


async def task_images(visit: Visit) -> Response:
    """The images of the newest iterations; an address that a later iteration used again counts once."""
    found = await task_head(visit, [])
    after = visit.request.query_params.get("after")
    answer = await visit.ask(
        "events.get_task_events", task=found["id"], event_type="training_debug_image", order="desc",
        batch_size=MOST_IMAGES, **({"scroll_id": after} if after else {}),
    )  # fmt: skip
    events: dict[str, dict[str, Any]] = {}
    for event in answer["events"]:
        events.setdefault(str(event.get("url") or ""), event)
    shown = list(events.values())[:MOST_IMAGES]  # an iteration stays together, and may have any number
    images = [read(event, file_link(visit.services, event.get("url"))) for event in shown]
    return await visit.page(
        "task_images.html", tab="images", task=found, images=images, count=answer["total"], after=after,
        left_out=len(events) - len(shown),
        further=answer["scroll_id"] if len(answer["events"]) >= MOST_IMAGES else None,
    )  # fmt: skip
