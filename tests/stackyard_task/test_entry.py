"""What an ordinary task names as its script: refused in one sentence where it cannot be started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

import pytest

from stackyard_task import entry
from stackyard_task.chosen import NotMet


def refused(script: Dict[str, Any], words: List[str], folder: Path, **how: Any) -> str:
    with pytest.raises(NotMet) as found:
        entry.check(script, words, folder, **how)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_what_can_be_started_passes(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    for binary in ("", "python3", "/usr/bin/python3.11", "Python", "ipython", "pypy3"):
        entry.check({"binary": binary}, ["-u", "train.py", "--lr", "1"], tmp_path)
    entry.check({"binary": "python"}, ["-u", "-m", "pkg.nothing"], tmp_path)
    entry.check({"binary": "bash"}, ["-c", "echo hi"], tmp_path, shell=True)
    entry.check({}, ["-u", str(tmp_path / "train.py")], tmp_path)


def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    assert "names no script" in refused({}, ["-u", ""], tmp_path)
    assert "names no script" in refused({}, ["-u"], tmp_path)
    assert "there, and the task has no repository" in refused({}, ["-u", "x.py"], tmp_path)
    assert refused({"repository": "r", "working_dir": "a"}, ["-u", "x.py"], tmp_path) == (
        "the task's entry point x.py is not in its repository below a; correct it"
    )
    assert "the program ruby; agents run scripts with Python, bash, sh or zsh" in refused(
        {"binary": "/usr/bin/ruby"}, ["-u", "x.py"], tmp_path
    )
    for name in ("a\nb.py", "a\0b.py", "x" * 5000, "a\x1b[2Jb"):
        assert len(refused({}, ["-u", name], tmp_path)) < 300


@pytest.mark.parametrize("changes", ["--- a/x.py\n+++ b/x.py\n", "print('all of it')\n"])
def test_changes_that_the_agent_leaves_out_are_refused(tmp_path: Path, changes: str) -> None:
    (tmp_path / "x.py").write_text("print('of the repository')\n")
    in_repository = {"repository": "r", "diff": changes}
    for words in (["-u", "x.py"], ["-u", "-m", "x"]):
        assert "do not begin with `diff`, so the agent leaves them out" in refused(
            in_repository, words, tmp_path
        )
    entry.check({"repository": "r", "diff": "diff --git a/x.py b/x.py\n"}, ["-u", "x.py"], tmp_path)
    entry.check({"repository": "r", "diff": "Submodule lib 1..2:\ndiff --git ..."}, ["-u", "x.py"], tmp_path)
    (tmp_path / "new.py").write_text(changes)  # the repository had no such file: the agent wrote it
    entry.check(in_repository, ["-u", "new.py"], tmp_path)
    entry.check({"diff": changes}, ["-u", "x.py"], tmp_path)


def test_the_shell_is_the_one_that_the_task_names(tmp_path: Path) -> None:
    for name in ("bash", "zsh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o700)
    path = str(tmp_path)
    assert entry.shell_of({"binary": "bash"}, path) == str(tmp_path / "bash")
    assert entry.shell_of({"binary": "/nowhere/zsh"}, path) == str(tmp_path / "zsh")
    assert entry.shell_of({"binary": "/bin/sh"}, path) == "/bin/sh"
    with pytest.raises(NotMet, match="names the shell sh, which is not on this machine; here are: bash, zsh"):
        entry.shell_of({"binary": "sh"}, path)


def test_a_shells_script_finds_its_environments_python_first() -> None:
    found = entry.python_first(os.pathsep.join(["/a", "/env/bin", "", "/b"]), "/env/bin/python")
    assert found.split(os.pathsep) == ["/env/bin", "/a", "/b"]
    assert entry.python_first("/a:/b", None) == "/a:/b"
