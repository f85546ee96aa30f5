"""What a room of the web app says of itself; ``app`` lists the rooms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from stackyard.web.site import Site


@dataclass(frozen=True)
class Section:
    """One room."""

    title: str
    #: Where it begins, and what all its addresses begin with.
    path: str
    #: One sentence for the first page.
    about: str
    #: Its routes, each of a page of ``Site.showing``.
    routes: Callable[[Site], Sequence[BaseRoute]]
