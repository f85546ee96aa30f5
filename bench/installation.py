"""What each way to install takes: seconds and MB of a fresh environment, side by side.

``python -m bench.installation [--json FILE] [--only core --only all] [--quick]`` makes an environment for each lock in
``requirements/`` with the Python it runs in, installs the lock there without pip's cache, and removes it. Minutes, most
of them downloads; a lock that does not install within ten minutes is not measured. MB (10^6 bytes) is what the files
hold when it is done, pip and compiled files included; ``empty`` is the environment before anything is installed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import venv
from pathlib import Path

from bench.result import Result, arguments

LOCKS = Path(__file__).resolve().parent.parent / "requirements"
PARTS = ("core", "reports", "containers", "clearml", "server", "all")
LIMIT_SECONDS = 600


def main() -> None:
    """Measure and print."""
    parser = arguments("installation", "seconds and MB of each way to install")
    parser.add_argument("--only", action="append", choices=PARTS, help="this lock; may be repeated")
    given = parser.parse_args()
    parts = given.only or (("core", "all") if given.quick else PARTS)
    names = [f"{part}_{unit}" for part in ("empty", *parts) for unit in ("seconds", "mb")]
    result = Result("installation", names)
    for part in ("empty", *parts):
        with tempfile.TemporaryDirectory() as scratch:
            _measure(result, part, Path(scratch))
        if given.json:
            result.write(given.json)  # as it is so far: each takes minutes
    result.finish(given.json)


def _measure(result: Result, part: str, folder: Path) -> None:
    begin = time.monotonic()
    venv.create(folder, with_pip=True)
    lock = LOCKS / f"{part}.lock"
    if lock.is_file():
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        command += ["--disable-pip-version-check", "--require-hashes", "-r", str(lock)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            result.row(part=part, not_measured=f"not installed within {LIMIT_SECONDS} s")
            return
        if done.returncode:
            result.row(part=part, not_measured=" ".join(done.stderr.split())[-300:])
            return
    seconds = time.monotonic() - begin
    sizes = [path.stat().st_size for path in _files(folder)]
    packages = sum(path.suffix == ".dist-info" for path in folder.glob("lib/python*/site-packages/*"))
    result.figure(f"{part}_seconds", seconds)
    result.figure(f"{part}_mb", sum(sizes) / 1e6)
    result.row(part=part, seconds=seconds, bytes=sum(sizes), files=len(sizes), packages=packages)


def _files(folder: Path) -> list[Path]:
    found = []
    for where, _, names in os.walk(folder):
        found += [path for name in names if not (path := Path(where) / name).is_symlink()]
    return found


if __name__ == "__main__":
    main()
