"""The container of an ordinary task from outside, with a docker that only plays its part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "clearml", reason="what comes over a server is in the agent's Python only, never in a stack's"
)

from stackyard_task import box, handing_in
from stackyard_task.box import Box
from stackyard_task.chosen import NotMet
from stackyard_task.records import RunRecord, to_json
from stackyard_task.wishes import Choice, Settled
from tests.stackyard_server.running import Running, running_server

#: What stands for docker's client; the folder of the socket is its argument.
CLIENT = """
import os, sys, time
sys.path.insert(0, {code!r})
from stackyard_task.witness import Outside
from stackyard_task.records import RunRecord
os.chdir(sys.argv[1])  # its name is longer than a socket's may be
outside = Outside("witness")
{text}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


class Place:
    def __init__(self, server: Running, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.conf = folder / "clearml.conf"
        api = {"api_server": server.api, "files_server": server.files}
        api["credentials"] = {"access_key": server.access_key, "secret_key": server.secret_key}  # type: ignore[assignment]
        self.conf.write_text(json.dumps({"api": api, "agent": {"git_user": "me", "git_pass": "secret"}}))
        self.tasks = folder / "tasks.json"
        self.settle(Settled(sys.executable, queue="boxes", images={"s": "sha256:1"}))

    def settle(self, how: Settled) -> None:
        from stackyard_task.records import write_json

        write_json(how, self.tasks)

    def task(self, **script: Any) -> str:
        told = {"binary": "python3", "entry_point": "work.py", "diff": "print(1)\n", **script}
        id = str(self.server.call("tasks.create", name="work", type="training", script=told)["id"])
        self.server.call("tasks.started", task=id, force=True)
        return id

    def box(self, **script: Any) -> Box:
        found = box.looked_up(
            str(self.conf), self.task(**script), str(self.tasks), {"PATH": os.environ["PATH"]}
        )
        assert found is not None
        return found

    def run(self, made: Box, text: str) -> int:
        """The status of a container in which this happens."""
        folder = made.share(self.folder / "boxes", Choice("python"), str(self.folder / "shared"))
        code = CLIENT.format(code=str(Path(box.__file__).parents[1]), text=text)
        return made.run([sys.executable, "-c", code, str(folder)], folder)

    def found(self, made: Box) -> dict[str, Any]:
        return dict(self.server.call("tasks.get_by_id", task=made.id)["task"])

    def record(self, made: Box) -> dict[str, Any] | None:
        for one in self.found(made).get("execution", {}).get("artifacts") or []:
            if one["key"] == handing_in.RECORD:
                return dict(json.loads(one["type_data"]["preview"]))
        return None


@pytest.fixture
def place(server: Running, tmp_path: Path) -> Place:
    return Place(server, tmp_path)


@pytest.mark.parametrize(
    ("script", "own"),
    [
        ({"entry_point": "dispatched.py", "diff": "from stackyard_task import dispatched\n"}, True),
        ({"entry_point": "tasks/dispatched.py", "diff": "", "repository": "https://host/x.git"}, False),
        ({"entry_point": "dispatched.py", "diff": "print(1)\n"}, False),
        ({"entry_point": "work.py", "diff": "from stackyard_task import dispatched\n"}, False),
        ({"entry_point": "-m work", "diff": ""}, False),
    ],
)
def test_a_task_that_stackyard_sent_is_left_to_itself(
    place: Place, script: dict[str, str], own: bool
) -> None:
    found = box.looked_up(str(place.conf), place.task(**script), str(place.tasks), {})
    assert (found is None) is own


@pytest.mark.parametrize("diff", ["", "print(1)\n"])
def test_in_a_repository_a_task_of_stackyards_is_known_by_what_it_is_to_run(place: Place, diff: str) -> None:
    script = {"entry_point": "tasks/dispatched.py", "diff": diff, "repository": "https://host/x.git"}
    id = place.task(**script)
    for name, own in (("Mine", False), ("Stackyard", True)):
        object = {"name": name, "type": "json", "value": '{"workload": "x"}'}
        place.server.call("tasks.edit_configuration", task=id, force=True, configuration=[object])
        found = box.looked_up(str(place.conf), id, str(place.tasks), {})
        assert (found is None) is own, name


def test_a_task_that_cannot_be_asked_for_is_not_started(place: Place, tmp_path: Path) -> None:
    with pytest.raises(NotMet, match="what the task wants cannot be asked") as refused:
        box.looked_up(str(place.conf), "0" * 32, str(place.tasks), {})
    assert refused.value.kind == "infrastructure"
    with pytest.raises(NotMet, match="no ClearML server is named"):
        box.looked_up(str(tmp_path / "none"), "0" * 32, str(place.tasks), {})


def test_the_wish_and_the_login_for_git_get_to_who_chooses_and_the_answer_to_the_container(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    ours = place.folder / "ours"
    answer = {
        "python": "/in/python",
        "stack": {"name": "s"},
        "image": "sha256:2",
        "said": ["stack s: because"],
    }
    ours.write_text(
        f"#!/bin/sh\ncat > {place.folder}/question\nenv > {place.folder}/env\nprintf '%s' '{json.dumps(answer)}'\n"
    )
    ours.chmod(0o755)
    place.settle(Settled(str(ours), images={"s": "sha256:1"}))
    made = place.box(
        repository="https://host/x.git", version_num="a" * 40, working_dir="sub", requirements={}
    )
    choice = made.choose(None, lambda image: True)
    assert choice is not None
    assert (choice.image, choice.python) == ("sha256:2", "/in/python")
    asked = json.loads((place.folder / "question").read_text())
    assert asked["wish"]["repository"] == {
        "address": "https://host/x.git",
        "commit": "a" * 40,
        "branch": "",
        "tag": "",
        "folder": "sub",
        "changes": "",
    }
    assert asked["settled"]["images"] == {"s": "sha256:1"}
    assert "STACKYARD_GIT_PASS=secret" in (place.folder / "env").read_text().splitlines()
    assert "stackyard: stack s: because" in capfd.readouterr().out
    folder = made.share(place.folder / "boxes", choice, "/shared")
    told = json.loads((folder / "tasks.json").read_text())
    assert (told["environment"], told["given"]["python"], told["witness"]) == (
        "given",
        "/in/python",
        "/shared/witness",
    )
    assert told["variables"] == {}


def test_an_image_and_a_stack_that_contradict_each_other_are_refused(place: Place) -> None:
    made = place.box()
    made.task = {**made.task, "hyperparams": {"Run": {"stack": {"value": "other"}}}}
    with pytest.raises(
        NotMet, match="Run/stack names other, the task's image holds s; leave one of them out"
    ):
        made.choose("s", lambda image: True)


def test_a_container_that_says_all_is_left_is_left_alone(place: Place) -> None:
    made = place.box()
    status = place.run(made, "outside.begin()\noutside.over()\nsys.exit(7)")
    assert status == 7
    assert (place.found(made)["status"], place.record(made)) == ("in_progress", None)
    assert not list((place.folder / "boxes").iterdir())


def test_where_the_host_counts_no_container_the_one_inside_is_told(place: Place) -> None:
    made = place.box()
    text = (
        "outside.begin()\nrecord = RunRecord('a', 'b', 'completed', '', '')\noutside.end(record)\n"
        "outside.over()\nsys.exit(len(record.notes))"
    )
    assert place.run(made, text) == 1


def test_a_container_whose_supervisor_died_has_its_record_from_outside(place: Place) -> None:
    made = place.box()
    assert place.run(made, "outside.begin()\nos.kill(os.getpid(), 9)") == 0, "the reason is with the task"
    record = place.record(made)
    assert record is not None
    assert record["failure"]["kind"] == "killed"
    assert place.found(made)["status_reason"].startswith(
        "killed: everything in the container was ended from outside"
    )
    assert record["measurement"]["wall_seconds"] is None
    assert record["dispatch"]["user_code_at"]


def test_what_becomes_of_a_task_whose_agent_is_gone_is_not_said_here(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = place.box()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert place.run(made, "outside.begin(); os._exit(143)") == box.leaving.ABORTED
    found = place.found(made)
    assert found["status"] == "in_progress", "whoever looks after agents queues it again"
    record = json.loads(found["execution"]["artifacts"][0]["type_data"]["preview"])
    assert (record["failure"]["kind"], "its agent ended" in record["failure"]["message"]) == (
        "interrupted",
        True,
    )


@pytest.mark.parametrize("status", [0, 1])
def test_what_an_agent_makes_of_a_task_before_its_script_is_for_those_who_read_its_words(
    place: Place, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    made = place.box()
    assert place.run(made, f"outside._socket.close()\nos._exit({status})") == status
    said = f"not measured: the agent in the container ended with status {status} before the script began"
    assert said in capfd.readouterr().err
    assert (place.found(made)["status"], place.record(made)) == ("in_progress", None)


def test_an_engine_that_starts_no_container_has_its_last_word_told(
    place: Place, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = place.box()
    text = "print('docker: Error response from daemon: no space left.', file=sys.stderr)\nsys.exit(125)"
    with (tmp_path / "console").open("wb") as console, capfd.disabled():
        kept = os.dup(2), os.dup(1)
        try:
            os.dup2(console.fileno(), 2)
            os.dup2(console.fileno(), 1)
            place.run(made, text)
        finally:
            os.dup2(kept[0], 2)
            os.dup2(kept[1], 1)
            for one in kept:
                os.close(one)
    assert place.found(made)["status_reason"] == (
        "infrastructure: the Docker Engine could not start the container; its last word: docker: Error response from "
        "daemon: no space left."
    )
    record = place.record(made)
    assert record is not None
    assert (record["failure"]["exit_code"], record["witness"]) == (125, None)


def test_an_abort_before_the_script_begins_ends_the_container_and_leaves_a_record(place: Place) -> None:
    made = place.box()
    text = "import threading\nprint('up', flush=True)\nthreading.Event().wait()"
    place.server.call("tasks.stopped", task=made.id, force=True)
    assert place.run(made, text) == 137
    record = place.record(made)
    assert record is not None
    assert record["failure"]["kind"] == "interrupted"
    assert record["failure"]["message"].startswith("the task was aborted; ")


def test_a_record_that_the_server_did_not_take_is_kept_for_later_and_nothing_that_a_link_leads_to(
    place: Place,
) -> None:
    secret = place.folder / "secret"
    secret.write_text("{}")
    record = RunRecord(
        "one", "work.py", "completed", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"
    )
    for linked in (None, "timeline.json", "record.json", "run"):
        made = place.box()
        made.runs = place.folder / f"kept-{linked}"
        written = json.dumps(to_json(record))
        text = f"os.makedirs('runs/a')\nopen('runs/a/record.json', 'w').write({written!r})\n"
        text += "open('runs/a/timeline.json', 'w').write('{}')\n"
        if linked == "run":
            text += f"os.rename('runs/a', {str(place.folder / 'else')!r})\n"
            text += f"os.symlink({str(place.folder / 'else')!r}, 'runs/a')\n"
        elif linked:
            text += f"os.unlink('runs/a/{linked}')\nos.symlink({str(secret)!r}, 'runs/a/{linked}')\n"
        place.run(made, text + "outside.begin()\noutside.over()")
        found = made.runs / f"{made.id}-0.0"
        if linked is None:
            assert {file.name for file in found.iterdir()} == {"record.json", "timeline.json", "way.json"}
            assert json.loads((found / "way.json").read_text())["task_id"] == made.id
        else:
            assert not found.exists(), linked
    assert not list((place.folder / "boxes").iterdir())


def test_what_was_never_started_has_its_reason_and_its_record(place: Place) -> None:
    made = place.box()
    assert made.not_started("bad_input", "the task wants the moon") == 0
    assert place.found(made)["status_reason"] == "bad_input: the task wants the moon"
    record = place.record(made)
    assert record is not None
    assert (record["failure"]["message"], record["witness"]) == ("the task wants the moon", None)


def test_folders_of_containers_whose_starter_is_gone_go(place: Place) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = place.folder / "boxes" / f"old-{ended.pid}"
    left.mkdir(parents=True)
    kept = place.folder / "boxes" / f"other-{os.getpid()}"
    kept.mkdir()
    place.box().share(place.folder / "boxes", Choice("p"), "/shared")
    assert not left.exists()
    assert kept.exists()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (
            b"docker: Error response from daemon: no\nSee 'docker run --help'.\n",
            "docker: Error response from daemon: no",
        ),
        (b"fatal: it is\n  gone\nclearml_agent: ERROR: Failed cloning\n", "fatal: it is"),
        (b"ModuleNotFoundError: No module named 'x'\n\xff\n", "ModuleNotFoundError: No module named 'x'"),
        (b"all is well\n", None),
        (b"", None),
    ],
)
def test_the_word_of_a_console_that_says_what_went_wrong(said: bytes, word: str | None) -> None:
    assert box.last_words(said) == word
