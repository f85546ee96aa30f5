"""Tasks people submit: what is refused before anything is made, what is made, listed, aborted. Real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard import workloads
from stackyard.clearml.tasks import following, outcomes, submissions, templates
from stackyard.clearml.tasks.submissions import InstalledStacks, Wanted
from stackyard.clearml.tasks.templates import Origin, Template
from stackyard.errors import BadInputError
from stackyard_task.records import StackPin
from tests.installation.site import QUEUE, Site, site

pytestmark = pytest.mark.whole

OFFER = InstalledStacks({"plain": None, "pictured": "stackyard/pictured@sha256:" + "0" * 64})
OWN = '''
def main(parameters, channel, output_folder):
    """Doubles a number."""
    print("a line of my own")
    channel.results(doubled=2 * parameters["number"], said=parameters["said"])
'''


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        template = Template("simulate", workloads.load().declared["simulate-firewall"], {"sessions": 50})
        templates.publish(found.sender, [template], origin_of(found))
        found.client.call("queues.create", name="nobody")
        yield found


def origin_of(here: Site) -> Origin:
    folder, code = workloads.load().taken(here.home)
    return Origin(folder, code, StackPin("plain"))


def tasks(here: Site) -> set[str]:
    return {task["id"] for task in here.client.call("tasks.get_all", only_fields=["id"])["tasks"]}


@pytest.mark.parametrize(
    ("template", "wanted", "says"),
    [
        ("nope", Wanted(), "no template is named 'nope'; there are: simulate"),
        (
            "simulate",
            Wanted({"epochs": "1"}),
            r"--set epochs: there is no such .*Simulation/seed",
        ),
        ("simulate", Wanted({"Run/seed": "1"}), "--set Run/seed: there is no such parameter"),
        ("simulate", Wanted({"seed": "x"}), "Simulation/seed is 'x', expected a whole number"),
        ("simulate", Wanted({"sessions": "1"}), "'sessions' is 1, expected at least 2"),
        ("simulate", Wanted({"Run/cores": "many"}), "Run/cores is 'many', expected a number above 0"),
        ("simulate", Wanted(queue="cpux"), "no queue is named 'cpux'; there are: cpu, default, nobody"),
        ("simulate", Wanted(stack="old"), "no stack is named 'old'; there are: pictured, plain"),
        (
            "simulate",
            Wanted(stack="none"),
            "--stack none is for a run here: on a server's agents a task needs a stack",
        ),
        ("simulate", Wanted(name="ab"), "'ab' is too short: .* 3 characters; give one with --name"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_and_nothing_is_made(
    here: Site, template: str, wanted: Wanted, says: str
) -> None:
    before = tasks(here)
    with pytest.raises(BadInputError, match=says):
        submissions.submit(here.client, template, wanted, OFFER)
    assert tasks(here) == before


def test_assignments_are_read_or_refused() -> None:
    assert submissions.assignments(["A/b=c=d", " e = "]) == {"A/b": "c=d", "e": " "}
    for texts, says in (
        (["x"], "expected SECTION/NAME=VALUE"),
        (["=1"], "expected"),
        (["a=1", "a=2"], "twice"),
    ):
        with pytest.raises(BadInputError, match=says):
            submissions.assignments(texts)


def test_a_template_runs_with_the_values_given_and_is_followed_to_its_end(here: Site) -> None:
    wanted = Wanted(
        {"Simulation/sessions": "60", "seed": "9", "Run/time_limit_seconds": "100"}, name="sixty sessions"
    )
    submitted = submissions.submit(here.client, "simulate", wanted, OFFER)
    assert (submitted.queue, submitted.name) == (QUEUE, "sixty sessions")
    told = list(following.follow(here.client, submitted.id))
    assert told[-1] == following.Happened("status", "completed")
    assert any(event.kind == "status" and event.text.startswith("running") for event in told)
    lines = [event.text for event in told if event.kind == "line"]
    assert any(line.startswith("[0 s] startup") for line in lines)
    assert not [
        line for line in lines if line.startswith(("sdk.", "agent.", "api."))
    ]  # no agent's configuration
    outcome = outcomes.of(here.client, submitted.id)
    assert outcome.record is not None
    assert (outcome.record.parameters["sessions"], outcome.record.parameters["seed"]) == (60, 9)
    assert (outcome.project, outcome.queue, outcome.status) == ("Stackyard/runs", QUEUE, "completed")
    assert {artifact.name for artifact in outcome.artifacts} >= {"record", "outputs", "timeline"}
    assert "template" not in here.task(submitted.id)["tags"]


def test_another_stack_brings_its_image(here: Site) -> None:
    submitted = submissions.submit(here.client, "simulate", Wanted(stack="pictured", queue="nobody"), OFFER)
    task = here.task(submitted.id)
    assert task["container"]["image"] == OFFER.stacks["pictured"]
    assert task["hyperparams"]["Run"]["stack"]["value"] == "pictured"
    assert "no worker serves queue nobody" in submitted.warnings[0]
    submissions.abort(here.client, task)


def test_a_function_of_ones_own_runs_with_its_file(here: Site, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(OWN)
    target = f"{tmp_path}/work.py:main"
    before = tasks(here)
    with pytest.raises(BadInputError, match="no queue is named 'absent'"):
        submissions.submit_function(here.sender, target, Wanted(queue="absent"), origin_of(here), OFFER)
    assert tasks(here) == before
    folder, code = workloads.load(tmp_path).taken(here.home, [target])
    origin = Origin(folder, code, StackPin("plain"))
    wanted = Wanted({"number": "21", "said": "so"}, name="my own")
    submitted = submissions.submit_function(here.sender, target, wanted, origin, OFFER)
    here.ended(submitted.id)
    record = outcomes.of(here.client, submitted.id).record
    assert record is not None, here.console(submitted.id)[-3000:]
    assert record.results == {"doubled": 42, "said": "so"}
    assert "a line of my own" in here.console(submitted.id)


def test_lists_are_filtered_and_abort_takes_a_waiting_task_out(here: Site) -> None:
    waiting = submissions.submit(here.client, "simulate", Wanted(queue="nobody", name="waiting here"), OFFER)
    listed = submissions.listed(here.client, statuses=["queued"], name="waiting")
    assert [task["id"] for task in listed] == [waiting.id]
    assert submissions.listed(here.client, statuses=["failed"], name="waiting") == []
    assert "simulate" not in {
        task["name"] for task in submissions.listed(here.client) if "template" in task["tags"]
    }
    assert submissions.found(here.client, "waiting here")["id"] == waiting.id
    assert submissions.found(here.client, waiting.id[:10])["id"] == waiting.id
    assert submissions.abort(here.client, here.task(waiting.id)) == "taken out of its queue"
    assert here.task(waiting.id)["status"] in ("stopped", "created")
    with pytest.raises(BadInputError, match=r"already ended|is a draft"):
        submissions.abort(here.client, here.task(waiting.id))
    for refused, says in ((["lost"], "no status is named 'lost'"),):
        with pytest.raises(BadInputError, match=says):
            submissions.listed(here.client, statuses=refused)
    with pytest.raises(BadInputError, match="no project is named 'Nowhere'"):
        submissions.listed(here.client, project="Nowhere")
    with pytest.raises(BadInputError, match="no task has the id or name 'never'"):
        submissions.found(here.client, "never")


@pytest.mark.long
def test_a_failed_task_is_told_with_its_reason(here: Site) -> None:
    submitted = submissions.submit(here.client, "simulate", Wanted({"test_share": "1"}), OFFER)
    told = list(following.follow(here.client, submitted.id))
    assert told[-1].text.startswith("failed: bad_input: ")
