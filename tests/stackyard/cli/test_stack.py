"""``stackyard stack`` as a user meets it: output, exit status, one sentence on stderr."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.cli import main
from tests.stackyard.fake_stacks import Built, Depot, define, define_plain, wheel
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def at_built(built: Built, monkeypatch: pytest.MonkeyPatch) -> Built:
    """Commands find the built stack."""
    monkeypatch.setenv("STACKYARD_HOME", str(built.depot.home))
    monkeypatch.setenv("STACKYARD_STACKS", str(built.depot.definitions))
    return built


def test_list_says_what_is_built_and_why_the_others_are_not(
    depot: Depot, capsys: pytest.CaptureFixture[str]
) -> None:
    define(depot.definitions)
    define(depot.definitions, name="other", cuda="10.2")
    assert main.run(["stack", "list"]) == 0
    out = capsys.readouterr().out
    assert f"{stacks.DEFAULT} (default)" in out
    assert "CUDA 10.2" in out
    assert "other: not built; build it: stackyard stack build other" in out


def test_list_as_json(at_built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["stack", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["stacks"]
    assert (row["name"], row["built"], row["why_not"]) == (stacks.DEFAULT, True, None)
    assert Path(row["interpreter"]).is_file()
    assert row["bytes"] > 1_000_000


def test_building_what_is_built_says_so_at_once(at_built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["stack", "build"]) == 0
    assert "already built" in capsys.readouterr().out


def test_verify_passes_and_fails_with_both_values(
    at_built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.run(["stack", "verify"]) == 0
    assert "as pinned" in capsys.readouterr().out
    home = shutil.copytree(at_built.depot.home, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("STACKYARD_HOME", str(home))
    (info,) = home.rglob("site-packages/small-1.0.dist-info/METADATA")
    info.write_text(info.read_text().replace("Version: 1.0", "Version: 1.7"))
    assert main.run(["stack", "verify"]) == 1
    assert "package small: expected 1.0, found 1.7" in capsys.readouterr().err
    assert main.run(["stack", "verify", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["stacks"]
    assert row["mismatches"] == [{"what": "package small", "expected": "1.0", "seen": "1.7"}]


def test_a_stack_that_was_installed_into_is_listed_as_such_and_nothing_runs_on_it(
    at_built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(at_built.depot.home, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("STACKYARD_HOME", str(home))
    (info,) = home.rglob("site-packages/small-1.0.dist-info")
    info.rename(info.with_name("small-1.7.dist-info"))
    said = f"(small 1.7 in place of 1.0); build it again: stackyard stack build {stacks.DEFAULT}"
    assert main.run(["stack", "list"]) == 0
    assert said in capsys.readouterr().out
    assert main.run(["run", "--stack", stacks.DEFAULT, "--", "true"]) == 3
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["verify", stacks.DEFAULT], 3, "is not built"),
        (["verify"], 3, "no stack is built here"),
        (["build", "nonsense"], 2, "no stack is called 'nonsense'; defined: torch"),
        (["build", "other", "--all"], 2, "exclude each other"),
        (["build", "--wheels", "nowhere"], 2, "nowhere: no such folder"),
        (["remove"], 2, "say what to remove"),
        (["remove", stacks.DEFAULT, "--yes"], 2, "not built here"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    depot: Depot, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    define(depot.definitions)
    assert main.run(["stack", *arguments]) == status
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not depot.home.exists()


@pytest.mark.slow
def test_a_stack_no_source_has_exits_3_with_the_reason(
    depot: Depot, capsys: pytest.CaptureFixture[str]
) -> None:
    define(depot.definitions, name="far", indexes=("http://127.0.0.1:9/simple",))
    assert main.run(["stack", "build", "far"]) == 3
    assert "index unreachable (connection refused)" in capsys.readouterr().err
    assert main.run(["stack", "list"]) == 0
    assert "not runnable" in capsys.readouterr().out
    # --all builds what can be had; what cannot is told, and no failure
    assert main.run(["stack", "build", "--all", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["stacks"]
    assert row["built"] is False
    assert "index unreachable" in row["why_not"]


def test_remove_asks_and_takes_only_what_it_should(
    depot: Depot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = define(depot.definitions)
    wanted = stacks.location(stack, depot.settings)
    left_over = wanted.with_name("torch-1.0-cpu-0123456789ab")
    for folder in (wanted, left_over):
        folder.mkdir(parents=True)
        (folder / "stackyard-complete.json").write_text(json.dumps({"digest": stack.digest}))
    answer = subprocess.run(
        [sys.executable, "-m", "stackyard.cli.main", "stack", "remove", "--unused"],
        input="n\n",
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert answer.returncode == 1
    assert left_over.is_dir()
    assert main.run(["stack", "remove", "--unused", "--yes", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["removed"]
    assert row["folder"] == str(left_over)
    assert wanted.is_dir()
    assert main.run(["stack", "remove", "--all", "--yes"]) == 0
    assert list((depot.home / "stacks").iterdir()) == []
    assert main.run(["stack", "remove", "--all", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.slow
def test_sigterm_ends_a_build_as_ctrl_c_does(depot: Depot) -> None:
    stack = define(depot.definitions)
    command = [sys.executable, "-m", "stackyard.cli.main", "stack", "build"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "making an environment" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stderr.read()
        assert process.wait(timeout=PATIENCE_SECONDS) == main.INTERRUPTED
    assert "Traceback" not in rest
    assert not stacks.location(stack, depot.settings).exists()


@pytest.mark.slow
@pytest.mark.long
def test_a_stack_is_derived_built_verified_and_forgotten_by_name(
    depot: Depot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    define(depot.definitions)
    wheel(depot.wheels, "top", "2.0", {"top.py": ""})
    file = tmp_path / "requirements.txt"
    file.write_text("top\nsmall==1.0\n")
    derive = ["stack", "derive", "mine", "--base", stacks.DEFAULT, "--requirements", str(file)]
    assert main.run(derive) == 0
    out = capsys.readouterr().out
    assert "mine: adds top 2.0" in out
    assert "build it: stackyard stack build mine" in out
    assert main.run(["stack", "build", "mine"]) == 0
    assert "built and verified" in capsys.readouterr().out
    assert main.run(["stack", "verify", "mine"]) == 0
    assert "mine: as pinned (Python" in capsys.readouterr().out
    assert main.run([*derive, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["base"]) == ("mine", stacks.DEFAULT)
    assert [one["name"] for one in said["adds"]] == ["top"]
    assert main.run(["stack", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["stacks"]}
    assert (rows["mine"]["base"], rows["mine"]["built"]) == (stacks.DEFAULT, True)
    assert rows["mine"]["bytes"] > rows["mine"]["shared_bytes"] > 0
    assert main.run(["stack", "list"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^mine: on {stacks.DEFAULT}, 0\.\d\d GB of its own$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80
    assert main.run(["stack", "remove", "mine", "--definition", "--yes"]) == 0
    assert "forgot mine" in capsys.readouterr().out
    assert list(stacks.load()) == [stacks.DEFAULT]
    assert stacks.python_of(stacks.load()[stacks.DEFAULT], depot.settings) is not None


@pytest.mark.long
@pytest.mark.slow
def test_what_the_base_pins_is_replaced_where_that_is_allowed_and_said(
    depot: Depot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    define(depot.definitions)
    for name, version in (("top", "2.0"), ("small", "2.0")):
        wheel(depot.wheels, name, version, {f"{name}.py": ""})
    file = tmp_path / "requirements.txt"
    file.write_text("top\nsmall==2.0\n")
    derive = ["stack", "derive", "mine", "--base", stacks.DEFAULT, "--requirements", str(file)]
    assert main.run(derive) == 2
    assert "asks for small==2.0, but base torch-2.13.0-cpu pins small 1.0" in capsys.readouterr().err
    assert main.run([*derive, "--replacing"]) == 0
    out = capsys.readouterr().out
    assert "mine: adds top 2.0\n" in out
    assert "mine: replaces small 1.0 by 2.0\n" in out
    assert main.run([*derive, "--replacing", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in said["adds"]] == ["top"]
    replaced = [{"name": "small", "of_base": "1.0", "version": "2.0"}]
    assert said["replaced"] == replaced
    assert main.run(["stack", "build", "mine"]) == 0
    assert main.run(["stack", "verify", "mine"]) == 0
    capsys.readouterr()
    assert main.run(["stack", "list"]) == 0
    assert "mine: replaces small 1.0 by 2.0\n" in capsys.readouterr().out
    assert main.run(["stack", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["stacks"]}
    assert (rows["mine"]["replaced"], rows[stacks.DEFAULT]["replaced"]) == (replaced, [])


@pytest.mark.parametrize(
    ("text", "base", "said"),
    [
        (
            "torch==2.6.0\n",
            stacks.DEFAULT,
            f"torch==2.6.0, but base {stacks.DEFAULT} pins torch 9.9.0; no stack here has that torch",
        ),
        ("--index-url https://joe:s3cret@example.org\n", stacks.DEFAULT, "a login is never kept"),
        ("top\n", "nonsense", "no stack is called 'nonsense'"),
    ],
)
def test_what_cannot_be_derived_is_one_sentence_and_leaves_nothing(
    depot: Depot, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, base: str, said: str
) -> None:
    define(depot.definitions)
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    assert main.run(["stack", "derive", "mine", "--base", base, "--requirements", str(file)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "s3cret" not in err
    assert err.count("\n") == 1
    assert not depot.home.exists()


def test_a_name_is_refused_before_anything_is_built(
    depot: Depot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    define(depot.definitions)
    file = tmp_path / "requirements.txt"
    file.write_text("small\n")
    for name, said in (
        (stacks.DEFAULT, "is a stack of its own already; choose another name"),
        ("a b", "'a b' is no name of a stack"),
    ):
        assert main.run(["stack", "derive", name, "--base", stacks.DEFAULT, "--requirements", str(file)]) == 2
        assert said in capsys.readouterr().err
    assert not depot.home.exists()


def test_a_stack_on_itself_is_refused_before_anything_is_built(
    at_built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(at_built.depot.home, tmp_path / "home", symlinks=True, copy_function=os.link)
    monkeypatch.setenv("STACKYARD_HOME", str(home))
    file = tmp_path / "requirements.txt"
    file.write_text("small\n")
    derive = ["stack", "derive", "q", "--requirements", str(file), "--base"]
    assert main.run([*derive, stacks.DEFAULT]) == 0
    before = sorted(home.rglob("*"))
    file.write_text("lacking\n")
    assert main.run([*derive, "q"]) == 2
    assert capsys.readouterr().err == "stackyard: q would stand on itself; choose another name\n"
    assert sorted(home.rglob("*")) == before


def test_only_derived_definitions_are_forgotten(depot: Depot, capsys: pytest.CaptureFixture[str]) -> None:
    define(depot.definitions)
    assert main.run(["stack", "remove", stacks.DEFAULT, "--definition", "--yes"]) == 2
    assert "is no derived stack; its definition is in" in capsys.readouterr().err
    assert main.run(["stack", "remove", "--all", "--definition"]) == 2
    assert "--definition goes with names" in capsys.readouterr().err
    broken = depot.home / "stacks.d" / "broken"
    broken.mkdir(parents=True)
    (broken / "stack.toml").write_text("base = 3\n")
    assert main.run(["stack", "list"]) == 0
    assert "broken: " in capsys.readouterr().out
    assert main.run(["stack", "build", "broken"]) == 2
    assert "base is 3, expected the name of a stack" in capsys.readouterr().err
    assert main.run(["stack", "remove", "broken", "--definition", "--yes"]) == 0
    assert not broken.exists()


@pytest.mark.slow
@pytest.mark.long
def test_a_stack_without_torch_is_built_and_verified(
    depot: Depot, capsys: pytest.CaptureFixture[str]
) -> None:
    define_plain(depot.definitions)
    assert main.run(["stack", "list"]) == 0
    assert re.search(r"plain +3\.\d+ +- +- ", capsys.readouterr().out)
    assert main.run(["stack", "build", "plain"]) == 0
    assert main.run(["stack", "verify", "plain"]) == 0
    assert re.search(r"plain: as pinned \(Python 3[0-9.]+, \d+ packages\)", capsys.readouterr().out)
