"""The unmodified ClearML SDK and agent in processes of their own, with nothing but a generated clearml.conf."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..running import Running, running_server

FLOWS = Path(__file__).parent / "flows"
#: A flow takes seconds; this only ends what hangs.
PATIENCE_SECONDS = 180


@functools.cache
def clients_python() -> str | None:
    """A Python that has clearml and clearml-agent: $STACKYARD_CLIENTS_PYTHON, else this one if it has them."""
    for python in (os.environ.get("STACKYARD_CLIENTS_PYTHON"), sys.executable):
        if python:
            found = subprocess.run(
                [python, "-c", "import clearml, clearml_agent"], capture_output=True, check=False
            )
            if found.returncode == 0:
                return python
    return None


@pytest.fixture(scope="session")
def python() -> str:
    """The clients' interpreter; skipped where there is none."""
    found = clients_python()
    if found is None:
        pytest.skip("no Python with clearml and clearml-agent: set STACKYARD_CLIENTS_PYTHON")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server for the flows of a module."""
    with running_server() as running:
        yield running


def environment(server: Running, home: Path) -> dict[str, str]:
    """A user's environment: a home with a generated clearml.conf and nothing inherited of ClearML's."""
    configuration = home / "clearml.conf"
    configuration.write_text(
        f"""api {{
            web_server: {server.web}
            api_server: {server.api}
            files_server: {server.files}
            credentials {{ "access_key" = "{server.access_key}", "secret_key" = "{server.secret_key}" }}
        }}
        sdk.storage.block_pickled_artifacts: true
        sdk.development.worker.report_period_sec: 1
        # the SDK's forked reporter may wait long for itself where many threads were running at the fork
        sdk.development.report_use_subprocess: false
        sdk.storage.cache.default_base_dir: "{home}/cache"
        """
    )
    configuration.chmod(0o600)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML", "TRAINS", "PYTHON"))}
    return {**kept, "HOME": str(home), "CLEARML_CONFIG_FILE": str(configuration), "PYTHONUNBUFFERED": "1"}


Flow = Callable[..., str]


@pytest.fixture
def flow(server: Running, python: str, tmp_path: Path) -> Flow:
    """Runs a script of ``flows/`` with the real SDK; its output, once it ended well."""

    def run(name: str, *arguments: str) -> str:
        # outside the checkout: the SDK records a script's repository with all its differences
        script = shutil.copy(FLOWS / name, tmp_path / name)
        ended = subprocess.run(
            [python, str(script), *arguments],
            env=environment(server, tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{name} {arguments}:\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
        return ended.stdout

    return run
