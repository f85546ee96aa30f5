"""What git says of a folder: and that nothing a repository configures is executed for it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from stackyard.workloads import repository
from stackyard.workloads.repository import Git


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", "-C", str(folder), *own, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    top.mkdir()
    git(top, "init", "-q")
    (top / "train.py").write_text("print(1)\n")
    (top / "sub").mkdir()
    (top / "sub" / "é.py").write_text("pass\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    return top


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "git-program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_clean_repository(repo: Path) -> None:
    found = Git().looked_at(repo)
    assert found is not None
    assert (found.top, found.commit, found.diff, found.notes) == (
        repo,
        git(repo, "rev-parse", "HEAD"),
        b"",
        (),
    )
    assert found.tracked == {"train.py", "sub/é.py"}


def test_the_difference_is_that_of_the_folder_alone_and_can_be_applied(repo: Path, tmp_path: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    (repo / "sub" / "é.py").write_bytes(b"\0\1binary")
    inner = Git().looked_at(repo / "sub")
    assert inner is not None
    assert inner.tracked == {"é.py"}
    assert b"train.py" not in (inner.diff or b"")
    whole = Git().looked_at(repo)
    assert whole is not None
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo), str(clone))
    (tmp_path / "patch").write_bytes(whole.diff or b"")
    git(clone, "apply", str(tmp_path / "patch"))
    assert (clone / "sub" / "é.py").read_bytes() == b"\0\1binary"
    assert (clone / "train.py").read_text() == "print(2)\n"


def test_a_difference_that_is_too_long_is_not_kept_and_said(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "DIFF_BYTES", 1000)
    (repo / "train.py").write_text("x\n" * 5000)
    found = Git().looked_at(repo)
    assert found is not None
    assert found.diff is None
    assert found.diff_cut
    assert "is not kept" in found.notes[0]


def test_what_is_no_repository_or_has_no_commit(tmp_path: Path) -> None:
    assert Git().looked_at(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("")
    git(tmp_path, "add", "a.py")
    found = Git().looked_at(tmp_path)
    assert found is not None
    assert (found.tracked, found.commit, found.diff) == ({"a.py"}, None, None)


def test_without_git_or_where_it_refuses_or_hangs_one_sentence_says_so(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "SECONDS", 0.2)
    for text, why in (("exit 128", "refuses"), ("sleep 60 & wait", "did not answer within 0.2 s")):
        began = time.monotonic()
        found = Git(program(tmp_path, text)).looked_at(repo)
        assert time.monotonic() - began < 5
        assert found is not None
        assert (found.tracked, found.commit) == (None, None)
        assert why in found.notes[0]
    found = Git(str(tmp_path / "absent")).looked_at(repo)
    assert found is not None
    assert "git cannot be called" in found.notes[0]


def test_endless_answers_end(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "LIST_BYTES", 100_000)
    found = Git(program(tmp_path, "exec yes")).looked_at(repo)
    assert found is not None
    assert found.tracked is None


def test_nothing_that_a_repository_configures_is_executed(repo: Path, tmp_path: Path) -> None:
    trap = program(tmp_path, f"touch {tmp_path}/sprung; cat")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "post-checkout", "fsmonitor-watchman"):
        os.symlink(trap, hooks / name)
    for key in (
        *["core.fsmonitor", "core.pager", "diff.external", "core.sshCommand", "core.askPass", "core.editor"],
        *["filter.evil.clean", "filter.evil.smudge", "filter.long.process"],
        *["diff.evil.textconv", "diff.evil.command"],
    ):
        git(repo, "config", key, trap)
    git(repo, "config", "core.hooksPath", str(hooks))
    git(repo, "config", "filter.evil.required", "true")
    (repo / ".gitattributes").write_text("*.py filter=evil diff=evil\n*.txt filter=long\n")
    (repo / "train.py").write_text("print(3)\n")
    (repo / "new.txt").write_text("")
    found = Git().looked_at(repo)
    assert not (tmp_path / "sprung").exists()
    assert found is not None
    assert b"+print(3)" in (found.diff or b"")
    subprocess.run(["git", "-C", str(repo), "diff", "HEAD"], capture_output=True, check=False)
    assert (tmp_path / "sprung").exists()  # the trap is one


def test_a_filter_whose_name_cannot_be_given_to_git_keeps_it_from_being_asked(
    repo: Path, tmp_path: Path
) -> None:
    trap = program(tmp_path, f"touch {tmp_path}/sprung; cat")
    with (repo / ".git" / "config").open("a") as config:
        config.write(f'[filter "e=vil"]\n\tclean = {trap}\n')
    (repo / ".gitattributes").write_text("*.py filter=e=vil\n")
    (repo / "train.py").write_text("print(3)\n")
    found = Git().looked_at(repo)
    assert not (tmp_path / "sprung").exists()
    assert found is not None
    assert "cannot be put out of action" in found.notes[0]


def test_a_folder_of_another_owner_is_looked_at_and_no_configuration_changed(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for path in (repo, repo / ".git"):
        os.chown(path, 12345, 12345)
    refused = subprocess.run(["git", "-C", str(repo), "status"], capture_output=True, check=False)
    assert refused.returncode == 128
    found = Git().looked_at(repo)
    assert found is not None
    assert found.tracked == {"train.py", "sub/é.py"}
    assert list(home.iterdir()) == []


def test_variables_of_git_in_the_environment_lead_nowhere_else(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    found = Git().looked_at(repo)
    assert found is not None
    assert found.tracked == {"train.py", "sub/é.py"}


def test_submodules_are_named_with_and_without_git(repo: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(repo), "lib")
    git(outer, "commit", "-qm", "with a submodule")
    found = Git().looked_at(outer)
    assert found is not None
    assert found.submodules == {"lib"}
    without = Git(str(tmp_path / "absent")).looked_at(outer)
    assert without is not None
    assert without.submodules == {"lib"}
    inside = Git().looked_at(outer / "lib")
    assert inside is not None
    assert inside.top == outer / "lib"
