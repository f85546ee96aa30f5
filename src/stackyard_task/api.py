"""ClearML's API in a few plain calls, for processes that cannot wait for the SDK: it takes a second to load.

Speaks to the server that the agent named for its task. One connection to each address, kept open. Standard library
only; for one thread at a time.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union
from urllib.parse import quote, urlsplit

#: An answer may have so many bytes.
MOST_BYTES = 64 << 20
#: What a server's configuration may have.
_MOST_CONFIGURATION_BYTES = 4 << 20
ANSWER_SECONDS = 30.0
#: How long a server that does not answer is waited for, in all, where the caller says nothing else.
PATIENCE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
#: A token is asked for anew after so long.
_TOKEN_SECONDS = 1800.0
_AWAY = (502, 503, 504)
#: Calls that do their work twice where they are made twice; all others are repeated while the server is away.
_ONCE = ("models.create",)
_PIECE_BYTES = 1 << 18


class ApiError(Exception):
    """A call that failed; the message is one sentence."""


class Refused(ApiError):
    """The server said no.

    Args:
        message: the sentence.
        code: as HTTP has it.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(ApiError):
    """The server does not answer."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and who we are there: a key with its secret, or a token."""

    api: str
    files: str = ""
    web: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    #: Where files of tasks go that say nothing of it; "": to ``files``.
    output: str = ""


def address(variables: Mapping[str, str]) -> Address:
    """The server that the agent named, in ClearML's variables or in the file that one of them names.

    Args:
        variables: the environment.

    Raises:
        Refused: it is nowhere named.
    """
    configured = _configuration(variables.get("CLEARML_CONFIG_FILE") or variables.get("TRAINS_CONFIG_FILE"))
    api, development = _section(configured, "api"), _section(_section(configured, "sdk"), "development")
    credentials = api.get("credentials")
    credentials = credentials if isinstance(credentials, dict) else {}

    def said(name: str, told: Any) -> str:
        return (variables.get(name) or (told if isinstance(told, str) else "")).rstrip("/")

    found = Address(
        said("CLEARML_API_HOST", api.get("api_server")),
        said("CLEARML_FILES_HOST", api.get("files_server")),
        said("CLEARML_WEB_HOST", api.get("web_server")),
        said("CLEARML_API_ACCESS_KEY", credentials.get("access_key")),
        said("CLEARML_API_SECRET_KEY", credentials.get("secret_key")),
        variables.get("CLEARML_AUTH_TOKEN", ""),
        said("CLEARML_DEFAULT_OUTPUT_URI", development.get("default_output_uri")),
    )
    if not found.api or not (found.token or (found.key and found.secret)):
        raise Refused("no ClearML server is named: neither CLEARML_API_HOST nor CLEARML_CONFIG_FILE says one")
    return found


def _configuration(path: Optional[str]) -> Dict[str, Any]:
    """The configuration that an agent writes for its tasks: JSON, though its name says otherwise."""
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.loads(stream.read(_MOST_CONFIGURATION_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _section(values: Mapping[str, Any], name: str) -> Dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


class Server:
    """One server, as one user.

    Args:
        where: its addresses and who we are.
        patience_seconds: how long to wait for one that does not answer.
        sleep: waits; tests bring their own.
    """

    def __init__(
        self,
        where: Address,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.where = where
        self.patience_seconds = patience_seconds
        self._sleep = sleep
        self._connections: Dict[Tuple[str, str], http.client.HTTPConnection] = {}
        self._token, self._token_until = where.token, float("inf") if where.token else 0.0

    def another(self, patience_seconds: Optional[float] = None) -> Server:
        """Another of the same, for another thread; signed in as this one is.

        Args:
            patience_seconds: its own; ``None``: this one's.
        """
        patience = self.patience_seconds if patience_seconds is None else patience_seconds
        other = Server(self.where, patience, self._sleep)
        other._token, other._token_until = self._token, self._token_until
        return other

    def close(self) -> None:
        """Close its connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def call(self, method: str, **fields: Any) -> Dict[str, Any]:
        """The answer's ``data`` of an API call, such as ``call("tasks.get_by_id", task=...)``.

        Raises:
            Refused: the server said no.
            Unreachable: it does not answer.
        """
        return self._data(method, json.dumps(fields).encode(), "application/json")

    def call_lines(self, method: str, lines: List[Dict[str, Any]]) -> Dict[str, Any]:
        """The answer's ``data`` of a batch call, one JSON object a line, such as ``events.add_batch``.

        Raises:
            Refused: the server said no.
            Unreachable: it does not answer.
        """
        body = "\n".join(json.dumps(line) for line in lines).encode()
        return self._data(method, body, "application/json-lines")

    def edit_runtime(self, task_id: str, values: Mapping[str, Any]) -> None:
        """Lay runtime properties over those that a task has.

        Raises:
            Refused: the server said no.
            Unreachable: it does not answer.
        """
        try:
            self.call("tasks.edit_runtime", task=task_id, runtime=values)
        except Refused:  # servers before this call take all of them at once
            found = self.call("tasks.get_all_ex", id=[task_id], only_fields=["runtime"], search_hidden=True)
            try:
                held = found["tasks"][0].get("runtime") or {}
            except (KeyError, IndexError, AttributeError):
                raise Refused(f"the server knows no task {task_id}") from None
            self.call("tasks.edit", task=task_id, runtime={**held, **values}, force=True)

    def upload(self, content: Union[bytes, Path], path: str) -> str:
        """Put a file on the file server; its address.

        Args:
            content: what it holds, or the file that is to be copied there, however large.
            path: where, such as "project/task/artifacts/record/record.json"; characters that addresses can have.

        Raises:
            Refused: the server said no.
            Unreachable: it does not answer.
            OSError: the file cannot be read.
        """
        form = _Form(f"/{path}", content)
        status, said = self._answered(self.where.files, "/", form, form.kind, self._authorization())
        if status != 200:
            raise Refused(f"{path}: the file server refused it ({status} {_text(said)[:120]})", status)
        return f"{self.where.files}/{quote(path)}"

    def _data(self, method: str, body: bytes, kind: str) -> Dict[str, Any]:
        for again in (True, False):
            status, said = self._answered(
                self.where.api, f"/{method}", body, kind, self._authorization(), method not in _ONCE
            )
            if status == 401 and again and not self.where.token:
                self._token = ""  # revoked or expired: once more with a new one
                continue
            break
        return _data(method, status, said)

    def _authorization(self) -> str:
        if not self._token or time.monotonic() > self._token_until:
            pair = base64.b64encode(f"{self.where.key}:{self.where.secret}".encode()).decode()
            status, said = self._answered(
                self.where.api, "/auth.login", b"{}", "application/json", f"Basic {pair}"
            )
            self._token = str(_data("auth.login", status, said).get("token", ""))
            self._token_until = time.monotonic() + _TOKEN_SECONDS
        return f"Bearer {self._token}"

    def _answered(
        self,
        base: str,
        path: str,
        body: Union[bytes, _Form],
        kind: str,
        authorization: str,
        repeatable: bool = True,
    ) -> Tuple[int, bytes]:
        """Status and body of an answer, asking again while there is none.

        What is not ``repeatable`` is asked again only where nobody can have taken the request.
        """
        until, pause = float("inf"), _FIRST_PAUSE_SECONDS
        if not repeatable:
            self._forget(base)  # of a connection that was kept open one cannot tell whether a request arrived
        headers = {
            "Content-Type": kind,
            "Authorization": authorization,
            "Content-Length": str(body.size if isinstance(body, _Form) else len(body)),
        }
        while True:
            parts, connection, fresh = self._connection(base)
            taken = False
            try:
                if fresh:
                    connection.connect()
                taken = fresh
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    # who refuses a large file says so before all of it came, and hangs up
                    connection.request("POST", parts + path, body, headers)
                answer = connection.getresponse()
                said = _content(answer)
                if len(said) > MOST_BYTES:
                    raise Refused(f"{path[1:]}: the answer has more than {MOST_BYTES >> 20} MiB")
                if answer.status not in _AWAY:
                    return answer.status, said
                why, taken = str(answer.status), False
            except _Unreadable as error:
                self._forget(base)
                raise error.reason from error
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            self._forget(base)
            if not fresh:  # a connection that was kept open too long for the server: a new one, at once
                continue
            until = min(until, time.monotonic() + self.patience_seconds)
            if (taken and not repeatable) or time.monotonic() >= until:
                raise Unreachable(f"the ClearML server at {base} does not answer ({why})")
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _connection(self, base: str) -> Tuple[str, http.client.HTTPConnection, bool]:
        """(path below which its calls are, connection, whether it is still to be made)."""
        parts = urlsplit(base)
        key = (parts.scheme, parts.netloc)
        if key in self._connections:
            return parts.path, self._connections[key], False
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.netloc, timeout=ANSWER_SECONDS, context=_trusted()
            )
        elif parts.scheme == "http" and parts.netloc:
            connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_SECONDS)
        else:
            raise Refused(f"{base[:200]!r} is no address of a server")
        self._connections[key] = connection
        return parts.path, connection, True

    def _forget(self, base: str) -> None:
        parts = urlsplit(base)
        connection = self._connections.pop((parts.scheme, parts.netloc), None)
        if connection is not None:
            connection.close()


class _Unreadable(Exception):
    """A file on its way cannot be read any more."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Form:
    """A file as a browser's form sends it; may be sent more than once.

    Args:
        name: its name on the server.
        content: what it holds, or where that lies.

    Raises:
        OSError: it cannot be looked at.
    """

    def __init__(self, name: str, content: Union[bytes, Path]) -> None:
        boundary = "stackyard-" + os.urandom(12).hex()
        self.kind = f"multipart/form-data; boundary={boundary}"
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._content = content
        self._length = len(content) if isinstance(content, bytes) else content.stat().st_size
        #: Bytes of all of it.
        self.size = len(self._head) + self._length + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self._content, bytes):
            yield self._head + self._content + self._tail
            return
        yield self._head
        left = self._length  # what has grown since is sent as it was: its length has been told
        try:
            with self._content.open("rb") as stream:
                while left:
                    piece = stream.read(min(left, _PIECE_BYTES))
                    if not piece:
                        raise OSError(f"{self._content.name} became shorter while it was sent")
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise _Unreadable(error) from error
        yield self._tail


def _trusted() -> Any:
    import ssl  # loaded by those who need it

    authority = os.environ.get("REQUESTS_CA_BUNDLE") or None
    if authority is None:
        with contextlib.suppress(ImportError):  # those that the SDK and the agent trust
            import certifi

            authority = certifi.where()
    context = ssl.create_default_context(cafile=authority)
    if os.environ.get("CLEARML_API_HOST_VERIFY_CERT", "").lower() in ("0", "false", "no"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _content(answer: http.client.HTTPResponse) -> bytes:
    """What an answer holds, no more than a little beyond the most; read in pieces.

    Python 3.9 sets the most that it may read aside at once, and fills it with zeros.
    """
    pieces: List[bytes] = []
    size = 0
    while size <= MOST_BYTES:
        piece = answer.read(_PIECE_BYTES)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _data(method: str, status: int, said: bytes) -> Dict[str, Any]:
    try:
        body = json.loads(said)
        meta, data = body["meta"], body.get("data") or {}
        message = meta.get("result_msg")
        if not isinstance(data, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(f"{method}: answered {status}, and not as a ClearML API does", status) from None
    if status != 200:
        raise Refused(f"{method}: {_text(str(message).encode()) if message else status}", status)
    return data


def _text(said: bytes) -> str:
    return " ".join(said.decode("utf-8", "replace").split())[:300]
