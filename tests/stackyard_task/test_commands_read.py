"""The words of a command: what stands in braces, what is appended, and what programs then read, whatever is typed."""

from __future__ import annotations

import argparse
import json
import string
import subprocess
import sys
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_task import commands
from stackyard_task.commands import Command, CommandError, Places

yaml = pytest.importorskip("yaml")

OUTPUTS = Places("/run/outputs")
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True).filter(
    lambda name: name not in commands.RESERVED
)
#: What a program may be given: no NUL, and no half of a pair.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False, width=64))
SCALARS = st.one_of(st.booleans(), NUMBERS, TEXTS)
PLAIN = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def made(*words: str, parameters: Dict[str, Any] | None = None, **fields: Any) -> List[str]:
    return commands.words(Command(words, **fields), parameters or {}, OUTPUTS)


@given(st.lists(TEXTS, min_size=1, max_size=6).filter(lambda words: bool(words[0])))
def test_words_with_doubled_braces_come_out_as_they_were(words: List[str]) -> None:
    command = Command(tuple(map(commands.verbatim, words)))
    commands.check(command, {})
    assert commands.words(command, {}, OUTPUTS) == words


@pytest.mark.parametrize(
    "word",
    [
        "${HOME}",
        "echo ${HOME:-/tmp} $1 ${1}",
        "{a,b}",
        "{ }",
        "{}",
        "find . -exec ls {} +",
        '{"a": 1}',
        "{1..3}",
        "awk '{print $1}'",
        "{lr:.3f}",
        "{",
        "}",
        "a}b{c",
    ],
)
def test_braces_that_are_no_placeholder_stay(word: str) -> None:
    commands.check(Command(("sh", "-c", word)), {})
    assert made("sh", "-c", word) == ["sh", "-c", word]


@given(st.dictionaries(TEXTS.filter(lambda key: "}" not in key), st.integers(), min_size=1, max_size=4))
def test_json_is_a_word_like_any_other(value: Dict[str, int]) -> None:
    word = json.dumps(value)
    assert made("tool", word) == ["tool", word]


@given(NAMES, SCALARS, TEXTS, TEXTS)
def test_a_placeholder_is_filled_wherever_it_stands(name: str, value: Any, before: str, behind: str) -> None:
    before = before.rstrip("$")  # ${NAME} is the shell's
    word = commands.verbatim(before) + "{" + name + "}" + commands.verbatim(behind)
    shown = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if not before.endswith("{"):
        assert made("x", word, parameters={name: value}) == ["x", before + shown + behind]


@given(NAMES, st.lists(st.one_of(TEXTS, st.integers(), st.booleans()), max_size=5))
def test_a_list_becomes_as_many_words(name: str, values: List[Any]) -> None:
    words = made("x", "{" + name + "}", "y", parameters={name: values})
    assert words[0] == "x"
    assert words[-1] == "y"
    assert words[1:-1] == [str(v).lower() if isinstance(v, bool) else str(v) for v in values]


def test_a_list_inside_a_word_is_refused_with_the_way_out() -> None:
    with pytest.raises(CommandError, match=r"make \{NAME\} a word of its own"):
        made("x", "--files={files}", parameters={"files": ["a"]})
    with pytest.raises(CommandError, match="parameters_file"):
        made("x", "{table}", parameters={"table": {"a": 1}})


@pytest.mark.parametrize(
    ("command", "parameters", "said"),
    [
        (Command(("x", "{lr}")), {}, "nothing fills {lr}; there are no parameters"),
        (Command(("x", "{lr}")), {"rate": 1}, "nothing fills {lr}; parameters: rate"),
        (Command(("x",), environment={"A": "{b}"}), {}, "nothing fills {b}"),
        (Command(("x", "{inputs.data}")), {}, "names no input; there are no inputs"),
        (Command(("x", "{inputs}")), {}, "write {inputs.NAME}"),
        (Command(("x",)), {"lr": 1}, "parameter 'lr' goes nowhere"),
        (Command(("x",), inputs={"data": "d"}), {}, "input 'data' goes nowhere"),
        (Command(("x", "{outputs}")), {"outputs": 1}, "placeholder of its own"),
    ],
)
def test_what_is_not_filled_or_not_used_is_one_sentence(
    command: Command, parameters: Dict[str, Any], said: str
) -> None:
    with pytest.raises(CommandError) as refused:
        commands.check(command, parameters)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@given(
    st.dictionaries(
        NAMES.filter(lambda name: len(name) > 1 and name not in ("help", "no")),
        st.one_of(SCALARS, st.lists(TEXTS.filter(lambda t: not t.startswith("-")), min_size=1, max_size=3)),
        max_size=5,
    )
)
def test_argparse_reads_what_was_appended(parameters: Dict[str, Any]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name, value in parameters.items():
        if isinstance(value, bool):
            parser.add_argument(f"--{name}", action="store_true", dest=name)
        elif isinstance(value, list):
            parser.add_argument(f"--{name}", nargs="*", dest=name)
        else:
            parser.add_argument(f"--{name}", type=type(value), dest=name)
    words = made("x", parameters=parameters, arguments="gnu")
    assert vars(parser.parse_args(words[1:])) == parameters


def test_what_is_nothing_is_not_appended() -> None:
    assert made("x", parameters={"a": None}, arguments="gnu") == ["x"]
    assert made("x", "{a}", parameters={"a": None}) == ["x", ""]


@given(st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(st.integers(), max_size=3)), max_size=4))
def test_papermill_gets_texts_raw_and_the_rest_to_be_parsed(parameters: Dict[str, Any]) -> None:
    words, read = made("papermill", parameters=parameters, arguments="papermill")[1:], {}
    while words:
        option = words.pop(0)
        if option == "-y":
            read.update(yaml.safe_load(words.pop(0)))
            continue
        name, text = words.pop(0), words.pop(0)
        read[name] = text if option == "-r" else _papermill(text)
    assert read == parameters


def _papermill(text: str) -> Any:
    """papermill.cli._resolve_type, of papermill 2.6."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@given(
    st.dictionaries(st.text(string.printable, max_size=8), PLAIN, max_size=4),
    st.sampled_from(commands.FORMATS),
)
def test_the_file_of_parameters_says_what_was_given(parameters: Dict[str, Any], form: str) -> None:
    text = commands.parameters_text(Command(("x", "{parameters_file}"), parameters_format=form), parameters)
    has_a_value = {name: value for name, value in parameters.items() if value is not None}
    assert (json.loads if form == "json" else yaml.safe_load)(text) == has_a_value


@pytest.mark.parametrize("value", [1e-05, 1e22, -2.5e-300, 0.1, 1e16, 123456789012345680.0])
def test_a_number_of_many_digits_is_a_number_in_yaml_too(value: float) -> None:
    command = Command(("x", "{parameters_file}"), parameters_format="yaml")
    assert yaml.safe_load(commands.parameters_text(command, {"lr": value})) == {"lr": value}


def test_hydra_is_told_in_its_own_grammar() -> None:
    """Each of these was read by Hydra 1.3 as the value on the left (``hydra.compose``)."""
    values: Dict[str, Any] = {
        "number": 0.001,
        "small": 1e-05,
        "flag": True,
        "word": "adam",
        "spaced": "two words",
        "path": "/data/a-b_c.txt",
        "like_a_number": "12",
        "like_nothing": "null",
        "quoted": "it's",
        "empty": "",
        "list": [1, "a,b"],
        "table": {"a": [1]},
    }
    assert made("x", parameters=values, arguments="hydra")[1:] == [
        "number=0.001",
        "small=1e-05",
        "flag=true",
        "word=adam",
        "spaced=two words",
        "path=/data/a-b_c.txt",
        "like_a_number='12'",
        "like_nothing='null'",
        r"quoted='it\'s'",
        "empty=''",
        "list=[1,'a,b']",
        "table={a:[1]}",
    ]


def test_variables_are_filled_as_words_are() -> None:
    command = Command(
        ("x",), environment={"LR": "{lr}", "SHELL": "${HOME}", "OUT": "{outputs}/a", "JSON": '{"a": 1}'}
    )
    commands.check(command, {"lr": 0.1})
    assert commands.variables(command, {"lr": 0.1}, OUTPUTS) == {
        "LR": "0.1",
        "SHELL": "${HOME}",
        "OUT": "/run/outputs/a",
        "JSON": '{"a": 1}',
    }


@pytest.mark.parametrize(
    ("words", "parameters", "said"),
    [
        (("{program}",), {"program": ""}, "no first word"),
        (("{words}",), {"words": []}, "no first word"),
        (("x", "{text}"), {"text": "a\0b"}, "NUL"),
        (("{words}",), {"words": ["x"] * (commands.MOST_WORDS + 1)}, "more than 100000 words"),
        (("x", "{text}"), {"text": "x" * (commands.MOST_LETTERS + 1)}, "more than 100000 words or"),
    ],
)
def test_what_no_program_can_be_given_is_refused(
    words: tuple[str, ...], parameters: Dict[str, Any], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        made(*words, parameters=parameters)


def test_a_nul_in_a_variable_is_refused() -> None:
    with pytest.raises(CommandError, match="variable A holds NUL"):
        commands.variables(Command(("x",), environment={"A": "{a}"}), {"a": "\0"}, OUTPUTS)


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=4))
def test_a_whole_list_of_words_is_a_command(words: List[str]) -> None:
    """As ``stackyard compare`` writes it: braces in a value are never placeholders."""
    assert made("{words}", parameters={"words": words}) == words


def test_a_real_program_sees_the_words_it_was_given() -> None:
    words = ["", " ", "*", "$(id)", "`x`", "a\nb", "é", "--", "-x", "'", '"', "\\"]
    show = "import json, sys; print(json.dumps(sys.argv[1:]))"
    command = made(sys.executable, "-c", commands.verbatim(show), *map(commands.verbatim, words))
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == words
