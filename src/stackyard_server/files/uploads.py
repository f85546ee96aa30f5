"""Multipart uploads, from chunks of a body to files on disk.

ClearML's clients send one part per file; the part's *field name* is the path to store under. Parts without a file
name are form fields and passed over. Nothing becomes visible here: an upload ends as a list of finished files, or
all of it is discarded. ``feed`` and ``finish`` write to the disk: call them in a thread.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState

from ..http.errors import Refused
from .stored import Incoming, StoredFiles, key_of

MOST_FILES = 1000
#: The path stands twice in a part's header, as name and as file name.
LARGEST_HEADER_BYTES = 32 * 1024
PARAMETER = re.compile(r';\s*([a-zA-Z]+)(\*)?\s*=\s*(?:"([^"]*)"|([^;\s]*))')


class Upload:
    """One request's files on their way in.

    Args:
        stored: Where they go.
        boundary: The multipart boundary.

    Raises:
        Refused: The boundary is none.
    """

    def __init__(self, stored: StoredFiles, boundary: bytes) -> None:
        self.files: list[Incoming] = []
        self._stored = stored
        self._current: Incoming | None = None
        self._field, self._value, self._disposition = bytearray(), bytearray(), ""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begin,
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                },
                max_header_size=LARGEST_HEADER_BYTES,
            )
        except FormParserError as fault:
            raise Refused(400, str(fault)) from None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            Refused: Malformed, or a path that may not be one.
            OSError: The disk is full.
        """
        try:
            self._parser.write(data)
        except FormParserError as fault:
            raise Refused(400, f"The multipart body is malformed: {fault}") from None

    def finish(self) -> list[Incoming]:
        """Every file, complete.

        Raises:
            Refused: The body ended before its last boundary.
        """
        if self._parser.state != MultipartState.END:
            raise Refused(400, "The multipart body ended before its last boundary")
        return self.files

    def discard(self) -> None:
        """Remove whatever came."""
        for incoming in self.files:
            incoming.discard()

    def _part_begin(self) -> None:
        self._disposition = ""

    def _header_end(self) -> None:
        if bytes(self._field).lower() == b"content-disposition":
            self._disposition = bytes(self._value).decode("utf-8", "surrogateescape")
        self._field.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        found = parameters(self._disposition)
        if "filename" not in found:
            return
        key = key_of(found.get("name", ""))
        if key is None:
            raise Refused(404, "")
        if len(self.files) >= MOST_FILES:
            raise Refused(413, f"More than {MOST_FILES} files in one request")
        self._current = self._stored.begin(key)
        self.files.append(self._current)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._current.write(data[start:end])

    def _part_end(self) -> None:
        if self._current is not None:  # an upload has one file open at a time
            self._current.close()
        self._current = None


def parameters(disposition: str) -> dict[str, str]:
    """The parameters of a Content-Disposition; ``name*`` (RFC 2231) goes before ``name``."""
    found: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, star, quoted, bare in PARAMETER.findall(disposition):
        value = quoted or bare
        if star:
            extended[name.lower()] = unquote(value.split("'", 2)[-1], errors="surrogateescape")
        else:
            # as it comes: the SDK has quoted the path before, and names it so from then on
            found[name.lower()] = value
    return {**found, **extended}
