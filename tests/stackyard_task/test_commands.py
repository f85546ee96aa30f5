"""How a command's words, variables and file of parameters are made, and which commands are refused before they run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackyard_task import commands
from stackyard_task.commands import Command, CommandError, Places

PLACES = Places("/out", {"data": "/in/d"}, "/run/p.json", 2)


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    given = {"lr": 0.1, "n": True}
    expected = {
        "{lr}x{n}": "0.1xtrue",
        "{inputs.data} {outputs}/f {threads}": "/in/d /out/f 2",
        '{"k": {"l": ${HOME}}}': '{"k": {"l": ${HOME}}}',
        '{"k": {"lr": {lr}}}': '{"k": {"lr": 0.1}}',
        "{{lr}} {lr}": "{lr} 0.1",
        '{{"k": {{"lr": {lr}}}}}': '{"k": {"lr": 0.1}}',
    }
    assert commands.words(Command(("a", *expected)), given, PLACES) == ["a", *expected.values()]


@pytest.mark.parametrize(
    "word", ["{lr}", "}}", '{"a": {"b": 1}}', "${HOME}}", "{{{", "a}b}}", "{} {outputs}"]
)
def test_a_word_written_verbatim_is_executed_as_it_is(word: str) -> None:
    assert commands.words(Command(("a", commands.verbatim(word))), {}, PLACES) == ["a", word]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("gnu", ["--lr", "1e-05", "--amp", "--sizes", "1", "2", "--shift=-3"]),
        ("hydra", ["lr=1e-05", "amp=true", "off=false", "sizes=[1,2]", "shift=-3"]),
    ],
)
def test_what_no_placeholder_names_is_appended_and_what_has_no_value_is_not(
    style: str, expected: list[str]
) -> None:
    given = {"lr": 1e-05, "amp": True, "off": False, "sizes": [1, 2], "shift": -3, "left": None}
    assert commands.words(Command(("a",), style), given, PLACES) == ["a", *expected]


def test_options_have_the_letters_of_the_names() -> None:
    given = {"batch_size": 8, "batch-size": 64}
    assert commands.words(Command(("a",), "gnu"), given, PLACES) == [
        *("a", "--batch_size", "8", "--batch-size", "64")
    ]


@pytest.mark.parametrize("form", commands.FORMATS)
def test_a_file_of_parameters_says_the_same_in_both_formats(form: str) -> None:
    yaml = pytest.importorskip("yaml")
    given = {"lr": 1e-05, "text": 'a "quoted" \\ud83d 😀 \u2028 é\n', "list": [1, {"k😀": None}], "yes": "no"}
    text = commands.parameters_text(Command(("a",), parameters_format=form), {**given, "left": None})
    assert (json.loads if form == "json" else yaml.safe_load)(text) == given


@pytest.mark.parametrize(
    ("command", "parameters", "said"),
    [
        (Command(("a", "{lr}")), {}, r"nothing fills \{lr\}; there are no parameters"),
        (Command(("a",)), {"lr": 1}, r"parameter 'lr' goes nowhere: write \{lr\} in a word"),
        (
            Command(("a", "{b-s}")),
            {"b-s": 1},
            "parameter 'b-s' goes nowhere: no placeholder can have its name",
        ),
        (Command(("a",), "gnu"), {"t": {"k": 1}}, r"t is a table, .* pass it by \{parameters_file\}"),
        (Command(("a", "x{l}")), {"l": [1]}, r"l is a list, .* or make \{NAME\} a word of its own"),
        (Command(("a",), environment={"V": "{t}"}), {"t": {}}, "t is a table"),
        (Command(("a", "{inputs.x}")), {}, r"\{inputs.x\} names no input; there are no inputs"),
        (Command(("a",), inputs={"x": "y"}), {}, r"input 'x' goes nowhere"),
        (Command(("a",), "gnu"), {"outputs": 1}, "a parameter cannot be named 'outputs'"),
        (Command(("a", "{x}")), {"x": "\0"}, "holds NUL"),
    ],
)
def test_a_command_whose_words_cannot_be_made_is_refused(
    command: Command, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        commands.check(command, parameters)


def test_a_command_may_begin_with_a_parameter_that_nobody_has_given_yet() -> None:
    commands.check(Command(("{program}", "{l}")), {"program": None, "l": [1, 2]})
