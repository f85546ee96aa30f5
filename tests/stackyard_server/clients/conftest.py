"""The unmodified ClearML SDK and agent in processes of their own, with nothing but a generated clearml.conf."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from stackyard_server.admin.client_config import client_config
from tests.waiting import PATIENCE_SECONDS

from ..running import Running, running_server

FLOWS = Path(__file__).parent / "flows"
#: Laid over the generated configuration by ``environment``: what makes a flow quick, nothing that makes it work. How
#: the SDK is without it, forked reporter and all, is in ``test_forked`` and ``test_generated_config``.
#: The SDK reports from a forked process by default, and there a flush waits for the end of a fixed 5 s period: the
#: event that is to cut it short (``BackgroundReportService._flush_event``) is a thread's, set in the parent only.
QUICK = """
sdk.development.report_use_subprocess: false
sdk.development.worker.report_period_sec: 1
"""
#: Warnings of the clients that have nothing to do with the server.
HARMLESS = re.compile(
    r"Could not fetch GPU stats|GPU monitoring failed|PipelineController.*deprecated|Blocked ?Pickled|No audio"
)


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


def home_environment(home: Path, configuration: Path) -> dict[str, str]:
    """A user's environment with that home and clearml.conf, and nothing inherited of ClearML's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML", "TRAINS", "PYTHON"))}
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
        "CLEARML_CONFIG_FILE": str(configuration),
        # the clients ask their maker for updates; a proxy nobody serves keeps everything on this machine
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        "PYTHONUNBUFFERED": "1",
    }


def environment(server: Running, home: Path, overrides: str = QUICK) -> dict[str, str]:
    """A user's environment: a home with the clearml.conf the server generates, and what is laid over it."""
    urls = {"api": server.api, "web": server.web, "files": server.files}
    configuration = home / "clearml.conf"
    configuration.write_text(client_config(urls, server.access_key, server.secret_key) + overrides)
    configuration.chmod(0o600)
    return home_environment(home, configuration)


def complaints(output: str) -> list[str]:
    """The lines in which a client warns of something, but for those of ``HARMLESS``."""
    lines = [
        line
        for line in output.splitlines()
        if re.search(r"\b(WARNING|ERROR|CRITICAL)\b|Retrying|compatib", line)
    ]
    return [line for line in lines if not HARMLESS.search(line)]


def run_script(python: str, script: Path, *arguments: str, env: Mapping[str, str], folder: Path) -> str:
    """What a script printed (both streams), once it and all it started has ended well."""
    process = subprocess.Popen(
        [python, str(script), *arguments],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"{script.name} {arguments} hangs:\n{process.communicate()[0][-6000:]}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, f"{script.name} {arguments}:\n{output[-6000:]}"
    return output


Flow = Callable[..., str]


@pytest.fixture
def flow(server: Running, python: str, tmp_path: Path) -> Flow:
    """Runs a script of ``flows/`` with the real SDK; its output, once it ended well and warned of nothing."""

    def run(name: str, *arguments: str, overrides: str = QUICK) -> str:
        # outside the checkout: the SDK records a script's repository with all its differences
        script = Path(shutil.copy(FLOWS / name, tmp_path / name))
        env = environment(server, tmp_path, overrides)
        output = run_script(python, script, *arguments, env=env, folder=tmp_path)
        assert not complaints(output), f"{name} {arguments} warns:\n{output}"
        return output

    return run
