"""workloads.toml: what it declares, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.workloads import declarations
from stackyard_task.workloads import Parameter, Workload
from tests.stackyard import own_commands

GOOD = """
[learn]
entry = "pack.work:learn"
help = "learn something"
type = "training"
template = false

[learn.parameters]
epochs = { kind = "integer", default = 8, low = 1, help = "passes", section = "Training" }
data = { kind = "data", required = true, help = "what to learn from" }
how = { kind = "choice", choices = ["fast", "well"], help = "pace" }
"""


def read(tmp_path: Path, text: str) -> dict[str, Workload]:
    path = tmp_path / "workloads.toml"
    path.write_text(text)
    return declarations.read(path)


def test_a_file_declares_workloads_with_typed_parameters(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == {
        "learn": Workload(
            "learn",
            "pack.work:learn",
            "learn something",
            (
                Parameter("epochs", "integer", 8, "passes", low=1, section="Training"),
                Parameter("data", "data", None, "what to learn from", required=True),
                Parameter("how", "choice", None, "pace", choices=("fast", "well")),
            ),
            type="training",
            template=False,
        )
    }


def test_a_command_is_declared_with_the_keys_that_a_scenario_gives_it(tmp_path: Path) -> None:
    found = read(tmp_path, own_commands.DECLARED)["train"]
    assert found.entry == ""
    assert found.parameters == (
        Parameter("lr", "number", 0.5, "learning rate", low=0),
        Parameter("epochs", "integer", 3, ""),
    )
    assert found.command is not None
    assert found.command.words[:2] == ("python", "train.py")
    assert (found.command.code, found.command.inputs) == ("code", {"data": "data.txt"})
    assert found.command.environment["PYTHONPATH"] == "lib"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("epochs = 3", ""), "train: nothing fills {epochs}; parameters: lr"),
        (("epochs = 3", "epochs = 3\nsize = 1"), "train: parameter 'size' goes nowhere"),
        (("{inputs.data}", "{inputs.dat}"), "train: {inputs.dat} names no input"),
        (
            ('"data.txt"', '"step:make/x"'),
            "train.inputs.data is 'step:make/x', expected a path or a data set",
        ),
        (('"learning rate"', '"rate", section = "Inputs"'), "lr.section is 'Inputs', expected another name"),
        (('code = "code"', 'code = "code"\nentry = "a:b"'), "train.entry is an unknown key"),
        (("epochs = 3", '"a b" = 3'), "train.parameters.a b is named 'a b'"),
        (("epochs = 3", "epochs = 2026-01-01"), "train.parameters.epochs is a date"),
        (('help = "learn something"\n', ""), "train.help is missing"),
    ],
)
def test_a_wrong_command_is_refused_by_file_and_key(
    change: tuple[str, str], says: str, tmp_path: Path
) -> None:
    assert change[0] in own_commands.DECLARED
    with pytest.raises(BadInputError) as refused:
        read(tmp_path, own_commands.DECLARED.replace(*change))
    assert says in str(refused.value)
    assert str(tmp_path / "workloads.toml") in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('entry = "pack.work:learn"', ""), "learn.entry is missing"),
        (("pack.work:learn", "pack.work"), "learn.entry is 'pack.work', expected \"module:function\""),
        (('type = "training"', 'type = "trainin"'), r"learn.type is 'trainin'.*did you mean 'training'"),
        (("template = false", 'template = "no"'), "learn.template is 'no', expected true or false"),
        (("template = false", "templates = false"), r"learn.templates is an unknown key"),
        (('kind = "integer"', 'kind = "int"'), r"learn.parameters.epochs.kind is 'int'"),
        (("pack.work:learn", "work.py:learn"), "learn.entry is 'work.py:learn'"),
        (("low = 1", "low = nan"), "epochs.low is nan, expected a number"),
        (("low = 1", "low = 9, high = 3"), "epochs.low is 9, expected at most high, which is 3"),
        (("default = 8", f"default = 1{'0' * 400}"), "epochs|too many digits"),
        (('integer", default = 8', 'number", default = inf'), "epochs.default: .* expected a number"),
        (("default = 8", "default = 0"), r"learn.parameters.epochs.default: .* at least 1"),
        (("default = 8", 'default = "8"'), r"learn.parameters.epochs.default: .* a whole number"),
        (("low = 1", 'low = "1"'), r"learn.parameters.epochs.low is '1', expected a number"),
        (("required = true", 'required = true, default = "x"'), "expected none: the parameter is required"),
        (("required = true", "low = 1"), r"data.low is 1, expected none: a data has no bounds"),
        (('choices = ["fast", "well"]', "choices = []"), r"how.choices is \[\]"),
        (('help = "passes", ', ""), "learn.parameters.epochs.help is missing"),
        (("[learn]", "[[learn]]"), "not TOML|learn is"),
        (("[learn.parameters]", "parameters = 3\n[more]"), "learn.parameters is 3|unknown key|missing"),
    ],
)
def test_a_wrong_declaration_is_refused_by_file_and_key(
    change: tuple[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=says) as refused:
        read(tmp_path, GOOD.replace(*change))
    assert str(tmp_path / "workloads.toml") in str(refused.value)
