"""The one file for agents that are not ours: a Python as far as anybody can see, and small."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stackyard.agents import measuring_file
from stackyard.errors import BadInputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a folder" / "measuring"
    path.parent.mkdir()
    assert measuring_file.write(path) < 400_000
    return path


def ran(file: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(file.parent), **variables}
    return subprocess.run([str(file), *words], env=environment, capture_output=True, text=True, check=False)


def test_it_is_python_and_unpacks_itself_once(file: Path) -> None:
    for _ in range(2):
        done = ran(file, "-c", "import sys; print(sys.version_info[0])")
        assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
    (place,) = (file.parent / ".cache" / "stackyard").iterdir()
    assert place.name.startswith("measuring-")
    assert not (place / "stackyard_task" / "clearml_link.py").exists(), "nothing in it imports the SDK"
    assert not (place / "stackyard_task" / "box.py").exists(), "no container is started by such an agent"


def test_a_newer_file_takes_along_what_an_older_one_left_unused(file: Path) -> None:
    cache = file.parent / ".cache" / "stackyard"
    for name, days in (("measuring-old", 91), ("measuring-lately", 1), ("somebody-elses", 91)):
        (cache / name).mkdir(parents=True)
        at = time.time() - days * 86_400
        os.utime(cache / name, (at, at))
    assert ran(file, "-c", "print(1)").stdout == "1\n"
    left = {place.name for place in cache.iterdir()}
    assert {"measuring-lately", "somebody-elses"} < left
    assert "measuring-old" not in left


def test_it_does_without_a_cache(file: Path) -> None:
    done = ran(file, "-c", "print(1)", XDG_CACHE_HOME="/proc/none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_task_comes_to_it(file: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("print('ran')")
    done = ran(file, "-u", str(tmp_path / "work.py"), CLEARML_TASK_ID="one")
    assert done.stderr.startswith("stackyard: not measured: no ClearML server is named")


def test_the_same_sources_make_the_same_file(file: Path) -> None:
    assert file.read_bytes() == measuring_file.built()


def test_where_it_cannot_be_written_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be written"):
        measuring_file.write(tmp_path / "none" / "file")
    assert not list(tmp_path.iterdir())
