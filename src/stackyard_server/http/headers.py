"""What is read of a request's headers, and what every answer of each port carries."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..protocol.error_table import error

Headers = list[tuple[bytes, bytes]]

#: Who calls, from where, and what comes with it: said twice, a proxy and this server might read different ones.
ONLY_ONCE = frozenset(
    {
        *(b"authorization", b"cookie", b"host", b"origin", b"sec-fetch-site", b"x-clearml-worker"),
        *(b"content-type", b"content-length", b"content-encoding"),
    }
)

#: The names of gzip (RFC 9110, 8.4.1.3), and a weight that is not 0.
GZIP = ("gzip", "x-gzip")
WEIGHT = re.compile(r"1(\.0{0,3})?|0\.(?!0*$)[0-9]{1,3}", re.ASCII)

#: The API: data, kept by nobody.
API: Headers = [
    (b"server", b"clearml"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
#: Stored files: nothing loads, nothing runs, nobody frames it.
FILES: Headers = [
    (b"server", b"clearml"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"referrer-policy", b"no-referrer"),
]
#: What no port answers, because it is no request.
NO_REQUEST: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_PAGES_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: The policy of pages with charts: a chart draws its heat maps, and what one saves of it, as pictures of its own.
PAGES_THAT_DRAW = _PAGES_POLICY.format(" data: blob:")
#: Our own pages: no inline script or style, nothing from elsewhere, forms to us only.
PAGES: Headers = [
    (b"content-security-policy", _PAGES_POLICY.format("").encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
#: A build of the official web app; its policy is made from its pages (``web.policy``).
WEBAPP: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]


def read(sent: Headers) -> dict[str, str]:
    """A request's headers by name, in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in sent}


def encoded(said: Iterable[tuple[str, str]]) -> Headers:
    """An answer's headers, from text."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said]


def check_repeated(sent: Headers) -> None:
    """Refuse a request that says twice who calls or what it brings.

    Raises:
        ApiError: 400/0.
    """
    names = [name for name, _ in sent if name in ONLY_ONCE]
    if len(names) != len(set(names)):
        raise error("bad_request")


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client takes an answer in gzip: it names it, with no weight or one above 0 (RFC 9110, 12.4.2)."""
    if not accept_encoding:
        return False
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding in GZIP:
            return all(_weighs(parameter) for parameter in parameters)
    return False


def _weighs(parameter: str) -> bool:
    name, _, weight = (piece.strip() for piece in parameter.partition("="))
    return name != "q" or WEIGHT.fullmatch(weight) is not None


def complete(answer: Headers, always: Headers) -> Headers:
    """An answer's headers, with those of ``always`` that it does not set itself."""
    own = dict(answer)
    return [pair for pair in always if pair[0] not in own] + answer
