"""The requirements.txt of a repository, fetched alone: from real repositories, by git."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackyard.errors import AwayError, BadInputError, StackyardError
from stackyard.ordinary import repository
from stackyard_task.wishes import Repository, Wish

TEXT = "the repository's requirements.txt"


@dataclass
class Origin:
    """A repository with two commits on main, of which the first lists six; and a branch that lists nothing."""

    folder: Path
    first: str = ""

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @property
    def address(self) -> str:
        return f"file://{self.folder}"

    def read(self, protocols: str = "file", **of: str) -> Wish:
        wish = Wish(repository=Repository(of.pop("address", self.address), **of))
        return repository.read(wish, lambda text: None, protocols)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    made = Origin(tmp_path_factory.mktemp("origin"))
    made.git("init", "-q", "-b", "main")
    made.git("config", "uploadpack.allowFilter", "true")
    (made.folder / "requirements.txt").write_text("six==1.16.0\n")
    (made.folder / "deep" / "er").mkdir(parents=True)
    (made.folder / "deep" / "requirements.txt").write_text("tabulate\n")
    (made.folder / "deep" / "er" / "work.py").write_text("")
    made.git("add", ".")
    made.git("commit", "-qm", "one")
    made.first = made.git("rev-parse", "HEAD")
    made.git("tag", "v1")
    (made.folder / "requirements.txt").write_text("# Python 3\nsix==1.17.0\n")
    made.git("commit", "-qam", "two")
    made.git("checkout", "-qb", "empty")
    made.git("rm", "-q", "-r", "requirements.txt", "deep/requirements.txt")
    made.git("commit", "-qm", "three")
    made.git("checkout", "-q", "main")
    return made


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ({}, "# Python 3\nsix==1.17.0\n"),
        ({"branch": "main"}, "# Python 3\nsix==1.17.0\n"),
        ({"branch": "origin/main", "folder": "."}, "# Python 3\nsix==1.17.0\n"),
        ({"tag": "v1"}, "six==1.16.0\n"),
        ({"branch": "main", "commit": "FIRST"}, "six==1.16.0\n"),
        ({"commit": "SHORT"}, "six==1.16.0\n"),
        ({"folder": "deep"}, "tabulate\n"),
        ({"folder": "deep/er"}, "tabulate\n"),
        ({"folder": "../.."}, "# Python 3\nsix==1.17.0\n"),
        ({"branch": "empty"}, None),
    ],
    ids=str,
)
def test_the_file_beside_the_script_or_above_it_at_that_commit(
    origin: Origin, of: dict[str, str], text: str | None
) -> None:
    given = {"FIRST": origin.first, "SHORT": origin.first[:10]}
    wish = origin.read(**{name: given.get(value, value) for name, value in of.items()})
    assert (wish.requirements, wish.requirements_from, wish.repository) == (text, TEXT, None)


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        ({"commit": "0" * 40}, "has no commit 0000000000000000000000000000000000000000 (any more)"),
        (
            {"branch": "gone"},
            "has no branch gone (git: fatal: couldn't find remote ref refs/heads/gone); push it, or set",
        ),
        ({"commit": "--upload-pack=touch"}, "the task's commit '--upload-pack=touch' is none"),
        ({"branch": "--all"}, "the task's branch or tag '--all' is no name that git can be given"),
        ({"branch": "a..b"}, "is no name that git can be given"),
        ({"address": "ext::sh -c id"}, "is no address that git can be given"),
        ({"address": "--upload-pack=id"}, "is no address that git can be given"),
        ({"address": "ext::id"}, "is no address that git can be given"),
    ],
    ids=str,
)
def test_what_is_not_there_or_no_name_is_refused_in_a_sentence(
    origin: Origin, of: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        origin.read(**of)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_of_this_machine_is_none_of_the_containers(origin: Origin) -> None:
    for address in (origin.address, str(origin.folder)):
        with pytest.raises(StackyardError, match="lies where containers cannot reach it"):
            origin.read(repository.PROTOCOLS, address=address)


CHANGED = """diff --git a/requirements.txt b/requirements.txt
--- a/requirements.txt
+++ b/requirements.txt
@@ -1,2 +1,2 @@
 # Python 3
-six==1.17.0
+six==1.15.0
diff --git a/gone.py b/gone.py
--- a/gone.py
+++ b/gone.py
@@ -1 +1 @@
-a
+b
"""
ADDED = """diff --git a/deep/er/requirements.txt b/deep/er/requirements.txt
new file mode 100644
--- /dev/null
+++ b/deep/er/requirements.txt
@@ -0,0 +1 @@
+attrs
"""
REMOVED = """diff --git a/deep/requirements.txt b/deep/requirements.txt
deleted file mode 100644
--- a/deep/requirements.txt
+++ /dev/null
@@ -1 +0,0 @@
-tabulate
"""


@pytest.mark.parametrize(
    ("changes", "folder", "found"),
    [
        (CHANGED, "", "# Python 3\nsix==1.15.0\n"),
        (ADDED, "deep/er", "attrs\n"),
        (REMOVED, "deep/er", "# Python 3\nsix==1.17.0\n"),
        (ADDED, "", "# Python 3\nsix==1.17.0\n"),
    ],
    ids=["changed", "added", "removed", "of another folder"],
)
def test_uncommitted_changes_of_the_file_count(origin: Origin, changes: str, folder: str, found: str) -> None:
    assert origin.read(branch="main", folder=folder, changes=changes).requirements == found


def test_changes_that_do_not_apply_are_refused(origin: Origin) -> None:
    with pytest.raises(
        BadInputError, match=r"cannot be applied to requirements.txt of its commit \(git: error"
    ):
        origin.read(commit=origin.first, changes=CHANGED)


def test_a_repository_that_is_away_is_named_without_its_login() -> None:
    of = Repository("http://me:secret@127.0.0.1:1/x.git", "a" * 40)
    with pytest.raises(AwayError) as refused:
        repository.read(Wish(repository=of), lambda text: None)
    assert "the repository http://127.0.0.1:1/x.git cannot be reached from this machine" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_repository_that_takes_too_long_is_given_up(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "SECONDS", 0.0)
    with pytest.raises(AwayError, match=r"did not give its requirements.txt within 0 s"):
        origin.read()


def test_a_file_that_is_too_large_is_refused(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MOST_BYTES", 4)
    with pytest.raises(BadInputError, match=r"requirements.txt of .* has more than"):
        origin.read()


def test_the_agents_login_is_for_its_host_and_stands_on_no_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(repository.USER_VARIABLE, "me")
    monkeypatch.setenv(repository.PASSWORD_VARIABLE, "secret")

    def helpers(address: str) -> list[str]:
        found = repository._environment(address, "https")
        number = int(found["GIT_CONFIG_COUNT"])
        keys = [found[f"GIT_CONFIG_KEY_{n}"] for n in range(number)]
        assert not any("secret" in found[f"GIT_CONFIG_VALUE_{n}"] for n in range(number))
        return [key for key in keys if key.startswith("credential.https")]

    assert helpers("https://host/x.git") == ["credential.https://host.helper"]
    monkeypatch.setenv(repository.HOST_VARIABLE, "other")
    assert helpers("https://host/x.git") == []
    assert helpers("ssh://other/x.git") == []
    assert os.environ[repository.HOST_VARIABLE] == "other"
