"""What a request may contain: judged by its text and shape, before the work; and the page that shows the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stackyard_server import endpoints
from stackyard_server.protocol import bounds, envelope
from stackyard_server.protocol.error_table import ApiError

from ..running import Running, running_server

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(alphabet='a,[]{}"\\é\n'),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(alphabet='a,[{"\\'), inner),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(role="user") as running:
        yield running


def parts(value: Any) -> int:
    """Commas and brackets that open, in a value's JSON, outside its strings."""
    if not isinstance(value, (dict, list)):
        return 0
    inside = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inside) - 1) + sum(map(parts, inside))


@given(value=JSON, step=some.integers(1, 40))
def test_values_are_counted_outside_of_strings(value: Any, step: int) -> None:
    """Wherever the steps end, and whatever stands in the strings."""
    text, count = json.dumps(value).encode(), parts(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "STEP_BYTES", step)
        assert not bounds.has_more(text, count)
        assert count == 0 or bounds.has_more(text, count - 1) or len(text) <= count - 1


@given(
    lines=some.lists(some.binary(max_size=30).map(lambda b: b.replace(b"\n", b" "))),
    most=some.integers(1, 50),
)
def test_pieces_are_whole_lines_and_together_everything(lines: list[bytes], most: int) -> None:
    text = b"\n".join(lines)
    found = [text[begin:end] for begin, end in bounds.pieces(text, most)]
    assert b"".join(found) == text
    for piece in found[:-1]:
        assert piece.endswith(b"\n")
    assert all(len(piece) <= most or piece.count(b"\n") <= 1 for piece in found)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([0] * 11, "a list of more than 10 items"),
        ({"a": {"n" * 21: 1}}, "a name longer than 20 characters"),
        ([[[[[1]]]]], "nested deeper than 4 levels"),
    ],
)
def test_a_shape_is_held_to_its_bounds(value: Any, why: str) -> None:
    bound = bounds.Bound(bytes=1000, values=1000, items=10, depth=4, name=20, lines=0)
    with pytest.raises(ApiError, match=why):
        bounds.read(json.dumps(value).encode(), bound)
    bounds.read(b'{"a":{"' + b"n" * 20 + b'":[[1,2,3,4,5,6,7,8,9,10]]}}', bound)


def test_every_endpoint_of_the_table_is_there() -> None:
    assert set(bounds.KINDS) <= set(endpoints.load())
    assert set(bounds.LARGEST) == {"stranger", "readonly", "user", "admin"}
    assert bounds.of_endpoint("tasks.validate", "readonly", 1 << 30) == bounds.CALL
    assert bounds.of_endpoint("tasks.validate", "user", 1 << 30).values == bounds.REQUESTS["document"].values


def post(server: Running, name: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.api}/{name}", content=body, headers=headers)
    return answer.status_code, answer.json()["meta"]["result_msg"]


@pytest.mark.promise("contents-bounded", on="API")
@pytest.mark.parametrize("name", ["debug.ping", "users.set_preferences", "tasks.get_all_ex"])
def test_a_body_of_empty_lists_is_refused_before_it_is_read(server: Running, name: str) -> None:
    """They would be thirty times as large in memory as on the wire."""
    lists = b'{"preferences":{},"x":[' + b"[]," * 300_000 + b"[]]}"
    assert post(server, name, lists) == (400, "Validation error (more than 50000 values)")
    assert post(server, name, lists * 2)[0] == 413


@pytest.mark.promise("contents-bounded", on="API")
def test_what_clients_send_is_taken(server: Running) -> None:
    """The SDK's largest request of events; as many ids as a large table has; a large set of parameters and texts."""
    task = server.call("tasks.create", name="large", type="training")["id"]
    line = '{"type":"training_stats_scalar","task":"%s","metric":"m,[{","variant":"v","iter":%d,"value":0.5}'
    lines = "\n".join(line % (task, i) for i in range(5000)).encode()
    pad = b'\n{"type":"plot","task":"%s","metric":"p","variant":"v","iter":1,"plot_str":"%s"}'
    lines += pad % (task.encode(), b'{\\"data\\":[[],[]]},' * ((15_728_000 - len(lines) - 200) // 20))
    assert post(server, "events.add_batch", lines, "application/json-lines")[0] == 200
    assert server.call("events.get_task_plots", task=task)["total"] == 1
    assert server.call("tasks.get_all_ex", id=[f"{i:032x}" for i in range(20_000)])["tasks"] == []
    parameters = {f"p{i}": {"section": "Args", "name": f"p{i}", "value": "[1, 2, 3]"} for i in range(10_000)}
    made = server.call("tasks.create", name="many", type="training", hyperparams={"Args": parameters})
    server.call("tasks.edit", task=made["id"], script={"diff": "x, [" * 1_000_000}, force=True)


@pytest.mark.promise("contents-bounded", on="API")
@pytest.mark.parametrize(
    "event",
    [
        {"values": list(range(bounds.REQUESTS["events"].items + 1))},
        {"n" * (bounds.REQUESTS["events"].name + 1): 1},
    ],
)
def test_an_event_of_a_batch_is_held_to_its_bounds(server: Running, event: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        envelope.parse_lines(json.dumps(event).encode(), bounds.REQUESTS["events"])
    assert (refused.value.code, refused.value.subcode) == (400, 12)


@pytest.mark.promise("contents-bounded", on="API")
def test_the_names_of_a_query_and_of_a_form_are_bounded(server: Running) -> None:
    long = "n" * (bounds.CALL.name + 1)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for more in ({"params": {long: "1"}}, {"content": f"{long}=1", "headers": form}):
        answer = server.client.post(
            f"{server.api}/debug.ping",
            **{**more, "headers": {"Authorization": f"Bearer {server.token}", **more.get("headers", {})}},  # type: ignore[arg-type, dict-item]
        )
        assert answer.json()["meta"]["result_code"] == 400
        assert "a name longer than" in answer.json()["meta"]["result_msg"]


@pytest.mark.promise("contents-bounded", on="files")
def test_a_list_of_files_is_bounded(server: Running) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    for paths, status in (([f"a/{i}" for i in range(10_000)], 200), ([f"a/{i}" for i in range(10_001)], 400)):
        answer = server.client.post(f"{server.files}/delete_many", json={"files": paths}, headers=headers)
        assert answer.status_code == status


@pytest.mark.promise("contents-bounded", on="pages")
def test_the_fields_of_a_form_are_bounded(server: Running) -> None:
    cookie = {"Cookie": f"{endpoint_cookie()}={server.token}", "Sec-Fetch-Site": "same-origin"}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"&".join(b"f%d=1" % i for i in range(bounds.FORM.values + 1))
    answer = server.client.post(f"{server.web}/queues", content=body, headers={**cookie, **kind})
    assert answer.status_code == 400


def parameters(count: int, kind: str) -> list[dict[str, str]]:
    return [{"section": "Args", "name": f"{kind}{i}", "value": "1", "type": "int"} for i in range(count)]


def test_a_document_does_not_grow_beyond_its_bound(server: Running) -> None:
    """Request by request, or as a copy; what is refused leaves it as it was, and what takes away is done."""
    task = server.call("tasks.create", name="grows", type="training")["id"]
    told, many = "", 0
    for part in range(6):
        body = json.dumps({"task": task, "hyperparams": parameters(20_000, f"p{part}_")}).encode()
        status, told = post(server, "tasks.edit_hyper_params", body)
        if status != 200:
            break
        many += 20_000
    assert told.startswith(
        "It would have more in all than a document may have: keep less in it: bytes=16777216"
    )
    kept = server.call("tasks.get_by_id", task=task)["task"]["hyperparams"]["Args"]
    assert 20_000 <= many == len(kept)
    assert server.call("tasks.get_by_id", task=server.call("tasks.clone", task=task)["id"])["task"]
    beyond = {"new_task_configuration": {f"c{i}": {"name": f"c{i}", "value": "1"} for i in range(45_000)}}
    status, again = post(server, "tasks.clone", json.dumps({"task": task, **beyond}).encode())
    assert (status, again) == (400, told)
    status, again = post(
        server, "tasks.edit", json.dumps({"task": task, "script": {"diff": "x" * 16_000_000}}).encode()
    )
    assert (status, again) == (400, told)
    fewer = [{"section": "Args", "name": f"p0_{i}"} for i in range(1000)]
    server.call("tasks.delete_hyper_params", task=task, hyperparams=fewer)
    assert len(server.call("tasks.get_by_id", task=task)["task"]["hyperparams"]["Args"]) == many - 1000


def test_a_task_has_so_many_series_at_most(server: Running) -> None:
    task = server.call("tasks.create", name="series", type="training")["id"]
    most = bounds.STORED["series"]
    names = [f"v{number}" for number in range(most + 5)]
    line = {"type": "training_stats_scalar", "task": task, "metric": "m", "iter": 1, "value": 1.0}
    told = server.call_lines("events.add_batch", [{**line, "variant": name} for name in names])
    assert told["errors_info"] == {f"A task or model has {most} series of scalars at most": 5}
    again = server.call_lines("events.add_batch", [{**line, "variant": "v1", "iter": 2}])
    assert again["added"] == 1, "the series it has go on"


def endpoint_cookie() -> str:
    from stackyard_server import identity

    return identity.COOKIE


def table_rows(title: str) -> list[list[str]]:
    """The rows of the first table below a heading of the page."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_page_shows_the_table() -> None:
    shown = {
        row[0]: row[2:] for row in table_rows("What a request may contain, cost and receive") if len(row) == 8
    }
    for kind, bound in bounds.REQUESTS.items():
        wanted = [bound.bytes, bound.values, bound.items, bound.depth, bound.name, bound.lines]
        told = [int(re.sub(r"\D", "", cell) or 0) for cell in shown[kind]]
        assert told == wanted, kind
    costs = PAGE.split("## What a request may contain, cost and receive\n", 1)[1].split("\n## ", 1)[0]
    for words in (
        f"{bounds.ANSWER_BYTES // 2**20} MiB", f"{bounds.READ_SECONDS} s", f"{bounds.READS} reads",
        f"{bounds.READS_OF_A_USER} of one user", f"{bounds.DESCRIPTORS['kept_free']} descriptors",
        f"{bounds.DESCRIPTORS['connections']:,} connections", f"{bounds.HELD_BYTES // 2**20} MiB",
        f"{bounds.STORE_BYTES // 2**20} MiB", f"{bounds.STORED['bytes'] // 2**20} MiB",
        f"{bounds.STORED['values']:,} values", f"{bounds.STORED['series']:,} series",
    ):  # fmt: skip
        assert words in costs, words
