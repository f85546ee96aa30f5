"""A pipeline file: what is read from it, in what order, and how mistakes in it are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard import stacks, workloads
from stackyard.clearml import pipelines
from stackyard.clearml.pipelines.definition import wired
from stackyard.errors import BadInputError
from stackyard.settings import base

CHAIN = """
name = "chain"
queue = "gpu"
[steps.infer]
workload = "detector-infer"
parameters = { model = "step:train/model", data = "data:made" }
[steps.train]
workload = "detector-train"
queue = "cpu"
stack = "old"
memory = "2 GB"
parameters = { data = "data:made", epochs = 2 }
[steps.make]
workload = "simulate-firewall"
[data.made]
sources = [{ path = "step:make/benign.txt", format = "sequences" }]
"""


def read(text: str, **options: object) -> pipelines.Pipeline:
    return pipelines.read(
        text,
        "p.toml",
        stacks=["old", "new"],
        default_stack="new",
        workloads=workloads.load().declared,
        **options,
    )  # type: ignore[arg-type]


def test_steps_stand_in_the_order_in_which_they_can_run() -> None:
    pipeline = read(CHAIN)
    assert [step.name for step in pipeline.steps] == ["make", "train", "infer"]
    assert [step.needs for step in pipeline.steps] == [(), ("make",), ("make", "train")]
    assert [(step.queue, step.stack) for step in pipeline.steps] == [
        ("gpu", "new"),
        ("cpu", "old"),
        ("gpu", "new"),
    ]
    assert pipeline.steps[1].memory_bytes == 2_000_000_000
    assert pipeline.controller_queue == "services"


def test_queues_can_be_chosen_step_by_step() -> None:
    pipeline = read(CHAIN, queues={"train": "gpu-container"})
    assert [step.queue for step in pipeline.steps] == ["gpu", "gpu-container", "gpu"]
    with pytest.raises(BadInputError, match=r"there is no step 'tran'.*did you mean 'train'"):
        read(CHAIN, queues={"tran": "gpu"})


def test_what_steps_leave_is_named_in_clearmls_words() -> None:
    given = {
        "a": ["step:train/model", "clearml-dataset:p/d@1"],
        "b": {"c": "model:train"},
        "d": 3,
        "e": "step:train",
    }
    assert wired(given) == {
        "a": ["clearml-artifact:${train.id}/outputs/model", "clearml-dataset:p/d@1"],
        "b": {"c": "clearml-model:${train.models.output.0.id}"},
        "d": 3,
        "e": "clearml-artifact:${train.id}/outputs",
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "chain"', "", "p.toml: name is missing"),
        ("[steps.make]", "[steps.mk]", "3 to 40 letters"),
        ("[steps.make]", "[steps.pipeline]", "not 'pipeline'"),
        ("step:make/", "step:mak/", "takes something from 'mak'"),
        ("data:made", "data:mode", "refers to 'data:mode'"),
        ("epochs = 2", "epoch = 2", "did you mean 'epochs'"),
        ("epochs = 2", 'epochs = "two"', "'epochs' is 'two'"),
        ('stack = "old"', 'stack = "older"', "did you mean 'old'"),
        ('workload = "simulate-firewall"', 'workload = "simulate"', "steps.make.workload is 'simulate'"),
        (
            'workload = "simulate-firewall"',
            'workload = "simulate-firewall"\nafter = ["infer"]',
            "wait for each other",
        ),
        (
            'workload = "simulate-firewall"',
            'workload = "work.py:main"\nparameters = { since = 2026-01-02 }',
            "steps.make.parameters.since is a date, expected a text",
        ),
        ('queue = "gpu"', "queu = 3", "did you mean 'queue'"),
        ("[steps.train]", "[steps.train", "not TOML"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(old: str, new: str, words: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(CHAIN.replace(old, new, 1) if "data:" not in old else CHAIN.replace(old, new))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


COMMANDS = """
name = "commands"
[steps.count]
command = ["wc", "{inputs.text}", "{inputs.more}"]
inputs = { text = "step:write/a.txt", more = "lines.txt" }
[steps.write]
command = ["sh", "-c", "{say}"]
parameters = { say = "hello" }
cores = 1
"""


def test_a_step_may_be_a_command_and_waits_for_what_it_reads() -> None:
    write, count = read(COMMANDS).steps
    assert (write.name, write.workload, write.cores, write.needs) == ("write", "write", 1, ())
    assert (count.inputs["more"], count.needs) == ("lines.txt", ("write",))
    assert write.command is not None
    assert write.command.words == ("sh", "-c", "{say}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("step:write", "step:writ", "takes something from 'writ'"),
        ("step:write/a.txt", "prepared:write/a.txt", "steps.count.inputs.text is 'prepared:write/a.txt'"),
        ("{say}", "{sai}", "steps.write: nothing fills {sai}; parameters: say"),
        ("cores = 1", 'folder = "."', "works in a folder of this machine; name the folder as code"),
        ("cores = 1", "core = 1", "did you mean 'cores'"),
        ("cores = 1", 'workload = "simulate-firewall"', "steps.write.workload is an unknown key"),
        ('more = "lines.txt"', 'mor = "lines.txt"', "{inputs.more} names no input"),
    ],
)
def test_a_mistake_of_a_command_is_told_in_one_sentence(old: str, new: str, words: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(COMMANDS.replace(old, new, 1))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_pipelines_of_the_checkout_can_be_read() -> None:
    files = sorted(Path(base() / "pipelines").glob("*.toml"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        pipeline = pipelines.read(
            text,
            str(file),
            stacks=stacks.load(),
            default_stack=stacks.DEFAULT,
            workloads=workloads.load().declared,
        )
        assert pipeline.steps
