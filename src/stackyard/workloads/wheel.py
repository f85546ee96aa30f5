"""The task's code as a wheel: made from a snapshot, the same bytes for the same code, named by its digest.

So that a task brings its code along without a git remote, and a stack's environment never holds it. Pure
archive work; who puts it on a file server is ``dispatch``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from stackyard.workloads import snapshot

#: The earliest instant a zip archive can name: the same code gives the same bytes at any time.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DISTRIBUTION = "stackyard_code"
#: A version says nothing that the digest does not say better.
_NAME = f"{_DISTRIBUTION}-0"


@dataclass(frozen=True)
class Wheel:
    """A built wheel."""

    name: str
    content: bytes
    sha256: str


def built(code: Path) -> Wheel:
    """The wheel of everything in ``code`` (a snapshot's folder)."""
    files = {path.relative_to(code).as_posix(): path.read_bytes() for path in snapshot.files_of(code)}
    about = f"{_NAME}.dist-info"
    files[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: 0\n".encode()
    files[f"{about}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: stackyard\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    listed = [f"{name},{_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*listed, f"{about}/RECORD,,", ""]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    content = out.getvalue()
    return Wheel(f"{_NAME}-py3-none-any.whl", content, hashlib.sha256(content).hexdigest())


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
