"""``stackyard pipeline``: what is refused before a server is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard.cli import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--queue", "a=b", "--queue", "a=b"], "--queue a: given twice"),
        (["--queue", "a"], "expected STEP=QUEUE"),
        ([], "fifo.toml: cannot be read (it is no regular file); name a pipeline file"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "fifo.toml")
    assert main.run(["pipeline", "run", str(tmp_path / "fifo.toml"), *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_misspelt_setting_of_a_source_is_told_before_a_server_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.toml"
    file.write_text(
        'name = "mine"\n[data.log]\nsources = [{ path = "x", format = "lines", key_patern = "(a)" }]\n'
        '[steps.train]\nworkload = "detector-train"\nqueue = "cpu"\nparameters = { data = "data:log" }\n'
    )
    assert main.run(["pipeline", "run", str(file)]) == 2
    assert "steps.train.parameters.data.sources[0] has no key 'key_patern'" in capsys.readouterr().err
