"""The real SDK with the configuration that ``stackyard server config`` writes, before and after the server moved."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from stackyard_server import admin
from stackyard_server.store import Store

from .conftest import FLOWS, QUICK, home_environment, run_script

FREE_PORTS = {"web_port": 0, "api_port": 0, "files_port": 0}


def run(python: str, home: Path, name: str, *arguments: str) -> str:
    """The output of a flow with the generated clearml.conf."""
    script = Path(shutil.copy(FLOWS / name, home / name))
    said = run_script(
        python, script, *arguments, env=home_environment(home, home / "clearml.conf"), folder=home
    )
    assert "CLEARML_BLOCK_PICKLED_ARTIFACTS" in said, "the configuration's environment was applied"
    return said


def start(folder: Path, home: Path) -> dict[str, Any]:
    """A server on free ports, and a fresh configuration of it."""
    word = admin.start_background(folder, FREE_PORTS)
    admin.write_client_config(folder, home / "clearml.conf", "admin", replace=True)
    with open(home / "clearml.conf", "a") as file:
        file.write(QUICK)
    return word


def test_stored_files_are_read_after_a_move_and_go_with_their_task(python: str, tmp_path: Path) -> None:
    folder, home = tmp_path / "data", tmp_path / "home"
    home.mkdir()
    word = start(folder, home)
    try:
        stored = run(python, home, "files_store.py", word["urls"]["files"])
    finally:
        admin.stop(folder)
    ids = re.search(r"IDS (\w+) (\w+)", stored)
    assert ids, stored
    shutil.rmtree(home / ".clearml", ignore_errors=True)  # what the SDK keeps of the files
    moved = start(folder, home)
    try:
        assert moved["urls"]["files"] != word["urls"]["files"]
        assert "OK" in run(python, home, "files_read.py", moved["urls"]["files"], *ids.groups())
    finally:
        admin.stop(folder)
    store = Store(folder)
    with store.reading() as tx:
        left = [row[0] for row in tx.all("SELECT path FROM file")]
    store.close()
    assert left
    assert all(f"/my data.{ids[2]}/" in path for path in left), left
