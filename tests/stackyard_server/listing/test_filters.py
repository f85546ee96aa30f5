"""``listing.filters``: what a request's filters and order find, against a plain reading of them, and at which cost."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stackyard_server.calls import refusals
from stackyard_server.listing.filters import asked, keys_of
from stackyard_server.protocol.error_table import ApiError
from stackyard_server.store import Store, Transaction, condition, parameters, query
from stackyard_server.store.documents import PROJECT, TASK, USER
from stackyard_server.store.query import Query
from tests.counts import examples

LOSS = "0" * 32, "1" * 32
BY_LOSS = f"last_metrics.{LOSS[0]}.{LOSS[1]}.value"
LEAST_LOSS = BY_LOSS.replace("value", "min_value")
STATUSES = ("created", "in_progress", "completed")
TAGS = ((), ("a",), ("a", "b"), ("b", "c"))
SYSTEM_TAGS = ((), ("archived",), ("development",), ())


def document(number: int) -> dict[str, Any]:
    """One of the tasks all these tests look for."""
    task: dict[str, Any] = {
        "id": f"t{number:02d}",
        "user": "u1",
        "name": f"run {number:02d}" + (" über" if number == 5 else ""),
        "type": "training" if number % 2 else "testing",
        "status": STATUSES[number % 3],
        "tags": list(TAGS[number % 4]),
        "system_tags": list(SYSTEM_TAGS[number % 4 if number > 3 else 0]),
        "project": f"p{number % 5}",
        "created": 1_000_000 + number,
        "last_update": 2_000_000 - 1000 * (number % 7),
        "last_iteration": number,
        "hyperparams": {
            "Args": {
                "a.b": {"name": "a.b", "value": str(number)},
                'q"': {"value": "x"},
                "long": {"value": "x" * (190 + 5 * (number * 7 % 11))},
            }
        },
        "models": {"input": [{"name": "in", "model": f"m{number % 3}"}, "odd"], "output": []},
        "execution": {"queue": "q1"} if number % 3 else {},
        "runtime": {"n": 5},
    }
    if number % 4:
        task["comment"] = f"c{number % 6}"
    if number % 6 == 0:
        del task["last_update"]
    return task


DOCUMENTS = [document(number) for number in range(24)]


def loss(number: int) -> float | None:
    """The newest value of a task's loss; some have none."""
    return None if number % 5 == 0 else float((number * 7) % 24)


@pytest.fixture(scope="module", params=["documents", "kept values"])
def tx(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transaction]:
    """All of them; parameters are looked for in the documents, and in the values that are kept."""
    store = Store(tmp_path_factory.mktemp("store") / "data")
    with store.writing() as writing:
        USER.insert(writing, {"id": "u1", "name": "Zoe", "role": "user", "password": "secret"})
        for number in range(5):
            parent = f"p{number - 1}" if number else None
            name = "/".join(f"p{n}" for n in range(number + 1))
            hidden = ["hidden"] if number == 4 else []
            PROJECT.insert(
                writing, {"id": f"p{number}", "name": name, "parent": parent, "system_tags": hidden}
            )
        for number, task in enumerate(DOCUMENTS[:12]):
            TASK.insert(writing, task)
            add_metric(writing, task["id"], loss(number))
    if request.param == "kept values":
        keep(store, *(f"hyperparams.Args.{name}.value" for name in ("a.b", "none", "long")))
    with store.writing() as writing:
        for number, task in enumerate(DOCUMENTS[12:], start=12):
            TASK.insert(writing, task)
            add_metric(writing, task["id"], loss(number))
    with store.reading() as reading:
        yield reading
    store.close()


def keep(store: Store, *names: str) -> None:
    """Have the values of these parameters kept."""
    for name in names:
        store.wanted.ask(condition.json_path(keys_of(name)[1:]) or "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "FROM_TASKS", 1)
        keeper = parameters.Keeper(store)
        while keeper.step():
            pass
    with store.reading() as tx:
        assert tx.value("SELECT count(*) FROM parameter WHERE filled>=last") == len(names)


def add_metric(tx: Transaction, owner: str, value: float | None) -> None:
    if value is not None:
        sql = (
            "INSERT INTO metric(owner, metric_hash, variant_hash, metric, variant, value, min_value, max_value, "
            "count, total, finite) VALUES (?, ?, ?, 'loss', 'train', ?, ?, ?, 1, ?, 1)"
        )
        tx.run(sql, (owner, *LOSS, value, value, -value, value))


@pytest.fixture(params=[0, 1000], ids=["along the order", "few rows first"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which rows are found."""
    monkeypatch.setattr(query, "FEW", request.param)


def wanted(data: dict[str, Any], collection: Any = TASK) -> Query:
    references = {"user": USER, "project": PROJECT} if collection is TASK else {}
    with refusals.told():
        return asked(collection, data, references)


def find(tx: Transaction, data: dict[str, Any], limit: int = 500, offset: int = 0) -> list[int]:
    """The numbers (from 0) of the tasks that are found, in order."""
    return [n - 1 for n in wanted(data).numbers(tx, limit, offset)]


def those(test: Any) -> list[int]:
    return [number for number, task in enumerate(DOCUMENTS) if test(task)]


FOUND: list[tuple[dict[str, Any], Any]] = [
    ({}, lambda t: True),
    ({"name": "run 0[12]"}, lambda t: t["name"] in ("run 01", "run 02")),
    ({"name": "^run 1"}, lambda t: t["name"].startswith("run 1")),
    ({"name": "RUN"}, lambda t: False),
    ({"name": "run .*7$"}, lambda t: t["name"].endswith("7")),
    ({"name": "ru?n? *x*0[1]{1}"}, lambda t: t["name"] == "run 01"),
    ({"name": "^run\\ 03$|^run\\ 04$"}, lambda t: t["name"] in ("run 03", "run 04")),
    ({"comment": "c1"}, lambda t: t.get("comment") == "c1"),
    ({"type": ["-training"]}, lambda t: t["type"] != "training"),
    ({"type": ["TRAINING"]}, lambda t: t["type"] == "training"),
    ({"status": ["created", "completed"]}, lambda t: t["status"] != "in_progress"),
    ({"tags": ["a", "-b"]}, lambda t: t["tags"] == ["a"]),
    ({"tags": [None]}, lambda t: not t["tags"]),
    ({"tags": ["__$not", None]}, lambda t: t["tags"]),
    ({"tags": [None, "c"]}, lambda t: not t["tags"] or "c" in t["tags"]),
    ({"tags": ["__$all", "a", "b"]}, lambda t: t["tags"] == ["a", "b"]),
    ({"tags": ["__$and", "b", "__$not", "a"]}, lambda t: t["tags"] == ["b", "c"]),
    ({"tags": ["__$any", "c", "__$not", "a"]}, lambda t: "c" in t["tags"] or "a" not in t["tags"]),
    ({"tags": ["__$not", "a", "c"]}, lambda t: "c" in t["tags"] and "a" not in t["tags"]),
    ({"tags": []}, lambda t: True),
    ({"system_tags": ["-archived"]}, lambda t: "archived" not in t["system_tags"]),
    ({"filters": {"tags": {"any": {"include": ["a", "c"]}}}}, lambda t: t["tags"]),
    ({"filters": {"tags": {"all": {"include": ["b"], "exclude": ["c"]}}}}, lambda t: t["tags"] == ["a", "b"]),
    ({"parent": "nope"}, lambda t: False),
    ({"id": ["t01", "t07", "gone"]}, lambda t: t["id"] in ("t01", "t07")),
    ({"id": ["-t01"]}, lambda t: t["id"] != "t01"),
    ({"project": ["p1"], "id": ["t01", "t02"]}, lambda t: t["id"] == "t01"),
    ({"project": ["p3"], "include_subprojects": True}, lambda t: t["project"] in ("p3", "p4")),
    ({"project": ["-p3"], "include_subprojects": True}, lambda t: t["project"] not in ("p3", "p4")),
    ({"execution.queue": ["q1"]}, lambda t: t["execution"]),
    ({"execution.queue": [None]}, lambda t: not t["execution"]),
    ({"execution.queue": ["-q1"]}, lambda t: not t["execution"]),
    ({"models.input.model": ["m1"]}, lambda t: t["models"]["input"][0]["model"] == "m1"),
    ({"models.input.model": ["m1", "-m2"]}, lambda t: t["models"]["input"][0]["model"] == "m1"),
    ({"models.output.model": ["m1"]}, lambda t: False),
    ({"hyperparams.Args.a.b.value": ["3", "5"]}, lambda t: t["id"] in ("t03", "t05")),
    ({"hyperparams.Args.a%2Eb.value": ["3"]}, lambda t: t["id"] == "t03"),
    ({'hyperparams.Args.q".value': ["x"]}, lambda t: True),
    ({"hyperparams.Args.q') OR 1=1 --.value": ["x"]}, lambda t: False),
    ({"last_iteration": [3, 5]}, lambda t: 3 <= t["last_iteration"] <= 5),
    ({"last_iteration": [None, 5]}, lambda t: t["last_iteration"] <= 5),
    ({"created": ["1970-01-01T00:16:40.010Z", None]}, lambda t: t["created"] >= 1_000_010),
    ({"created": [">=1970-01-01", "<2099-01-01"]}, lambda t: False),
    ({"last_update": [">1970-01-01T00:33:18"]}, lambda t: t.get("last_update", 0) > 1_998_000),
    ({"last_update": [">=1970-01-01T00:33:18", "<1998.999"]}, lambda t: t.get("last_update") == 1_998_000),
    (
        {"last_update": ["1970-01-01T00:33:17", "1970-01-01T00:33:19"]},
        lambda t: 1_997_000 <= t.get("last_update", 0) <= 1_999_000,
    ),
    ({"last_update": [None, "1970-01-01T00:33:18"]}, lambda t: t.get("last_update", 10**9) <= 1_998_000),
    ({"input.view.entries.dataset": ["x"]}, lambda t: False),
    ({BY_LOSS: [3, 9]}, lambda t: 3 <= (loss(t["last_iteration"]) or 0) <= 9),
    (
        {"_any_": {"pattern": "0?3", "fields": ["name", "comment"]}},
        lambda t: "3" in t["name"] + t.get("comment", ""),
    ),
    (
        {"_all_": {"pattern": "1", "fields": ["name", "comment"]}},
        lambda t: "1" in t["name"] and t.get("comment") == "c1",
    ),
    ({"_any_": {"pattern": "^c$", "fields": ["tags"]}}, lambda t: "c" in t["tags"]),
    (
        {"_any_": {"pattern": "^m1$", "fields": ["models.input.model"]}},
        lambda t: t["last_iteration"] % 3 == 1,
    ),
    ({"_all_": {"pattern": "^7$", "fields": ["hyperparams.Args.a.b.value"]}}, lambda t: t["id"] == "t07"),
    (
        {"_or_": {"fields": ["last_update", "created"], "datetime": [">1970-01-01T00:33:19"]}},
        lambda t: t.get("last_update", 0) > 1_999_000,
    ),
    ({"_any_": {"pattern": "1.?", "fields": ["created", "last_iteration"]}}, lambda t: False),
    ({"_any_": {"pattern": "1", "fields": ["created", "comment"]}}, lambda t: t.get("comment") == "c1"),
    ({"_any_": {"pattern": "^5$", "fields": ["runtime.n"]}}, lambda t: False),
    ({"_any_": {"pattern": "5", "fields": ["runtime.n"]}}, lambda t: False),
    ({"_any_": {"pattern": "5?", "fields": ["runtime.n"]}}, lambda t: False),
    ({"hyperparams": ["x"]}, lambda t: False),
    ({"hyperparams": []}, lambda t: True),
    ({"search_text": "ÜBER"}, lambda t: t["name"] == "run 05 über"),
    ({"search_text": "RUN"}, lambda t: True),
    ({"search_text": "c1 c2"}, lambda t: t.get("comment") in ("c1", "c2")),
    ({"search_text": '"run 1" -c1'}, lambda t: t["name"].startswith("run 1") and t.get("comment") != "c1"),
    ({"search_text": "%"}, lambda t: False),
    ({"search_text": "t07 c1"}, lambda t: t["id"] == "t07" or t.get("comment") == "c1"),
    ({BY_LOSS: [3]}, lambda t: loss(t["last_iteration"]) == 3),
    ({BY_LOSS.replace("value", "max_value"): [-9, -3]}, lambda t: 3 <= (loss(t["last_iteration"]) or 0) <= 9),
    ({BY_LOSS.replace("value", "count"): [1, 1]}, lambda t: loss(t["last_iteration"]) is not None),
    ({"hyperparams.Args.a.b.value": ["-3"]}, lambda t: t["id"] != "t03"),
    ({"hyperparams.Args.a.b.value": ["03", 3]}, lambda t: False),
    ({"hyperparams.Args.none.value": [None]}, lambda t: True),
    ({"no_such_field": ["x"], "password": "secret"}, lambda t: True),
    ({"name": None, "tags": None, "parent": None}, lambda t: True),
]


@pytest.mark.parametrize(("data", "test"), FOUND, ids=[str(data)[:80] for data, _ in FOUND])
@pytest.mark.usefixtures("few")
def test_filters_find_what_they_say(tx: Transaction, data: dict[str, Any], test: Any) -> None:
    assert sorted(find(tx, data)) == those(test)
    assert wanted(data).count(tx) == len(those(test))


@pytest.mark.usefixtures("few")
def test_what_is_hidden_is_found_only_when_asked_for(tx: Transaction) -> None:
    assert [d["id"] for d in projects(tx, {})] == ["p0", "p1", "p2", "p3"]
    assert [d["id"] for d in projects(tx, {"search_hidden": True})][-1] == "p4"
    assert [d["id"] for d in projects(tx, {"id": ["p4"]})] == ["p4"]


@pytest.mark.usefixtures("few")
def test_projects_below_a_project(tx: Transaction) -> None:
    assert [d["id"] for d in projects(tx, {"parent": ["p1"], "search_hidden": True})] == ["p2", "p3", "p4"]
    assert [d["id"] for d in projects(tx, {"parent": ["p1"], "shallow_search": True})] == ["p2"]
    assert [d["id"] for d in projects(tx, {"shallow_search": True})] == ["p0"]


def projects(tx: Transaction, data: dict[str, Any]) -> list[dict[str, Any]]:
    found = wanted(data, PROJECT)
    return found.fetch(tx, found.numbers(tx, 500), ["id"])


# --- order ------------------------------------------------------------------------------------------------------------

KEYS: dict[str, Any] = {
    "name": lambda n: DOCUMENTS[n]["name"],
    "created": lambda n: DOCUMENTS[n]["created"],
    "last_update": lambda n: DOCUMENTS[n].get("last_update"),
    "status": lambda n: DOCUMENTS[n]["status"],
    "comment": lambda n: DOCUMENTS[n].get("comment"),
    "last_iteration": lambda n: DOCUMENTS[n]["last_iteration"],
    "hyperparams.Args.a.b.value": lambda n: n,
    "hyperparams.Args.none.value": lambda n: None,
    "hyperparams.Args.long.value": lambda n: n * 7 % 11,
    BY_LOSS: loss,
    BY_LOSS.replace("value", "max_value"): lambda n: None if loss(n) is None else -float(loss(n) or 0),
    "user.name": lambda n: "Zoe",
}


def ordered(numbers: list[int], order: list[str]) -> list[int]:
    """The plain reading of an order: missing values last in both directions."""
    last_descends = bool(order) and order[-1].startswith("-")
    numbers = sorted(numbers, reverse=last_descends)
    for name in reversed(order):
        key = KEYS[name.removeprefix("-")]
        there = sorted((n for n in numbers if key(n) is not None), key=key)
        if name.startswith("-"):
            there = [
                n
                for value in dict.fromkeys(key(t) for t in reversed(there))
                for n in there
                if key(n) == value
            ]
            there = [n for value in dict.fromkeys(map(key, there)) for n in numbers if key(n) == value]
        numbers = there + [n for n in numbers if key(n) is None]
    return numbers


names = st.sampled_from([sign + name for name in KEYS for sign in ("", "-")])
filters = st.fixed_dictionaries(
    {},
    optional={
        "project": st.lists(st.sampled_from(["p0", "p1", "p2", "p3", "p4", "-p1"]), max_size=3),
        "status": st.lists(st.sampled_from([*STATUSES, "-created"]), max_size=2),
        "system_tags": st.sampled_from([["-archived"], ["development"]]),
        "name": st.sampled_from(["run", "^run 1", "[13579]$", "run .*1"]),
        "hyperparams.Args.a.b.value": st.lists(
            st.sampled_from(["3", "15", "x", "-4"]), min_size=1, max_size=3
        ),
        "search_text": st.sampled_from(["c1", "run", "c1 t02", "-c3"]),
        BY_LOSS: st.sampled_from([[3, 9], [None, 9], [20, None]]),
    },
)


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=filters, order=st.lists(names, max_size=3), start=st.integers(0, 26), size=st.integers(1, 30))
@example(data={}, order=["-" + BY_LOSS], start=18, size=4)
@example(data={"project": ["p1"]}, order=[BY_LOSS, "-name"], start=0, size=30)
@pytest.mark.usefixtures("few")
def test_a_page_is_the_plain_order_cut(
    tx: Transaction, data: dict[str, Any], order: list[str], start: int, size: int
) -> None:
    everything = ordered(sorted(find(tx, data)), order)
    assert find(tx, {**data, "order_by": order}, size, start) == everything[start : start + size]


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "["}, 21, "unterminated character set at position 0"),
    ({"name": "(?=a)b"}, 21, "Malformed regular expression"),
    ({"name": "x" * 30_000}, 21, "longer than"),
    ({"_any_": {"pattern": "(", "fields": ["name"]}}, 21, "unterminated subpattern"),
    ({"_any_": {"pattern": "a", "fields": ["nope"]}}, 14, '"nope"'),
    ({"_any_": {"pattern": "a", "fields": ["project.name"]}}, 14, '"project.name"'),
    ({"_any_": {"pattern": "a", "fields": ["name.x"]}}, 14, '"name.x"'),
    ({"_all_": {"pattern": "a", "fields": ["execution"]}}, 14, '"execution"'),
    ({"_any_": {"pattern": 1, "fields": ["name"]}}, 12, "_any_.pattern"),
    ({"_any_": ["name"]}, 12, "_any_"),
    ({"order_by": ["nope"]}, 14, 'Cannot resolve field "nope"'),
    ({"order_by": ["-enqueue_status"]}, 14, "enqueue_status"),
    ({"order_by": [1]}, 12, "order_by"),
    ({"order_by": {"name": 1}}, 12, "order_by"),
    ({"order_by": ["user.password"]}, 14, "password"),
    ({"order_by": ["last_metrics.a.b.nope"]}, 14, "nope"),
    ({"name": ["run"]}, 12, "name"),
    ({"tags": [{"a": 1}]}, 12, "tags"),
    ({"last_update": ["soon"]}, 12, "last_update"),
    ({"last_update": [1]}, 12, "last_update"),
    ({"search_text": 1}, 12, "search_text"),
    ({"search_text": "é" * 3000}, 21, "longer than"),
    ({"filters": {"tags": {"any": {"include": "a"}}}}, 12, "filters.tags.any"),
    ({"tags": ["__$all", *map(str, range(300))]}, 12, "tags"),
]


@pytest.mark.parametrize(("data", "subcode", "text"), REFUSED, ids=[str(data)[:60] for data, _, _ in REFUSED])
def test_what_cannot_be_answered_is_refused(
    tx: Transaction, data: dict[str, Any], subcode: int, text: str
) -> None:
    with pytest.raises(ApiError) as refused:
        find(tx, data)
    assert (refused.value.code, refused.value.subcode) == (400, subcode)
    assert text in refused.value.message


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["__$all", "__$any", "__$not", "-x", "", "p0", "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *TASK.fields,
    *("_any_", "_all_", "filters", "search_text", "order_by", "search_hidden", "include_subprojects"),
    *(
        "hyperparams.A.b.value",
        "models.input.model",
        "execution.queue",
        "runtime.a.b",
        BY_LOSS,
        "last_metrics.x",
    ),
]


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4))
def test_whatever_is_sent_is_answered_or_refused(tx: Transaction, data: dict[str, Any]) -> None:
    with contextlib.suppress(ApiError):
        assert len(find(tx, data, limit=10)) <= 10


# --- cost -------------------------------------------------------------------------------------------------------------


def filled(folder: Path, number: int) -> Store:
    """A store with that many tasks in two projects, four in five with a loss."""
    store = Store(folder)
    with store.writing("metrics") as tx:
        for n in range(number):
            id = hashlib.md5(str(n).encode()).hexdigest()
            small = n % 40 == 0
            task = {"id": id, "name": f"run {n}", "status": STATUSES[n % 3], "created": n, "system_tags": []}
            task["hyperparams"] = {"Args": {"lr": {"name": "lr", "value": str(n)}}}
            TASK.insert(
                tx, {**task, "project": "small" if small else "big", "last_update": (n * 7919) % number}
            )
            if n % 5:
                add_metric(tx, id, float((n * 104_729) % number))
    return store


def steps(store: Store, data: dict[str, Any]) -> int:
    """How many (hundreds of) steps SQLite makes for a page of 50."""
    made = [0]

    def step() -> None:
        made[0] += 1

    with store.reading() as tx:
        tx.connection.set_progress_handler(step, 100)
        assert len(wanted(data).numbers(tx, 50)) == 50
        tx.connection.set_progress_handler(None, 0)
    return made[0]


COSTS: list[dict[str, Any]] = [
    {"order_by": ["-" + BY_LOSS], "status": ["completed"], "project": ["big"], "system_tags": ["-archived"]},
    {"order_by": [BY_LOSS]},
    {"order_by": ["-last_update"], "project": ["big"]},
    {"order_by": ["last_update"]},
    {"order_by": ["-created"], "status": ["created"]},
    {"order_by": ["name"]},
    {},
    {"project": ["big"]},
    {"name": "run", "order_by": ["-last_update"]},
    {"order_by": [LEAST_LOSS], "system_tags": ["-archived"]},
    {"order_by": ["-" + LEAST_LOSS]},
    {LEAST_LOSS: [1000, 1100], "order_by": ["-last_update"]},
    {"order_by": ["hyperparams.Args.lr.value"], "status": ["completed"]},
    {"order_by": ["-hyperparams.Args.lr.value"]},
    {"hyperparams.Args.lr.value": [str(n) for n in range(1000, 1100)]},
]


def test_cost_follows_what_is_asked_for_not_what_is_stored(tmp_path: Path) -> None:
    small, large = filled(tmp_path / "small", 2500), filled(tmp_path / "large", 15_000)
    for store in (small, large):
        keep(store, "hyperparams.Args.lr.value")
    try:
        for data in COSTS:
            before, after = steps(small, data), steps(large, data)
            assert after <= 1.5 * before + 20, f"{data}: {before} steps with 2,500 tasks, {after} with 15,000"
    finally:
        small.close()
        large.close()
