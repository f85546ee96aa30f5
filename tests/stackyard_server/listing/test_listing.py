"""``listing`` over HTTP: pages and scrolls, what of a document is shown, joins; nothing leaks, nothing breaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server import listing
from stackyard_server.store.documents import MODEL, TASK

from ..running import Running, running_server


class Clock:
    """A clock that tests set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


clock = Clock()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(clock=clock) as running:
        fill(running)
        yield running


def fill(server: Running) -> None:
    """Thirty tasks in a project, the last two with a parent and models."""
    server.call("projects.create", name="list/one", description="d")
    made = server.call("projects.get_all", name="^list/one$")["projects"][0]["id"]
    first = ""
    for number in range(30):
        more: dict[str, Any] = {"parent": first} if number >= 28 else {}
        params = {"Args": {"a.b": {"section": "Args", "name": "a.b", "value": str(number)}}}
        task = server.call(
            "tasks.create",
            name=f"task {number:02d}",
            type="training",
            project=made,
            hyperparams=params,
            **more,
        )["id"]
        first = first or task
    with server.store.writing() as tx:
        MODEL.insert(
            tx, {"id": "m1", "name": "net", "framework": "PyTorch", "uri": "file:///m", "user": "gone"}
        )
        models = {"input": [{"name": "in", "model": "m1"}, {"name": "lost", "model": "m2"}], "output": []}
        TASK.update(tx, first, {"models": models})


def names(answer: dict[str, Any]) -> list[str]:
    return [task["name"].removeprefix("task ") for task in answer["tasks"]]


@pytest.mark.promise("paged-by-position")
def test_pages_follow_each_other_until_a_short_one(server: Running) -> None:
    pages = [
        server.call(
            "tasks.get_all", name="^task", page=page, page_size=12, order_by=["-name"], only_fields=["name"]
        )
        for page in range(4)
    ]
    assert [len(page["tasks"]) for page in pages] == [12, 12, 6, 0]
    assert [name for page in pages for name in names(page)] == [f"{n:02d}" for n in reversed(range(30))]


def test_no_answer_holds_more_than_500(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listing.MOST == 500
    monkeypatch.setattr(listing, "MOST", 20)
    assert len(server.call("tasks.get_all", name="^task", only_fields=["id"])["tasks"]) == 20
    assert (
        len(server.call("tasks.get_all", name="^task", page_size=100_000, only_fields=["id"])["tasks"]) == 20
    )


@pytest.mark.parametrize(
    "paging", [{"page": "0"}, {"page": -1}, {"page_size": 0}, {"page_size": 1.5}, {"page": True}]
)
def test_paging_of_a_wrong_type_is_refused(server: Running, paging: dict[str, Any]) -> None:
    meta = server.ask("v2.34/tasks.get_all", **{"page": 0, "page_size": 5, **paging})["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (400, 12)
    assert next(iter(paging)) in meta["result_msg"]


def scroll(server: Running, **data: Any) -> dict[str, Any]:
    return server.call(
        "v999.0/tasks.get_all_ex", **{"name": "^task", "only_fields": ["name"], "size": 8, **data}
    )


def test_a_scroll_goes_on_where_it_stood(server: Running) -> None:
    first = scroll(server, scroll_id=None, order_by=["name"])
    id = first["scroll_id"]
    more = [scroll(server, scroll_id=id, order_by=["name"]) for _ in range(4)]
    assert [len(part["tasks"]) for part in [first, *more]] == [8, 8, 8, 6, 0]
    assert {part["scroll_id"] for part in more} == {id}
    assert [n for part in [first, *more] for n in names(part)] == [f"{n:02d}" for n in range(30)]


def test_refreshing_a_scroll_reads_what_was_read_again(server: Running) -> None:
    id = scroll(server, scroll_id=None, order_by=["name"])["scroll_id"]
    scroll(server, scroll_id=id, order_by=["name"])
    again = scroll(server, scroll_id=id, order_by=["name"], refresh_scroll=True)
    assert (names(again), again["scroll_id"]) == ([f"{n:02d}" for n in range(16)], id)
    assert names(scroll(server, scroll_id=id, order_by=["name"]))[0] == "16"


def test_without_the_key_there_is_no_scroll(server: Running) -> None:
    answer = server.call("v999.0/tasks.get_all_ex", name="^task", only_fields=["name"], size=8)
    assert "scroll_id" not in answer
    assert len(answer["tasks"]) == 30


def test_an_unknown_or_forgotten_scroll_starts_again(server: Running) -> None:
    assert len(scroll(server, scroll_id="bogus")["tasks"]) == 8
    id = scroll(server, scroll_id=None, order_by=["name"])["scroll_id"]
    clock.ahead += 601
    again = scroll(server, scroll_id=id, order_by=["name"])
    assert again["scroll_id"] != id
    assert names(again)[0] == "00"


def test_scrolls_are_bounded_and_their_owners_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_SCROLLS", 10)
    scrolls = listing.Places()
    for number in range(50):
        scrolls.move(str(number), "ada", number, 0)
    assert [scrolls.position(str(n), "ada", 0) for n in (0, 39, 40, 49)] == [None, None, 40, 49]
    assert scrolls.position("49", "bob", 0) is None
    scrolls.move("new", "ada", 1, listing.SCROLL_LIFE_MS + 1)
    assert scrolls.position("49", "ada", listing.SCROLL_LIFE_MS + 1) is None
    for number in range(5):
        scrolls.move(f"bob {number}", "bob", number, listing.SCROLL_LIFE_MS + 1)
    for number in range(50):
        scrolls.move(f"ada {number}", "ada", number, listing.SCROLL_LIFE_MS + 1)
    assert scrolls.position("bob 0", "bob", listing.SCROLL_LIFE_MS + 1) == 0, "nobody pushes out others'"


def test_only_what_is_asked_for_is_shown(server: Running) -> None:
    plain = server.call(
        "tasks.get_all", name="^task 00$", only_fields=["name", "execution.queue", "hyperparams.Args.a.b"]
    )
    entry = {"section": "Args", "name": "a.b", "value": "0"}
    assert plain["tasks"] == [{"name": "task 00", "execution": {}, "hyperparams": {"Args": {"a.b": entry}}}]
    value = server.call("tasks.get_all", name="^task 00$", only_fields=["hyperparams.Args.a%2Eb.value"])
    assert value["tasks"] == [{"hyperparams": {"Args": {"a.b": {"value": "0"}}}}]


def test_leaving_fields_out(server: Running) -> None:
    task = server.call(
        "tasks.get_all", name="^task 00$", only_fields=["*", "-hyperparams", "-execution.parameters"]
    )
    assert "name" in task["tasks"][0]
    assert "hyperparams" not in task["tasks"][0]
    assert "parameters" not in task["tasks"][0]["execution"]


def test_joins_are_objects_in_ex_only(server: Running) -> None:
    fields = [
        "project.name",
        "parent.name",
        "parent.project.name",
        "user.name",
        "company.name",
        "models.input.model.name",
    ]
    task = server.call("v999.0/tasks.get_all_ex", name="^task 29$", only_fields=fields)["tasks"][0]
    assert task["project"]["name"] == "list/one"
    assert task["parent"]["name"] == "task 00"
    assert task["parent"]["project"] == task["project"]
    assert task["user"] == {"id": server.user_id, "name": "tester"}
    assert set(task["company"]) == {"id", "name"}
    first = server.call("v999.0/tasks.get_all_ex", name="^task 00$", only_fields=fields)["tasks"][0]
    assert "parent" not in first
    assert [m["model"] for m in first["models"]["input"]] == [{"id": "m1", "name": "net"}, {"id": "m2"}]
    meta = server.ask("tasks.get_all", only_fields=["project.name"])["meta"]
    assert (meta["result_subcode"], meta["result_msg"].rpartition("=")[2]) == (
        14,
        'Cannot resolve field "name"',
    )


def test_ordering_by_what_a_reference_leads_to(server: Running) -> None:
    answer = server.call(
        "v999.0/tasks.get_all_ex", order_by=["-parent.name", "name"], page_size=3, only_fields=["name"]
    )
    assert names(answer) == ["28", "29", "00"]


def test_by_id_ex_shows_what_was_asked_for_in_that_order(server: Running) -> None:
    ids = [
        t["id"]
        for t in server.call("tasks.get_all", name="^task 0[12]$", order_by=["-name"], only_fields=["id"])[
            "tasks"
        ]
    ]
    answer = server.call("v999.0/tasks.get_by_id_ex", id=[*ids, "gone"], only_fields=["name"])
    assert answer["tasks"] == [{"id": ids[0], "name": "task 02"}, {"id": ids[1], "name": "task 01"}]


@pytest.mark.parametrize(
    "field", ["password", "login", "user.password", "parent.user.password", "entries", ""]
)
def test_private_fields_are_no_fields(server: Running, field: str) -> None:
    for call in ("tasks.get_all_ex", "users.get_all_ex"):
        meta = server.ask(f"v999.0/{call}", only_fields=[field])["meta"]
        assert (meta["result_code"], meta["result_subcode"]) == (400, 14), call
        meta = server.ask(f"v999.0/{call}", order_by=[field])["meta"]
        assert (meta["result_code"], meta["result_subcode"]) == (400, 14), call


def test_private_fields_cannot_be_guessed_by_filtering(server: Running) -> None:
    everyone = server.call("users.get_all")["users"]
    assert server.call("users.get_all", role=["nobody"], password=["x"], login="x")["users"] == everyone


NASTY = [
    "'",
    '"',
    "\\",
    "') OR 1=1 --",
    '"; DROP TABLE task; --',
    "$",
    "[0]",
    "a\x00b",
    "%",
    "\u2028",
    "d.id",
    "#-1",
]


@pytest.mark.parametrize("name", NASTY)
def test_names_of_parameters_are_data(server: Running, name: str) -> None:
    params = {"Args": {name: {"section": "Args", "name": name, "value": "here"}}}
    id = server.call("tasks.create", name="nasty", type="training", hyperparams=params)["id"]
    path = f"hyperparams.Args.{name}.value"
    found = server.call(
        "tasks.get_all", **{path: ["here"], "only_fields": ["id", path], "order_by": [f"-{path}"]}
    )
    shown = {"id": id, "hyperparams": {"Args": {name: {"value": "here"}}}}
    assert shown in found["tasks"]
    assert all(t["hyperparams"] for t in found["tasks"])
    pattern = {"fields": [path], "pattern": "^here$"}
    assert id in [t["id"] for t in server.call("tasks.get_all", _any_=pattern, only_fields=["id"])["tasks"]]


@pytest.mark.parametrize(
    "data",
    [
        {"only_fields": [f"a{n}" for n in range(5000)]},
        {"only_fields": ["parent." * 40 + "name"]},
        {"only_fields": ["parent." * 20 + "name"]},
        {"only_fields": [{"a": 1}]},
        {"only_fields": {"name": 1}},
        {"order_by": ["hyperparams." + "a." * 100 + "b"]},
        {"tags": ["__$any", *(f"-{n}" for n in range(3000))]},
        {"_any_": {"pattern": "x", "fields": ["name"] * 2000}},
        {"name": "(" * 5000},
        {"scroll_id": 1, "size": 5},
        {"id": ["x"] * 10, "size": "5", "scroll_id": None},
    ],
    ids=lambda data: str(data)[:40],
)
def test_too_much_is_refused_in_the_envelope(server: Running, data: dict[str, Any]) -> None:
    assert server.ask("v999.0/tasks.get_all_ex", **data)["meta"]["result_code"] == 400


def test_much_is_answered(server: Running) -> None:
    ids = [f"{n:032x}" for n in range(20_000)]
    assert server.call("tasks.get_all", id=ids)["tasks"] == []
    assert len(server.call("tasks.get_all", name="^task", tags=[f"-{n}" for n in range(3000)])["tasks"]) == 30
    assert server.call("tasks.get_all", search_text="task " * 50_000)["tasks"]
    assert server.call("tasks.get_all", name="^task", page=2**62)["tasks"] == []
    assert server.call("tasks.get_all", last_iteration=[2**70, None])["tasks"] == []


def test_readers_in_many_threads_share_one_memory_of_scrolls(server: Running) -> None:
    ids: list[str] = []

    def read() -> None:
        ids.append(scroll(server, scroll_id=None)["scroll_id"])

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 12
    assert all(len(scroll(server, scroll_id=id)["tasks"]) == 8 for id in ids)
