"""A command of one's own begins at once, and its options are read as any other's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from stackyard.cli.light import LightCommand, LightGroup

_RUN = """
import sys
from stackyard.cli import own
def stop(words, asked, **_):
    print(words, asked.cores, asked.warm_up_runs, "pydantic" in sys.modules)
    raise SystemExit
own._placed = stop
from stackyard.cli import main
main.run(sys.argv[1:])
"""


def test_run_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RUN, "run", "--stack", "none", "--", "echo", "--json", ""]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout == "['echo', '--json', ''] None 0 False\n"


def invoked(line: list[str]) -> list[object]:
    app = typer.Typer(cls=LightGroup)
    got: list[object] = []

    @app.callback()
    def top(flag: bool = False) -> None:
        got.append(flag)

    @app.command(cls=LightCommand)
    def light(
        words: list[str],
        name: str | None = None,
        number: Annotated[int, typer.Option(min=1)] = 3,
        place: Path | None = None,
        each: Annotated[list[str] | None, typer.Option()] = None,
    ) -> None:
        got.extend([words, name, number, place, each or []])

    get_command(app)(line, prog_name="test", standalone_mode=False)
    return got


def test_values_are_those_that_typer_reads() -> None:
    assert invoked(["light", "a", ""]) == [False, ["a", ""], None, 3, None, []]
    line = [
        "--flag",
        "light",
        "--name",
        "n",
        "--number",
        "5",
        "--place",
        "p",
        "--each",
        "x",
        "--each",
        "y",
        "a",
    ]
    assert invoked(line) == [True, ["a"], "n", 5, Path("p"), ["x", "y"]]


@pytest.mark.parametrize(
    "line", [["light", "--number", "0", "a"], ["light", "--number", "x", "a"], ["light"]]
)
def test_a_wrong_value_is_refused(line: list[str]) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 of Typer's own copy of click
        invoked(line)
    assert type(refused.value).__name__ in ("BadParameter", "MissingParameter")
