"""The command line's frame: one sentence, the right exit status, no traceback unless asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from stackyard import __version__
from stackyard.cli import main, scenario
from stackyard.errors import BadInputError
from tests.commands_page import children, command_line, leaves


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"stackyard {__version__}\n"


#: Prints the packages that a process has loaded once it has shown a command line's help.
_LOADED = """
import contextlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    {help}
print(json.dumps(sorted(sys.modules)))
"""
_PLAIN = "import typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"


def _loaded(help: str) -> set[str]:
    command = [sys.executable, "-c", _LOADED.format(help=help)]
    return set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def test_help_loads_what_typer_takes_and_no_command_s_room() -> None:
    loaded = _loaded("from stackyard.cli import main; main.run(['--help'])")
    ours = {name for name in loaded if name.startswith("stackyard")}
    assert ours == {
        "stackyard",
        "stackyard.cli",
        "stackyard.cli.deferred",
        "stackyard.cli.light",
        "stackyard.cli.main",
        "stackyard.cli.options",
        "stackyard.cli.own",
        "stackyard.cli.services",
        "stackyard.cli.web",
        "stackyard.counting",
        "stackyard.errors",
        "stackyard.settings",
        "stackyard_server",
        "stackyard_server.once",
    }
    packages = {name.split(".")[0] for name in loaded - ours} - sys.stdlib_module_names
    assert packages <= {name.split(".")[0] for name in _loaded(_PLAIN)}


def test_a_group_that_is_looked_into_is_the_real_one() -> None:
    group = get_command(main.app).commands["scenario"]  # type: ignore[attr-defined]
    assert "stackyard.cli.scenario" in sys.modules
    assert list(group.commands) == ["run", "report", "validate", "list"]
    assert "--repeats" in [name for each in group.commands["run"].params for name in each.opts]


def test_every_command_is_mounted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("scenario", "stack", "data", "doctor"))


@pytest.mark.parametrize("line", ["nonsense", "scenario run", "scenario run f --repeats 0"])
def test_wrong_usage_is_status_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(line.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err


def test_an_error_is_one_sentence_and_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["scenario", "validate", "absent.toml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("stackyard: absent.toml: cannot be read")
    with pytest.raises(Exception, match="cannot be read"):
        main.run(["scenario", "validate", "absent.toml", "--debug"])


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m stackyard.cli.main scenario --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scenario.stacks, "load", interrupted)
    assert main.run(["scenario", "list", "."]) == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "tasks"], "which tasks? name their project"),
        (
            ["compare", "tasks", "--project", "P", "--group-by", "x", "--server", "none"],
            "no such file",
        ),
        (["compare", "--", "tasks"], "expected two commands"),
        (["compare", "tasks", "--vs", "--"], "expected two commands"),
        (["compare", "--repeats", "3", "tasks"], "expected two commands"),
    ],
)
def test_a_program_called_tasks_is_compared_as_any_other(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == 2
    assert said in capsys.readouterr().err


def test_debug_may_stand_anywhere_behind_compare_tasks() -> None:
    with pytest.raises(BadInputError, match="which tasks"):
        main.run(["compare", "tasks", "--debug"])


def test_the_help_of_compare_leads_to_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["compare", "--help"]) == 0
    assert "stackyard compare tasks" in capsys.readouterr().out
    assert main.run(["compare", "tasks", "--help"]) == 0
    assert "--group-by" in capsys.readouterr().out


def test_an_option_that_may_be_given_once_refuses_a_second_one(capsys: pytest.CaptureFixture[str]) -> None:
    refused = 0
    for name, top in children(command_line()):
        for words, command in [(f"stackyard {name}", top), *leaves(top, f"stackyard {name}")]:
            once = [
                option
                for option in command.params
                if option.param_type_name == "option" and not option.multiple and not option.is_flag
            ]
            for option in {option.name: option for option in (*once[:1], *once[-1:])}.values():
                given = option.opts[0]
                status = main.run([*words.split()[1:], given, "1", f"{given}=2"])
                said = capsys.readouterr()
                assert (status, said.out) == (2, ""), words
                assert said.err == f"stackyard: {given} is given twice; give it once\n", words
                refused += 1
    assert refused > 90


def test_what_may_stand_twice_still_may(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = ["server", "status", "--folder", str(tmp_path / "none"), "--json", "--json"]
    main.run(line)
    assert "is given" not in capsys.readouterr().err
    line = [
        "run",
        "--stack",
        "none",
        "--out",
        str(tmp_path / "out"),
        "--",
        "echo",
        "--stack",
        "a",
        "--stack",
        "b",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "stackyard.cli.main", *line], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"--stack a --stack b\n")


def test_a_figure_that_is_named_twice_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figures = ["--metric", "a=line:a=(?P<value>.*)", "--metric", "a=line:b=(?P<value>.*)"]
    assert main.run(["run", "--stack", "none", *figures, "--out", str(tmp_path / "out"), "--", "true"]) == 2
    assert capsys.readouterr().err == "stackyard: --metric a: given twice\n"
