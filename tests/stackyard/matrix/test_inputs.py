"""The files that a matrix reads, looked for before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard import scenarios, workloads
from stackyard.errors import BadInputError
from stackyard.matrix.inputs import Inputs
from stackyard.scenarios import Known

TEXT = """
name = "test"
[axes]
deployment = ["agent"]
[data.lines]
sources = [{ path = "PATH", format = "sequences" }]
[prepare.model]
workload = "detector-train"
parameters = { data = "data:lines" }
[workloads.w]
workload = "detector-infer"
parameters = { data = "data:lines", model = "MODEL" }
"""


def check(folder: Path, path: str, model: str, **options: Any) -> None:
    declared = workloads.load().declared
    known = Known(["new"], "new", ["bare", "agent"], "bare", declared)
    scenario = scenarios.read(TEXT.replace("PATH", path).replace("MODEL", model), "test.toml", known)
    found = Inputs(scenario, folder / "test.toml", declared, lambda reference: None, **options)
    found.refuse_missing(scenarios.cells(scenario), [])


def test_what_is_there_or_will_be_made_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").touch()
    (tmp_path / "kept").mkdir()
    check(tmp_path, "lines.txt", "prepared:model/model")
    check(tmp_path, str(tmp_path / "lines.txt"), "kept")
    check(tmp_path, "dataset:set/lines.gz", "kept")


@pytest.mark.parametrize(
    ("path", "model", "words"),
    [
        ("no.txt", "kept", "data.lines.sources[0].path is 'no.txt': there is no file "),
        ("/no/lines.txt", "kept", "data.lines.sources[0].path is '/no/lines.txt': there is no file /no/"),
        ("lines.txt", "no", "workloads.w.parameters.model is 'no': there is no file "),
        ("lines.txt/inside", "kept", "it cannot be read (Not a directory)"),
        ("x" * 300, "kept", "it cannot be read (File name too long)"),
    ],
)
def test_what_is_missing_is_named_with_its_key(tmp_path: Path, path: str, model: str, words: str) -> None:
    (tmp_path / "lines.txt").touch()
    (tmp_path / "kept").mkdir()
    with pytest.raises(BadInputError) as refused:
        check(tmp_path, path, model)
    assert words in str(refused.value)


def test_an_absolute_path_may_lie_where_the_workers_are(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    check(tmp_path, "/data/of/the/workers.txt", "kept", elsewhere=lambda deployment: deployment == "agent")
    with pytest.raises(BadInputError, match=r"is 'no\.txt': there is no file"):
        check(tmp_path, "no.txt", "kept", elsewhere=lambda deployment: deployment == "agent")
