"""What timers of both servers call: backups are kept and removed as told, one at a time, whatever their folder is."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import jinja2
import pytest

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"
#: Makes a backup where the real command would: its second word is the folder.
STUB = '#!/bin/sh\nsleep 0.3\nmkdir "$2"\n'


def script(role: str, folder: Path, keep: int) -> Path:
    """The role's script, with a command that only makes the folder."""
    stub = folder.parent / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = jinja2.Environment(autoescape=False)
    environment.filters["quote"] = shlex.quote
    variables = {
        f"{role}_backup_folder": str(folder),
        f"{role}_backup_keep": keep,
        f"{role}_backup_free_gib": 0,
        f"{role}_folder": "/nowhere",
        f"{role}_command": shlex.quote(str(stub)),
        f"{role}_environment": {"COMPOSE_FILE": "a.yml:b.yml"},
    }
    written = folder.parent / "backup.sh"
    text = (ROLES / role / "templates" / "backup.sh.j2").read_text()
    written.write_text(environment.from_string(text).render(variables))
    return written


@pytest.mark.parametrize("role", ["stackyard_server", "clearml_server"])
def test_the_oldest_go_and_nothing_else(role: str, tmp_path: Path) -> None:
    folder, sibling = tmp_path / "my backups", tmp_path / "my"
    sibling.mkdir()
    for day in range(1, 9):
        (folder / f"2026-11-0{day}T000000Z").mkdir(parents=True)
    (folder / "mine").mkdir()
    done = subprocess.run(["sh", str(script(role, folder, 3))], capture_output=True, text=True, check=True)
    left = {path.name for path in folder.iterdir()}
    assert sibling.is_dir()
    assert {"mine", "2026-11-07T000000Z", "2026-11-08T000000Z", Path(done.stdout.strip()).name} == left


@pytest.mark.parametrize("role", ["stackyard_server", "clearml_server"])
def test_two_at_once_are_made_one_after_the_other(role: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    command = ["sh", str(script(role, folder, 7))]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(2)]
    told = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert len(list(folder.iterdir())) == 2
    assert not list(folder.rglob("*.draft"))
