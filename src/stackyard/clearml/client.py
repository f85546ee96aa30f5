"""Our words over ClearML's API: the only talker to a server on our side; embedded or official, it cannot tell.

Knows calls, files and tokens; nothing of stacks, runs or what a task is for. Calls that only read are repeated
while the server does not answer; calls that change something are repeated only where the server cannot have
taken them (no connection).
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from stackyard.clearml.connection import Connection
from stackyard.errors import StackyardError
from stackyard_task.records import from_json

#: Statuses of a task that is over.
FINAL = ("completed", "failed", "stopped", "published", "closed")
#: How long a server that does not answer is waited for, in all.
PATIENCE_SECONDS = 60.0
#: A token is asked for anew when less of its life is left.
TOKEN_MARGIN_SECONDS = 60.0
#: An answer has no more bytes than this, where a caller sets no bound of its own. The embedded server's have a fraction
#: of it; the largest are pages of whole documents, and of plots, of an official one.
MOST_ANSWER_BYTES = 256 << 20
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
#: What a download leaves free on the disk, or this part of a smaller one: what tasks leave is not ours to bound.
RESERVED_BYTES = 1024**3
RESERVED_PART = 20
#: Of an address that is none, characters.
_LONGEST_SHOWN = 200
#: ClearML's subcode for a project that there is already.
ALREADY_THERE = 801


class ServerError(StackyardError):
    """The server refused a call: ``code`` and ``subcode`` are ClearML's."""

    def __init__(self, message: str, code: int = 0, subcode: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode


class TooLargeError(ServerError):
    """What the server has would leave too little room on a disk here, or is more than was asked to be read."""


class UnreachableError(StackyardError):
    """The server does not answer."""


def room_bytes(folder: Path) -> int:
    """How much of a folder's disk what comes from a server may take; less than 0 where it is fuller already."""
    disk = shutil.disk_usage(folder)
    return disk.free - min(RESERVED_BYTES, disk.total // RESERVED_PART)


class Client:
    """Speaks to one server as one user.

    Args:
        connection: where and who: by a key, of which tokens are made as they are needed, or by a token that is there.
        patience_seconds: how long to wait for a server that does not answer.
        sleep: waits; tests bring their own.
        authority: certificates the server's is trusted by; else $REQUESTS_CA_BUNDLE, as for the SDK and the agents.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        authority: Path | None = None,
    ) -> None:
        self.connection = connection
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        # trust_env off: a proxy of the shell is for the internet, not for a server on this machine or in this lab
        self._http = httpx.Client(
            timeout=httpx.Timeout(30.0, connect=5.0), trust_env=False, verify=_trusted(connection, authority)
        )
        self._token: str | None = None
        self._token_until = 0.0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        """The answer's ``data`` of an API call, such as ``call("tasks.get_by_id", task=...)``.

        Raises:
            TooLargeError: the answer is larger than ``MOST_ANSWER_BYTES``; no more than that is taken.
            ServerError: the server refused it.
            UnreachableError: it does not answer.
        """
        changes = not method.rpartition(".")[2].startswith(("get_", "ping", "validate"))

        def once() -> httpx.Response:
            return self._posted(method, MOST_ANSWER_BYTES, json=fields, headers=self._authorization())

        return _data(self._answered(once, changes), method)

    def read(self, method: str, most_bytes: int, /, **fields: Any) -> tuple[dict[str, Any], int]:
        """As ``call``, of a method that only reads: the answer's ``data``, and how many bytes the answer had.

        Raises:
            TooLargeError: the answer is larger than ``most_bytes``; no more than that is taken.
            ServerError: the server refused it.
            UnreachableError: it does not answer.
        """

        def once() -> httpx.Response:
            return self._posted(method, most_bytes, json=fields, headers=self._authorization())

        answer = self._answered(once, False)
        return _data(answer, method), len(answer.content)

    def content(self, url: str, most_bytes: int) -> bytes:
        """What a file of the file server holds.

        Raises:
            ServerError: it is not there, or may not be read.
            TooLargeError: it is larger than ``most_bytes``.
            UnreachableError: the server does not answer.
        """
        if not url.startswith(self.connection.files + "/"):
            raise ServerError(f"{url[:_LONGEST_SHOWN]}: not on the file server {self.connection.files}")
        try:
            with self._reaching(), self._http.stream("GET", url, headers=self._authorization()) as answer:
                if answer.status_code != 200:
                    raise ServerError(
                        f"{url[:_LONGEST_SHOWN]}: cannot be read ({answer.status_code})", answer.status_code
                    )
                return _bounded(answer, most_bytes, url[:_LONGEST_SHOWN])
        except httpx.InvalidURL as error:
            raise ServerError(f"{url[:_LONGEST_SHOWN]!r}: no address of a file ({error})") from error

    def call_lines(self, method: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        """The answer's ``data`` of a batch call, one JSON object a line, such as ``events.add_batch``.

        Raises:
            ServerError: the server refused it.
            UnreachableError: it does not answer.
        """
        body = "\n".join(json.dumps(line) for line in lines)
        headers = {"Content-Type": "application/json-lines"}

        def once() -> httpx.Response:
            asked = {**headers, **self._authorization()}
            return self._posted(method, MOST_ANSWER_BYTES, content=body, headers=asked)

        return _data(self._answered(once, True), method)

    def upload(self, file: Path, path: str) -> str:
        """Put a file on the file server; its address.

        Args:
            file: what to upload.
            path: where, such as "Stackyard/code/abc/file.whl".

        Raises:
            ServerError: the server refused it.
            UnreachableError: it does not answer.
        """

        def once() -> httpx.Response:
            with file.open("rb") as stream:
                # the field's name is where the file goes
                return self._read_whole(
                    f"{self.connection.files}/",
                    path,
                    MOST_ANSWER_BYTES,
                    files={f"/{path}": (f"/{path}", stream, "application/octet-stream")},
                    headers=self._authorization(),
                    timeout=httpx.Timeout(600.0, connect=5.0),
                )

        answer = self._answered(once, True)
        if answer.status_code != 200:
            raise ServerError(
                f"{path}: the file server refused it ({answer.status_code} {answer.text[:120]})"
            )
        return f"{self.connection.files}/{quote(path)}"

    def holds(self, url: str) -> bool:
        """Whether the file server has that file.

        Raises:
            UnreachableError: it does not answer.
        """
        return (
            self._answered(lambda: self._http.head(url, headers=self._authorization()), False).status_code
            == 200
        )

    def download(self, url: str, file: Path) -> None:
        """Bring a file of the file server here, whole or not at all. It may fill the disk down to ``RESERVED_BYTES``.

        Raises:
            ServerError: it is not there, or may not be read.
            UnreachableError: the server does not answer.
            TooLargeError: there is no room for it.
            OSError: it cannot be written.
        """
        if not url.startswith(self.connection.files + "/"):
            raise ServerError(f"{url}: not on the file server {self.connection.files}")
        draft = file.with_name(f".{file.name}.part")
        try:
            with self._reaching(), self._http.stream("GET", url, headers=self._authorization()) as answer:
                if answer.status_code != 200:
                    raise ServerError(f"{url}: cannot be read ({answer.status_code})", answer.status_code)
                left = room_bytes(file.parent)
                with draft.open("wb") as stream:
                    for piece in answer.iter_bytes():
                        left -= len(piece)
                        if left < 0:
                            left = room_bytes(file.parent)  # others take room, and give it back
                        if left < 0:
                            raise TooLargeError(f"{url}: too large for the disk of {file.parent}")
                        stream.write(piece)
            draft.replace(file)
        except httpx.InvalidURL as error:
            raise ServerError(f"{url[:_LONGEST_SHOWN]!r}: no address of a file ({error})") from error
        finally:
            draft.unlink(missing_ok=True)

    def pages(self, method: str, items: str, size: int = 500, **fields: Any) -> Iterator[dict[str, Any]]:
        """All documents of a paged listing, such as ``pages("tasks.get_all_ex", "tasks", project=[...])``."""
        page = 0
        while True:
            found = self.call(method, page=page, page_size=size, **fields).get(items, [])
            yield from found
            if len(found) < size:
                return
            page += 1

    # -- underneath --------------------------------------------------------------------------------

    def sign_in(self) -> str:
        """A new token for the connection's key, or for a name and password in its place.

        Raises:
            ServerError: the server refuses it: code 401.
            UnreachableError: it does not answer.
        """
        with self._reaching():
            return self._new_token()

    def _new_token(self) -> str:
        key = (self.connection.access_key, self.connection.secret_key)
        answer = self._posted("auth.login", MOST_ANSWER_BYTES, json={}, auth=key)
        if answer.status_code == 401:
            raise ServerError(self._refused(), 401)
        token = _data(answer, "auth.login").get("token")
        if not isinstance(token, str):
            raise ServerError("auth.login: the answer holds no token", answer.status_code)
        return token

    def _posted(self, method: str, most_bytes: int, **asked: Any) -> httpx.Response:
        return self._read_whole(f"{self.connection.api}/{method}", method, most_bytes, **asked)

    def _read_whole(self, url: str, what: str, most_bytes: int, **asked: Any) -> httpx.Response:
        """The answer to a POST, read up to a bound.

        Raises:
            TooLargeError: there is more of it.
        """
        with self._http.stream("POST", url, **asked) as answer:
            body = _bounded(answer, most_bytes, what)
            return httpx.Response(answer.status_code, content=body, request=answer.request)

    def _authorization(self) -> dict[str, str]:
        if self.connection.token is not None:
            return {"Authorization": f"Bearer {self.connection.token}"}
        if self._token is None or time.time() > self._token_until:
            self._token = self._new_token()
            # the token tells its end, but in a form only its maker may rely on; an hour is shorter than any
            self._token_until = time.time() + 3600.0 - TOKEN_MARGIN_SECONDS
        return {"Authorization": f"Bearer {self._token}"}

    def _answered(self, once: Callable[[], httpx.Response], changes: bool) -> httpx.Response:
        """An answer, asking again while there is none and asking again is safe."""
        pause, waited = _FIRST_PAUSE_SECONDS, 0.0
        while True:
            try:
                answer = once()
                if answer.status_code == 401 and self._token is not None:
                    self._token = None  # revoked or expired: once more with a new one
                    answer = once()
                if answer.status_code not in (502, 503, 504) or changes:
                    return answer
                why = f"{answer.status_code}"
            except httpx.TransportError as error:
                if changes and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    raise UnreachableError(self._unreachable(error)) from error
                why = str(error) or type(error).__name__
            if waited >= self._patience_seconds:
                raise UnreachableError(self._unreachable(why))
            self._sleep(pause)
            waited += pause
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise UnreachableError(self._unreachable(error)) from error

    def _refused(self) -> str:
        at, source = self.connection.api, self.connection.source
        where = "the key it was given" if source == "given" else f"the key in {source}"
        return (
            f"the ClearML server at {at} refuses {where}: it is wrong or was withdrawn; `stackyard up` makes another "
            "where the server is this machine's own, for any other put a valid key in its place"
        )

    def _unreachable(self, why: object) -> str:
        return f"the ClearML server at {self.connection.api} does not answer ({why}); is it up?"


def _bounded(answer: httpx.Response, most_bytes: int, what: str) -> bytes:
    """The body of an answer, read up to a bound.

    Raises:
        TooLargeError: there is more of it.
    """
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > most_bytes:
            raise TooLargeError(f"{what}: the server answered with more than {most_bytes:,} bytes")
    return bytes(body)


@dataclass(frozen=True)
class _Meta:
    """What of an answer's ``meta`` is read here."""

    result_msg: str | None = None
    result_subcode: int | None = None


def _data(answer: httpx.Response, method: str) -> dict[str, Any]:
    try:
        body = answer.json()
        meta, data = from_json(_Meta, body["meta"], method), body.get("data") or {}
        if not isinstance(data, dict):
            raise TypeError(method)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ServerError(
            f"{method}: {answer.url} answered {answer.status_code}, and not as a ClearML API does",
            answer.status_code,
        ) from error
    if answer.status_code != 200:
        raise ServerError(
            f"{method}: {meta.result_msg or answer.status_code}",
            answer.status_code,
            meta.result_subcode or 0,
        )
    return data


def _trusted(connection: Connection, authority: Path | None) -> ssl.SSLContext | bool:
    """Whose certificates are good."""
    # where nothing is encrypted: reading the certificates of the world takes longer than a call
    if not any(url.startswith("https:") for url in (connection.api, connection.web, connection.files)):
        return False
    trusted = str(authority or "") or os.environ.get("REQUESTS_CA_BUNDLE")
    return ssl.create_default_context(cafile=trusted) if trusted else True
