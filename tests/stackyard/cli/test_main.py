"""The command line's frame: one sentence, the right exit status, no traceback unless asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stackyard import __version__
from stackyard.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"stackyard {__version__}\n"


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


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m stackyard.cli.main scenario --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.scenario.stacks, "load", interrupted)
    assert main.run(["scenario", "list", "."]) == 130
