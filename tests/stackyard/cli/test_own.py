"""``stackyard run`` and ``compare`` as typed: what is refused, and what is left."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stackyard.cli import main, own
from stackyard.errors import BadInputError
from tests.waiting import PATIENCE_SECONDS

ALONE = ["run", "--stack", "none", "--out", "r"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    return tmp_path


def ran(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", "from stackyard.cli.main import main; main()", *arguments]
    return subprocess.run(
        call, capture_output=True, text=True, timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL, **more
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stack", "nope", "--", "true"], "no stack is named 'nope'"),
        (["--memory", "5", "--", "true"], "--memory is '5'"),
        (["--requirements", "r.txt", "--", "true"], "--requirements come on top of a stack"),
        (
            ["--repeats", "2", "--requirements", "r.txt", "--", "true"],
            "--requirements come on top of a stack",
        ),
        (["--metric", "acc", "--", "true"], "expected NAME=SOURCE"),
        (["--metric", "acc=nowhere:x", "--", "true"], "acc is 'nowhere:x'"),
        (["--cores", "inf", "--", "true"], "--cores inf: expected a finite number"),
        (["--time-limit-seconds", "inf", "--", "true"], "--time-limit-seconds inf: expected a finite number"),
        (["--", "true", "\udcff"], "is not UTF-8 text"),
        (["--repeats", "2", "--", "true", "\udcff"], "is not UTF-8 text"),
        (["--out", "\udcff", "--", "true"], "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_nothing(
    options: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["--stack", "none"] * ("--stack" not in options) + ["--out", "r"] * ("--out" not in options)
    assert main.run(["run", *usual, *options]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert said in told
    assert not (here / "r").exists()


@pytest.mark.parametrize("more", [[], ["--repeats", "2"]])
def test_an_unknown_way_of_measuring_is_refused_before_anything_is_made(
    more: list[str], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACKYARD_MEASURE", "guess")
    assert main.run([*ALONE, *more, "--", "true"]) == 2
    assert "STACKYARD_MEASURE is 'guess', expected one of auto, processes, alike" in capsys.readouterr().err
    assert not (here / "r").exists()


def test_a_folder_that_is_gone_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert main.run([*ALONE, "--", "true"]) == 2
    assert "the folder that you are in is gone" in capsys.readouterr().err
    os.chdir(here)


def test_names_of_our_own_are_taken_once_each(here: Path) -> None:
    names = {own._taken(None, "x").name for _ in range(4)}
    assert len(names) == 4
    assert all(re.fullmatch(r"x-\d{8}-\d{6}(\.\d)?", name) for name in names)
    (here / "full").mkdir()
    (here / "full" / "a").touch()
    with pytest.raises(BadInputError, match="is not an empty folder"):
        own._taken(here / "full", "x")
    with pytest.raises(BadInputError, match="is not an empty folder"):
        own._taken(here / "full" / "a", "x")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["no-such-program"], 127, "there is no command 'no-such-program'; is it on the PATH?"),
        (["sort in/a.log | head -1"], 127, "head -1'; a line of the shell is given as: sh -c '...'"),
        (["sort x"], 127, "there is no command 'sort x'; a line of the shell is given as: sh -c '...'"),
        (["sort>" + "x" * 300], 126, "is no command; a line of the shell is given as: sh -c '...'"),
        (["/etc/passwd"], 126, "may not be executed"),
        (["/tmp"], 126, "is a folder, not a program"),
        (["sh", "-c", "exit 9"], 9, "exited with status 9"),
    ],
)
def test_a_command_that_fails_is_a_record_and_its_own_status(
    words: list[str], status: int, said: str, here: Path
) -> None:
    done = ran(*ALONE, "--", *words)
    assert done.returncode == status
    assert said in done.stderr
    assert "output.log" not in done.stderr
    assert said in json.loads((here / "r" / "record.json").read_text())["failure"]["message"]


def test_a_run_that_removes_its_folder_keeps_its_status_and_is_one_sentence(here: Path) -> None:
    # files may come into it while it is being removed
    remove = 'until rm -rf "${STACKYARD_OUTPUTS%/outputs}" 2>/dev/null; do :; done; exit 9'
    done = ran(*ALONE, "--", "sh", "-c", remove)
    assert done.returncode == 9
    assert done.stderr.count("\n") == 1
    assert "the run removed its own folder" in done.stderr
    assert not (here / "r").exists()


def test_json_is_the_record_with_its_folder(here: Path) -> None:
    done = ran(*ALONE, "--json", "--", "echo", "{lr}", "${HOME}")
    assert done.stdout == "{lr} ${HOME}\n"
    said = json.loads(done.stderr)
    assert said["folder"] == "r"
    assert said["record"] == json.loads((here / "r" / "record.json").read_text())
    assert said["record"]["command"] == ["echo", "{lr}", "${HOME}"]


def test_a_command_that_lays_a_folder_over_its_record_is_told_so(here: Path) -> None:
    done = ran(*ALONE, "--", "sh", "-c", f"mkdir {here}/r/record.json")
    assert "(Is a directory); let the run leave the files of its run folder alone" in done.stderr
    assert "free space" not in done.stderr


@pytest.mark.parametrize("most", [8, 10])
def test_too_few_files_that_may_be_open_are_named_as_such(most: int, here: Path) -> None:
    done = ran(
        *ALONE, "--", "true", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    )
    assert re.search(r"[Tt]oo many open files; raise the limit of open files \(ulimit -n\)", done.stderr)
    assert "Errno" not in done.stderr


def test_commands_run_often_say_the_command_that_continues_them(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second run lays a folder over its record, once."""
    script = here / "once.sh"
    script.write_text(
        f'cd "{here}"; if [ -e first ] && [ ! -e done ]; then\n'
        '  touch done; mkdir "$STACKYARD_OUTPUTS/../record.json"\n'
        "fi; touch first\n"
    )
    line = ["run", "--stack", "none", "--repeats", "2", "--out", "c c", "--", "sh", "once.sh"]
    assert main.run(line) == 1
    again = "continue with: stackyard scenario run 'c c/scenario.toml' --out 'c c' --resume"
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"Finished runs are kept; {again}")
    assert main.run(line) == 2
    assert f"c c is not an empty folder; {again}, or choose another --out" in capsys.readouterr().err
    assert main.run(shlex.split(again)[3:]) == 0
    assert len(list((here / "c c" / "runs").glob("*/record.json"))) == 2
