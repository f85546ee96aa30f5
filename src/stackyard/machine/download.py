"""Getting the bytes of an address: tried again with patience, resumed after a break.

The bytes go to a ``.part`` file; a later call continues there with an HTTP range request. What the file
should be is the caller's to check. Nothing is asked of the network but the address given. May import errors.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from stackyard.errors import StackyardError

#: Tries without a single new byte before giving up, and the wait before the second; each next wait doubles.
TRIES = 4
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
#: No byte for so long: the connection counts as broken.
TIMEOUT_SECONDS = 30.0
#: Answers worth another try.
PASSING = (408, 425, 429, 500, 502, 503, 504)


class DownloadError(StackyardError):
    """An address could not be read; what was already there stays for the next try."""


class NotThereError(DownloadError):
    """The server says that it has nothing at this address."""


def _nothing(done: int, total: int | None) -> None:
    """Nobody watches."""


@dataclass
class Downloader:
    """How files are got: one HTTP client, patience and a place to tell progress.

    Args:
        client: the HTTP client; its transport can be replaced by a test.
        sleep: waits so many seconds.
        on_progress: called with (bytes here, bytes in all or ``None``) as they come.
        on_retry: called with a sentence before each wait.
    """

    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True)
    )
    sleep: Callable[[float], None] = time.sleep
    on_progress: Callable[[int, int | None], None] = _nothing
    on_retry: Callable[[str], None] = lambda sentence: None

    def get(self, address: str, part: Path, limit_bytes: int | None = None) -> None:
        """Bring all bytes of ``address`` into ``part``, continuing what lies there.

        Args:
            address: an http or https URL.
            part: the file that takes the bytes.
            limit_bytes: a longer answer is refused, before it fills the disk; ``None``: any length.

        Raises:
            NotThereError: the server has nothing there.
            DownloadError: the address stayed unreachable, or refuses; ``part`` keeps what came.
        """
        failures = 0
        while True:
            before = _size(part)
            try:
                self._continue(address, part, limit_bytes)
                return
            except (httpx.TransportError, _PassingAnswerError) as error:
                # Progress wins back patience: a server that dies every megabyte still ends.
                failures = 1 if _size(part) > before else failures + 1
                reason = _sentence(error)
            except httpx.InvalidURL as error:
                raise DownloadError(f"{address!r} is not an address ({error})") from error
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise DownloadError(
                        f"{part}: the disk is full; make room and repeat: it continues where it stopped"
                    ) from error
                raise
            if failures >= TRIES:
                raise DownloadError(
                    f"{address}: the data address is unreachable ({reason}; {TRIES} tries); connect to a "
                    "network that reaches it and repeat, or take a copy's files with --from FOLDER_OR_URL"
                )
            wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (failures - 1))
            self.on_retry(f"{reason}; again in {wait:g} s")
            self.sleep(wait)

    def _continue(self, address: str, part: Path, limit_bytes: int | None) -> None:
        have = _size(part)
        # identity: with a compressed transfer a byte range would count other bytes than the file's.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.client.stream("GET", address, headers=headers) as answer:
            status = answer.status_code
            if status == 416:  # nothing behind what we have: either all is here, or it is not the same file
                if _total(answer) == have:
                    return
                part.unlink()
                raise _PassingAnswerError("the server has another file than the one begun, starting anew")
            if status in (404, 410):
                raise NotThereError(f"{address}: the server has no such file (HTTP {status})")
            if status in PASSING:
                raise _PassingAnswerError(f"the server answers HTTP {status}")
            if status not in (200, 206):
                raise DownloadError(
                    f"{address}: the server refuses with HTTP {status} {answer.reason_phrase}"
                )
            begins = have if status == 206 and _begins_at(answer) == have else 0
            if status == 206 and begins != have:
                part.unlink()
                raise _PassingAnswerError("the server sent another range than asked, starting anew")
            total = (
                begins + int(answer.headers["content-length"]) if "content-length" in answer.headers else None
            )
            done = begins
            with part.open("ab" if begins else "wb") as stream:
                # Pieces as they arrive: gathered to a fixed size, the last ones before a break would be lost.
                for chunk in answer.iter_raw():
                    done += len(chunk)
                    if limit_bytes is not None and done > limit_bytes:
                        part.unlink()
                        raise DownloadError(
                            f"{address}: the server sends more than the {limit_bytes} bytes expected; "
                            "nothing was kept"
                        )
                    stream.write(chunk)
                    self.on_progress(done, total)
            if total is not None and done < total:
                raise _PassingAnswerError(f"the connection ended after {done} of {total} bytes")


class _PassingAnswerError(Exception):
    """An answer that may be another one next time."""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _begins_at(answer: httpx.Response) -> int | None:
    """The first byte of a 206 answer, from "Content-Range: bytes FIRST-LAST/TOTAL"."""
    text = answer.headers.get("content-range", "").removeprefix("bytes ").split("-", 1)[0]
    return int(text) if text.isdigit() else None


def _total(answer: httpx.Response) -> int | None:
    """TOTAL of "Content-Range: bytes */TOTAL"."""
    text = answer.headers.get("content-range", "").rpartition("/")[2]
    return int(text) if text.isdigit() else None


def _sentence(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
