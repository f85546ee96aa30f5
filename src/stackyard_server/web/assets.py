"""The files that pages load: styles, scripts, the mark. What is large is sent compressed, and kept so."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
#: plotly.js, which draws every chart; its name holds its version, its text file the licence and the digest.
PLOTLY = "plotly-strict-4.1.1"
#: Files from this size on are compressed where the browser takes it, bytes.
COMPRESS_FROM = 4096


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    media_type: str
    headers: dict[str, str]


class Assets:
    """The files, by name; nothing else of the folder's surroundings can be named."""

    def __init__(self) -> None:
        self._known = {path.name: path for path in FOLDER.iterdir() if path.is_file()}
        self._compressed = lru_cache(maxsize=len(self._known))(self._compress)
        self._plain = lru_cache(maxsize=len(self._known))(Path.read_bytes)

    def find(self, name: str, takes_gzip: bool) -> Asset | None:
        """A file, None where there is none of that name. Reads and compresses: not for the event loop."""
        path = self._known.get(name)
        if path is None:
            return None
        # what has its version in its name never changes
        age = "max-age=31536000, immutable" if name.startswith(PLOTLY) else "max-age=300"
        headers = {"cache-control": f"public, {age}", "vary": "Accept-Encoding"}
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if takes_gzip and path.stat().st_size >= COMPRESS_FROM:
            return Asset(self._compressed(path), kind, {**headers, "content-encoding": "gzip"})
        return Asset(self._plain(path), kind, headers)

    @staticmethod
    def _compress(path: Path) -> bytes:
        return gzip.compress(path.read_bytes(), 6, mtime=0)
