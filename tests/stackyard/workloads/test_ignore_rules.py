"""Ignore rules say what git says: held against git itself on made-up rules and trees."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackyard.workloads import ignore_rules
from stackyard.workloads.ignore_rules import Chain
from tests.counts import examples

NAMES = ["a", "b", "ab", "a.py", "b.log", "x-1", "[a]", "é", "!a", "#b", " c", "d "]
PIECES = [
    *[
        "a",
        "b",
        "*",
        "**",
        "?",
        "/",
        "/",
        "!",
        "\\",
        "[ab]",
        "[!a]",
        "[a-",
        "[[:alpha:]]",
        "[b-a]",
        "x",
        "-1",
    ],
    *[".py", ".log", "#", " ", "é", "*/", "**/", "/**", "/**/", "ab", "]", "[]", "d", "\t", "\r"],
]
#: Folders, with files of every name in the last of them.
TREE = ["", "a", "a/b", "a/b/ab", "ab", "ab/a", "b.log", "é", "é/d ", "[a]", " c"]
LINES = st.builds(
    lambda negated, pieces: "!" * negated + "".join(pieces),
    st.booleans(),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
)
RULES = st.lists(LINES, min_size=1, max_size=5).map("\n".join)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for folder in TREE[1:]:
        (root / folder).mkdir()
    for folder in TREE:
        for name in NAMES:
            if not (root / folder / name).exists():
                (root / folder / name).write_text("")
    return root


def let_through(folder: Path, chain: Chain) -> set[str]:
    file = folder / ".gitignore"
    if file.exists():
        chain = chain.and_those(os.fsencode(folder), ignore_rules.parsed(file.read_bytes()))
    found = set()
    for entry in os.scandir(folder):
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name == ".git" or chain.verdict(os.fsencode(entry.path), is_folder):
            continue
        found |= let_through(Path(entry.path), chain) if is_folder else {entry.path}
    return found


@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=RULES, inner=RULES, where=st.sampled_from(TREE[1:]))
def test_nested_rules_exclude_what_git_excludes(tree: Path, top: str, inner: str, where: str) -> None:
    files = [tree / ".gitignore", tree / where / ".gitignore"]
    try:
        for file, rules in zip(files, (top, inner), strict=True):
            file.write_bytes(rules.encode() + b"\n")
        mine = {os.path.relpath(path, tree) for path in let_through(tree, Chain())}
        command = ["git", "-C", str(tree), "ls-files", "-z", "--others", "--exclude-standard"]
        said = subprocess.run(command, capture_output=True, check=True).stdout
        assert mine == {os.fsdecode(name) for name in said.split(b"\0") if name}
    finally:
        for file in files:
            file.unlink()


@pytest.mark.parametrize(
    ("rules", "path", "is_folder", "verdict"),
    [
        ("*.log", "a/b.log", False, True),
        ("*.log\n!b.log", "a/b.log", False, False),
        ("build/", "build", False, None),
        ("build/", "a/build", True, True),
        ("/build", "a/build", True, None),
        ("a/**/z", "a/z", False, True),
        ("a/**/z", "a/b/c/z", False, True),
        ("a/**", "a", True, None),
        ("# remark\n\n \\#x", "#x", False, None),
        ("\\#x", "#x", False, True),
        ("keep \\ ", "keep  ", False, True),
        ("a\r\n", "a", False, True),
        ("\ufeffa", "a", False, True),
    ],
)
def test_rules_as_they_are_documented(rules: str, path: str, is_folder: bool, verdict: bool | None) -> None:
    assert ignore_rules.parsed(rules.encode()).verdict(path.encode(), is_folder) is verdict


@pytest.mark.parametrize("rule", ["*a" * 60 + "b", "**/a/" * 60 + "b", "a*/**/" * 30 + "*b*c"])
def test_no_rule_takes_long_whoever_wrote_it(rule: str) -> None:
    """Tried again for each star, these would not end: a test that hangs here has found one that does."""
    path = b"/".join([b"a" * 100] * 30)
    assert ignore_rules.parsed(rule.encode()).verdict(path, False) is None


def test_what_follows_is_asked_before_what_stands_above() -> None:
    chain = Chain().and_those(b"/top", ignore_rules.parsed(b"*.txt\n"))
    inner = chain.and_those(b"/top/in", ignore_rules.parsed(b"!kept.txt\n"))
    assert inner.verdict(b"/top/in/kept.txt", False) is False
    assert inner.verdict(b"/top/in/other.txt", False) is True
    assert inner.verdict(b"/top/in/x.py", False) is None
