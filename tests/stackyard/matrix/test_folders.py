"""The folders of a scenario's commands, as its plan has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stackyard import scenarios
from stackyard.errors import BadInputError
from stackyard.matrix import folders
from stackyard.scenarios import Known, Scenario


def read(key: str) -> Scenario:
    text = f'name = "s"\n[workloads.w]\ncommand = ["ls"]\n{key}\n'
    known = Known(stacks=["s"], default_stack="s", deployments=["bare"], default_deployment="bare")
    return scenarios.read(text, "s.toml", known)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('folder = "gone"', "its folder is 'gone': there is no folder"),
        (f'code = "{"x" * 300}"', "its code is 'xxx"),
        ('requirements = "gone.txt"', "there is no file"),
    ],
)
def test_what_a_command_names_and_is_not_there_is_refused(tmp_path: Path, key: str, said: str) -> None:
    with pytest.raises(BadInputError, match="workloads.w: .*" + said):
        folders.of_commands(read(key), tmp_path)


def test_of_a_folder_that_is_worked_in_the_plan_knows_what_git_does(tmp_path: Path) -> None:
    scenario, file = read('folder = "."'), tmp_path / "train.py"

    def seen() -> tuple[str | None, bool | None, dict[str, str]]:
        found = folders.planned({}, scenario, tmp_path)["w"]
        assert found.digest is None
        return found.commit, found.dirty, found.files

    assert seen() == (None, None, {})
    file.write_text("1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "train.py"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    commit, *clean = seen()
    assert commit
    assert clean == [False, {}]
    (tmp_path / "runs.txt").write_text("what runs leave is untracked")
    assert seen() == (commit, False, {})
    file.write_text("2\n")
    _, dirty, once = seen()
    file.write_text("3\n")
    assert dirty
    assert once != seen()[2]
