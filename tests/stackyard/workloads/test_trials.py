"""A package is asked about sources in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stackyard import workloads
from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads import trials
from stackyard.workloads.trials import Asked, Trier
from stackyard_task.workloads import Parameter, Workload

DATA = Parameter("data", "data", None, "", required=True)
READS = Workload("read", "m:f", "", (DATA, Parameter("epochs", "integer", 1, "")), trial="guest.trial")


def module(folder: Path, text: str) -> Trier:
    (folder / "guest_trial.py").write_text(text)
    return Trier(Path(sys.executable), folder)


def test_one_question_one_answer(tmp_path: Path) -> None:
    trier = module(tmp_path, "import json, sys\nprint(json.dumps({'got': json.load(sys.stdin)}))")
    assert trier.asked("guest_trial", {"do": "x"}) == {"got": {"do": "x"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit('out of paper')", "failed \\(out of paper\\)"),
        ("raise ValueError('broken')", "failed \\(ValueError: broken\\)"),
        ("print('no JSON')", "could not be asked"),
        ("print('[1]')", "failed \\(exit status 0\\)"),
    ],
)
def test_a_package_that_does_not_answer_is_said_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StackyardError, match=said):
        module(tmp_path, text).asked("guest_trial", {})


def test_a_python_that_cannot_be_called_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackyardError, match="could not be asked"):
        Trier(tmp_path / "python", tmp_path).asked("guest_trial", {})


def test_the_data_of_parameters_is_found_with_its_key() -> None:
    source = {"path": "s", "format": "lines"}
    inline = {"sources": [source]}
    named = trials.of_parameters(READS, {"data": "data:x", "epochs": 2}, {"x": (source,)}, "w")
    assert list(named) == [Asked("guest.trial", "data.x", inline)]
    assert list(trials.of_parameters(READS, {"data": inline}, {}, "w")) == [
        Asked("guest.trial", "w.data", inline)
    ]
    assert list(trials.of_parameters(None, {"data": inline}, {}, "w")) == []
    assert list(trials.of_parameters(Workload("n", "m:f", "", (DATA,)), {"data": inline}, {}, "w")) == []


def test_settings_that_a_package_refuses_are_told_with_file_and_key() -> None:
    asked = [Asked(_ours(), "data.x", {"sources": [{"path": "s", "format": "sequences", "labl": 0}]})]
    with pytest.raises(BadInputError, match=r"a\.toml: data\.x\.sources\[0\].*'labl'"):
        trials.refuse(Path("a.toml"), asked)
    trials.refuse(Path("a.toml"), [Asked(_ours(), "d", {"sources": [{"path": "s", "format": "sequences"}]})])


def _ours() -> str:
    return trials.modules(workloads.load().declared)[0]


def test_a_trial_beside_a_scenario_is_refused(tmp_path: Path) -> None:
    (tmp_path / "workloads.toml").write_text('[mine]\nentry = "work:main"\nhelp = "h"\ntrial = "work"\n')
    with pytest.raises(BadInputError, match="only an installed package's is called"):
        workloads.load(tmp_path)
