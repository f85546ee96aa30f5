#!/usr/bin/env python3
"""Packs a checkout for a host: the same files make the same archive. Prints its digest; with a path it also writes it.

    pack.py CHECKOUT [ARCHIVE]

What git tracks or would track goes in, as it is in the folder now: stacks of your own, too. Of a checkout without git
it is all but what is built there.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

#: Built or fetched in a checkout, or of no use on a host.
LEFT_OUT = (
    ".git",
    ".venv",
    ".stackyard",
    ".ci",
    "runs",
    "dist",
    "build",
    "tests",
    "bench",
    "ansible",
    "docs",
)
PARTS = ("__pycache__", ".egg-info", ".pytest_cache", ".mypy_cache", ".ruff_cache")


def files_of(checkout: Path) -> list[str]:
    """The files that a host gets, by their names below the checkout."""
    listed = subprocess.run(
        ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()]
    return sorted(name for name in names if not _is_left_out(name) and (checkout / name).is_file())


def _is_left_out(name: str) -> bool:
    return name.split("/")[0] in LEFT_OUT or any(part in name for part in PARTS)


def archive_of(checkout: Path) -> bytes:
    """The checkout as a compressed archive, the same for the same files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in files_of(checkout):
            content = (checkout / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755 if os.access(checkout / name, os.X_OK) else 0o644
            tar.addfile(member, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=6) as file:
        file.write(plain.getvalue())
    return packed.getvalue()


def main(arguments: list[str]) -> int:
    """The program; its exit status."""
    if len(arguments) not in (1, 2) or not (Path(arguments[0]) / "pyproject.toml").is_file():
        print("usage: pack.py CHECKOUT [ARCHIVE]; CHECKOUT holds pyproject.toml", file=sys.stderr)
        return 2
    content = archive_of(Path(arguments[0]))
    if len(arguments) == 2:
        target = Path(arguments[1])
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        draft.write_bytes(content)
        draft.replace(target)
    print(hashlib.sha256(content).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
