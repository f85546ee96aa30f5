"""A test run that is ended from outside leaves no process and no container."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import session
from tests.engine import base_image, docker, engine  # noqa: F401 - fixtures
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
#: Leaves a process that inherits nothing but a home, as an agent has it; or a container that mounts something.
LEAVING = """
import subprocess, sys, time
from tests.session import begin

folder, image = begin(), {image!r}

def test_it_leaves_something(tmp_path):
    if image:
        mounted = ["-v", str(tmp_path) + ":/held"]
        subprocess.run(["docker", "run", "-d", "--name", folder.name, *mounted, image, "sleep", "600"], check=True)
    else:
        idle = [sys.executable, "-c", "import time; time.sleep(600)"]
        subprocess.Popen(idle, env={{"HOME": str(tmp_path)}}, cwd="/", start_new_session=True)
    open({said!r}, "w").write(str(folder) + "\\n")
    time.sleep(600)
"""


@contextmanager
def a_run(folder: Path, image: str = "") -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A test run that has left something and would go on for long; and the run's folder."""
    file, said = folder / "test_leaving.py", folder / "said"
    file.write_text(LEAVING.format(image=image, said=str(said)))
    outside = {k: v for k, v in os.environ.items() if k != "TMPDIR" and not k.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(file)]
    run = subprocess.Popen(
        command, cwd=ROOT, env={**outside, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: said.exists() and said.read_text().endswith("\n"), "its test", run.poll)
        yield run, Path(said.read_text().strip())
    finally:
        run.kill()
        run.wait()


def until_gone(folder: Path) -> None:
    """Wait until the run's watcher has removed its folder and ended."""
    until(lambda: not folder.exists() and not session.named_by(folder), f"the end of all that names {folder}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_no_process_of_an_interrupted_run_lives(tmp_path: Path, number: signal.Signals) -> None:
    with a_run(tmp_path) as (run, folder):
        assert len(session.named_by(folder)) >= 2, "what it left, and its watcher"
        run.send_signal(number)
        run.wait()
        until_gone(folder)


@pytest.mark.engine
def test_nor_does_a_container(
    engine: object,  # noqa: F811
    base_image: Callable[[str], str],  # noqa: F811
    tmp_path: Path,
) -> None:
    with a_run(tmp_path, base_image("3.11")) as (run, folder):
        assert folder.name in docker("ps", "--format", "{{.Names}}")
        run.kill()
        run.wait()
        until_gone(folder)
        assert folder.name not in docker("ps", "--all", "--format", "{{.Names}}")
