"""What the task of a study shows of what its tuner tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

from stackyard_task import records
from stackyard_task.api import Refused, Unreachable
from stackyard_task.clearml_study import BEST, MOST_LISTED, TRIALS, StudyTask
from stackyard_task.studies import Scalar, StudyLine, TrialTold

ID = "a" * 32


class Server:
    """Takes calls; while ``away`` it does not answer."""

    def __init__(self) -> None:
        self.away = False
        self.refuses = ""
        self.events: List[Dict[str, Any]] = []
        self.calls: List[Tuple[str, Dict[str, Any]]] = []

    def call(self, method: str, **fields: Any) -> Dict[str, Any]:
        if self.away:
            raise Unreachable("the server does not answer")
        if method == self.refuses:
            raise Refused("no")
        self.calls.append((method, fields))
        return {"tasks": [{"id": "b"}]} if method == "tasks.get_all_ex" else {}

    def call_lines(self, method: str, lines: List[Dict[str, Any]]) -> Dict[str, Any]:
        if self.away:
            raise Unreachable("the server does not answer")
        self.events += lines
        return {}

    def edit_runtime(self, task_id: str, values: Dict[str, Any]) -> None:
        self.call("tasks.edit_runtime", task=task_id, runtime=values)

    def configured(self, name: str) -> str:
        texts = [
            one["value"]
            for method, fields in self.calls
            if method == "tasks.edit_configuration"
            for one in fields["configuration"]
            if one["name"] == name
        ]
        return str(texts[-1]) if texts else ""

    def said(self, method: str) -> List[Dict[str, Any]]:
        return [fields for called, fields in self.calls if called == method]


def document(
    name: str = "Clone Of tune", project: str = "Stackyard/templates", **fields: Any
) -> Dict[str, Any]:
    tags = ["template", "queue: services", "mine"]
    return {"id": ID, "name": name, "project": {"name": project}, "tags": tags, **fields}


def tell(folder: Path, *lines: StudyLine) -> None:
    with (folder / "told").open("a") as stream:
        stream.writelines(json.dumps(records.to_json(line)) + "\n" for line in lines)


def over(number: int, value: float, best: str, percent: int = 0) -> StudyLine:
    name = f"t{number:04d}"
    return StudyLine(
        "s",
        percent,
        [Scalar("Objective", "loss", number, value)],
        TrialTold(name, "completed", {"lr": value}, {"loss": value}, f"task-{number}"),
        [best],
    )


def shown(server: Any, folder: Path, **fields: Any) -> StudyTask:
    return StudyTask(server, document(**fields), folder / "told", folder / "shown")


def test_charts_progress_the_best_and_the_trials_stand_on_the_task(tmp_path: Path) -> None:
    server = Server()
    task = shown(server, tmp_path)
    assert task.show()  # nothing has been told
    assert not server.calls
    tell(tmp_path, StudyLine("s"), over(1, 0.5, "t0001", 50), over(2, 0.25, "t0002", 100))
    assert task.show()
    assert [(e["metric"], e["variant"], e["iter"], e["value"]) for e in server.events] == [
        ("Objective", "loss", 1, 0.5),
        ("Objective", "loss", 2, 0.25),
    ]
    assert server.said("tasks.edit_runtime")[-1]["runtime"] == {"progress": "100"}
    (best,) = json.loads(server.configured(BEST))
    assert (best["name"], best["parameters"], best["task"]) == ("t0002", {"lr": 0.25}, "task-2")
    assert server.configured(TRIALS).splitlines()[0] == "t0001 completed; loss 0.5; task task-1"
    properties = {
        one["name"]: one["value"] for one in server.said("tasks.edit_hyper_params")[-1]["hyperparams"]
    }
    assert properties["best_trial"] == "t0002"
    assert properties["best_lr"] == "0.25"
    before = len(server.calls)
    assert task.show()
    assert len(server.calls) == before  # nothing new, nothing said


def test_what_a_server_that_is_away_does_not_take_is_shown_later_and_once(tmp_path: Path) -> None:
    server = Server()
    task = shown(server, tmp_path, project="elsewhere")
    server.away = True
    tell(tmp_path, over(1, 0.5, "t0001"))
    assert not task.show()
    server.away = False
    assert task.show()
    assert len(server.events) == 1
    tell(tmp_path, over(2, 0.25, "t0002"))
    again = shown(server, tmp_path, project="elsewhere")  # the task runs again, on another agent
    assert again.show()
    assert [event["iter"] for event in server.events] == [1, 2]
    assert "t0001" in server.configured(TRIALS)


def test_a_clone_of_the_template_is_put_where_its_trials_lie(tmp_path: Path) -> None:
    tell(tmp_path, StudyLine("digits"))
    for name, called in (
        ("Clone Of tune", "digits"),
        ("Clone of Clone Of tune (2)", "digits"),
        ("mine", "mine"),
    ):
        server = Server()
        shown(server, tmp_path, name=name).show()
        assert server.said("tasks.move") == [{"ids": [ID], "project_name": "Stackyard/studies/digits"}]
        (edited,) = server.said("tasks.edit")
        assert edited["name"] == called
        assert edited["tags"] == ["mine", "study: digits"]
    server = Server()
    shown(server, tmp_path, project="mine").show()
    assert not server.said("tasks.move")


def test_a_clone_of_a_study_that_ran_forgets_what_that_one_found(tmp_path: Path) -> None:
    server = Server()
    held = {
        "configuration": {"Best": {}, "Study": {}},
        "hyperparams": {"properties": {"best_lr": {}, "mine": {}}},
    }
    shown(server, tmp_path, **held).forget()
    assert server.said("tasks.delete_configuration")[0]["configuration"] == ["Best"]
    assert [one["name"] for one in server.said("tasks.delete_hyper_params")[0]["hyperparams"]] == ["best_lr"]
    empty = Server()
    shown(empty, tmp_path).forget()
    assert not empty.calls


def test_trials_that_still_run_are_asked_to_end(tmp_path: Path) -> None:
    server = Server()
    shown(server, tmp_path).end_trials()
    assert server.said("tasks.get_all_ex")[0]["parent"] == ID
    assert [told["task"] for told in server.said("tasks.stop")] == ["b"]


def test_lines_that_cannot_be_read_are_left_out_and_the_list_is_bounded(tmp_path: Path) -> None:
    server = Server()
    (tmp_path / "told").write_bytes(b"no json\n\xff\n")
    tell(tmp_path, *(over(n, 1.0, "t0001") for n in range(1, MOST_LISTED + 3)))
    with (tmp_path / "told").open("a") as stream:
        stream.write('{"percent": 1')  # a line under way
    assert shown(server, tmp_path).show()
    assert len(server.events) == MOST_LISTED + 2
    assert server.configured(TRIALS).splitlines()[0] == "(2 earlier trials are left out)"
