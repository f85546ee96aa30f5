"""``organization``: tags, numbers, and lists as CSV."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from stackyard_server import identity

from ..running import Running, running_server


class Clock:
    """A clock that tests set forward."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


clock = Clock()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(clock=clock) as running:
        running.call("projects.create", name="org/one", description="")
        project = running.call("projects.get_all", name="^org/one$")["projects"][0]["id"]
        for number, name in enumerate(["plain", "=1+1", "ümlaut, comma"]):
            running.call(
                "tasks.create",
                name=name,
                type="training",
                project=project,
                tags=[f"t{number}", "all"],
                system_tags=["archived"] if number == 1 else [],
                hyperparams={"Args": {"lr": {"section": "Args", "name": "lr", "value": str(number)}}},
            )
        running.call("models.create", name="net", uri="file:///m", tags=["of model"])
        yield running


def test_tags_of_tasks_and_models(server: Running) -> None:
    assert server.call("organization.get_tags") == {"tags": ["all", "of model", "t0", "t1", "t2"]}
    both = server.call("organization.get_tags", include_system=True, filter={"system_tags": ["archived"]})
    assert both == {"tags": ["all", "t1"], "system_tags": ["archived"]}


def test_what_is_asked_for_is_counted(server: Running) -> None:
    assert server.call("organization.get_entities_count") == {}
    wanted = {
        "tasks": {"system_tags": ["-archived"]},
        "models": {},
        "projects": {"name": "^org"},
        "reports": {},
    }
    counted = server.call("organization.get_entities_count", **wanted)
    assert counted == {"tasks": 2, "models": 1, "projects": 2, "reports": 0}
    assert server.call("organization.get_entities_count", tasks={}, active_users=["nobody"]) == {"tasks": 0}
    assert server.ask("organization.get_entities_count", tasks={"name": "["})["meta"]["result_subcode"] == 21


def test_there_is_one_company(server: Running) -> None:
    company = server.call("organization.get_user_companies")["companies"][0]
    assert [owner["name"] for owner in company["owners"]] == ["tester"]


def download(server: Running, token: str, id: str) -> tuple[int, str]:
    address = f"{server.api}/organization.download_for_get_all"
    answer = server.client.get(
        address, params={"prepare_id": id}, headers={"Authorization": f"Bearer {token}"}
    )
    return answer.status_code, answer.text


MAPPINGS = [
    {"field": "name", "name": "Name"},
    {"field": "project.name", "name": "Project"},
    {"field": "hyperparams.Args.lr.value", "name": "lr"},
    {"field": "tags"},
    {"field": "status", "name": "Status", "values": [{"key": "created", "value": "Draft"}]},
    {"field": "started", "name": "Started"},
]


def prepare(server: Running) -> str:
    id: str = server.call(
        "organization.prepare_download_for_get_all",
        entity_type="task",
        field_mappings=MAPPINGS,
        order_by=["-hyperparams.Args.lr.value"],
    )["prepare_id"]
    return id


def test_a_list_as_csv_that_no_spreadsheet_runs(server: Running) -> None:
    status, text = download(server, server.token, prepare(server))
    assert status == 200
    assert list(csv.reader(io.StringIO(text))) == [
        ["Name", "Project", "lr", "tags", "Status", "Started"],
        ["ümlaut, comma", "org/one", "2", "all, t2", "Draft", ""],
        ["'=1+1", "org/one", "1", "all, t1", "Draft", ""],
        ["plain", "org/one", "0", "all, t0", "Draft", ""],
    ]


def test_a_download_is_its_owners_and_for_ten_minutes(server: Running) -> None:
    id = prepare(server)
    with server.store.writing() as tx:
        other = identity.add_user(tx, 1, name="other", role="admin")
        key, secret = identity.add_credentials(tx, other)
    token = server.client.get(f"{server.api}/auth.login", auth=(key, secret)).json()["data"]["token"]
    assert download(server, token, id)[0] == 400
    assert download(server, server.token, "0" * 32)[0] == 400
    clock.ahead += 601
    assert download(server, server.token, id)[0] == 400


def test_what_is_wrong_with_a_download_is_said_at_once(server: Running) -> None:
    for field, subcode in (("nope", 14), ("user.password", 14)):
        meta = server.ask(
            "organization.prepare_download_for_get_all", entity_type="task", field_mappings=[{"field": field}]
        )["meta"]
        assert (meta["result_code"], meta["result_subcode"]) == (400, subcode)
    for data in ({}, {"entity_type": "user"}, {"entity_type": "task", "field_mappings": []}):
        assert server.ask("organization.prepare_download_for_get_all", **data)["meta"]["result_subcode"] == 12


def test_running_time_is_told_by_day_project_user_and_queue(server: Running) -> None:
    project = server.call("projects.create", name="loads/one")["id"]
    above = server.call("projects.get_all", name="^loads$")["projects"][0]["id"]
    queue = server.call("queues.get_default")
    task, local = (
        server.call("tasks.create", name=name, type="training", project=project, system_tags=tags)["id"]
        for name, tags in (("queued", []), ("by hand", ["development"]))
    )
    server.call("tasks.enqueue", task=task, queue=queue["id"])
    began = clock()
    for id in (task, local):
        server.call("tasks.started", task=id)
    clock.ahead += 7200
    server.call("tasks.completed", task=task)
    since = datetime.fromtimestamp(began - 23.5 * 3600, UTC).isoformat()
    asked = {"projects": [above], "from_date": since, "to_date": clock() + 60, "usage_fields": ["duration"]}
    found = server.call("organization.get_project_workloads", **asked)
    assert {key: [(t["id"], t["name"]) for t in part["total"]] for key, part in found.items()} == {
        "projects": [(project, "loads/one")],
        "users": [(server.user_id, "tester")],
        "queues": [(queue["id"], "default")],
    }
    (series,) = found["queues"]["series"]
    assert series["duration"] == pytest.approx([1800, 5400], abs=30)
    assert series["dates"][1] - series["dates"][0] == 86400
    with_local = server.call(
        "organization.get_project_workloads",
        **asked | {"projects": ["*"], "include_development": True, "breakdown_keys": ["queue"]},
    )
    totals = {t["id"]: t["duration"] for t in with_local["queues"]["total"]}
    assert totals[queue["id"]] == pytest.approx(7200, abs=60)
    assert totals[None] == pytest.approx(7200, abs=60)  # it runs until now, and came from no queue
    unmeasured = server.call("organization.get_project_workloads", **asked | {"usage_fields": ["gpu_usage"]})
    assert [t["gpu_usage"] for t in unmeasured["users"]["total"]] == [None]
    for bad in ({"from_date": "soon"}, {"from_date": 0}, {"to_date": "then"}):
        answer = server.ask("organization.get_project_workloads", **asked | bad)["meta"]
        assert (answer["result_code"], answer["result_subcode"]) == (400, 12)


def test_runs_of_pipelines_and_versions_of_data_sets_are_counted_as_the_web_app_asks(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The web app 2.5 sends null where it means "-archived", and adds both to what it shows."""
    for kind, tag in (("pipelines", "pipeline"), ("datasets", "dataset")):
        folder = server.call("projects.create", name=f"runs/.{kind}/nightly", system_tags=["hidden", tag])[
            "id"
        ]
        for tags in ([tag], [tag], [tag, "archived"], []):
            server.call(
                "tasks.create", name="nightly run", type="controller", project=folder, system_tags=tags
            )
    server.call("tasks.create", name="nightly import", type="training", system_tags=["dataset"])
    asked = {"_any_": {"pattern": "nightly", "fields": ["name", "id"]}, "search_hidden": True}
    asked |= {"shallow_search": False}
    with caplog.at_level("WARNING", logger="stackyard_server.calls.unknown"):
        counted = server.call(
            "organization.get_entities_count",
            pipeline_runs=asked | {"system_tags": [None, "pipeline"]},
            dataset_versions=asked | {"system_tags": [None, "dataset"]},
            limit=1,
        )
    assert counted == {"pipeline_runs": 2, "dataset_versions": 3}
    assert caplog.text == ""
    assert server.call("organization.get_entities_count", pipeline_runs=asked) == {"pipeline_runs": 3}
    nothing = {"_any_": {"pattern": "no such", "fields": ["name"]}, "search_hidden": True}
    assert server.call("organization.get_entities_count", dataset_versions=nothing) == {"dataset_versions": 0}


def rows(server: Running, entity: str, **wanted: Any) -> list[str]:
    """The names in a download of what is wanted."""
    id = server.call(
        "organization.prepare_download_for_get_all",
        entity_type=entity,
        field_mappings=[{"field": "name"}],
        **wanted,
    )["prepare_id"]
    status, text = download(server, server.token, id)
    assert status == 200
    return [row[0] for row in csv.reader(io.StringIO(text))][1:]


def test_a_download_is_narrowed_by_each_filter_of_its_list(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    project = server.call("projects.create", name="narrow/here")["id"]
    above = server.call("projects.get_all", name="^narrow$")["projects"][0]["id"]
    for name, more in {"first": {"comment": "said"}, "second": {"type": "testing", "tags": ["x"]}}.items():
        server.call("tasks.create", **{"name": name, "type": "training", "project": project, **more})
    server.call("models.create", name="narrow net", uri="file:///n", project=project, framework="ONNX")
    with caplog.at_level("WARNING", logger="stackyard_server.calls.unknown"):
        assert rows(server, "task", project=[project], order_by=["name"]) == ["first", "second"]
        for wanted in (
            {"name": "^sec"},
            {"tags": ["x"]},
            {"type": ["testing"]},
            {"task_types": ["testing"]},
            {"_any_": {"pattern": "second", "fields": ["name"]}},
            {"_or_": {"pattern": "second", "fields": ["name"]}},
            {"_all_": {"pattern": "second", "fields": ["name"]}},
            {"_and_": {"pattern": "second", "fields": ["name"]}},
            {"filters": {"tags": {"any": {"include": ["x"]}}}},
            {"search_text": "-first"},
        ):
            assert rows(server, "task", project=[project], **wanted) == ["second"], wanted
        assert rows(server, "task", project=[above]) == []
        assert rows(server, "task", project=[above], include_subprojects=True, comment="said") == ["first"]
        assert rows(server, "model", project=[project], framework=["ONNX"]) == ["narrow net"]
        assert rows(server, "model", project=[project], framework=["none"]) == []
    assert caplog.text == ""
    with caplog.at_level("WARNING", logger="stackyard_server.calls.unknown"):
        rows(server, "task", project=[project], framework=["ONNX"])
    assert "'framework'" in caplog.text  # a model's field, which no task has
