"""``reports.*``, ``pipelines.*`` and ``serving.*`` as clients see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..running import Running, running_server

PLOT = '{"data": [], "layout": {}}'
IMAGE = "training_debug_image"


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(clock=CLOCK) as running:
        yield running


def refusal(server: Running, endpoint: str, **data: Any) -> tuple[int, int]:
    meta = server.ask(endpoint, **data)["meta"]
    return meta["result_code"], meta["result_subcode"]


# --- reports ---------------------------------------------------------------------------------------------------------


def test_a_report_is_kept_in_the_hidden_folder_of_its_project(server: Running) -> None:
    project = server.call("projects.create", name="written about")["id"]
    sent = {"project": project, "projectName": "what the web app makes itself"}
    made = server.call("reports.create", name="findings", report="# hi", tags=["x"], **sent)
    assert server.call("projects.get_all", name="makes itself")["projects"] == []
    folder = server.call("projects.get_by_id", project=made["project_id"])["project"]
    assert (folder["name"], folder["system_tags"]) == ("written about/.reports", ["hidden"])
    found = server.call("reports.get_all_ex", project=[project], only_fields=["name", "report"])["tasks"]
    assert found == [{"id": made["id"], "name": "findings", "report": "# hi"}]
    assert server.call("reports.get_tags")["tags"] == ["x"]
    server.call("reports.update", task=made["id"], report="# more", name="conclusions")
    task = server.call("tasks.get_by_id", task=made["id"])["task"]
    assert (task["name"], task["report"], task["type"]) == ("conclusions", "# more", "report")


def test_a_moved_report_takes_no_empty_folder_with_it(server: Running) -> None:
    made = server.call("reports.create", name="on the move")
    there = server.call("reports.move", task=made["id"], project_name="another subject")["project_id"]
    assert server.call("projects.get_by_id", project=there)["project"]["name"] == "another subject/.reports"
    assert refusal(server, "projects.get_by_id", project=made["project_id"]) == (400, 401)


def test_a_published_report_stays_as_it_is(server: Running) -> None:
    id = server.call("reports.create", name="final words", report="done")["id"]
    server.call("reports.publish", task=id)
    assert refusal(server, "reports.update", task=id, report="changed") == (400, 110)
    said = {"name": "last words", "tags": ["fine"], "comment": "read this"}
    assert server.call("reports.update", task=id, **said)["updated"] == 1
    task = server.call("tasks.get_by_id", task=id)["task"]
    assert {name: task[name] for name in said} == said
    assert refusal(server, "reports.delete", task=id) == (400, 123)
    server.call("reports.delete", task=id, force=True)
    assert refusal(server, "reports.update", task=id, tags=[]) == (400, 101)


def test_reports_calls_leave_other_tasks_alone(server: Running) -> None:
    task = server.call("tasks.create", name="no report", type="training")["id"]
    assert refusal(server, "reports.delete", task=task, force=True) == (400, 101)


def test_a_report_shows_what_it_embeds_in_one_answer(server: Running) -> None:
    task = server.call("tasks.create", name="shown task", type="training")["id"]
    server.call("tasks.started", task=task)
    lines = [
        {"type": "plot", "task": task, "iter": 0, "metric": "m", "variant": "v", "plot_str": PLOT},
        {
            "type": "training_stats_scalar",
            "task": task,
            "iter": 1,
            "metric": "loss",
            "variant": "a",
            "value": 2.0,
        },
        *(
            {"type": IMAGE, "task": task, "iter": n, "metric": m, "variant": "v", "url": f"http://f/{m}/{n}"}
            for m in ("img", "other")
            for n in range(2)
        ),
    ]
    single = {"type": "training_stats_scalar", "task": task, "iter": -(2**31), "value": 7.0}
    lines.append({**single, "metric": "Summary", "variant": "best"})
    server.call_lines("events.add_batch", lines)
    answer = server.call(
        "reports.get_task_data",
        id=[task],
        only_fields=["name"],
        plots={"iters": 1, "metrics": [{"metric": "m", "variants": ["v"]}]},
        scalar_metrics_iter_histogram={"samples": 100, "metrics": [{"metric": "loss", "variants": ["a"]}]},
        single_value_metrics={},
        debug_images={"iters": 1, "metrics": [{"metric": "img", "variants": ["v"]}]},
    )
    assert answer["tasks"] == [{"id": task, "name": "shown task"}]
    assert answer["plots"]["m"]["v"][task]["0"]["plots"][0]["plot_str"] == PLOT
    assert answer["scalar_metrics_iter_histogram"] == {
        "loss": {"a": {task: {"name": "shown task", "x": [1], "y": [2.0]}}}
    }
    (single,) = answer["single_value_metrics"]
    assert (single["task"], [v["value"] for v in single["values"]]) == (task, [7.0])
    (images,) = answer["debug_images"]
    assert [[e["url"] for e in i["events"]] for i in images["iterations"]] == [["http://f/img/1"]]


def test_a_report_shows_models_too(server: Running) -> None:
    model = server.call("models.create", name="shown model", uri="http://f/m", ready=False)["id"]
    point = {"type": "training_stats_scalar", "task": model, "iter": 1, "metric": "loss", "variant": "a"}
    server.call_lines("events.add_batch", [{**point, "value": 3.0, "model_event": True}])
    answer = server.call(
        "reports.get_task_data", id=[model], model_events=True, scalar_metrics_iter_histogram={}
    )
    assert [found["id"] for found in answer["tasks"]] == [model]
    assert answer["scalar_metrics_iter_histogram"]["loss"]["a"][model]["y"] == [3.0]


def test_reports_about_no_project_are_found_by_null(server: Running) -> None:
    root = server.call("reports.create", name="about everything")["id"]
    project = server.call("projects.create", name="one subject")["id"]
    about = server.call("reports.create", name="about one", project=project)["id"]

    def ids(project: list[str | None]) -> list[str]:
        return [t["id"] for t in server.call("reports.get_all_ex", project=project)["tasks"]]

    assert root in ids([None])
    assert about not in ids([None])
    assert {root, about} <= set(ids([None, project]))
    found = server.call("tasks.get_all_ex", id=[about], only_fields=["name"])["tasks"]
    assert found == [{"id": about, "name": "about one"}]  # asked for by id, hidden or not


# --- pipelines -------------------------------------------------------------------------------------------------------


@pytest.fixture
def controller(server: Running) -> tuple[str, str]:
    """(a controller's id, its project's)."""
    name = f"work/.pipelines/nightly {CLOCK.now}"
    CLOCK.now += 1
    project = server.call("projects.create", name=name, system_tags=["hidden", "pipeline"])["id"]
    parameters = {"Args": {"size": {"section": "Args", "name": "size", "value": "1", "type": "int"}}}
    task = server.call(
        "tasks.create", name="nightly", type="controller", project=project, system_tags=["pipeline"],
        hyperparams=parameters,
    )["id"]  # fmt: skip
    return task, project


def test_a_pipeline_starts_again_with_its_new_arguments(server: Running, controller: tuple[str, str]) -> None:
    queue = server.call("queues.create", name=f"services {controller[0]}")["id"]
    answer = server.call(
        "pipelines.start_pipeline",
        task=controller[0],
        queue=queue,
        args=[{"name": "size", "value": "2"}, {"name": "mode", "value": "fast"}],
        verify_watched_queue=True,
    )
    assert (answer["enqueued"], answer["queue_watched"]) == (True, False)
    run = server.call("tasks.get_by_id", task=answer["pipeline"])["task"]
    assert (run["status"], run["project"]) == ("queued", controller[1])
    assert {n: p["value"] for n, p in run["hyperparams"]["Args"].items()} == {"size": "2", "mode": "fast"}
    assert run["hyperparams"]["Args"]["size"]["type"] == "int"
    original = server.call("tasks.get_by_id", task=controller[0])["task"]["hyperparams"]["Args"]
    assert original["size"]["value"] == "1"


def test_an_unknown_queue_leaves_no_copy_behind(server: Running, controller: tuple[str, str]) -> None:
    assert refusal(server, "pipelines.start_pipeline", task=controller[0], queue="nope") == (400, 701)
    assert len(server.call("tasks.get_all", project=[controller[1]])["tasks"]) == 1


def test_deleting_runs_takes_their_steps_along(server: Running, controller: tuple[str, str]) -> None:
    task, project = controller
    kept = server.call("tasks.clone", task=task, new_task_name="another run")["id"]
    step = server.call("tasks.create", name="step one", type="training", parent=task, project=project)["id"]
    elsewhere = server.call("tasks.create", name="not a run", type="training")["id"]
    answer = server.call(
        "pipelines.delete_runs", ids=[task, elsewhere], project=project, include_pipeline_steps=True
    )
    assert [entry["id"] for entry in answer["succeeded"]] == [task]
    assert [entry["error"]["codes"] for entry in answer["failed"]] == [[400, 101]]
    assert refusal(server, "tasks.get_by_id", task=step) == (400, 101)
    assert server.call("tasks.get_by_id", task=elsewhere)
    assert server.call("tasks.get_by_id", task=kept)


def test_deleting_runs_leaves_steps_unless_asked(server: Running, controller: tuple[str, str]) -> None:
    task, project = controller
    kept = server.call("tasks.clone", task=task, new_task_name="another run")["id"]
    steps = [
        server.call("tasks.create", name=f"step {n}", type="training", parent=task, project=project)["id"]
        for n in range(2)
    ]
    server.call("pipelines.delete_runs", ids=[task], project=project, include_pipeline_steps=False)
    for id in (kept, *steps):
        assert server.call("tasks.get_by_id", task=id)


def test_another_run_is_no_step(server: Running, controller: tuple[str, str]) -> None:
    """A run started from another has it as its parent: what is done to the one with its steps spares the other."""
    task, project = controller
    queue = server.call("queues.create", name=f"runs of {task}")["id"]
    second, third = (
        server.call("pipelines.start_pipeline", task=task, queue=queue)["pipeline"] for _ in range(2)
    )
    server.call("tasks.started", task=second)
    server.call("tasks.publish", task=third, force=True)
    server.call("tasks.stop", task=task, force=True, include_pipeline_steps=True)
    server.call("tasks.archive", tasks=[task], include_pipeline_steps=True)

    def state(id: str) -> tuple[str, list[str]]:
        found = server.call("tasks.get_by_id", task=id)["task"]
        return found["status"], found["system_tags"]

    assert state(second) == ("in_progress", ["pipeline"])
    assert state(third) == ("published", ["pipeline"])
    answer = server.call("pipelines.delete_runs", ids=[task], project=project, include_pipeline_steps=True)
    assert [entry["id"] for entry in answer["succeeded"]] == [task]
    assert (state(second)[0], state(third)[0]) == ("in_progress", "published")
    server.call("tasks.stopped", task=second)
    assert refusal(server, "pipelines.delete_runs", ids=[second, third], project=project) == (400, 160)
    assert refusal(server, "pipelines.delete_runs", ids=[second, third, "x"], project=project) == (400, 160)
    assert server.call("pipelines.delete_runs", ids=[second], project=project)["failed"] == []


def test_runs_deleted_together_are_all_reported_as_deleted(
    server: Running, controller: tuple[str, str]
) -> None:
    task, project = controller
    queue = server.call("queues.create", name=f"together {task}")["id"]
    second, third = (
        server.call("pipelines.start_pipeline", task=task, queue=queue)["pipeline"] for _ in range(2)
    )
    server.call("tasks.dequeue", task=second)
    answer = server.call(
        "pipelines.delete_runs", ids=[task, second], project=project, include_pipeline_steps=True
    )
    assert ([entry["id"] for entry in answer["succeeded"]], answer["failed"]) == ([task, second], [])
    assert server.call("tasks.get_by_id", task=third)["task"]["status"] == "queued"


def test_a_pipeline_starts_as_a_new_one(server: Running, controller: tuple[str, str]) -> None:
    task, _ = controller
    named = {"task": task, "new_project_name": f"other {task}", "new_pipeline_name": "weekly"}
    assert server.call("pipelines.check_new_run", **named) == {}
    started = server.call(
        "pipelines.start_pipeline", **named, new_pipeline_version="2.0", new_pipeline_run=7,
        queue=server.call("queues.get_default")["id"], args=[{"name": "size", "value": "5"}],
    )  # fmt: skip
    project = started["new_project"]
    assert project["name"] == f"other {task}/.pipelines/weekly"
    run = server.call("tasks.get_by_id", task=started["pipeline"])["task"]
    assert (run["name"], run["project"], run["runtime"]) == ("weekly #7", project["id"], {"version": "2.0"})
    assert run["hyperparams"]["properties"]["version"]["value"] == "2.0"
    assert run["hyperparams"]["Args"]["size"]["value"] == "5"
    shown = server.call("projects.get_by_id", project=project["id"])["project"]
    assert shown["system_tags"] == ["hidden", "pipeline"]
    assert server.call("pipelines.check_new_run", **named) == {"existing_project": project}
    again = server.call("pipelines.start_pipeline", **{**named, "queue": run["execution"]["queue"]})
    assert again["new_project"] == project
    bad = {**named, "new_pipeline_name": "a/b"}
    for call in ("pipelines.check_new_run", "pipelines.start_pipeline"):
        assert refusal(server, call, **bad) == (400, 12)


# --- serving ---------------------------------------------------------------------------------------------------------


def test_containers_show_up_while_they_report(server: Running) -> None:
    described = {"container_id": "c1", "endpoint_name": "classify", "model_name": "net"}
    server.call("serving.register_container", **described, timeout=60)
    assert [c["id"] for c in server.call("serving.get_loading_instances")["instances"]] == ["c1"]
    url = "http://models/classify"
    for number in (1, 2):
        server.call(
            "serving.container_status_report", **described | {"container_id": f"c{number}"}, endpoint_url=url,
            requests_num=10 * number, latency_ms=4.0 * number, uptime_sec=5,
        )  # fmt: skip
    served = server.call("serving.get_endpoints")["endpoints"]
    assert [(e["endpoint"], e["instances"], e["requests"], e["latency_ms"]) for e in served] == [
        ("classify", 2, 30, 6.0)
    ]
    assert server.call("serving.get_loading_instances")["instances"] == []
    details = server.call("serving.get_endpoint_details", endpoint_url=url)
    assert [i["requests"] for i in details["instances"]] == [10, 20]
    history = server.call(
        "serving.get_endpoint_metrics_history", endpoint_url=url, from_date=CLOCK.now - 10, to_date=CLOCK.now + 10,
        interval=60, metric_type="requests",
    )  # fmt: skip
    assert history["total"]["values"] == [30]
    assert history["instances"]["c1"]["values"] == [10]
    server.call("serving.unregister_container", container_id="c2")
    assert server.call("serving.get_endpoints")["endpoints"][0]["instances"] == 1
    CLOCK.now += 61
    assert server.call("serving.get_endpoints")["endpoints"] == []
    assert refusal(server, "serving.get_endpoint_details", endpoint_url=url)[0] == 400
