"""Which browser pages may call: cross-site requests and CORS, on every port. Pure rules over headers and settings.

A browser sends the cookie by itself, so a request that is let in by the cookie alone must come from our own pages
(OWASP CSRF Prevention: verify the origin with standard headers; Fetch Metadata). Clients that send ``Authorization``
chose to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from ..protocol.error_table import error
from ..settings import ServerSettings
from .headers import Headers

#: Who a browser says sent a request. ours: one of our own pages. named: a page of an origin that the operator named.
#: person: nobody's page, but the address bar or a bookmark. unsaid: no browser, or one that says nothing. other: a page
#: of another site.
Sender = Literal["ours", "named", "person", "unsaid", "other"]
#: Where the web port has the file server.
FILES_PATH = "/files"
#: A name or address with a port or none, as a request names its host.
HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
JSON_TYPES = ("application/json", "application/json-lines")
#: What a page of an allowed origin may send.
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, X-Clearml-Client, X-Clearml-Trx, X-Clearml-Worker, X-Clearml-Async",
    ),
    (b"access-control-max-age", b"600"),
]


class Origins:
    """The origins that count as ours, and those the operator lets in."""

    def __init__(self, settings: ServerSettings) -> None:
        given = (settings.web_url, settings.api_url)
        self._ours = {urlsplit(url).netloc.lower() for url in given if url}
        self._web_url = (settings.web_url or "").rstrip("/")
        self._allowed = {origin.rstrip("/").lower() for origin in settings.cors_origins}

    def sender(self, headers: Mapping[str, str]) -> Sender:
        """Who a browser says sent a request: ``Origin`` and ``Sec-Fetch-Site`` together."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        known: Sender | None = None
        if origin is not None:
            if self._is_ours(origin, headers.get("host", "")):
                known = "ours"
            elif self.allows(origin):
                known = "named"
            else:
                return "other"
        if site is None:
            return known or "unsaid"
        if site == "same-origin":
            return "ours"
        if site == "same-site" and self.allows(origin):
            return "named"
        return "person" if site == "none" else "other"

    def of_pages(self, headers: Mapping[str, str], scheme: str) -> str:
        """Where a browser sees our pages: as the operator says, else where it asks. "" where it names no host."""
        if self._web_url:
            return self._web_url
        host = headers.get("host", "")
        return f"{scheme}://{host}" if HOST.fullmatch(host) else ""

    def check(self, headers: Mapping[str, str], reads: bool, body: bool) -> None:
        """Check a call of the API whose only proof is the cookie.

        Args:
            headers: The request's.
            reads: Whether it changes nothing.
            body: Whether it has a body.

        Raises:
            ApiError: 403/0 it may come from another site.
        """
        sender = self.sender(headers)
        # A link may have put it into the address bar: a person may look but not touch.
        if sender == "other" or (sender == "person" and (body or not reads)):
            said = {"origin": headers.get("origin"), "site": headers.get("sec-fetch-site")}
            raise error("cross_site", **{name: value for name, value in said.items() if value is not None})
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type in JSON_TYPES:
            return
        # Without JSON a page elsewhere could send it as a form or an image, without asking first.
        if body or (not reads and sender == "unsaid"):
            raise error("cross_site", content_type=content_type or "none")

    def allows(self, origin: str | None) -> bool:
        """Whether the operator named this origin."""
        return origin is not None and origin.lower() in self._allowed

    def answer_headers(self, origin: str | None, preflight: bool = False) -> Headers:
        """CORS headers for an answer; none but for origins the operator named."""
        if origin is None or not self.allows(origin):
            return []
        allow = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
            (b"vary", b"Origin"),
        ]
        return allow + PREFLIGHT if preflight else allow

    def _is_ours(self, origin: str, host: str) -> bool:
        try:
            netloc = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return bool(netloc) and (netloc == host.lower() or netloc in self._ours)
