"""Plays one recorded exchange against a server and says what differs.

Lives here: the connection, headers and sessions of the replayed clients, and the comparison of a whole answer: status,
content type, envelope, data. Lives elsewhere: bodies (``bodies``), equality of values (``comparison``), the order of
exchanges and what is put into the server first (``suite``, ``seeding``).
May import: the standard library and the rooms named.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import gzip
import http.client
import json
import time
import urllib.parse
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.waiting import PATIENCE_SECONDS

from .bodies import build_body, imagine_upload, translate_content
from .comparison import TIMED_ENDPOINTS, Comparison, Difference, shorten
from .mapping import MOMENT, Mapping, parse_moment
from .recordings import HEX_ID, Exchange

FILE_HEADERS = ("Content-Disposition", "Cache-Control", "Accept-Ranges", "Content-Range")
COOKIE = "clearml_token_basic"
# Hop-by-hop headers, and those that follow from the body sent.
_OWN_HEADERS = {"host", "content-length", "connection", "transfer-encoding", "authorization", "cookie"}


@dataclass
class Target:
    """The server under test.

    Attributes:
        open_session: Gives a token for a recorded user (``__tests__``, or the web user's id).
        key_of: Recorded access key -> (access key, secret) of the server under test.
        hidden_ids: Users that only the suite needs: left out of the answers' lists.
    """

    api: str
    files: str
    web: str
    open_session: Callable[[str], str]
    key_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    hidden_ids: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Answer:
    """What a server answered: the body decoded, not parsed."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Outcome:
    """One exchange played."""

    exchange: Exchange
    differences: list[Difference]
    sent: Any = None
    seeded: bool = False


class Player:
    """Plays the exchanges of one recorded server, keeping its sessions and its mapping."""

    def __init__(self, target: Target, mapping: Mapping, stored: dict[str, bytes]) -> None:
        self.target = target
        self.mapping = mapping
        self.stored = stored
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self._sessions: dict[tuple[str, str], str] = {}
        self._standing: dict[str, str] = {}
        self._short_lived = ""
        self._last_tag = ""
        self._uploaded: set[str] = set()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()

    def send(self, base: str, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """The answer to a request; one kept connection a base address.

        Raises:
            OSError: The server does not answer.
        """
        for attempt in (1, 2):
            connection = self._connections.get(base)
            if connection is None:
                parts = urllib.parse.urlsplit(base)
                kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
                connection = self._connections[base] = kind(parts.netloc, timeout=PATIENCE_SECONDS)
            try:
                connection.putrequest(method, path, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                if body is not None or method in ("POST", "PUT"):
                    connection.putheader("Content-Length", str(len(body or b"")))
                connection.endheaders(body)
                response = connection.getresponse()
                raw = response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                del self._connections[base]
                if attempt == 2:
                    raise
                continue
            known = {name.title(): value for name, value in response.getheaders()}
            return Answer(response.status, known, _decode(raw, known.get("Content-Encoding", "")))
        raise AssertionError

    def ask(self, beside: Exchange, endpoint: str, data: dict[str, Any]) -> dict[str, Any]:
        """The envelope of a call of the suite's own, made by the client of an exchange in its session."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token(beside)}"}
        if worker := beside.headers.get("X-ClearML-Worker"):
            headers["X-ClearML-Worker"] = worker
        answer = self.send(self.target.api, "POST", f"/v2.34/{endpoint}", headers, json.dumps(data).encode())
        envelope: dict[str, Any] = json.loads(answer.body)
        return envelope

    def play(self, exchange: Exchange) -> Outcome:
        """Send one exchange and compare; a server that does not answer is a difference like others."""
        self._begin_scroll(exchange)
        self._provide_file(exchange)
        sent = self._translate_request(exchange)
        body = build_body(exchange, sent, self.stored, self.mapping.translate_text)
        base = self.target.files if exchange.client == "files" else self.target.api
        try:
            answer = self.send(base, exchange.method, self._path(exchange), self._headers(exchange), body)
        except (OSError, http.client.HTTPException) as fault:
            return Outcome(exchange, [Difference("status", str(exchange.status), repr(fault))], sent)
        return Outcome(exchange, self._compare(exchange, answer), sent)

    def _begin_scroll(self, exchange: Exchange) -> None:
        """Make the first call of a scroll that the recordings dropped as a repeated poll."""
        request = exchange.request
        if not isinstance(request, dict) or not exchange.endpoint.endswith("get_all_ex"):
            return
        recorded = request.get("scroll_id")
        if (
            not isinstance(recorded, str)
            or not HEX_ID.fullmatch(recorded)
            or self.mapping.find_text(recorded)
        ):
            return
        first = replace(exchange, request={**request, "scroll_id": None, "refresh_scroll": True})
        body = build_body(exchange, self._translate_request(first), self.stored)
        answer = self.send(
            self.target.api, exchange.method, self._path(exchange), self._headers(exchange), body
        )
        ours = _parse(answer)
        if answer.status == 200 and isinstance(ours, dict) and isinstance(ours["data"].get("scroll_id"), str):
            self.mapping.replace_text(recorded, ours["data"]["scroll_id"])

    def _provide_file(self, exchange: Exchange) -> None:
        """Upload what a recorded download or deletion found, where the recordings lack the upload."""
        if exchange.client != "files":
            return
        if exchange.method == "POST" and isinstance(exchange.response, list):
            self._uploaded.update(exchange.response)
        path = urllib.parse.unquote(exchange.path.split("?")[0]).lstrip("/")
        if (
            exchange.method == "POST"
            or exchange.status != 200
            or path in self._uploaded
            or path not in self.stored
        ):
            return
        boundary = "provided"
        content = translate_content(self.stored[path], self.mapping.translate_text)
        body = imagine_upload(boundary, self.mapping.translate_text(path), 0, content)
        headers = {**self._headers(exchange), "Content-Type": f"multipart/form-data; boundary={boundary}"}
        self.send(self.target.files, "POST", "/", headers, body)
        self._uploaded.add(path)

    def ask_raw(self, exchange: Exchange) -> Answer:
        """The answer to an exchange's request as it stands, nothing translated."""
        body = build_body(exchange, exchange.request, self.stored)
        return self.send(self.target.api, exchange.method, exchange.path, self._headers(exchange), body)

    def _path(self, exchange: Exchange) -> str:
        path = self.mapping.translate_text(exchange.path)
        return path if exchange.client == "files" else path.replace(" ", "%20")

    def _translate_request(self, exchange: Exchange) -> Any:
        value = self.mapping.translate(exchange.request)
        action = exchange.endpoint.partition(".")[2]
        if isinstance(value, dict) and (action.startswith("get_all") or exchange.endpoint in TIMED_ENDPOINTS):
            value = self._move_moments(value)
        return value

    def _move_moments(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self._move_moments(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._move_moments(item, key) for item in value]
        if (
            isinstance(value, str)
            and (found := MOMENT.search(value))
            and value.startswith(("2026-11-2", ">", "<"))
        ):
            moment = parse_moment(found.group())
            if moment is not None and moment.year == 2026 and moment.month == 11:
                return value.replace(found.group(), self.mapping.move_moment(moment).isoformat())
        if key in ("from_date", "to_date") and isinstance(value, int | float):
            moved = self.mapping.move_moment(datetime.datetime.fromtimestamp(value, datetime.UTC))
            return type(value)(moved.timestamp())
        return value

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        headers = {
            name: self.mapping.translate_text(value)
            for name, value in exchange.headers.items()
            if name.lower() not in _OWN_HEADERS
        }
        authorization = exchange.headers.get("Authorization", "")
        if authorization.startswith("Basic "):
            headers["Authorization"] = self._basic(authorization)
        elif authorization == "Bearer <jwt>":
            headers["Authorization"] = f"Bearer {self._token(exchange)}"
        elif authorization:
            headers["Authorization"] = authorization
        if exchange.name == "if-none-match":
            # The recordings keep no conditional headers.
            headers["If-None-Match"] = self._last_tag
        if "<jwt>" in exchange.headers.get("Cookie", ""):
            headers["Cookie"] = f"{COOKIE}={self._token(exchange)}"
        return headers

    def _basic(self, authorization: str) -> str:
        try:
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return authorization
        if name in self.target.key_of:
            known, real = self.target.key_of[name]
            secret = secret if secret == "wrong" else real
            name = known
        elif self.mapping.find_text(name):
            name, secret = self.mapping.translate_text(name), self.mapping.translate_text(secret)
        return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()

    def _token(self, exchange: Exchange) -> str:
        if exchange.name == "expired token":
            self._wait_for_expiry()
            return self._short_lived
        token = self._sessions.get((exchange.flow, exchange.client))
        if token is None:
            token = self._stand(
                "web" if exchange.client == "web" or exchange.flow.startswith("w_") else "__tests__"
            )
        if exchange.name == "token bad signature":
            head, _, signature = token.rpartition(".")
            return f"{head}.{signature[::-1]}"
        return token

    def _stand(self, user: str) -> str:
        if user not in self._standing:
            self._standing[user] = self.target.open_session(user)
        return self._standing[user]

    def _wait_for_expiry(self) -> None:
        expires = read_claims(self._short_lived).get("exp", 0)
        time.sleep(max(0.0, min(expires - time.time() + 0.05, 5.0)))

    def _compare(self, exchange: Exchange, answer: Answer) -> list[Difference]:
        ours = _parse(answer)
        self._last_tag = answer.headers.get("Etag") or self._last_tag
        if isinstance(ours, dict) and answer.status == 200:
            self._note_session(exchange, ours)
        elif exchange.endpoint == "auth.login" and exchange.status == 200:
            # Impersonation is refused: the recorded user signs in with a key of its own instead.
            token = self.target.open_session("web")
            self._sessions[(exchange.flow, exchange.client)] = token
            self.mapping.replace_text(exchange.response["data"]["token"], token)
        if answer.status != exchange.status:
            return [
                Difference(
                    "status", _summary(exchange.status, exchange.response), _summary(answer.status, ours)
                )
            ]
        found = list(self._compare_headers(exchange, answer))
        recorded = exchange.response
        request = exchange.request if isinstance(exchange.request, dict) else {}
        comparison = Comparison(
            self.mapping,
            ordered=bool(request.get("order_by")),
            timed=exchange.endpoint in TIMED_ENDPOINTS,
        )
        if isinstance(recorded, dict) and "meta" in recorded and isinstance(ours, dict):
            self._compare_envelope(comparison, exchange, recorded, ours)
        elif isinstance(recorded, dict) and "__text__" in recorded:
            comparison.compare(recorded["__text__"], answer.body.decode("utf-8", "replace"), "body")
        elif isinstance(recorded, dict) and "__binary__" in recorded:
            comparison.compare(recorded["__binary__"], len(answer.body), "body.length")
        elif recorded is not None:
            comparison.compare(recorded, ours, "body")
        return found + comparison.found

    def _compare_headers(self, exchange: Exchange, answer: Answer) -> list[Difference]:
        found = []
        if exchange.method not in ("HEAD", "OPTIONS"):
            kind, our_kind = (h.get("Content-Type", "") for h in (exchange.response_headers, answer.headers))
            if kind.partition(";")[0] != our_kind.partition(";")[0]:
                found.append(Difference("headers.Content-Type", kind, our_kind))
        if exchange.client == "files":
            for name in FILE_HEADERS:
                left, right = exchange.response_headers.get(name), answer.headers.get(name)
                if left != right:
                    found.append(Difference(f"headers.{name}", str(left), str(right)))
        left_cookie, our_cookie = (
            _cookie_attributes(h.get("Set-Cookie", "")) for h in (exchange.response_headers, answer.headers)
        )
        for name in sorted(set(left_cookie) | set(our_cookie)):
            if left_cookie.get(name) != our_cookie.get(name):
                found.append(
                    Difference(
                        f"headers.Set-Cookie.{name}", str(left_cookie.get(name)), str(our_cookie.get(name))
                    )
                )
        return found

    def _compare_envelope(
        self, comparison: Comparison, exchange: Exchange, recorded: dict[str, Any], ours: dict[str, Any]
    ) -> None:
        meta = {key: value for key, value in recorded["meta"].items() if key not in ("id", "trx")}
        our_meta = dict(ours.get("meta") or {})
        name, transaction = our_meta.pop("id", None), our_meta.pop("trx", None)
        given = exchange.headers.get("X-Clearml-Trx")
        if not name or transaction != (given or name):
            comparison.found.append(Difference("meta.trx", given or "(as meta.id)", shorten(transaction)))
        comparison.compare(meta, our_meta, "meta")
        data, our_data = recorded.get("data"), ours.get("data")
        if isinstance(data, dict) and "__trimmed_keys__" in data:
            return
        our_data = self._hide_own(our_data)
        self._compare_claims(comparison, data, our_data)
        comparison.compare(data, our_data, "data")

    def _compare_claims(self, comparison: Comparison, data: Any, our_data: Any) -> None:
        """Of a token, the claims that clients know are compared; a server may add others."""
        if not (isinstance(data, dict) and isinstance(our_data, dict) and isinstance(data.get("token"), str)):
            return
        claims, our_claims = read_claims(data["token"]), read_claims(str(our_data.get("token")))
        if not claims:
            return
        our_claims = {claim: value for claim, value in our_claims.items() if claim in claims}
        for claim in ("exp", "iat", "session_id", "server_version"):
            claims[claim], our_claims[claim] = claim in claims, claim in our_claims
        for identity in (claims.get("identity"), our_claims.get("identity")):
            if isinstance(identity, dict) and "user_name" in identity:
                identity["user_name"] = "(a name)"
        comparison.compare(claims, our_claims, "data.token.claims")

    def _hide_own(self, value: Any) -> Any:
        hidden = self.target.hidden_ids
        if isinstance(value, dict):
            return {key: self._hide_own(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._hide_own(v) for v in value if not (isinstance(v, dict) and v.get("id") in hidden)]
        return value

    def _note_session(self, exchange: Exchange, ours: dict[str, Any]) -> None:
        if exchange.endpoint != "auth.login":
            if exchange.endpoint == "auth.create_credentials" and isinstance(ours.get("data"), dict):
                self._note_credentials(exchange, ours["data"].get("credentials") or {})
            return
        token = (ours.get("data") or {}).get("token") if isinstance(ours.get("data"), dict) else None
        if isinstance(token, str) and token:
            self._sessions[(exchange.flow, exchange.client)] = token
            if isinstance(exchange.request, dict) and exchange.request.get("expiration_sec") == 2:
                self._short_lived = token

    def _note_credentials(self, exchange: Exchange, ours: dict[str, Any]) -> None:
        recorded = (
            exchange.response["data"].get("credentials", {}) if isinstance(exchange.response, dict) else {}
        )
        for key in ("access_key", "secret_key"):
            if recorded.get(key) and ours.get(key):
                self.mapping.replace_text(recorded[key], ours[key])


def read_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unchecked; empty for anything else."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _decode(raw: bytes, encoding: str) -> bytes:
    if encoding == "gzip" and raw:
        return gzip.decompress(raw)
    if encoding == "deflate" and raw:
        return zlib.decompress(raw)
    return raw


def _parse(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return answer.body.decode("utf-8", "replace")


def _summary(status: int, body: Any) -> str:
    if isinstance(body, dict) and isinstance(body.get("meta"), dict):
        meta = body["meta"]
        return f"{status}/{meta.get('result_subcode')} {meta.get('result_msg')}"
    return f"{status} {shorten(body, 100)}"


def _cookie_attributes(header: str) -> dict[str, str]:
    """A cookie's name and its attributes, without its value and its moments."""
    if not header:
        return {}
    first, *rest = (part.strip() for part in header.split(";"))
    attributes = dict(part.partition("=")[::2] for part in rest)
    attributes.pop("Expires", None)
    return {"name": first.partition("=")[0], **attributes}
