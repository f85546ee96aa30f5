"""Pipelines on a real server with real agents: in order, measured, re-run alone, failing with a reason, on change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stackyard import workloads
from stackyard.clearml import pipelines
from stackyard.clearml.pipelines import controller, watching
from stackyard.clearml.pipelines.submission import Here, Submission, Submitted
from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard.workloads import snapshot
from stackyard_task.records import Code, StackPin
from tests.installation.site import Site, default_stack, site, snapshot_with
from tests.stackyard import own_commands
from tests.waiting import until

pytestmark = pytest.mark.whole

#: A step that does what its parameters say, in the Python of the tests.
WORK = """
from pathlib import Path
from stackyard_task.channel import BadInput, GateClosed


def work(parameters, channel, output_folder):
    channel.phase("steady")
    made = parameters.get("say", "made")
    if parameters.get("read"):
        made = Path(parameters["read"]).read_text() + "+" + made
    if parameters.get("refuse"):
        raise BadInput(parameters["refuse"])
    if parameters.get("gate"):
        raise GateClosed(parameters["gate"])
    if parameters.get("model"):
        (Path(str(output_folder)) / "model").mkdir()
        (Path(str(output_folder)) / "model" / "model.safetensors").write_bytes(b"weights")
    if parameters.get("weights"):
        made += "+" + (Path(parameters["weights"]) / "model.safetensors").read_text()
    if parameters.get("hang"):
        while True:
            import time
            time.sleep(0.05)
    (Path(str(output_folder)) / "made.txt").write_text(made)
    channel.results(made=made)
"""
CHAIN = """
name = "chain"
[steps.first]
workload = "steps_for_tests:work"
parameters = { say = "one" }
[steps.second]
workload = "steps_for_tests:work"
parameters = { say = "two", read = "step:first/made.txt" }
"""


class Yard:
    """A server, an agent on "cpu", one on "services", and a way to submit."""

    def __init__(self, site: Site, code: Path) -> None:
        self.site = site
        self.code = code

    def submission(self, text: str, folder: Path | None = None, code: str | None = None) -> Submission:
        stack, _ = default_stack()
        declared = workloads.load(folder).declared
        known = {"plain": StackPin("plain"), stack.name: StackPin(stack.name, stack.digest)}
        pipeline = pipelines.read(text, "p.toml", stacks=known, default_stack="plain", workloads=declared)
        digest = code or snapshot.digest_of(self.code)
        here = Here(
            code_folder=self.code,
            code=Code(digest=digest),
            pin_of=lambda name: known[name],
            tunables_of=lambda name: {},
            image_of=lambda queue, stack: None,
            dataset=lambda reference: Path(reference),
            folder=folder or self.site.home,
            home=self.site.home,
            workloads=declared,
        )
        return Submission(pipeline, self.site.sender, here)

    def run(self, text: str, **options: Any) -> watching.RunState:
        """A run to its end."""
        return self.ended(self.submission(text).submit(**options))

    def ended(self, submitted: Submitted) -> watching.RunState:
        assert submitted.started, submitted.why
        self.site.ended(submitted.id)
        return watching.state_of(self.site.client, submitted.id)

    def result(self, id: str) -> Any:
        return self.site.record(self.site.task(id))["results"]["made"]


COMMANDS = f"""
name = "commands"
[steps.train]
{own_commands.COMMAND.strip()}
parameters = {{ lr = 0.5, epochs = 2 }}
[steps.again]
workload = "train"
inputs = {{ data = "step:train/model.txt" }}
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    home = tmp_path_factory.mktemp("pipelines")
    with site(home) as running:
        running.client.call("queues.create", name="services")
        code = snapshot_with(home, {"steps_for_tests": WORK})
        with running.serving("services"):
            yield Yard(running, code)


def test_steps_run_in_order_each_measured_and_one_can_be_made_again_alone(yard: Yard) -> None:
    text = CHAIN.replace('say = "one"', 'say = "one", model = true')
    state = yard.run(text.replace('say = "two"', 'say = "two", weights = "model:first"'))
    assert state.completed, state.reason
    assert [(step.name, step.status, step.queue) for step in state.steps] == [
        (name, "completed", "cpu") for name in ("first", "second")
    ]
    assert state.worker == "here:services-0"
    assert {step.worker for step in state.steps} == {"here:cpu-0"}
    last = state.steps[1]
    assert last.id is not None
    assert last.ran_seconds is not None
    assert yard.result(last.id) == "one+two+weights"
    record = yard.site.record(yard.site.task(last.id))
    assert record["measurement"]["wall_seconds"] > 0
    assert record["dispatch"]["task_id"] == last.id
    assert state.seconds is not None
    assert state.controller_seconds is not None
    assert 0 <= state.controller_seconds < state.seconds

    # where the web app looks for pipelines: the controller, its graph, and steps that are its children
    task = yard.site.client.call(
        "tasks.get_all_ex",
        id=[state.id],
        search_hidden=True,
        only_fields=["project.name", "system_tags", "type"],
    )["tasks"][0]
    assert (task["project"]["name"], task["type"]) == ("Stackyard/.pipelines/chain", "controller")
    graph = json.loads(yard.site.task(state.id)["configuration"]["Pipeline"]["value"])
    assert {name: node["status"] for name, node in graph.items()} == {
        "first": "completed",
        "second": "completed",
    }
    assert graph["second"]["parents"] == ["first"]
    step = yard.site.task(last.id)
    assert (step["name"], step["parent"]) == ("second", state.id)
    assert not step.get("tags")

    again, queue = watching.rerun(yard.site.client, state.id, "second")
    assert queue == "cpu"
    assert yard.site.ended(again)["status"] == "completed"
    assert yard.result(again) == "one+two+weights"
    assert [s.name for s in watching.state_of(yard.site.client, state.id).steps][-1] == "second again"
    with pytest.raises(BadInputError, match="has no step 'third'; it has: first, second"):
        watching.rerun(yard.site.client, state.id, "third")


@pytest.mark.long
def test_commands_run_in_order_each_in_its_folder_with_what_earlier_ones_left(
    yard: Yard, tmp_path: Path
) -> None:
    own_commands.written(tmp_path)
    (tmp_path / "workloads.toml").write_text(own_commands.DECLARED)
    submitted = yard.submission(COMMANDS, tmp_path).submit()
    arguments = yard.site.task(submitted.id)["hyperparams"]["Args"]
    assert {"train.queue", "train.lr", "train.epochs"} <= set(arguments)
    assert "train.data" not in arguments
    state = yard.ended(submitted)
    assert state.completed, state.reason
    records = {step.name: yard.site.record(yard.site.task(str(step.id))) for step in state.steps}
    train, again = records["train"], records["again"]
    assert train["command"][:3] == ["python", "train.py", "--lr"]
    assert train["results"] == {"accuracy": 0.25, "read": "numbers", "mode": "plain"}
    assert train["parameters"] == {"lr": 0.5, "epochs": 2}
    assert train["environment"]["code_own_digest"]
    assert again["results"]["read"] == "numbers+0.5x2"
    assert again["parameters"] == {"lr": 0.5, "epochs": 3}
    form = yard.site.task(str(state.steps[1].id))["hyperparams"]
    assert form["Inputs"]["data"]["value"] == f"clearml-artifact:{state.steps[0].id}/outputs/model.txt"
    assert form["Parameters"]["lr"]["value"] == "0.5"


def test_a_changed_file_of_a_commands_folder_is_a_reason_to_run_again(
    yard: Yard, unserved: None, tmp_path: Path
) -> None:
    own_commands.written(tmp_path)
    text = COMMANDS.replace('"commands"', '"edited"').split("[steps.again]")[0]

    def submitted() -> Submitted:
        found = yard.submission(text, tmp_path).submit(on_change=True)
        if found.started:
            yard.site.client.call("tasks.dequeue", task=found.id)
            yard.site.client.call("tasks.stopped", task=found.id, force=True)
        return found

    assert submitted().started
    assert not submitted().started
    (tmp_path / "code" / "train.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "code" / "new.py").write_text("")
    assert submitted().why == "changed: code of train (new: new.py; changed: train.py)"
    assert not submitted().started


@pytest.mark.long
def test_the_published_template_runs_with_other_arguments_as_the_web_app_starts_it(yard: Yard) -> None:
    text = CHAIN.replace('"chain"', '"cloned"').partition("[steps.second]")[0]
    id, outcome = yard.submission(text).publish()
    assert outcome == "new"
    assert yard.submission(text).publish() == (id, "updated")
    copy = yard.site.client.call(
        "pipelines.start_pipeline",
        task=id,
        queue=yard.site.client.call("queues.get_all", name="^services$")["queues"][0]["id"],
        args=[{"name": "first.say", "value": "other"}],
    )["pipeline"]
    assert yard.site.ended(copy)["status"] == "completed", yard.site.task(copy).get("status_reason")
    assert watching.found_run(yard.site.client, "cloned") == copy
    (step,) = watching.state_of(yard.site.client, copy).steps
    assert step.id is not None
    assert (step.status, yard.result(step.id)) == ("completed", "other")
    assert yard.site.task(id)["status"] == "created"


THIRD = """
[steps.third]
workload = "steps_for_tests:work"
parameters = { say = "three", read = "step:second/made.txt" }
"""


@pytest.mark.long
def test_an_aborted_pipeline_takes_its_steps_with_it(yard: Yard) -> None:
    submitted = yard.submission(CHAIN.replace('say = "one"', "hang = true")).submit()

    def hanging() -> bool:
        step = watching.state_of(yard.site.client, submitted.id).steps[0]
        return step.status == "in_progress"

    until(hanging, "the first step")
    watching.abort(yard.site.client, submitted.id)
    until(lambda: watching.state_of(yard.site.client, submitted.id).over, "the end of the run")
    until(
        lambda: watching.state_of(yard.site.client, submitted.id).steps[0].status == "stopped",
        "the end of the step",
    )
    state = watching.state_of(yard.site.client, submitted.id)
    assert state.status == "stopped", (state.reason, yard.site.console(submitted.id)[-1500:])
    assert state.steps[1].status == "pending"


def test_a_queue_that_is_not_there_is_refused_before_anything_starts(yard: Yard) -> None:
    with pytest.raises(BadInputError, match="step second is for queue 'gpu', which the server does not have"):
        yard.submission(CHAIN.replace("[steps.second]", '[steps.second]\nqueue = "gpu"')).submit()


@pytest.mark.long
def test_a_failing_step_says_which_and_why_and_later_ones_do_not_start(yard: Yard) -> None:
    """The controller runs here, which is the same one; the step is a gate that stays closed."""
    text = CHAIN.replace('"chain"', '"local"').replace(
        'say = "two"', 'gate = "F1 0.4, at least 0.9 is demanded"'
    )
    submitted = yard.submission(text + THIRD).submit(enqueue=False)
    with controller.started(yard.site.client, submitted.id):
        told = list(watching.follow(yard.site.client, submitted.id))
    lines, (last, state) = [line for line, _ in told], told[-1]
    assert any(line.startswith("step first: completed after") for line in lines)
    assert last.startswith("pipeline local: failed: gate: step second failed")
    assert state.status == "failed"
    first, second, third = state.steps
    assert (first.status, second.status, third.status) == ("completed", "failed", "pending")
    assert state.reason.startswith(f"gate: step second failed (task {second.id}): F1 0.4, at least 0.9")
    assert state.reason.endswith("; not started: third")
    assert third.id is None
    with pytest.raises(BadInputError, match="never started"):
        watching.rerun(yard.site.client, state.id, "third")


@pytest.mark.long
def test_a_controller_on_an_agent_fails_with_its_step(yard: Yard) -> None:
    state = yard.run(CHAIN.replace('say = "one"', 'refuse = "no"'))
    assert state.status == "failed"
    assert state.reason.startswith(f"bad_input: step first failed (task {state.steps[0].id}): no")


RAW = """
name = "{name}"
controller_queue = "unserved"
[steps.train]
workload = "detector-train"
parameters = {{ data = "data:raw", epochs = 2 }}
[data.raw]
sources = [{{ path = "raw.txt", format = "sequences" }}]
"""


@pytest.fixture
def unserved(yard: Yard) -> None:
    """A queue whose tasks wait: what is asked is only whether a run is started."""
    if not yard.site.client.call("queues.get_all", name="^unserved$")["queues"]:
        yard.site.client.call("queues.create", name="unserved")


def runs_of(yard: Yard, name: str) -> list[dict[str, Any]]:
    project = yard.site.client.call(
        "projects.get_all", name=f"^Stackyard/.pipelines/{name}$", search_hidden=True, only_fields=["id"]
    )["projects"][0]["id"]
    found: list[dict[str, Any]] = yard.site.client.call(
        "tasks.get_all_ex",
        project=[project],
        search_hidden=True,
        system_tags=["pipeline"],
        only_fields=["id"],
    )["tasks"]
    return found


def test_on_change_a_run_is_started_only_where_something_changed(
    yard: Yard, unserved: None, tmp_path: Path
) -> None:
    text = RAW.format(name="changing")
    (tmp_path / "raw.txt").write_text("a b c\n")

    def submit(**options: Any) -> Submitted:
        return yard.submission(options.pop("text", text), tmp_path, **options).submit(on_change=True)

    first = submit()
    assert (first.started, first.why) == (True, "the first run")
    second = submit()
    assert (second.started, second.id) == (False, first.id)
    assert second.why == f"nothing changed since run {first.id}, which waits"
    (tmp_path / "raw.txt").write_text("a b d\n")
    third = submit()
    assert (third.started, third.why) == (True, "changed: data raw.txt")
    changed = submit(code="another")
    assert changed.started
    assert changed.why.startswith("changed: code (")
    fifth = submit(code="another", text=text.replace("epochs = 2", "epochs = 3"))
    assert (fifth.started, fifth.why) == (True, "changed: the pipeline's definition")
    assert len(runs_of(yard, "changing")) == 4
    yard.site.client.call("tasks.failed", task=fifth.id, force=True, status_reason="code: it broke")
    last = submit(code="another", text=text.replace("epochs = 2", "epochs = 3"))
    assert last.why == f"nothing changed since run {fifth.id}, which failed (code: it broke)"


def test_calls_at_the_same_moment_start_one_run(yard: Yard, unserved: None, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("a b c\n")
    submissions = [yard.submission(RAW.format(name="raced"), tmp_path) for _ in range(6)]
    together = threading.Barrier(len(submissions))

    def submit(submission: Submission) -> Submitted:
        together.wait()
        return submission.submit(on_change=True)

    with ThreadPoolExecutor(len(submissions)) as pool:
        done = list(pool.map(submit, submissions))
    started = [one for one in done if one.started]
    assert len(started) == 1, done
    assert {one.id for one in done} == {started[0].id}
    assert [run["id"] for run in runs_of(yard, "raced")] == [started[0].id]


@contextmanager
def pushed_to(yard: Yard, folder: Path) -> Iterator[Path]:
    """A work tree whose pushes run our hook in a bare repository."""
    bare, work = folder / "bare.git", folder / "work"
    git("init", "-q", "--bare", "-b", "main", str(bare), folder=folder)
    git("clone", "-q", str(bare), str(work), folder=folder)
    hook = bare / "hooks" / "post-receive"
    hook.write_text((base() / "agents" / "post-receive").read_text())
    hook.chmod(0o755)
    for name, value in {
        "pipeline": "pipe.toml",
        "checkout": str(folder / "checkout"),
        "command": f"{sys.executable} -m stackyard.cli.main",
        "home": str(yard.site.home),
    }.items():
        git("config", f"stackyard.{name}", value, folder=bare)
    yield work


def git(*arguments: str, folder: Path) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        env={**kept, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
def test_a_push_starts_the_pipeline_where_it_changed_something(
    yard: Yard, unserved: None, tmp_path: Path
) -> None:
    with pushed_to(yard, tmp_path) as work:

        def push(change: str, text: str) -> str:
            (work / change).write_text(text)
            git("add", "-A", folder=work)
            git("commit", "-q", "-m", change, folder=work)
            return git("push", "-q", "origin", "HEAD:main", folder=work)

        (work / "raw.txt").write_text("a b c\n")
        assert "remote: pushed: the first run" in push("pipe.toml", RAW.format(name="pushed"))
        assert "remote: pushed: nothing changed since run" in push("README", "words\n")
        assert "remote: pushed: changed: data raw.txt" in push("raw.txt", "a b d\n")
        assert len(runs_of(yard, "pushed")) == 2
        git("checkout", "-q", "-b", "side", folder=work)
        (work / "raw.txt").write_text("a b e\n")
        git("commit", "-q", "-a", "-m", "side", folder=work)
        assert "stackyard" not in git("push", "-q", "origin", "side", folder=work)
        refused = push("pipe.toml", "name = 3\n")
        assert "pipe.toml: name is 3" in refused
        assert "the pipeline was not started" in refused
        assert len(runs_of(yard, "pushed")) == 2


@pytest.mark.long
def test_prepare_train_evaluate_infer_on_simulated_sessions(yard: Yard) -> None:
    stack, python = default_stack()
    if python is None:
        pytest.skip(f"stack {stack.name} is not built (stackyard stack build)")
    text = (base() / "pipelines" / "quickstart.toml").read_text(encoding="utf-8")
    small = text.replace("sessions = 1000", "sessions = 300").replace(
        "epochs = 8, batch_size = 64", "epochs = 1, hidden_size = 16"
    )
    head, _, infer = small.partition("[steps.infer]")
    small = f"{head}[steps.infer]{infer.replace('step:train/model', 'model:train')}"
    for step in ("simulate", "prepare", "train", "evaluate", "infer"):
        small = small.replace(f"[steps.{step}]", f'[steps.{step}]\nstack = "{stack.name}"')
    state = yard.run(
        small.replace("minimum_precision = 0.8", "minimum_precision = 0.1, maximum_false_alarm_rate = 0.9")
    )
    assert state.completed, state.reason
    records = {step.name: yard.site.record(yard.site.task(str(step.id))) for step in state.steps}
    assert all(record["measurement"]["peak_rss_bytes"] > 0 for record in records.values())
    assert (
        records["prepare"]["results"]["training_sessions"]
        == records["train"]["results"]["training_sessions"]
        + (records["train"]["results"]["validation_sessions"])
    )
    assert records["evaluate"]["results"]["gate"] == "passed"
    assert records["evaluate"]["results"]["precision"] == records["infer"]["results"]["precision"]
