"""A study as a task: cloned, edited and enqueued as in a web app; and one whose controller is killed on its way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard import workloads
from stackyard.clearml.tasks import templates, tuning
from stackyard.clearml.tasks.templates import Origin
from stackyard.errors import BadInputError
from tests.installation.site import Site, default_stack, site
from tests.waiting import until

pytestmark = pytest.mark.whole

STUDY = """
name = "small"
[axes]
deployment = ["agent"]
[workloads.w]
command = ["python", "-c", "import os, time; time.sleep({seconds}); print('score', {lr})"]
metrics = { score = "line:score (?P<value>[0-9.]+)" }
parameters = { seconds = SECONDS }
[space]
lr = [0.2]
[objectives]
score = "maximise"
[search]
sampler = "grid"
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    stack, python = default_stack()
    if python is None:
        pytest.skip(f"stack {stack.name} is not built: stackyard stack build")
    home = tmp_path_factory.mktemp("site")
    (home / "stacks").symlink_to(python.parents[2])
    with site(home) as found:
        yield found


@pytest.fixture(scope="module")
def origin(here: Site) -> Origin:
    folder, code = workloads.load().taken(here.home)
    return Origin(folder, code, default_stack()[0].pin)


def trials_of(here: Site, **fields: Any) -> list[dict[str, Any]]:
    only = ["id", "name", "status", "tags", "parent", "project.name", "started"]
    found: list[dict[str, Any]] = here.client.call(
        "tasks.get_all_ex", only_fields=only, order_by=["created"], **fields
    )["tasks"]
    return found


def test_a_study_is_cloned_edited_and_searched_on_the_queue_of_services(here: Site, origin: Origin) -> None:
    made = tuning.publish(here.sender, origin, STUDY.replace("SECONDS", "60"))
    assert (made.outcome, tuning.publish(here.sender, origin, STUDY.replace("SECONDS", "60")).outcome) == (
        "new",
        "unchanged",
    )
    id = here.client.call("tasks.clone", task=made.id)["id"]
    text = {
        "name": "Study",
        "type": "toml",
        "value": STUDY.replace("SECONDS", "0"),
    }
    here.client.call("tasks.edit_configuration", task=id, configuration=[text], replace_configuration=False)
    here.client.call("queues.create", name="services")
    here.client.call("tasks.enqueue", task=id, queue_name="services")
    with here.serving("services"):
        task = here.ended(id)
    assert task["status"] == "completed", f"{task.get('status_reason')}\n{here.console(id)[-3000:]}"
    trials = trials_of(here, parent=id)
    assert [trial["name"] for trial in trials] == ["small/t0001"]
    assert {trial["project"]["name"] for trial in trials} == {"Stackyard/studies/small"}
    assert trials[0]["tags"] == ["study: small", "trial"]
    found = {one["name"]: one["value"] for one in task["hyperparams"]["properties"].values()}
    assert (found["best_trial"], found["best_lr"], found["best_task"]) == ("t0001", "0.2", trials[0]["id"])
    assert (task["name"], task["runtime"]["progress"]) == ("small", "100")
    kept = json.loads(here.artifact(task, "study.json").read_text())
    assert kept["state"] == "finished"
    assert {"report.json", "report.csv", "report.md"} < {a["key"] for a in task["execution"]["artifacts"]}
    charts = here.client.call("events.scalar_metrics_iter_histogram", task=id)
    assert charts["Best so far"]["score"]["y"] == [0.2]
    assert "small/" not in here.console(id)  # lines of the tuner, once each
    assert here.console(id).count("score 0.2") == 1


@pytest.mark.long
def test_a_controller_that_is_killed_goes_on_and_starts_nothing_twice(here: Site, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY.replace("SECONDS", "1").replace('"small"', '"killed"'))
    variables = {**os.environ, "STACKYARD_HOME": str(here.home)}

    def tuner(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "stackyard.cli.main", "tune", *words, "--json"]
        return subprocess.Popen(
            command, env=variables, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def running() -> bool:
        return [trial["status"] for trial in trials_of(here, tags=["study: killed"])] == ["in_progress"]

    first = tuner("run", str(file), "--out", "out")
    try:
        until(running, "the first trial to run", lambda: str(first.poll()))
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    second = tuner("resume", "out")
    said, words = second.communicate()
    assert second.returncode == 0, words.decode()
    assert b"t0001: this run goes on where it was started: taking it up" in words
    assert json.loads(said)["completed"] == 1
    assert [trial["name"] for trial in trials_of(here, tags=["study: killed"])] == ["killed/t0001"]


def test_a_template_of_a_workload_that_is_called_so_is_left_alone(here: Site, origin: Origin) -> None:
    held = next(one for one in templates.published(here.client) if one["name"] == tuning.NAME)
    configuration = dict(held["configuration"])
    spec = json.loads(configuration["Stackyard"]["value"])
    other = {**configuration["Stackyard"], "value": json.dumps({**spec, "workload": "w.py:main"})}
    here.client.call(
        "tasks.edit", task=held["id"], configuration={**configuration, "Stackyard": other}, force=True
    )
    with pytest.raises(BadInputError, match="already, of a workload"):
        tuning.publish(here.sender, origin, STUDY)
