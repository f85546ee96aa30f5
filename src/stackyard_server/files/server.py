"""The file server: its own port, its own rules. HTTP to stored files and back.

``POST /`` takes multipart uploads (the field name is the path), ``GET`` and ``HEAD`` answer a file (ranges, ETag),
``DELETE`` and ``POST /delete_many`` remove. Each verb needs a token, as a Bearer header or the cookie, checked on
every request, so that a revoked one is refused at once; whoever may only read may only GET. ``GET /`` says that the
server is there.

A file is never a page of ours: only types that cannot run anything are shown inline, with ``nosniff`` and a policy
that allows nothing; the rest is a download. Folders are not listed. Disk work runs in threads, rows on the event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import html
import logging
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import orjson

from .. import security_log
from ..calls import Services
from ..http import cookies, headers
from ..http.bodies import Disconnected
from ..http.edge import Port
from ..http.errors import Refused
from ..http.exchange import Exchange
from ..http.headers import Headers
from ..http.origins import Origins
from ..http.shares import Shares, most_files
from ..identity import Identity, roles
from ..program import hint
from ..protocol import bounds
from ..protocol.error_table import ApiError
from ..store import Transaction
from ..store import files as rows
from ..store.files import StoredFile
from . import downloads
from . import rights as file_rights
from . import stored as stored_files
from .stored import StoredFiles, key_of
from .uploads import Upload

log = logging.getLogger(__name__)

#: Bytes that go to the disk, or come from it, in one step.
STEP_BYTES = 1024 * 1024
#: And of a file that is sent: so much of it is in memory for each client that takes one slowly.
PART_BYTES = 512 * 1024
#: Files and folders removed in one transaction.
STEP_PATHS = 100
#: From this share of the budget on, the log warns.
WARN_SHARE = 0.9

HTML = (b"content-type", b"text/html; charset=utf-8")
END = {"type": "http.response.body", "body": b""}

#: Methods that are counted by name.
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
#: What clients know as the pages of these statuses.
PAGES = {
    401: (
        "Unauthorized",
        "The server could not verify that you are authorized to access the URL requested. You either supplied the "
        "wrong credentials (e.g. a bad password), or your browser doesn&#39;t understand how to supply the "
        "credentials required.",
    ),
    404: (
        "Not Found",
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling "
        "and try again.",
    ),
    405: ("Method Not Allowed", "The method is not allowed for the requested URL."),
    416: ("Requested Range Not Satisfiable", "The server cannot provide the requested range."),
}


def allowed(path: str) -> list[str]:
    """The methods that a path takes."""
    methods = ["GET", "HEAD"]
    if path in ("/", "/delete_many"):
        methods.append("POST")
    return methods if path == "/" else [*methods, "DELETE"]


class FileServer(Port):
    """The application of the files port, and of ``/files`` on the web port."""

    always = headers.FILES
    cross_origin = True

    def __init__(self, services: Services, origins: Origins) -> None:
        self.services = services
        self.stored = StoredFiles(services.store)
        self._origins = origins
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="files")
        #: Files that are being sent or received.
        self._open = Shares(most_files)
        self._warned = False
        #: Bytes of uploads in progress: they count before they are rows.
        self._pending_bytes = 0

    def counted_as(self, method: str) -> str | None:
        """Requests are counted by method."""
        return f"files.{method}" if method in METHODS else ""

    async def answer(self, exchange: Exchange) -> None:
        """Answer by method and path."""
        method, path = exchange.method, exchange.path
        if path == "/" and method in ("GET", "HEAD"):
            if "authorization" in exchange.headers:
                self._admit(exchange, "readonly")
            await self._say(exchange, 200, "OK")
        elif method in ("GET", "HEAD"):
            self._admit(exchange, "readonly")
            with self._opening(exchange):
                await self._download(exchange)
        elif method == "DELETE":
            who = self._admit(exchange, "user")
            file = self._delete(who, path)
            await self._reply(exchange, file.path)
        elif method == "POST" and path == "/":
            who = self._admit(exchange, "user")
            with self._opening(exchange):
                await self._upload(exchange, who)
        elif method == "POST" and path == "/delete_many":
            who = self._admit(exchange, "user")
            json = exchange.headers.get("content-type", "").startswith("application/json")
            if who.proof == "cookie" and not json:
                raise Refused(403, "A list of files is expected as application/json")
            beyond = Refused(413, f"A list of files may have at most {bounds.PATHS.bytes} bytes")
            body = await exchange.body(bounds.PATHS, beyond)
            await self._reply(exchange, await self._delete_many(who, body))
        else:
            refused = Refused(405)
            refused.headers.append(("Allow", ", ".join(allowed(path))))
            raise refused

    async def refuse(self, exchange: Exchange, refused: ApiError) -> None:
        """The refusal as a sentence, or as the page of its status."""
        own = isinstance(refused, Refused)
        sentence = refused.message if own else refused.message.rpartition("reason=")[2]
        await self._say(exchange, refused.code, sentence, headers.encoded(refused.headers))

    def _admit(self, exchange: Exchange, least: str) -> Identity:
        """Who asks, allowed to do what needs at least a role.

        Raises:
            ApiError: 401 no valid token, or another scheme; 403 the role, or a page of another site, may not.
        """
        authorization = exchange.headers.get("authorization")
        if authorization and authorization.partition(" ")[0] != "Bearer":
            raise Refused(401, "Only bearer token authorization is supported")
        cookie = cookies.token_in(exchange.headers)
        who = self.services.authenticator.admit(authorization, cookie, exchange.address)
        if who is None:
            raise Refused(401)
        about: dict[str, Any] = {"address": exchange.address, "user": who.user, "path": exchange.path}
        sender = self._origins.sender(exchange.headers)
        # With the cookie: from our own pages, or from no page at all.
        if least != "readonly" and who.proof == "cookie" and sender not in ("ours", "named", "unsaid"):
            security_log.note("foreign_origin", **about)
            raise Refused(403, "The request was sent from a page of another site")
        if not roles.allows(who.role, least):
            security_log.note("file_role_refused", **about)
            raise Refused(403, f"Users with the role {who.role} may only read files")
        return who

    @contextlib.contextmanager
    def _opening(self, exchange: Exchange) -> Iterator[None]:
        """Inside, one file may be open.

        Raises:
            Refused: 429 too many are.
        """
        address = self._open.counted_as(exchange.address)
        if not self._open.take(address):
            raise Refused(429, "Too many files are being sent or received: come again in a moment")
        try:
            yield
        finally:
            self._open.give_back(address)

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _download(self, exchange: Exchange) -> None:
        exchange.holder = None  # what is held are parts, of so many files at most
        key = key_of(exchange.path)
        file = None
        if key is not None:
            with self.services.store.reading() as tx:
                file = rows.find_named(tx, key)
        if file is None:
            raise Refused(404)
        out = downloads.description(file, download=b"download" in exchange.query)
        if downloads.unchanged(file, exchange.headers):
            await exchange.start(304, [h for h in out if h[0] != b"content-type"], None)
            await exchange.send(END)
            return
        try:
            begin, end = downloads.asked_range(file, exchange.headers)
        except downloads.RangeOutside:
            raise Refused(416, str(file.bytes)) from None
        status = 200
        if (begin, end) != (0, file.bytes):
            status = 206
            out.append((b"content-range", f"bytes {begin}-{end - 1}/{file.bytes}".encode()))
        if exchange.method == "HEAD":
            await exchange.start(status, out, end - begin)
            await exchange.send(END)
            return
        await self._stream(exchange, status, out, file, begin, end)

    async def _stream(
        self, exchange: Exchange, status: int, out: Headers, file: StoredFile, begin: int, end: int
    ) -> None:
        loop = asyncio.get_running_loop()
        path = self.stored.locate(file.blob)

        def start() -> tuple[int, bytes]:
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            return number, os.pread(number, min(PART_BYTES, end - begin), begin)

        try:
            number, data = await loop.run_in_executor(self._threads, start)
        except FileNotFoundError:
            log.error(
                "%s: the content of a stored file is missing: run `%s`",
                file.path,
                hint("verify", self.services.store.folder),
            )
            raise Refused(404) from None
        try:
            await exchange.start(status, out, end - begin)
            position = begin + len(data)
            while data:
                more = position < end
                await exchange.send({**END, "body": data, "more_body": more})
                if not more:
                    return
                data = await loop.run_in_executor(
                    self._threads, os.pread, number, min(PART_BYTES, end - position), position
                )
                position += len(data)
            if position < end:
                raise OSError(errno.EIO, f"{file.path}: the content is shorter than its row says")
            await exchange.send(END)
        finally:
            os.close(number)

    # --- writing ---------------------------------------------------------------------------------------------------

    async def _upload(self, exchange: Exchange, who: Identity) -> None:
        boundary = boundary_of(exchange.headers.get("content-type", ""))
        if boundary is None:
            await self._reply(exchange, [])
            return
        incoming = exchange.incoming(*self._room(exchange.announced_bytes))
        upload = Upload(self.stored, boundary)
        loop = asyncio.get_running_loop()
        came = 0
        try:
            waiting = bytearray()
            while not incoming.ended:
                waiting += await incoming.part()
                if len(waiting) >= STEP_BYTES or incoming.ended:
                    data, waiting = bytes(waiting), bytearray()
                    came += len(data)
                    self._pending_bytes += len(data)
                    await loop.run_in_executor(self._threads, upload.feed, data)
            upload.finish()
            keys = [file.key for file in upload.files]
            self._check_replacing(who, keys)
            now, user = int(self.services.clock() * 1000), who.user
            files = await loop.run_in_executor(
                self._threads, lambda: [self.stored.settle(one, now, user) for one in upload.files]
            )
            self._record(who, files)
        except Disconnected:
            log.info("an upload of %s broke off", who.user)
            raise
        finally:
            self._pending_bytes -= came
            await asyncio.shield(loop.run_in_executor(self._threads, upload.discard))
        await self._reply(exchange, keys)

    def _record(self, who: Identity, files: list[StoredFile]) -> None:
        """Make settled files visible, all or none."""
        try:
            with self.services.store.writing() as tx:
                # Once more: what held while the bytes came in may have been published since.
                for file in files:
                    self._may_replace(tx, who, file.path)
                    rows.record(tx, file)
        except BaseException:
            self.stored.unlink(file.blob for file in files)  # no row ever named them
            raise

    def _check_replacing(self, who: Identity, keys: list[str]) -> None:
        with self.services.store.reading() as tx:
            for key in keys:
                self._may_replace(tx, who, key)

    def _may_replace(self, tx: Any, who: Identity, key: str) -> None:
        there = rows.find(tx, key)
        refused = file_rights.may_change(tx, who, there, self._addresses) if there else None
        if refused:
            security_log.note("file_replace_refused", user=who.user, path=key, why=refused)
            raise Refused(403, f"File {key} cannot be replaced: {refused}")

    def _room(self, announced_bytes: int) -> tuple[int, Refused]:
        """(bytes an upload may have, how more is refused).

        Raises:
            Refused: The disk has no room for what is announced.
        """
        settings = self.services.settings
        limit = int(settings.max_upload_bytes)
        room, full = limit, Refused(413, f"An upload may have at most {limit} bytes")
        if settings.disk_budget_bytes is not None:
            budget = int(settings.disk_budget_bytes)
            with self.services.store.reading() as tx:
                used = rows.usage(tx)[1] + self._pending_bytes + database_bytes(self.services.store.path)
            self._warn(used, budget)
            if budget - used < room:
                room = max(0, budget - used)
                full = Refused(507, f"The disk budget of {budget} bytes is used up: {used} are taken")
        free = shutil.disk_usage(self.stored.folder).free
        if free < announced_bytes:
            raise Refused(507, f"No space left on the server's disk: {free} bytes are free")
        return room, full

    def _warn(self, used: int, budget: int) -> None:
        near = used >= WARN_SHARE * budget
        if near and not self._warned:
            share = 100 * used / budget if budget else 100
            log.warning(
                "%.0f %% of the disk budget (%d of %d bytes) is used; at 100 %% uploads are refused. "
                "See what can go: %s",
                share,
                used,
                budget,
                hint("gc --dry-run", self.services.store.folder),
            )
        self._warned = near

    def _delete(self, who: Identity, path: str) -> StoredFile:
        key = key_of(path)
        shown = path.strip("/")
        with self.services.store.writing() as tx:
            file = rows.find_named(tx, key) if key else None
            if file is None:
                raise Refused(404, f"File {shown} not found")
            refused = file_rights.may_change(tx, who, file, self._addresses)
            if refused:
                security_log.note("file_delete_refused", user=who.user, path=file.path, why=refused)
                raise Refused(403, f"File {shown} cannot be deleted: {refused}")
            rows.forget(tx, [file])
        return file

    async def _delete_many(self, who: Identity, body: bytes) -> dict[str, Any]:
        """Which of the named files and folders are removed, and why the others are not; some paths at a time."""
        try:
            asked = await asyncio.to_thread(bounds.read, body, bounds.PATHS) if body else {}
        except ApiError as refused:
            raise Refused(
                400, "Json payload is missing" if refused.subcode == 0 else refused.message
            ) from None
        paths = asked.get("files") if isinstance(asked, dict) else None
        if not paths:
            raise Refused(400, "Json payload is missing")
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise Refused(400, "files: a list of paths is expected")
        deleted: dict[str, str] = {}
        errors: dict[str, list[str]] = {}
        for begin in range(0, len(paths), STEP_PATHS):
            with self.services.store.writing() as tx:
                self._delete_some(tx, who, paths[begin : begin + STEP_PATHS], deleted, errors)
            await asyncio.sleep(0)
        return {"deleted": deleted, "errors": errors}

    def _delete_some(
        self,
        tx: Transaction,
        who: Identity,
        paths: list[str],
        deleted: dict[str, str],
        errors: dict[str, list[str]],
    ) -> None:
        """Remove some files and folders."""
        for path in paths:
            named = stored_files.key_of_url(path, self._addresses)
            shown = named or unquote(path).strip("/")
            key = named or key_of(shown)
            if not shown:
                errors.setdefault("Empty path not allowed", []).append(path)
                continue
            file = rows.find_named(tx, key) if key else None
            below = rows.under(tx, key) if key and file is None else []
            if key is None or (file is None and not below):
                errors.setdefault("Not found", []).append(path)
                continue
            if file is not None:
                below, refused = [file], file_rights.may_change(tx, who, file, self._addresses)
            else:
                refused = file_rights.may_remove_folder(tx, who, key, below, self._addresses)
            if refused:
                security_log.note("file_delete_refused", user=who.user, path=key, why=refused)
                errors.setdefault(f"Not allowed: {refused}", []).append(path)
                continue
            rows.forget(tx, below)
            deleted[path] = shown

    @property
    def _addresses(self) -> tuple[str, ...]:
        known: tuple[str, ...] = self.services.memory.get("files_addresses", ())
        return known

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _reply(self, exchange: Exchange, value: Any) -> None:
        """JSON, as the kind ClearML's file server uses; nothing in it can be markup."""
        body = orjson.dumps(value)
        for mark in b"<>&":
            body = body.replace(bytes([mark]), b"\\u%04x" % mark)
        await exchange.respond(200, body, [HTML])

    async def _say(
        self, exchange: Exchange, status: int, sentence: str = "", more: Headers | None = None
    ) -> None:
        """A sentence, as the kind ClearML's file server uses, or the page of the status; no markup of others."""
        out = [HTML, *(more or [])]
        if status == 416:
            out.append((b"content-range", f"bytes */{sentence}".encode()))
        if status in PAGES and (not sentence or status == 416):
            title, text = PAGES[status]
            page = f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n"
            page += f"<h1>{title}</h1>\n<p>{text}</p>\n"
        else:
            page = html.escape(sentence, quote=False)
        await exchange.respond(status, page.encode("utf-8", "replace"), out)

    def close(self) -> None:
        """Let running disk work end."""
        self._threads.shutdown()


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart body; None for any other kind."""
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return None
    found = re.search(r'boundary="?([^";,\s]+)"?', rest, re.IGNORECASE)
    if not found:
        raise Refused(400, "The multipart body names no boundary")
    return found[1].encode("latin-1")


def database_bytes(path: os.PathLike[str]) -> int:
    """What the database and its log take."""
    total = 0
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(f"{os.fspath(path)}{suffix}").st_size
    return total
