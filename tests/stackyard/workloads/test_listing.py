"""Which files of a folder travel, and the one sentence for each folder that cannot."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackyard.errors import BadInputError
from stackyard.workloads import listing
from stackyard.workloads.listing import Listed, listed
from stackyard_task import manifest
from tests.counts import examples
from tests.stackyard.workloads.test_repository import git

#: Of made-up repositories.
FOLDERS = ["", "a", "a/c", "a/c/d", "ab", "ab/a", "é"]
RULES = st.lists(
    st.sampled_from(
        [
            *[
                "*",
                "*.log",
                "/a",
                "a/",
                "a",
                "!a/",
                "!a/c",
                "a/*",
                "!*.py",
                "!*/",
                "ab/**",
                "**/c",
                "c/d/",
                "!x.py",
            ],
            *["/a/c/x.py", "!y.log", "?b", "[!a]", "é/*.py", "b", "!.gitignore", "a/**/d", "*/c/*", "!c"],
        ]
    ),
    max_size=5,
).map("\n".join)


def tree(top: Path, *names: str) -> Path:
    top.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text(f"{name}\n")
    return top


def names(found: Listed) -> list[str]:
    return sorted([*found.files, *found.links])


def refusal(top: Path) -> str:
    with pytest.raises(BadInputError) as caught:
        listed(top)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.fixture(params=["git", "no git"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder: a git repository, and none, where the same rules count."""
    top = tmp_path / "code"
    top.mkdir()
    if request.param == "git":
        git(top, "init", "-q")
    return top


def test_ignored_files_stay_with_git_and_without(folder: Path) -> None:
    tree(
        folder, "a.py", "b.log", "out/x", "in/c.log", "in/kept.log", "in/d.tmp", "data/big", "data/small.csv"
    )
    (folder / ".gitignore").write_text("*.log\n/out/\ndata/*\n")
    (folder / "in" / ".gitignore").write_text("!kept.log\n*.tmp\n")
    found = listed(folder)
    assert names(found) == [".gitignore", "a.py", "in/.gitignore", "in/kept.log"]
    assert found.left_out["ignored"] == 6
    assert len(found.left_out_names["ignored"]) == 6
    assert "out/" in found.left_out_names["ignored"]
    (folder / ".stackyardignore").write_text("!data/small.csv\n/.*\nin/.gitignore\n")
    assert names(listed(folder)) == ["a.py", "data/small.csv", "in/kept.log"]


def test_what_git_tracks_travels_though_it_is_ignored(tmp_path: Path) -> None:
    top = tree(tmp_path / "code", "a.log", "b.log", "out/kept", "out/new", "out/in/kept", "secret.txt")
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "rm", "-q", "--cached", "b.log", "out/new")
    (top / ".gitignore").write_text("*.log\nout/\n")
    (top / ".stackyardignore").write_text("secret.txt\n")
    found = listed(top)
    assert names(found) == [".gitignore", ".stackyardignore", "a.log", "out/in/kept", "out/kept"]
    assert found.left_out["ignored"] == 3
    (top / "a.log").unlink()  # tracked, and not there
    assert "a.log" not in names(listed(top))


@settings(max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    top_rules=RULES,
    inner_rules=RULES,
    where=st.sampled_from(FOLDERS[1:]),
    forced=st.sets(st.sampled_from(FOLDERS).flatmap(lambda f: st.sampled_from([f"{f}/x.py", f"{f}/y.log"]))),
)
def test_what_travels_is_what_git_has_and_would_take(
    tmp_path_factory: pytest.TempPathFactory,
    top_rules: str,
    inner_rules: str,
    where: str,
    forced: set[str],
) -> None:
    files = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in ("x.py", "y.log", "b")]
    top = tree(tmp_path_factory.mktemp("made-up"), *files)
    git(top, "init", "-q")
    (top / ".gitignore").write_text(top_rules + "\n")
    (top / where / ".gitignore").write_text(inner_rules + "\n")
    if forced:
        git(top, "add", "-f", "--", *(name.lstrip("/") for name in forced))
    said = git(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert names(listed(top)) == sorted(name for name in said.split("\0") if name)
    shutil.rmtree(top)


def test_a_folder_inside_a_repository_has_its_rules_too(tmp_path: Path) -> None:
    top = tree(tmp_path / "repo", "code/a.py", "code/b.log", "code/c.tmp", "other/x.py")
    git(top, "init", "-q")
    (top / ".gitignore").write_text("*.log\n/code/c.tmp\n")
    git(top, "add", "-A")
    assert names(listed(top / "code")) == ["a.py"]
    (top / ".stackyardignore").write_text("code/a.py\n")
    assert names(listed(top / "code")) == []


def test_a_repository_that_tracks_nothing_of_it_has_no_say(tmp_path: Path) -> None:
    top = tree(tmp_path / "repo", "x.py", "runs/mine/a.py", "runs/mine/b.log")
    git(top, "init", "-q")
    (top / ".gitignore").write_text("runs/\n*.log\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    found = listed(top / "runs" / "mine")
    assert names(found) == ["a.py", "b.log"]
    assert (found.commit, found.tracked) == (None, None)


def test_rules_that_are_not_shared_count_in_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tree(tmp_path / "home", ".config/git/ignore")
    (home / ".config/git/ignore").write_text("*.swp\n")
    (home / "mine").write_text("*.bak\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    top = tree(tmp_path / "code", "a.py", "a.swp", "a.bak", "token.txt")
    git(top, "init", "-q")
    (top / ".git" / "info" / "exclude").write_text("token.txt\n")
    assert names(listed(top)) == ["a.bak", "a.py"]
    (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/mine\n")
    assert names(listed(top)) == ["a.py", "a.swp"]


def test_environments_caches_and_folders_of_ours_never_travel(folder: Path) -> None:
    tree(
        folder,
        *["a.py", ".venv/pyvenv.cfg", ".venv/lib/x.py", "env2/conda-meta/history", "env2/y.py"],
        *[
            "__pycache__/a.pyc",
            "in/__pycache__/b.pyc",
            "in/.ipynb_checkpoints/n.ipynb",
            "node_modules/m/i.js",
        ],
        *[
            ".stackyard/stacks/s",
            "runs/m/runs/b01/x",
            "runs/one/output.log",
            "other/plan.json",
            "other/task.json",
        ],
    )
    (folder / "runs/m/plan.json").write_text('{\n "name": "x",\n "kind": "stackyard plan"\n}\n')
    for name in ("one/task.json", "one/record.json", "under-way/task.json"):
        (folder / "runs" / name).parent.mkdir(exist_ok=True)
        (folder / "runs" / name).write_text('{\n "run_id": "x",\n "api_version": 1\n}\n')
    found = listed(folder)
    assert names(found) == ["a.py", "other/plan.json", "other/task.json"]
    assert found.left_out["environments"] == 3
    assert found.left_out["caches"] == 3
    assert found.left_out["run folders"] == 3
    assert found.left_out["homes of Stackyard"] == 1
    assert found.left_out["git's own files"] == (1 if (folder / ".git").exists() else 0)


def test_run_folders_that_are_ignored_are_run_folders(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, "a.py", "data/x.csv", "runs/one/output.log", "runs/.keep", "mixed/one/x", "mixed/two/x"
    )
    (folder / ".gitignore").write_text("runs/\ndata/\nmixed/\n")
    for name in ("runs/one/task.json", "mixed/one/task.json"):
        (folder / name).write_text('{\n "run_id": "x",\n "api_version": 1\n}\n')
    found = listed(folder)
    assert found.left_out_names["run folders"] == ["runs/"]
    assert sorted(found.left_out_names["ignored"]) == ["data/", "mixed/"]


def test_names_of_what_stays_here_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_LEFT_OUT_NAMES", 2)
    folder = tree(tmp_path, "a.py", "1.log", "2.log", "3.log")
    (folder / ".gitignore").write_text("*.log\n")
    found = listed(folder)
    assert (found.left_out["ignored"], len(found.left_out_names["ignored"])) == (3, 2)


def test_inputs_that_travel_otherwise_stay_here(tmp_path: Path) -> None:
    big = tree(tmp_path / "big", "x")
    top = tree(tmp_path / "code", "a.py", "data/train.csv", "one.csv", "runs/x")
    (top / "linked").symlink_to(big)
    found = listed(top, [top / "data", top / "one.csv", top / "runs", big])
    assert names(found) == ["a.py"]
    assert found.left_out["given otherwise"] == 4


def test_links_inside_are_kept_and_those_to_what_stays_stay_too(tmp_path: Path) -> None:
    top = tree(tmp_path / "code", "lib/a.py", "out/x", "deep/in/b.py")
    (top / ".stackyardignore").write_text("out\n")
    for name, target in {
        "folder": "lib",
        "file": "folder/a.py",
        "deep/in/up": "../../lib/a.py",
        "absolute": str(top / "lib" / "a.py"),
        "round": "../code/lib",
        "stays": "out/x",
        "stays-too": "stays",
        "top": ".",
    }.items():
        (top / name).symlink_to(target)
    found = listed(top)
    assert found.links == {
        "folder": "lib",
        "file": "folder/a.py",
        "deep/in/up": "../../lib/a.py",
        "absolute": "lib/a.py",
        "round": "lib",
        "top": ".",
    }
    assert found.left_out["links to what stays here"] == 2
    assert "folder/a.py" not in found.files


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (
            "/etc/hostname",
            "is a link to /etc/hostname, which leads out of the folder; name data under inputs",
        ),
        ("../beside", "is a link to ../beside, which leads out of the folder"),
        ("gone", "is a link to gone, which is not there; remove it, or exclude it in .stackyardignore"),
        ("link", "which cannot be followed (Too many levels of symbolic links)"),
        ("lib/a.py/x", "which cannot be followed (Not a directory)"),
    ],
)
def test_links_that_cannot_travel_are_named_with_their_target(tmp_path: Path, target: str, why: str) -> None:
    tree(tmp_path, "beside", "code/lib/a.py", "code/excluded/x")
    top = tmp_path / "code"
    (top / "excluded" / "link").symlink_to(target)
    (top / ".stackyardignore").write_text("excluded/\n")
    listed(top)
    (top / "link").symlink_to(target)
    said = refusal(top)
    assert why in said
    assert str(top / "link") in said


def test_sockets_pipes_and_odd_names_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree(tmp_path / "code", "a.py")
    monkeypatch.chdir(top)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s.sock")
    assert "s.sock is a socket, which cannot travel; exclude it in .stackyardignore" in refusal(top)
    (top / "s.sock").unlink()
    os.mkfifo(top / "pipe")
    assert "pipe is a pipe, which cannot travel" in refusal(top)
    (top / ".stackyardignore").write_text("pipe\n")
    assert names(listed(top)) == [".stackyardignore", "a.py"]
    for name, why in (
        (b"caf\xe9.py", "caf\\xe9.py has a name that is not UTF-8"),
        (b"a\nb", "a\\x0ab has a control"),
    ):
        path = os.path.join(os.fsencode(top), name)
        Path(os.fsdecode(path)).write_text("")
        assert why in refusal(top)
        os.unlink(path)


def test_a_rule_file_that_is_a_pipe_or_a_link_is_not_waited_for(tmp_path: Path) -> None:
    top = tree(tmp_path / "code", "a.py", "rules")
    (top / "rules").write_text("a.py\n")
    (top / ".gitignore").symlink_to("rules")  # as git: not followed
    assert "a.py" in names(listed(top))
    (top / ".gitignore").unlink()
    os.mkfifo(top / ".gitignore")
    assert ".gitignore is a pipe" in refusal(top)
    (top / ".gitignore").unlink()
    (top / ".gitignore").write_text("x" * 300_000)
    assert ".gitignore is longer than 256 KiB" in refusal(top)


def sparse(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.truncate(size)


def test_a_folder_of_ten_gigabytes_is_refused_at_once_and_its_largest_parts_named(tmp_path: Path) -> None:
    top = tree(tmp_path / "code", "a.py")
    for part in range(100):
        sparse(top / "data" / "train" / f"{part}.bin", 96 << 20)
    sparse(top / "weights.bin", 90 << 20)
    began = time.monotonic()
    said = refusal(top)
    assert time.monotonic() - began < 5  # reading it would take longer on any disk
    assert "10.2 GB would travel, and at most 200 MiB may" in said
    assert "(the largest: data/train/ 10.1 GB)" in said
    assert "; name data under inputs, or exclude it in .stackyardignore" in said
    (top / ".stackyardignore").write_text("data/\n")
    assert "weights.bin" in names(listed(top))
    sparse(top / "all" / "in" / "one.bin", 1 << 30)
    assert "1.2 GB would travel" in refusal(top)
    (top / "weights.bin").unlink()
    assert "(the largest: all/in/one.bin 1.1 GB)" in refusal(top)


def test_too_many_files_or_entries_and_one_large_file_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(
        tmp_path / "code", "a.py", *[f"crops/{n}" for n in range(12)], *[f"more/{n}" for n in range(3)]
    )
    sparse(top / "model.bin", (100 << 20) + 1)
    assert "model.bin has 104.9 MB, and a file that travels has at most 100 MiB" in refusal(top)
    monkeypatch.setattr(manifest, "MOST_FILES", 10)
    most = "(most: crops/ 12 files, more/ 3 files, at its top 2 files)"
    assert f"17 files would travel, and at most 10 may {most}; " in refusal(top)
    assert "at most 10 may (most: at its top 14 files, in/ 1 file);" in refusal(
        tree(tmp_path / "flat", *[f"{n}" for n in range(14)], "in/b/1")
    )
    monkeypatch.setattr(listing, "MOST_ENTRIES", 10)
    assert "holds more than 10 files and folders" in refusal(top)
    monkeypatch.setattr(listing, "MOST_ENTRIES", 15)
    (top / "more").rename(top / "a.d")
    (top / "crops").rename(top / "a.e")
    assert "too many for code that travels (a.e/ 9 files" in refusal(top)
    (top / "a.d").rename(top / "more")
    (top / "a.e").rename(top / "crops")
    (top / ".stackyardignore").write_text("crops\nmore\nmodel.bin\n")
    assert names(listed(top)) == [".stackyardignore", "a.py"]


def test_a_folder_that_is_too_deep_is_named(tmp_path: Path) -> None:
    top = tree(tmp_path / "code", "/".join(["d"] * 31 + ["a.py"]))
    assert len(names(listed(top))) == 1
    tree(top, "/".join(["d"] * 32 + ["a.py"]))
    assert "lies more than 32 folders deep" in refusal(top)


def test_submodules_travel_as_files_once_they_are_there(tmp_path: Path) -> None:
    library = tree(tmp_path / "library", "lib.py", "forced.log")
    (library / ".gitignore").write_text("*.log\n")
    git(library, "init", "-q")
    git(library, "add", "-f", "-A")
    git(library, "commit", "-qm", "first")
    top = tree(tmp_path / "code", "a.py")
    (top / ".gitignore").write_text("*.py\n!a.py\n")  # of the outer one: says nothing inside
    git(top, "init", "-q")
    git(top, "submodule", "--quiet", "add", str(library), "vendor/lib")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    found = listed(top)
    assert {"vendor/lib/lib.py", "vendor/lib/forced.log"} <= set(names(found))
    assert not any(".git/" in name or name.endswith(".git") for name in names(found))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(top), str(clone))
    assert "vendor/lib is a submodule that is not there yet; run `git submodule update --init`" in refusal(
        clone
    )
    (clone / ".stackyardignore").write_text("vendor\n")
    assert "a.py" in names(listed(clone))


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree(tmp_path / "code", "a.py", "closed/b.py")
    scan = os.scandir

    def refusing(path: Path) -> object:
        if str(path).rstrip("/").endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(listing.os, "scandir", refusing)
    assert "closed cannot be read (Permission denied); exclude it in .stackyardignore" in refusal(top)


def test_a_link_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree(tmp_path / "code", "a.py")
    (top / "link").symlink_to("a.py")

    def refusing(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(listing.os, "readlink", refusing)
    assert f"{top}/link cannot be looked at (Permission denied)" in refusal(top)


def test_five_thousand_small_files_take_about_a_second(tmp_path: Path) -> None:
    from stackyard.workloads import folder as folders

    top, one = tmp_path / "code", tmp_path / "one.py"
    one.write_text("pass\n")
    for part in range(50):
        (top / str(part)).mkdir(parents=True)
        for number in range(100):
            os.link(one, top / str(part) / f"{number}.py")
    (top / ".gitignore").write_text("*.log\nbuild/\n!x\n/dist\n" * 10)
    (top / "0" / "0.py").unlink()
    began = time.process_time()
    found = folders.looked_at(top)
    folders.archived(found, tmp_path / "home")
    assert time.process_time() - began < 3
    assert len(found.files) == 5000
