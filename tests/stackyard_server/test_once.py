"""Options that may be given once, in the server's own program. Its commands in ``stackyard``: ``cli/test_main.py``."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.main import get_command

from stackyard_server import once


def test_the_server_s_own_program_refuses_a_second_value() -> None:
    line = [sys.executable, "-m", "stackyard_server.command", "status", "--folder", "a", "--folder", "b"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(": --folder is given twice; give it once\n")


def test_lists_flags_and_counts_may_stand_again() -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    got: list[object] = []

    @app.command()
    def do(
        name: str = "",
        several: list[str] = typer.Option([]),  # noqa: B008 - as Typer reads it
        switch: bool = True,
        often: int = typer.Option(0, "-v", count=True),
    ) -> None:
        got.append((name, several, switch, often))

    command = get_command(app)
    once.hold(command, ValueError)
    line = ["--several", "a", "--several", "b", "--switch", "--no-switch", "-v", "-v", "--name", "x"]
    command(line, standalone_mode=False)
    assert got == [("x", ["a", "b"], False, 2)]
    with pytest.raises(ValueError, match=r"^--name is given 3 times; give it once$"):
        command(["--name", "x", "--name=y", "--name", "x"], standalone_mode=False)
