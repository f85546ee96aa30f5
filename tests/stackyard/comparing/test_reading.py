"""Tasks brought from real servers: page by page, with their records, from several at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackyard import comparing
from stackyard.clearml.client import Client
from stackyard.comparing import Asked, paging, reading
from stackyard.comparing.selection import Selection
from stackyard.errors import BadInputError
from stackyard_task import records
from stackyard_task.records import Dispatch
from tests.installation.agents import connection_of
from tests.stackyard.comparing.lab import Lab, codes, measured
from tests.stackyard_server.running import running_server


def completed(lab: Lab) -> int | None:
    return lab.compared("Args/n").counts["completed"]


def test_all_pages_are_read_and_a_large_one_in_smaller_ones(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        lab.task({"Args/n": n % 2, "Args/long": "x" * (20_000 if n == 3 else 10)})
    monkeypatch.setattr(paging, "PAGE_SIZES", (2, 1))
    assert completed(lab) == 7
    monkeypatch.setattr(paging, "PAGE_SIZES", (4, 2, 1))
    monkeypatch.setattr(paging, "PAGE_BYTES", 15_000)
    report = lab.compared("Args/n")
    assert report.counts["completed"] == 6
    assert codes(report)["too-large"] == "1 task too large to be read: left out."
    monkeypatch.setattr(paging, "PAGE_BYTES", 64 << 20)
    monkeypatch.setattr(paging, "ALL_BYTES", 10_000)
    with pytest.raises(BadInputError, match="the tasks hold more than"):
        completed(lab)


def test_more_tasks_than_one_comparison_takes_are_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        lab.task({"Args/n": n})
    monkeypatch.setattr(reading, "MOST_TASKS", 2)
    with pytest.raises(BadInputError, match=r"more than 2 tasks fit .*: narrow them with a tag or a filter"):
        completed(lab)


def test_a_record_that_is_shown_in_part_only_is_downloaded(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(records.to_json(measured(4.0))))
    id = lab.task({"Args/n": 1}, end="in_progress")
    lab.artifact(
        id, file.read_text()[:500], lab.client.upload(file, f"{lab.project}/record.json"), "stackyard-record"
    )
    lab.client.call("tasks.completed", task=id)
    (cell,) = lab.compared("Args/n").workloads[0].cells
    assert cell.metrics["wall_seconds"].values == [4.0]


def test_a_record_that_cannot_be_read_is_one_warning_and_the_task_stays(lab: Lab) -> None:
    for preview in ("", "no JSON", "{}", json.dumps({**records.to_json(measured()), "measurement": 5})):
        lab.task({"Args/n": 1}, {"loss/val": [1.0]}, preview=preview)
    lab.task({"Args/n": 1}, {"loss/val": [1.0]}, run=measured())
    report = lab.compared("Args/n", metrics=["loss/val", "wall_seconds"])
    (cell,) = report.workloads[0].cells
    assert (cell.metrics["results.loss/val"].n, cell.metrics["wall_seconds"].n) == (5, 1)
    assert codes(report)["unreadable-records"].startswith("4 records cannot be read: train (")
    assert codes(report)["not-measured"] == "4 of 5 tasks have no measured record."


def test_an_artifact_of_the_author_s_is_no_record(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps({"mine": 1}))
    id = lab.task({"Args/n": 1}, {"loss/val": [1.0]}, end="in_progress")
    lab.artifact(id, file.read_text(), lab.client.upload(file, f"{lab.project}/record.json"), "record")
    lab.client.call("tasks.completed", task=id)
    report = lab.compared("Args/n")
    assert "unreadable-records" not in codes(report)
    assert codes(report)["not-measured"] == "None of the tasks has a measured record."


def test_a_copy_of_a_task_does_not_have_the_record_of_the_original(lab: Lab) -> None:
    run = measured()
    run.dispatch = Dispatch(task_id="f" * 32)
    lab.task({"Args/n": 1}, run=run)
    report = lab.compared("Args/n")
    assert "which this one was copied from" in codes(report)["unreadable-records"]
    assert "wall_seconds" not in report.workloads[0].cells[0].metrics


def test_tasks_of_several_servers_are_compared_together(lab: Lab) -> None:
    lab.task({"Args/n": 1}, {"loss/val": [1.0]})
    with running_server() as second, Client(connection_of(second)) as client:
        other = Lab(client, lab.project)
        other.task({"Args/n": 2}, {"loss/val": [2.0]})
        asked = Asked(Selection(lab.project), ["Args/n"], ["loss/val"])
        report = comparing.compared([lab.client, client], asked)
        assert {c.label: c.metrics["results.loss/val"].median for c in report.workloads[0].cells} == {
            "1": 1,
            "2": 2,
        }
        assert report.sources == [lab.client.connection.api, client.connection.api]
        # one that is on neither, and the same server twice
        with pytest.raises(BadInputError, match="no project is named 'Nowhere'"):
            comparing.compared([lab.client, client], Asked(Selection("Nowhere"), ["Args/n"]))
        report = comparing.compared([lab.client, lab.client], asked)
        assert report.counts["completed"] == 1
        assert codes(report)["duplicate-records"] == "Given twice: 1 record."


def hidden_in(lab: Lab) -> list[str]:
    """One plain task, one below, and four in hidden projects, whose ids are the answer."""
    lab.task({"Args/n": 1}, {"loss/val": [1.0]})
    lab.task({"Args/n": 1}, {"loss/val": [1.0]}, below="inner")
    ids = [
        lab.task({"Args/n": 2}, {"loss/val": [9.0]}, below=below, name=below)
        for below in (".datasets/digits", ".pipelines/nightly", "secret", "secret/deeper")
    ]
    lab.hide(".datasets/digits")
    lab.hide("secret")
    return ids


def test_tasks_of_hidden_projects_stay_out_unless_somebody_names_one(lab: Lab) -> None:
    ids = hidden_in(lab)

    def projects_of(project: str | None = lab.project, **selection: Any) -> list[str]:
        found = reading.read([lab.client], Selection(project, **selection), [])
        return [str(task.project).removeprefix(lab.project) for task in found.tasks]

    assert projects_of() == ["", "/inner"]
    # by its name, which is that of all below it
    for name in ("/.datasets", "/.datasets/digits"):
        assert projects_of(f"{lab.project}{name}") == ["/.datasets/digits"]
    assert projects_of(f"{lab.project}/secret") == ["/secret", "/secret/deeper"]
    # by a filter
    wanted = [f"{lab.project}/inner", f"{lab.project}/.pipelines/nightly"]
    assert projects_of(filters={"project": wanted}) == ["/inner", "/.pipelines/nightly"]
    # by a task's id, or the beginning of one
    assert projects_of(ids=(ids[0],)) == ["/.datasets/digits"]
    assert projects_of(None, ids=(ids[2][:12],)) == ["/secret"]


def test_where_only_hidden_projects_have_what_is_asked_for_that_is_said(lab: Lab) -> None:
    hidden_in(lab)
    with pytest.raises(BadInputError) as caught:
        lab.compared("Args/n", filters={"Args/n": ["2"]})
    assert str(caught.value) == (
        f"no task fits: project {lab.project}, Args/n=2; tasks of hidden projects below it stay out unless one is "
        f"named: {lab.project}/.datasets, {lab.project}/.datasets/digits, {lab.project}/.pipelines, ..."
    )


def test_archived_tasks_and_those_that_are_tagged_hidden_stay_out(lab: Lab) -> None:
    hidden_in(lab)
    kept = lab.compared("Args/n").counts["completed"]
    for tag in ("archived", "hidden"):
        for below in ("", "inner"):
            lab.task({"Args/n": 1}, {"loss/val": [1.0]}, below=below, system_tags=[tag])
    assert lab.compared("Args/n").counts["completed"] == kept == 2
