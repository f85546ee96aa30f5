"""A command as people write it: what is read, and each mistake as one sentence that names the key."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard import command_tables
from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields
from stackyard_task import commands
from stackyard_task.commands import Command, Places

FIELDS = Fields("f.toml", {})


def read(**table: Any) -> Command:
    return command_tables.read(FIELDS, table, "w")


def test_all_keys_are_read() -> None:
    command = read(
        command=["python", "{x}"],
        arguments="gnu",
        environment={"A": 1},
        parameters_format="yaml",
        inputs={"data": "d"},
        metrics={"a": "json:m.json#a"},
        code=".",
        requirements="r.txt",
        hook=False,
    )
    assert command == Command(
        ("python", "{x}"),
        "gnu",
        {"A": "1"},
        "yaml",
        {"data": "d"},
        {"a": "json:m.json#a"},
        ".",
        None,
        "r.txt",
        False,
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"command": "python train.py"}, "w.command is 'python train.py', expected a list of words"),
        ({"command": []}, "w.command is [], expected a list of words"),
        ({"command": ["  "]}, "w.command is ['  ']"),
        ({"command": ["a", 1]}, "w.command is ['a', 1]"),
        (
            {"command": ["a"], "arguments": "posix"},
            "w.arguments is 'posix', expected one of gnu, hydra, papermill",
        ),
        ({"command": ["a"], "parameters_format": "ini"}, "w.parameters_format is 'ini'"),
        ({"command": ["a"], "code": ".", "folder": "."}, "w.folder stands beside code"),
        ({"command": ["a"], "environment": {"STACKYARD_REPORT": "/x"}}, "the harness sets it"),
        ({"command": ["a"], "metrics": {"a": "json"}}, "w.metrics.a is 'json'"),
        ({"command": ["a"], "metrics": {"a": "line:("}}, "w.metrics.a"),
        ({"command": ["a"], "inputs": {"a": ""}}, "w.inputs.a is ''"),
        ({"command": ["a"], "inputs": {"a b": "x"}}, "w.inputs.a b is 'a b', expected a name"),
        ({"command": ["a"], "hook": "no"}, "w.hook is 'no', expected true or false"),
        ({"command": ["a"], "notebook": "a.ipynb"}, "w.notebook stands beside command"),
        ({"command": ["a"], "runner": "papermill"}, "w.runner stands without notebook"),
        ({"notebook": "a.py"}, "w.notebook is 'a.py', expected a file like train.ipynb"),
        ({"notebook": "a.ipynb", "runner": "voila"}, "w.runner is 'voila'"),
    ],
)
def test_a_mistake_is_one_sentence(table: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(**table)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["train.ipynb", "a/{b} c.ipynb"])
def test_a_notebook_is_words_with_its_own_name_and_parameters_for_papermill(name: str) -> None:
    words = commands.words(read(notebook=name), {"lr": 0.1, "who": "me"}, Places("/out"))
    copy = "/out/" + name.rpartition("/")[2].replace("{", "").replace("}", "")
    assert words == ["papermill", "--no-progress-bar", name, copy, "-p", "lr", "0.1", "-r", "who", "me"]
    other = commands.words(read(notebook=name, runner="nbconvert"), {}, Places("/out"))
    assert other[-3:] == ["--output-dir", "/out", name]


def test_parameters_are_of_the_kind_that_all_their_values_have() -> None:
    found = command_tables.typed(FIELDS, "w", {"a": 1, "b": "x", "c": True}, [{"a": 2.5}])
    assert {p.name: p.kind for p in found} == {"a": "number", "b": "text", "c": "flag"}
    with pytest.raises(BadInputError, match="values of one kind"):
        command_tables.typed(FIELDS, "w", {"a": 1}, [{"a": "x"}])
