"""Scripts that fork, with the unmodified SDK and its usual settings: nothing is lost, nobody dies."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..running import Running
from .conftest import FLOWS, complaints, environment, run_script
from .forked import SCRIPTS, lost


@pytest.mark.long
def test_parent_and_child_report_at_the_same_time(server: Running, python: str, tmp_path: Path) -> None:
    server.call("projects.create", name="Forked")

    def ran(name: str) -> str:
        home = tmp_path / name
        home.mkdir()
        script = Path(shutil.copy(FLOWS / name, home))
        env = environment(server, home, overrides="")
        return run_script(python, script, name, env=env, folder=home)

    with ThreadPoolExecutor(len(SCRIPTS)) as threads:
        for name, said in zip(SCRIPTS, threads.map(ran, SCRIPTS), strict=True):
            task = re.search(r"^OK (\w+)", said, re.MULTILINE)
            assert task, said
            assert not complaints(said), said
            assert not lost(server, task[1], SCRIPTS[name])
