"""``stackyard server config`` writes all that the SDK needs: the command line, the server and the SDK as processes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS

from .conftest import FLOWS, complaints, home_environment, run_script


def stackyard(*arguments: str) -> str:
    """What ``stackyard`` printed, once it ended well."""
    command = [sys.executable, "-c", "from stackyard.cli.main import main; main()", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The data folder of a server in the background."""
    folder = tmp_path / "data"
    ports = [f"--{name}-port=0" for name in ("web", "api", "files")]
    try:
        stackyard("server", "start", "--background", "--folder", str(folder), *ports)
        yield folder
    finally:
        stackyard("server", "stop", "--folder", str(folder))


def test_the_sdk_runs_with_nothing_but_the_generated_configuration(
    folder: Path, python: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    configuration = home / "clearml.conf"
    stackyard("server", "config", "--folder", str(folder), "--to", str(configuration))
    assert configuration.stat().st_mode & 0o777 == 0o600
    script = Path(shutil.copy(FLOWS / "defaults.py", home))
    said = run_script(python, script, env=home_environment(home, configuration), folder=home)
    assert "OK" in said
    assert "BlockedPickledArtifactError" in said
    assert not complaints(said), said
    assert not re.search(r"upgrade|unsupported|not supported", said, re.IGNORECASE), said
    status = json.loads(stackyard("server", "status", "--folder", str(folder), "--json"))
    assert status["running"]
