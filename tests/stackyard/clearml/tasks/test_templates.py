"""Templates: put there, brought up to date in place, cloned and run as a person does it in the pages."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard import workloads
from stackyard.clearml.tasks import examples, templates
from stackyard.clearml.tasks.examples import Workshop
from stackyard.clearml.tasks.templates import HISTORY, Origin, Template
from stackyard.cli import publishing
from stackyard.errors import BadInputError
from stackyard.launch.bare import BareLauncher
from tests.installation.site import QUEUE, Site, default_stack, site

pytestmark = pytest.mark.whole

SIMULATE = workloads.load().declared["simulate-firewall"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def origin(here: Site) -> Origin:
    folder, code = workloads.load().taken(here.home)
    stack, _ = default_stack()
    return Origin(folder, code, stack.pin, "stackyard/x@sha256:" + "0" * 64)


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Examples that are made in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(examples.SESSIONS, "sessions", 250)
        patch.setitem(examples.TRAINING, "epochs", 1)
        yield


@pytest.fixture(scope="module")
def published(here: Site, origin: Origin, small: None) -> dict[str, templates.Published]:
    """The examples and the templates that run on them; fewer sessions than users get, for the same way."""
    stack, python = default_stack()
    if python is None:
        pytest.skip(f"stack {stack.name} is not built: stackyard stack build")
    run = functools.partial(publishing.made_here, BareLauncher(), origin.folder)
    workshop = Workshop(
        run, origin.stack, python, dict(stack.environment), Path(sys.executable), workloads.load().declared
    )
    said: list[str] = []
    assert examples.publish(here.sender, workshop, said.append) == []
    assert len(said) == 3
    assert examples.publish(here.sender, workshop, said.append) == []
    assert len(said) == 3  # they were there
    done = templates.publish(
        here.sender, templates.defined(workloads.load().declared, examples.presets()), origin
    )
    return {each.name: each for each in done}


def clone(here: Site, template: str, edits: list[dict[str, str]]) -> dict[str, Any]:
    """What the pages do: copy, edit a parameter as text, enqueue; the task once it has ended."""
    id = here.client.call("tasks.clone", task=template, new_task_name="a clone")["id"]
    if edits:
        here.client.call("tasks.edit_hyper_params", task=id, hyperparams=edits, replace_hyperparams="none")
    here.client.call("tasks.enqueue", task=id, queue_name=QUEUE)
    return here.ended(id)


def test_there_is_one_for_each_declared_workload_typed_described_and_ready_for_a_queue(
    here: Site, published: dict[str, templates.Published], origin: Origin
) -> None:
    declared = workloads.load().declared
    assert set(published) == {name for name, workload in declared.items() if workload.template}
    assert "simulate-firewall" not in published
    queue = here.client.call("queues.get_all", name=f"^{QUEUE}$")["queues"][0]["id"]
    for task in templates.published(here.client):
        held = here.task(task["id"])
        assert held["status"] == "created"
        assert held["execution"]["queue"] == queue
        assert {"template", f"queue: {QUEUE}"} == set(held["tags"])
        assert held["container"]["image"] == origin.image
        assert (held["script"]["repository"], held["script"]["entry_point"]) == ("", "dispatched.py")
        for section, parameters in held["hyperparams"].items():
            for name, parameter in parameters.items():
                assert parameter["description"], f"{section}/{name}"
    train = here.task(published["detector-train"].id)["hyperparams"]
    assert {"Data", "Model", "Training", "Calibration", "Run"} == set(train)
    assert train["Training"]["epochs"]["type"] == "integer"
    assert "at least 1; default 8" in train["Training"]["epochs"]["description"]


def test_publishing_again_updates_in_place_and_tells_which_code_it_held(here: Site, tmp_path: Path) -> None:
    stack, _ = default_stack()
    folder, code = workloads.load().taken(here.home)
    origin = Origin(folder, code, stack.pin)
    template = [Template("tried-twice", SIMULATE, {"sessions": 10})]
    (first,) = templates.publish(here.sender, template, origin)
    assert first.outcome == "new"
    (same,) = templates.publish(here.sender, template, origin)
    assert (same.id, same.outcome) == (first.id, "unchanged")
    newer = dataclasses.replace(code, digest="f" * 64)
    (second,) = templates.publish(here.sender, template, dataclasses.replace(origin, code=newer))
    assert (second.id, second.outcome) == (first.id, "updated")
    history = here.task(first.id)["configuration"][HISTORY]["value"].strip().splitlines()
    assert [line.split(" code ")[1].split()[0] for line in history] == [code.digest, "f" * 64]
    assert "f" * 12 in here.task(first.id)["comment"]
    (other,) = templates.publish(
        here.sender, [dataclasses.replace(template[0], parameters={"sessions": 20})], origin
    )
    assert (other.id, other.outcome) == (first.id, "updated")
    assert here.task(first.id)["hyperparams"]["Simulation"]["sessions"]["value"] == "20"


def test_a_wrong_preset_is_refused_and_nothing_is_published(here: Site, tmp_path: Path) -> None:
    stack, _ = default_stack()
    folder, code = workloads.load().taken(here.home)
    wrong = [
        Template("fine", SIMULATE),
        Template("wrong", SIMULATE, {"seed": "a"}),
    ]
    with pytest.raises(BadInputError, match=r"template wrong: .*'seed' is 'a'"):
        templates.publish(here.sender, wrong, Origin(folder, code, stack.pin))
    assert "fine" not in {task["name"] for task in templates.published(here.client)}


@pytest.mark.long
def test_a_clone_with_an_edited_field_runs_with_it(
    here: Site, published: dict[str, templates.Published]
) -> None:
    edit = {"section": "Training", "name": "epochs", "value": "1", "type": "integer"}
    task = clone(here, published["detector-train"].id, [edit])
    assert task["status"] == "completed", task["status_reason"] + here.console(task["id"])[-3000:]
    record = here.record(task)
    assert record["parameters"]["epochs"] == 1
    assert record["environment"]["stack"] == default_stack()[0].name
    assert record["run_id"] == task["id"]
    model = here.client.call("models.get_by_id", model=task["models"]["output"][0]["model"])["model"]
    assert model["tags"] == ["data:Stackyard/simulated-firewall@2.0.0"]


def test_a_wrong_text_fails_the_clone_in_one_sentence_that_names_the_field(
    here: Site, published: dict[str, templates.Published]
) -> None:
    edit = {"section": "Training", "name": "epochs", "value": "three"}
    task = clone(here, published["detector-train"].id, [edit])
    assert task["status"] == "failed"
    assert task["status_reason"] == "bad_input: Training/epochs is 'three', expected a whole number"


@pytest.mark.long
@pytest.mark.parametrize("name", ["detector-infer", "detector-evaluate", "detector-prepare"])
def test_every_template_runs_as_cloned(
    here: Site, published: dict[str, templates.Published], name: str
) -> None:
    task = clone(here, published[name].id, [])
    assert task["status"] == "completed", task["status_reason"] + here.console(task["id"])[-3000:]
    assert here.record(task)["failure"] is None


@pytest.mark.long
def test_the_example_model_says_what_it_was_trained_on(
    here: Site, published: dict[str, templates.Published]
) -> None:
    (model,) = here.client.call("models.get_all", name=f"^{examples.MODEL}$")["models"]
    assert json.loads(model["metadata"]["parameters"]["value"]) == examples.TRAINING
    assert "data set Stackyard/simulated-firewall@2.0.0" in model["metadata"]
