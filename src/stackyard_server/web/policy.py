"""The content security policy of a page that somebody else built: what stands in it may run, and nothing added since.

A production build of an Angular app has a script in the page itself, and loads its stylesheets by ``media="print"
onload="..."``. A policy without their digests blocks both, and the app comes up unstyled.
"""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser

#: The kinds of script that a browser runs; other kinds are data.
SCRIPTS = frozenset({"", "module", "text/javascript", "application/javascript"})
#: Styles are made at run time, images and fonts come as data, and code is made from text (the charts do).
REST = (
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'; "
    "object-src 'none'"
)


def policy_for(page: str = "") -> str:
    """The policy for a page, with the digests of its own scripts and of its elements' ``on...`` attributes.

    Args:
        page: The page's HTML; without any, nothing inline is allowed.
    """
    found = _Inline()
    found.feed(page)
    found.close()
    allowed = ["'self'", "'unsafe-eval'", *map(_digest, found.scripts)]
    if found.attributes:
        allowed += ["'unsafe-hashes'", *map(_digest, found.attributes)]
    return f"default-src 'self'; script-src {' '.join(dict.fromkeys(allowed))}; {REST}"


class _Inline(HTMLParser):
    """What of a page runs without being loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.attributes: list[str] = []
        self._inside: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [value for name, value in attrs if name.startswith("on") and value]
        given = dict(attrs)
        if tag == "script" and "src" not in given and (given.get("type") or "").lower() in SCRIPTS:
            self._inside = []

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self._inside.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._inside is not None:
            self.scripts.append("".join(self._inside))
            self._inside = None


def _digest(text: str) -> str:
    # a browser reads every line's end as one line feed before it takes the digest
    read = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"'sha256-{base64.b64encode(hashlib.sha256(read.encode()).digest()).decode()}'"
