"""Fields that nobody here knows: refused by name where a call takes something away, else named in the log once."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard_server import endpoints, settings
from stackyard_server.calls import unknown
from stackyard_server.calls.endpoint import Endpoint

from ..conformance.recordings import find_recordings, load_flows
from ..running import Running, running_server

#: What the names of calls that take something away have in them...
TAKES_AWAY = re.compile(r"delete|remove|reset|clear|stop|archive|dequeue|revoke|unregister|merge")
#: ... and those that have it by chance.
HARMLESS = {
    "events.clear_scroll": "a reader's place in a list, which can be found again",
    "models.unarchive_many": "it brings back",
    "projects.validate_delete": "it only counts",
    "reports.unarchive": "it brings back",
    "tasks.stopped": "a run says that it ended",
    "tasks.unarchive_many": "it brings back",
}
LOGGER = "stackyard_server.calls.unknown"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def newest() -> dict[str, Endpoint]:
    return {name: entries[0] for name, entries in endpoints.load().items()}


def test_every_call_that_takes_something_away_says_so() -> None:
    destructive = {name for name, entry in newest().items() if entry.destructive}
    assert destructive == {name for name in newest() if TAKES_AWAY.search(name)} - set(HARMLESS)
    for name, entries in endpoints.load().items():
        assert {entry.destructive for entry in entries} == {name in destructive}


def test_a_call_that_takes_something_away_refuses_a_field_it_does_not_know(server: Running) -> None:
    """Each of them, before it looks at anything else than its own fields."""
    for name, entry in newest().items():
        if not entry.destructive:
            continue
        meta = server.ask(name, **needed(name), only_before="2026-01-01")["meta"]
        if meta["result_subcode"] == 20:
            continue  # for administrators only
        assert (meta["result_code"], meta["result_subcode"]) == (400, 13), name
        assert "only_before" in meta["result_msg"]


def needed(name: str) -> dict[str, Any]:
    """The fields a request must have, of the right form."""
    from stackyard_server.protocol import fields

    facts = fields.table().get(name, {"required": [], "fields": {}})
    return {field: value_of(facts["fields"].get(field)) for field in facts["required"]}


def value_of(form: Any) -> Any:
    if isinstance(form, list):
        return [value_of(form[0])]
    if isinstance(form, dict) and "object" in form:
        return {name: value_of(form["object"].get(name)) for name in form.get("required", ())}
    if isinstance(form, dict) and "enum" in form:
        return form["enum"][0]
    return {"integer": 1, "number": 1.0, "boolean": False, "object": {}}.get(form, "x")


@pytest.mark.skipif(
    find_recordings() is None, reason="STACKYARD_CONTRACT names no folder with the recordings"
)
def test_what_recorded_clients_send_is_known() -> None:
    folder = find_recordings()
    assert folder is not None
    sent = [exchange for flow in load_flows(folder).values() for exchange in flow]
    unknown_ones = {
        f"{exchange.place} {exchange.endpoint} {name}"
        for exchange in sent
        if exchange.client in ("sdk", "agent", "web") and isinstance(exchange.request, dict)
        if (entry := newest().get(exchange.endpoint)) is not None
        if not any(str(name).startswith("__") for name in exchange.request)
        for name in unknown.of(entry, exchange.request)
    }
    assert unknown_ones == set()


def test_nothing_was_done(server: Running) -> None:
    task = server.call("tasks.create", name="a task", type="training")["id"]
    assert server.ask("tasks.delete", task=task, only_events=True)["meta"]["result_subcode"] == 13
    kept = server.call("tasks.get_by_id", task=task)["task"]
    assert kept["name"] == "a task"


def test_a_field_inside_is_refused_too(server: Running) -> None:
    task = server.call("tasks.create", name="a task", type="training")["id"]
    server.call(
        "tasks.edit_hyper_params", task=task, hyperparams=[{"section": "A", "name": "x", "value": "1"}]
    )
    narrowed = [{"section": "A", "only_empty": True}]
    meta = server.ask("tasks.delete_hyper_params", task=task, hyperparams=narrowed)["meta"]
    assert meta["result_subcode"] == 13
    assert "hyperparams.only_empty" in meta["result_msg"]
    assert server.call("tasks.get_by_id", task=task)["task"]["hyperparams"]["A"]


def test_what_clients_send_with_every_call_is_known(server: Running) -> None:
    task = server.call("tasks.create", name="a task", type="training")["id"]
    assert server.call("tasks.delete", task=task, method="get")["deleted"]


def test_an_unknown_field_of_another_call_is_named_once(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger=LOGGER):
        for _ in range(3):
            server.call("tasks.get_all", no_such_filter=1, name="x", **{"hyperparams.A.b.value": "1"})
        server.call("tasks.get_all", another=1, no_such_filter=2)
    said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert [re.findall(r"'(\w+)'", line) for line in said] == [["no_such_filter"], ["another"]]


def test_an_operator_may_let_destructive_calls_pass(caplog: pytest.LogCaptureFixture) -> None:
    with running_server(unknown_fields="log") as lenient, caplog.at_level(logging.WARNING, logger=LOGGER):
        task = lenient.call("tasks.create", name="a task", type="training")["id"]
        assert lenient.call("tasks.delete", task=task, only_events=True)["deleted"]
    assert "only_events" in caplog.text


def test_any_other_word_of_the_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match="unknown_fields is 'ignore'"):
        settings.read(tmp_path, {"unknown_fields": "ignore"})


@pytest.mark.parametrize("value", [["x"], {"a": 1}, None, 5])
def test_a_field_named_like_the_collection_that_is_listed_is_only_unknown(
    server: Running, value: Any
) -> None:
    assert server.ask("projects.get_all", project=value, nobody=1)["meta"]["result_code"] == 200
