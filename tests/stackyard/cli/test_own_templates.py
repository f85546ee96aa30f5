"""Workloads of a person's own as templates, and a command onto a queue: published, edited, run by a real agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.cli import main
from tests.installation.site import Site, site
from tests.stackyard import own_commands

pytestmark = pytest.mark.whole

SCENARIO = f"""
name = "mine"
time_limit_seconds = 100
[workloads.train]
{own_commands.COMMAND.strip()}
parameters = {{ lr = 0.5, epochs = 3 }}
[workloads.darts]
workload = "work.py:main"
parameters = {{ throws = 10, how = "fast", wide = [1, 2] }}
[workloads.late]
command = ["cat", "{{inputs.x}}"]
inputs = {{ x = "prepared:make/x" }}
[workloads.here]
command = ["ls"]
folder = "."
[prepare.make]
command = ["touch", "{{outputs}}/x"]
"""
WORK = """
def main(parameters, channel, output_folder):
    channel.results(twice=2 * parameters["throws"])
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("home")) as found:
        if stacks.DEFAULT not in found.stacks:
            pytest.skip("the default stack is not built: stackyard stack build")
        yield found


@pytest.fixture(autouse=True)
def folder(here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the person's files in it."""
    monkeypatch.setenv("STACKYARD_HOME", str(here.home))
    monkeypatch.chdir(own_commands.written(tmp_path))
    (tmp_path / "mine.toml").write_text(SCENARIO)
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


def published(capsys: pytest.CaptureFixture[str], file: str) -> dict[str, dict[str, str]]:
    """Name -> what publishing a file came to."""
    assert main.run(["task", "publish", file, "--json"]) == 0, capsys.readouterr().err
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)["templates"]}


def submitted(capsys: pytest.CaptureFixture[str], *line: str) -> dict[str, object]:
    """The record of a task that was submitted and has ended well."""
    status = main.run(["task", "submit", "--wait", "--json", *line])
    said = capsys.readouterr()
    assert status == 0, said.err
    record: dict[str, object] = json.loads(said.out)["record"]
    return record


@pytest.mark.long
def test_a_scenarios_workloads_are_templates_that_run_with_what_is_typed(
    here: Site, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["task", "publish", "mine.toml"]) == 0
    said = capsys.readouterr()
    assert "new       train" in said.out
    assert "or: stackyard task submit train --wait" in said.out
    assert "no template of late: it reads what a preparation leaves" in said.err
    assert "no template of here: its command works in a folder of this machine" in said.err
    first = published(capsys, "mine.toml")
    assert {name: one["outcome"] for name, one in first.items()} == {
        "train": "unchanged",
        "darts": "unchanged",
    }
    form = here.task(first["train"]["id"])["hyperparams"]
    assert {name: (field["value"], field["type"]) for name, field in form["Parameters"].items()} == {
        "lr": ("0.5", "number"),
        "epochs": ("3", "integer"),
    }
    assert form["Inputs"]["data"]["value"].startswith("clearml-file:")
    assert form["Run"]["time_limit_seconds"]["value"] == "100.0"
    darts = here.task(first["darts"]["id"])["hyperparams"]["Parameters"]
    assert {name: field["type"] for name, field in darts.items()} == {
        "throws": "integer",
        "how": "text",
        "wide": "json",
    }
    (folder / "other.txt").write_text("letters")
    record = submitted(capsys, "train", "--set", "lr=0.25", "--set", "Inputs/data=other.txt")
    assert record["parameters"] == {"lr": 0.25, "epochs": 3}
    assert record["results"] == {"accuracy": 0.125, "read": "letters", "mode": "plain"}
    for typed, says in (
        ("lr=fast", "Parameters/lr is 'fast', expected a number"),
        ("Inputs/data=gone.txt", "Inputs/data is 'gone.txt': there is no"),
    ):
        assert main.run(["task", "submit", "train", "--set", typed]) == 2
        assert says in capsys.readouterr().err
    (folder / "code" / "lib" / "halve.py").write_text("def of(x):\n    return x / 4\n")
    again = published(capsys, "mine.toml")
    assert (again["train"]["id"], again["train"]["outcome"]) == (first["train"]["id"], "updated")
    assert again["darts"]["outcome"] == "unchanged"


@pytest.mark.long
def test_a_function_of_a_scenario_is_typed_from_its_defaults(
    here: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    published(capsys, "mine.toml")
    assert submitted(capsys, "darts", "--set", "throws=21")["results"] == {"twice": 42}


def test_declared_workloads_are_published_from_their_file_and_anothers_template_stays(
    here: Site, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "workloads.toml").write_text(
        own_commands.DECLARED.replace("train]", "learn]", 1).replace("[train.", "[learn.")
    )
    (one,) = published(capsys, "workloads.toml").values()
    form = here.task(one["id"])["hyperparams"]["Parameters"]
    assert form["lr"]["description"] == "learning rate (at least 0; default 0.5)"
    (folder / "mine.toml").write_text(SCENARIO.replace("workloads.darts", "workloads.learn"))
    assert main.run(["task", "publish", "mine.toml"]) == 2
    said = capsys.readouterr().err
    assert "has a template 'learn' already, which is a declared workload's; give the workload another" in said


def test_a_command_goes_to_a_queue_with_a_copy_of_the_current_folder(
    here: Site, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--name", "by hand", "--", "sh", "-c", "cat data.txt; pwd > made.txt; echo {x}"]
    record = submitted(capsys, *line)
    assert record["command"] == line[3:]
    task = here.client.call("tasks.get_all", name="^by hand$")["tasks"][0]
    assert "numbers{x}" in here.console(task["id"])
    assert not (folder / "made.txt").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["submit"], "expected a template, FILE.py:FUNCTION, or a command behind --"),
        (["submit", "train", "--", "ls"], "one of them"),
        (["submit", "--set", "a=1", "--", "ls"], "a command has its words"),
        (["submit", "--queue", "absent", "--", "ls", "code"], "no queue is named 'absent'"),
        (["publish", "gone.toml"], "gone.toml: cannot be read"),
        (["publish", "mine.toml", "--no-examples"], "--no-examples goes without FILE"),
        (["publish", "mine.toml", "--stack", "none-such"], "no stack is named 'none-such'"),
        (["publish", "mine.toml", "--stack", "none"], "on a server's agents a task needs a stack; there are"),
        (["publish", "p.toml"], "publish it with: stackyard pipeline publish p.toml"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    folder: Path, line: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p.toml").write_text('name = "abc"\n[steps.one]\ncommand = ["ls"]\n')
    assert main.run(["task", *line]) == 2
    assert says in capsys.readouterr().err
