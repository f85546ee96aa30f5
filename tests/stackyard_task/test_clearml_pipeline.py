"""What a pipeline's controller makes of the arguments that people edited."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("clearml", reason="the ClearML SDK is in the agent's Python only, never in a stack's")

from stackyard_task import clearml_pipeline
from stackyard_task.records import PipelineStep, RecordError, TaskSpec


def spec() -> TaskSpec:
    fields = {"Run/cores": "", "Parameters/cores": "3", "Inputs/data": "clearml-file:x", "Run/threads": "1"}
    step = PipelineStep("train", "template", "cpu", parameters=fields)
    return TaskSpec("", "pipeline", {"steps": [dataclasses.asdict(step)]})


def test_a_parameter_comes_before_a_field_of_the_run_that_has_its_name() -> None:
    (step,) = clearml_pipeline.steps_of(
        spec(), {"train.cores": "4", "train.threads": "2", "train.queue": "gpu"}
    )
    assert step.parameters["Parameters/cores"] == "4"
    assert step.parameters["Run/cores"] == ""
    assert (step.parameters["Run/threads"], step.queue) == ("2", "gpu")


def test_an_argument_of_nothing_is_refused() -> None:
    for argument, says in (("tran.cores", "there is no step 'tran'"), ("train.lr", "has no parameter 'lr'")):
        with pytest.raises(RecordError, match=says):
            clearml_pipeline.steps_of(spec(), {argument: "1"})
