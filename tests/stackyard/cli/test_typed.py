"""What is typed behind ``--``: names of runs, where commands are parted, and the scenario that compares them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.cli import typed
from stackyard.errors import BadInputError
from stackyard_task import commands
from stackyard_task.commands import Command, Places

WORDS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    min_size=1,
    max_size=5,
)


def asked(**fields: object) -> typed.Asked:
    known: dict[str, object] = dict.fromkeys(typed.Asked.__dataclass_fields__)
    return typed.Asked(**{**known, "repeats": 2, "warm_up_runs": 0, "metrics": [], **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python", "train.py", "--lr", "1"], "train"),
        (["/usr/bin/python3.11", "-u", "src/train.py"], "train"),
        (["python", "-m", "http.server"], "http.server"),
        (["python", "-c", "print(1)"], "python"),
        (["python"], "python"),
        (["./a b.sh"], "a_b.sh"),
        (["é"], "command"),
        (["-x"], "x"),
        (["env", "-i", "-u", "HOME", "LR=1", "python", "train.py"], "train"),
        (["/usr/bin/env", "python3", "train.py"], "train"),
        (["env"], "env"),
        (["env", "A=1"], "env"),
        ([""], "command"),
        (["x" * 100], "x" * 40),
    ],
)
def test_runs_are_named_by_what_is_executed(words: list[str], name: str) -> None:
    assert typed.name_of(words) == name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["sh", "run.sh"], "sh-run.sh"),
        (["R", "-f", "a.R"], "R-f"),
        (["./a.py"], "command-a"),
        (["w"], "command-w"),
        (["env", "A=1", "sh", "-c", "true"], "sh-c"),
        (["make", "run"], "make"),
    ],
)
def test_a_name_that_is_too_short_takes_further_words(words: list[str], name: str) -> None:
    assert typed.declared(words, code=".", least=3).name == name


@given(WORDS, WORDS)
def test_the_scenario_of_two_commands_runs_the_words_that_were_typed(
    first: list[str], second: list[str]
) -> None:
    text = typed.scenario_text(
        "n", [first, second], ["a", "b"], asked(stack="none"), folder=Path("/x"), hook=True
    )
    read = tomllib.loads(text)
    command = Command(tuple(read["workloads"]["n"]["command"]))
    for label, words in zip(read["axes"]["command"], (first, second), strict=True):
        parameters = read["choices"]["command"][label]["parameters"]
        if words[0]:
            assert commands.words(command, parameters, Places("/o")) == words


@given(WORDS)
def test_the_scenario_of_one_command_does_too(words: list[str]) -> None:
    text = typed.scenario_text(
        "n", [words], ["n"], asked(metrics=["a=line:a=(?P<value>.*)"]), folder=Path("/x"), hook=False
    )
    table = tomllib.loads(text)["workloads"]["n"]
    assert table["hook"] is False
    assert table["metrics"] == {"a": "line:a=(?P<value>.*)"}
    if words[0]:
        assert commands.words(Command(tuple(table["command"])), {}, Places("/o")) == words


@pytest.mark.parametrize("words", [["a"], ["a", "--vs", "--"], ["--vs", "--", "a"], ["a", "--vs", "b"], []])
def test_one_command_is_compared_with_nothing(words: list[str]) -> None:
    with pytest.raises(BadInputError, match="expected two commands"):
        typed.parted(words)


@pytest.mark.parametrize("word", ["data:x", "prepared:x/y", "dataset:x/y"])
def test_a_word_that_a_scenario_would_take_for_a_reference_is_not_compared(word: str) -> None:
    given = [["echo", word], ["echo"]]
    with pytest.raises(BadInputError, match="taken for a reference"):
        typed.scenario_text("n", given, ["a", "b"], asked(), folder=Path("/x"), hook=True)
    assert word in typed.scenario_text("n", given[:1], ["a"], asked(), folder=Path("/x"), hook=True)


def test_commands_are_parted_where_it_says_so_and_nowhere_else() -> None:
    assert typed.parted(["a", "--", "--vs", "--", "b", "--vs", "c"]) == [["a", "--"], ["b", "--vs", "c"]]
    with pytest.raises(BadInputError, match="more than the 8"):
        typed.parted(["a", *["--vs", "--", "b"] * 8])
