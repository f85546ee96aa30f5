"""``projects.*`` as clients see it: the tree, what is in it, moving and deleting."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server.store import Transaction

from ..running import Running, running_server

HOUR = 3600.0


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()
_names = (f"lab{number:03}" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(clock=CLOCK, token_seconds=int(100 * 24 * HOUR)) as running:
        yield running


@pytest.fixture
def root(server: Running) -> str:
    """The name of a root project no other test uses."""
    return next(_names)


def make(server: Running, name: str, **more: Any) -> str:
    id: str = server.call("projects.create", name=name, **more)["id"]
    return id


def make_task(server: Running, project: str, **more: Any) -> str:
    fields = {"name": "a task", "type": "training", **more}
    id: str = server.call("tasks.create", project=project, **fields)["id"]
    return id


def name_of(server: Running, id: str) -> str:
    name: str = server.call("projects.get_by_id", project=id)["project"]["name"]
    return name


def refusal(server: Running, endpoint: str, **data: Any) -> tuple[int, int]:
    meta = server.ask(endpoint, **data)["meta"]
    return meta["result_code"], meta["result_subcode"]


def listed(server: Running, **data: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.call("projects.get_all_ex", **data)["projects"]
    return found


# --- the tree --------------------------------------------------------------------------------------------------------


def test_creating_a_path_creates_its_parents_once(server: Running, root: str) -> None:
    first, second = make(server, f"{root}/mid/one"), make(server, f"{root}/mid/two")
    names = [p["name"] for p in server.call("projects.get_all", name=f"^{root}")["projects"]]
    assert names == [root, f"{root}/mid", f"{root}/mid/one", f"{root}/mid/two"]
    paths = [server.call("projects.get_by_id", project=p)["project"]["path"] for p in (first, second)]
    assert paths[0] == paths[1]
    assert len(paths[0]) == 2


def test_a_taken_name_is_refused(server: Running, root: str) -> None:
    make(server, root)
    assert refusal(server, "projects.create", name=f"/{root}//") == (400, 801)


def test_moving_a_project_renames_everything_below_it(server: Running, root: str) -> None:
    deep = make(server, f"{root}/old/branch/leaf")
    branch = server.call("projects.get_all", name=f"^{root}/old/branch$")["projects"][0]["id"]
    assert server.call("projects.move", project=branch, new_location=f"{root}/new/home")["moved"] == 2
    assert name_of(server, deep) == f"{root}/new/home/branch/leaf"
    path = server.call("projects.get_by_id", project=deep)["project"]["path"]
    ids = {p["name"]: p["id"] for p in server.call("projects.get_all", name=f"^{root}")["projects"]}
    assert path == [ids[n] for n in (root, f"{root}/new", f"{root}/new/home", f"{root}/new/home/branch")]


def test_a_project_cannot_move_below_itself(server: Running, root: str) -> None:
    make(server, f"{root}/inner")
    top = server.call("projects.get_all", name=f"^{root}$")["projects"][0]["id"]
    assert refusal(server, "projects.move", project=top, new_location=f"{root}/inner")[0] == 400
    assert name_of(server, top) == root


@pytest.mark.promise("whole-or-not-at-all")
def test_a_move_that_would_be_too_deep_changes_nothing(server: Running, root: str) -> None:
    leaf = make(server, f"{root}/aaa/bbb/ccc/ddd")
    top = server.call("projects.get_all", name=f"^{root}/aaa$")["projects"][0]["id"]
    there = "/".join([f"{root}-far", *["mmm"] * 6])
    assert refusal(server, "projects.move", project=top, new_location=there) == (400, 409)
    assert name_of(server, leaf) == f"{root}/aaa/bbb/ccc/ddd"
    assert not server.call("projects.get_all", name=f"^{root}-far")["projects"]


def test_an_update_may_change_the_last_part_of_a_name_only(server: Running, root: str) -> None:
    id, below = make(server, f"{root}/data"), make(server, f"{root}/data/below")
    assert refusal(server, "projects.update", project=id, name=f"{root}/elsewhere/data") == (400, 408)
    server.call("projects.update", project=id, name=f"{root}/renamed", tags=["b", "a", "b"])
    project = server.call("projects.get_by_id", project=id)["project"]
    assert (project["basename"], project["tags"]) == ("renamed", ["a", "b"])
    assert name_of(server, below) == f"{root}/renamed/below"


def test_merging_takes_contents_along_and_removes_the_merged(server: Running, root: str) -> None:
    source, target = make(server, f"{root}/source"), make(server, f"{root}/target")
    child = make(server, f"{root}/source/child")
    task = make_task(server, source)
    model = server.call("models.create", name="a model", uri="file:///m", project=source)["id"]
    answer = server.call("projects.merge", project=source, destination_project=target)
    assert answer == {"moved_entities": 2, "moved_projects": 1}
    assert name_of(server, child) == f"{root}/target/child"
    assert refusal(server, "projects.get_by_id", project=source) == (400, 401)
    assert server.call("tasks.get_by_id", task=task)["task"]["project"] == target
    assert server.call("models.get_by_id", model=model)["model"]["project"] == target


# --- deleting --------------------------------------------------------------------------------------------------------


def test_a_project_with_live_tasks_is_deleted_by_force_only_and_its_tasks_stay(
    server: Running, root: str
) -> None:
    id = make(server, f"{root}/work")
    task = make_task(server, id)
    top = server.call("projects.get_all", name=f"^{root}$")["projects"][0]["id"]
    assert server.call("projects.validate_delete", project=top)["non_archived_tasks"] == 1
    assert refusal(server, "projects.delete", project=top) == (400, 402)
    answer = server.call("projects.delete", project=top, force=True)
    assert (answer["deleted"], answer["disassociated_tasks"], answer["urls"]) == (2, 1, None)
    assert "project" not in server.call("tasks.get_by_id", task=task)["task"]


def test_deleting_with_contents_names_every_file(server: Running, root: str) -> None:
    id = make(server, f"{root}/work")
    artifacts = [
        {"key": "data", "type": "custom", "uri": "http://files/data.zip"},
        {"key": "taken", "type": "custom", "uri": "http://files/somebody's.zip", "mode": "input"},
    ]
    task = make_task(server, id, execution={"artifacts": artifacts})
    server.call("models.create", name="free model", uri="http://files/free.pt", project=id)
    server.call(
        "models.create", name="own model", uri="http://files/own.pt", project=id, task=task, ready=False
    )
    answer = server.call("projects.delete", project=id, force=True, delete_contents=True)
    assert (answer["deleted_tasks"], answer["deleted_models"]) == (1, 2)
    assert answer["urls"]["artifact_urls"] == ["http://files/data.zip"]
    assert sorted(answer["urls"]["model_urls"]) == ["http://files/free.pt", "http://files/own.pt"]
    assert refusal(server, "tasks.get_by_id", task=task) == (400, 101)


@pytest.mark.parametrize("of", ["task", "model", "project below"])
def test_what_is_public_inside_keeps_a_project_from_being_deleted(
    server: Running, root: str, of: str
) -> None:
    """Nothing at all is deleted then."""
    id = make(server, f"{root}/outer")
    below = make(server, f"{root}/outer/below")
    tasks = [make_task(server, id) for _ in range(20)]
    model = server.call("models.create", name="a model", uri="http://f/m.pt", project=id)["id"]
    service, public = {"task": ("tasks", tasks[-1]), "model": ("models", model)}.get(of, ("projects", below))
    server.call(f"{service}.make_public", ids=[public])
    assert refusal(server, "projects.delete", project=id, force=True, delete_contents=True)[0] == 400
    assert len(server.call("tasks.get_all", project=[id])["tasks"]) == 20
    server.call(f"{service}.make_private", ids=[public])
    gone = server.call("projects.delete", project=id, force=True, delete_contents=True)
    assert (gone["deleted"], gone["deleted_tasks"], gone["deleted_models"]) == (2, 20, 1)


# --- lists and statistics --------------------------------------------------------------------------------------------


def test_hidden_projects_show_only_when_asked_for(server: Running, root: str) -> None:
    make(server, f"{root}/seen")
    make(server, f"{root}/.pipelines", system_tags=["hidden"])
    top = server.call("projects.get_all", name=f"^{root}$")["projects"][0]["id"]
    assert [p["basename"] for p in listed(server, parent=[top])] == ["seen"]
    everything = listed(server, parent=[top], search_hidden=True)
    assert [(p["basename"], p.get("hidden")) for p in everything] == [("seen", None), (".pipelines", True)]


def test_statistics_count_the_tasks_of_a_project_and_below(server: Running, root: str) -> None:
    top, below = make(server, root), make(server, f"{root}/below")
    make(server, f"{root}/hidden one", system_tags=["hidden"])
    done = make_task(server, below)
    server.call("tasks.started", task=done)
    CLOCK.now += 90
    server.call("tasks.completed", task=done)
    make_task(server, top)
    archived = make_task(server, top)
    server.call("tasks.archive_many", ids=[archived])
    project = listed(server, id=[top], include_stats=True, check_own_contents=True)[0]
    active = project["stats"]["active"]
    assert {s: n for s, n in active["status_count"].items() if n} == {"completed": 1, "created": 1}
    assert (active["total_tasks"], active["total_runtime"], active["completed_tasks_24h"]) == (2, 90, 1)
    assert active["last_task_run"] is not None
    assert project["sub_projects"] == [{"id": below, "name": f"{root}/below"}]
    assert (project["own_tasks"], project["own_models"]) == (1, 0)
    away = listed(server, id=[top], include_stats=True, stats_for_state="archived")[0]["stats"]["archived"]
    assert away["total_tasks"] == 1
    CLOCK.now += 25 * HOUR
    later = listed(server, id=[top], include_stats=True)[0]["stats"]["active"]
    assert (later["completed_tasks_24h"], later["status_count"]["completed"]) == (0, 1)


def test_what_was_last_worked_in_comes_first(server: Running, root: str) -> None:
    first, second = make(server, f"{root}/first"), make(server, f"{root}/second")
    task = make_task(server, first)
    CLOCK.now += 1
    make_task(server, second)

    def order() -> list[str]:
        return [p["id"] for p in listed(server, name=f"^{root}/", order_by=["featured", "-last_update"])]

    assert order() == [second, first]
    CLOCK.now += 1
    server.call("tasks.started", task=task)
    assert order() == [first, second]


def test_statistics_follow_the_filter(server: Running, root: str) -> None:
    top = make(server, root)
    make_task(server, top, type="controller", system_tags=["pipeline"])
    make_task(server, top)

    def total(**filter: Any) -> int:
        found = listed(server, id=[top], include_stats=True, include_stats_filter=filter)
        number: int = found[0]["stats"]["active"]["total_tasks"]
        return number

    assert total() == 2
    assert total(system_tags=["pipeline"], type=["controller"]) == 1
    assert total(system_tags=["-pipeline"]) == 1


def test_overviews_of_a_kind_count_that_kind_alone(server: Running, root: str) -> None:
    top = make(server, root)
    make_task(server, top)
    for kind, marks in (("pipeline", ["t1"]), ("dataset", ["t2"])):
        name = f"{root}/.{kind}s/one"
        folder = make(server, name, system_tags=["hidden", kind], tags=marks)
        server.call("projects.update", project=parent_of(server, folder), system_tags=["hidden"])
        of_kind = {"pipeline": "controller", "dataset": "data_processing"}[kind]
        make_task(server, folder, type=of_kind, system_tags=[kind])
        make_task(server, folder)
    for number in range(3):
        server.call("reports.create", name=f"report {number}", project=top, tags=["t3"])

    def overview(kind: str, **more: Any) -> dict[str, Any] | None:
        asked = {
            "children_type": kind,
            "include_stats": True,
            "check_own_contents": True,
            "id": [top],
            **more,
        }
        return next(iter(listed(server, **asked)), None)

    for kind, number, tag in (("pipeline", 1, "t1"), ("dataset", 1, "t2"), ("report", 3, "t3")):
        found = overview(kind)
        assert found is not None
        assert found["stats"]["active"]["total_tasks"] == number
        assert found["sub_projects"] == []
        assert overview(kind, children_tags=[tag]) is not None
        assert overview(kind, children_tags=["no such tag"]) is None
        assert overview(kind, children_tags=["__$not", tag]) is None
        assert overview(kind, children_tags_filter={"any": {"include": [tag]}}) is not None
        assert overview(kind, children_tags_filter={"any": {"exclude": [tag]}}) is None
    found = overview("dataset")
    assert found is not None
    assert (found["stats"]["datasets"], found["own_datasets"]) == ({"count": 1, "tags": ["t2"]}, 1)
    assert "own_datasets" not in listed(server, id=[top], check_own_contents=True)[0]


def parent_of(server: Running, id: str) -> str:
    parent: str = server.call("projects.get_by_id", project=id)["project"]["parent"]
    return parent


def test_a_project_says_by_what_it_is_kept(server: Running, root: str) -> None:
    """Each kind of contents that is not archived has a code of its own."""
    for kind, code in (("tasks", 402), ("models", 405), ("dataset", 406), ("pipeline", 413)):
        project = make(server, f"{root}/{kind}", system_tags=[kind] if code > 405 else [])
        if kind == "models":
            server.call("models.create", name="kept", uri=f"http://f/{root}", project=project)
        else:
            make_task(server, project)
        assert refusal(server, "projects.delete", project=project) == (400, code)
        assert server.call("projects.delete", project=project, force=True)["deleted"] == 1


def test_menus_offer_what_was_asked_for(server: Running, root: str) -> None:
    top = make(server, root)
    entry = {"section": "Args", "name": "lr"}
    for value in ("0.1", "0.2", "1.0"):
        make_task(server, top, hyperparams={"Args": {"lr": {**entry, "value": value}}})
    asked = {"projects": [top], "section": "Args", "name": "lr"}
    values = "projects.get_hyperparam_values"
    assert server.call(values, **asked, pattern="^0") == {"total": 2, "values": ["0.1", "0.2"]}
    assert server.call(values, **asked, page=1, page_size=2) == {"total": 3, "values": ["1.0"]}
    assert server.ask(values, **asked, pattern="[")["meta"]["result_subcode"] == 21
    for name in ("first parent", "second parent"):
        make_task(server, top, parent=make_task(server, top, name=name))
    found = server.call("projects.get_task_parents", projects=[top], task_name="^first")["parents"]
    assert [parent["name"] for parent in found] == ["first parent"]


def test_what_is_public_is_nobodys_to_change(server: Running, root: str) -> None:
    project = make(server, root)
    task = make_task(server, project)
    model = server.call("models.create", name="a model", uri="http://f/public")["id"]
    for service, id, field, code in (
        ("projects", project, "description", 401),
        ("tasks", task, "comment", 101),
        ("models", model, "comment", 201),
    ):
        one = service.removesuffix("s")
        assert server.call(f"{service}.make_private", ids=[id]) == {"updated": 0}
        assert server.call(f"{service}.make_public", ids=[id]) == {"updated": 1}
        assert refusal(server, f"{service}.update", **{one: id, field: "changed"}) == (400, code)
        assert refusal(server, f"{service}.delete", **{one: id, "force": True}) == (400, code)
        assert server.call(f"{service}.get_by_id", **{one: id})[one]["id"] == id
        assert server.call(f"{service}.make_private", ids=[id]) == {"updated": 1}
        assert server.call(f"{service}.update", **{one: id, field: "changed"})["updated"] == 1


def test_the_number_of_statements_does_not_grow_with_the_list(
    server: Running, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        make_task(server, make(server, f"{root}/sub{number:02}"))
    seen: list[str] = []
    whole = Transaction.all

    def counting(self: Transaction, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        seen.append(sql)
        return whole(self, sql, parameters)

    monkeypatch.setattr(Transaction, "all", counting)
    needed = []
    for limit in (2, 12):
        seen.clear()
        found = listed(
            server, name=f"^{root}/", page_size=limit, include_stats=True, check_own_contents=True,
            include_dataset_stats=True,
        )  # fmt: skip
        assert len(found) == limit
        needed.append(len(seen))
    assert needed[0] == needed[1]


def test_dataset_sizes_are_those_of_the_newest_version(server: Running, root: str) -> None:
    id = make(server, f"{root}/.datasets/words", system_tags=["dataset", "hidden"])
    for files in (2, 4):
        runtime = {"ds_file_count": files, "ds_total_size": files * 10}
        task = make_task(server, id, type="data_processing", system_tags=["dataset"])
        server.call("tasks.edit", task=task, runtime=runtime, force=True)
        CLOCK.now += 1
    found = listed(server, id=[id], include_dataset_stats=True)[0]
    assert found["dataset_stats"] == {"file_count": 4, "total_size": 40}


def test_children_type_keeps_what_leads_there(server: Running, root: str) -> None:
    make(server, f"{root}/pipes/.pipelines/nightly", system_tags=["hidden", "pipeline"])
    make(server, f"{root}/plain")
    top = server.call("projects.get_all", name=f"^{root}$")["projects"][0]["id"]
    found = listed(server, parent=[top], children_type="pipeline", shallow_search=True)
    assert [p["basename"] for p in found] == ["pipes"]


# --- what is in them -------------------------------------------------------------------------------------------------


def test_menus_offer_what_the_tasks_of_a_project_have(server: Running, root: str) -> None:
    top, below = make(server, root), make(server, f"{root}/below")
    parameter = {"section": "General", "name": "a.b/c $d", "value": "7"}
    parent = make_task(server, below, name="the parent", hyperparams={"General": {"a.b/c $d": parameter}})
    make_task(server, top, tags=["red", "blue"], parent=parent)
    assert server.call("projects.get_task_tags", projects=[top])["tags"] == ["blue", "red"]
    found = server.call("projects.get_hyper_parameters", project=top)
    assert found["parameters"] == [{"section": "General", "name": "a.b/c $d"}]
    values = server.call("projects.get_hyperparam_values", projects=[top], section="General", name="a.b/c $d")
    assert values == {"total": 1, "values": ["7"]}
    parents = server.call("projects.get_task_parents", projects=[top])["parents"]
    assert [(p["id"], p["project"]["name"]) for p in parents] == [(parent, f"{root}/below")]
    names = server.call("projects.get_user_names", projects=[top], entity="task")["users"]
    assert [user["id"] for user in names] == [server.user_id]
    empty = make(server, f"{root}-empty")
    assert server.call("projects.get_user_names", projects=[empty])["users"] != []
    assert server.call("projects.get_user_names", projects=[empty], entity="task")["users"] == []


def test_project_tags_follow_the_filter(server: Running, root: str) -> None:
    make(server, f"{root}/data", tags=[f"{root}-words"], system_tags=["dataset"])
    make(server, f"{root}/other", tags=[f"{root}-other"])
    answer = server.call("projects.get_project_tags", filter={"system_tags": ["dataset"]})
    assert f"{root}-words" in answer["tags"]
    assert f"{root}-other" not in answer["tags"]
    assert answer["system_tags"] == []
    assert "system_tags" not in server.call("projects.get_project_tags")


def test_metric_variants_carry_the_hashes_clients_compute(server: Running, root: str) -> None:
    top = make(server, root)
    task = make_task(server, top)
    line = {
        "type": "training_stats_scalar",
        "task": task,
        "iter": 1,
        "metric": "loss",
        "variant": "a",
        "value": 1.5,
    }
    server.call_lines("events.add_batch", [line])
    found = server.call("projects.get_unique_metric_variants", project=top)["metrics"]
    assert found == [
        {
            "metric": "loss",
            "metric_hash": "81513effdf5790b79549208838404407",
            "variant": "a",
            "variant_hash": "0cc175b9c0f1b6a831c399e269772661",
        }
    ]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "data"),
    [
        ("projects.create", {"name": 5}),
        ("projects.create", {"name": "fine", "tags": "no list"}),
        ("projects.get_all_ex", {"children_type": ["pipeline"]}),
        ("projects.get_all_ex", {"include_stats": True, "include_stats_filter": ["no", "dict"]}),
        ("projects.get_all_ex", {"include_stats": True, "include_stats_filter": {"name": 7}}),
        ("projects.get_user_names", {"projects": "one"}),
        ("projects.get_project_tags", {"filter": []}),
        ("projects.get_hyper_parameters", {"page": "zero"}),
        ("projects.get_hyperparam_values", {"section": "General"}),
        ("projects.move", {"project": "nope", "new_location": "abc"}),
        ("projects.merge", {"project": "nope"}),
        ("projects.delete", {"project": "nope", "force": True}),
        ("projects.validate_delete", {"project": "nope"}),
        ("projects.make_public", {}),
    ],
)
def test_bad_requests_are_refused_in_the_envelope(
    server: Running, endpoint: str, data: dict[str, Any]
) -> None:
    assert refusal(server, endpoint, **data)[0] == 400


def test_public_projects_belong_to_no_company_until_they_are_private_again(
    server: Running, root: str
) -> None:
    id = make(server, root)
    company = server.call("projects.get_by_id", project=id)["project"]["company"]
    assert server.call("projects.make_public", ids=[id])["updated"] == 1
    assert server.call("projects.get_by_id", project=id)["project"]["company"] == ""
    assert server.call("projects.make_private", ids=[id])["updated"] == 1
    assert server.call("projects.get_by_id", project=id)["project"]["company"] == company


@pytest.mark.parametrize("name", ["/slashed/lead", "slashed//inner", "/slashed/ both /"])
def test_a_project_is_found_under_the_name_it_was_made_with(server: Running, name: str) -> None:
    """The SDK asks for the exact name before it makes a project, at each ``Task.init``."""
    made = server.call("projects.create", name=name)["id"]
    for endpoint in ("projects.get_all", "projects.get_all_ex"):
        found = server.call(endpoint, name=f"^{re.escape(name)}$", search_hidden=True)["projects"]
        assert [project["id"] for project in found] == [made]
