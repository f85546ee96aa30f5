"""The SDK as wheels made of what is installed here: pip takes them, without any index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stackyard.ordinary import sdk
from stackyard.settings import Settings
from tests.stackyard.fake_stacks import wheel


def test_pip_takes_them_without_an_index(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home")
    pinned = {"numpy", "pillow"}  # large, and no matter of this test
    folder = sdk.wheels(settings, pinned)
    made = {path.name.partition("-")[0] for path in folder.iterdir()}
    assert {"clearml", "requests", "psutil"} < made
    assert not pinned & made
    words = ["-m", "pip", "install", "--no-index", "--find-links", str(folder), "--target"]
    done = subprocess.run(
        [sys.executable, *words, str(tmp_path / "there"), "furl", "psutil"],
        env={**os.environ, "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    script = "import furl, psutil; print(furl.furl('a?b=1').args['b'], psutil.__file__)"
    said = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path / 'there')!r})\n{script}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.startswith(f"1 {tmp_path}"), said.stderr
    assert sdk.wheels(settings, pinned) == folder, "made once"


def test_a_folder_of_the_users_goes_before(tmp_path: Path) -> None:
    wheel(tmp_path / "users", "psutil", "99.0", {"psutil.py": ""})
    folder = sdk.wheels(Settings(tmp_path / "home"), {"numpy", "pillow"}, tmp_path / "users")
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith("psutil"))
    assert names == ["psutil-99.0-py3-none-any.whl"]
