"""What a stored file's answer says about it: type, disposition, validators, ranges. Pure: headers in, headers out.

A browser may show only what cannot run anything; the rest is bytes or an attachment.
"""

from __future__ import annotations

import mimetypes
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

from ..store.files import StoredFile

#: Types shown as they are; nothing in them runs.
SHOWN = {
    *("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/avif", "image/tiff"),
    *("image/x-icon", "image/vnd.microsoft.icon", "video/mp4", "video/webm", "video/ogg", "audio/mpeg"),
    *("audio/ogg", "audio/wav", "audio/x-wav", "audio/flac", "text/plain", "application/json"),
}
#: Texts that browsers would not show, or would run; shown as plain text.
AS_TEXT = {"text/csv", "text/markdown", "text/tab-separated-values", "text/x-python", "application/x-sh"}
RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


class RangeOutside(Exception):
    """A range that lies outside of a file of so many bytes."""

    def __init__(self, bytes_: int) -> None:
        super().__init__(f"a range outside of {bytes_} bytes")
        self.bytes = bytes_


def description(file: StoredFile, download: bool) -> list[tuple[bytes, bytes]]:
    """The headers that describe a file."""
    name = file.path.rpartition("/")[2]
    kind, inline = shown_as(name)
    how = "inline" if inline and not download else "attachment"
    return [
        (b"content-type", kind.encode()),
        (b"content-disposition", disposition(how, name).encode("latin-1")),
        (b"last-modified", format_datetime(modified(file), usegmt=True).encode()),
        (b"cache-control", b"private, max-age=300"),
        (b"etag", f'"{file.sha256}"'.encode()),
        (b"accept-ranges", b"bytes"),
        (b"vary", b"Authorization, Cookie"),
    ]


def shown_as(name: str) -> tuple[str, bool]:
    """(content type, whether a browser may show it). What is unknown is bytes, which no browser shows."""
    kind, encoding = mimetypes.guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream", True
    if kind in SHOWN:
        return (f"{kind}; charset=utf-8" if kind.startswith("text/") else kind), True
    if kind in AS_TEXT:
        return "text/plain; charset=utf-8", True
    return "application/octet-stream", kind == "application/octet-stream"


def disposition(how: str, name: str) -> str:
    """A Content-Disposition; names that are no token go as RFC 5987 says."""
    if re.fullmatch(r"[\w.+-]+", name, re.ASCII):
        return f"{how}; filename={name}"
    if re.fullmatch(r"[ !#-\[\]-~]+", name):
        return f'{how}; filename="{name}"'
    return f"{how}; filename*=UTF-8''{quote(name, safe='')}"


def modified(file: StoredFile) -> datetime:
    """When the file came, in whole seconds."""
    return datetime.fromtimestamp(file.created // 1000, UTC)


def unchanged(file: StoredFile, headers: dict[str, str]) -> bool:
    """Whether the client holds the present content (RFC 9110, section 13)."""
    known = headers.get("if-none-match")
    if known is not None:
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        return "*" in tags or f'"{file.sha256}"' in tags
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return modified(file) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def asked_range(file: StoredFile, headers: dict[str, str]) -> tuple[int, int]:
    """The bytes asked for, the end excluded; the whole file where no single range is (RFC 9110, section 14).

    Raises:
        RangeOutside: The range lies outside.
    """
    whole = (0, file.bytes)
    found = RANGE.match(headers.get("range", ""))
    if not found or found.groups() == ("", ""):
        return whole
    condition = headers.get("if-range")
    if condition is not None and condition != f'"{file.sha256}"':
        return whole
    first, last = (int(digits[:19]) if digits else None for digits in found.groups())
    if first is None:
        begin, end = max(0, file.bytes - (last or 0)), file.bytes
    else:
        begin, end = first, file.bytes if last is None else min(file.bytes, last + 1)
        if last is not None and last < first:
            return whole
    if begin >= end:
        raise RangeOutside(file.bytes)
    return begin, end
