"""What the platform itself keeps in memory at rest: ``platform_rss_mb``.

The embedded server, the services process and one idle agent (queue cpu), as `stackyard up` starts them: the sum over
their trees of resident memory, each page counted by the share of those that map it (PSS); RSS, which counts shared
pages once per process, is in the rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from bench.result import Result

FIGURES = ("platform_rss_mb",)
SETTLE_SECONDS = 20.0
OTHER_AGENT = "--queue services --cpu-only"


def figures(result: Result, quick: bool, options: Any) -> None:
    """Start the platform in a home of its own and look at it."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        real = Path(os.environ.get("STACKYARD_HOME", ".stackyard")).resolve() / "stacks"
        if real.is_dir():
            (home / "stacks").symlink_to(real)
        environment = {**os.environ, "STACKYARD_HOME": str(home), "DOCKER_HOST": "unix:///nonexistent"}
        stackyard = str(Path(sys.executable).with_name("stackyard"))
        up = [stackyard, "up"]
        done = subprocess.run(up, env=environment, capture_output=True, text=True, timeout=180, check=False)
        try:
            if done.returncode != 0:
                result.row(
                    figure="platform_rss_mb",
                    not_measured=" ".join((done.stderr or done.stdout).split())[-300:],
                )
                return
            time.sleep(2.0 if quick else SETTLE_SECONDS)
            trees = _of_home(home)
            rows = [(name, rss, pss) for name, rss, pss in map(_memory, trees) if rss]
            # the agent for pipelines is one more idle agent: in the rows, not in the figure
            counted = [row for row in rows if not row[0].endswith(OTHER_AGENT)]
            result.figure("platform_rss_mb", sum(pss for _, _, pss in counted) / 1e6)
            result.row(
                figure="platform_rss_mb",
                rss_mb=round(sum(rss for _, rss, _ in counted) / 1e6, 1),
                processes=[
                    {"what": name, "rss_mb": round(rss / 1e6, 1), "pss_mb": round(pss / 1e6, 1)}
                    for name, rss, pss in rows
                ],
            )
        finally:
            subprocess.run(
                [stackyard, "down"], env=environment, capture_output=True, timeout=180, check=False
            )


def _of_home(home: Path) -> list[psutil.Process]:
    """The processes that carry this home in their environment or command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and (
                any(str(home) in value for value in process.environ().values())
                or any(str(home) in word for word in process.cmdline())
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _memory(process: psutil.Process) -> tuple[str, int, int]:
    try:
        words = [word for word in process.cmdline() if not word.startswith("/")]
        full = process.memory_full_info()
        return " ".join(words)[:100].strip(), int(full.rss), int(full.pss)
    except psutil.Error:
        return "", 0, 0
