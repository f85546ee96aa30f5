"""A number that is none, or that nothing can hold, is refused or taken in words: no endpoint fails over one.

Every field that may hold a number is asked for with values that fit no column, no slice and no clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server import endpoints
from stackyard_server.protocol import fields
from tests.counts import LONG

from ..running import Running, running_server

EVERY: tuple[Any, ...] = (
    1.5,
    "5",
    [1],
    {"a": 1},
    1e300,
    -1e300,
    2**64,
    2**63,
    -(2**63),
    2**63 - 1,
    -1,
    0,
    True,
)
#: At reduced counts, one that breaks each kind of use.
ODD = EVERY if LONG else (1.5, "5", {"a": 1}, 2**64)
#: Which forms may hold a number.
NUMERIC = ("any", "integer", "number")
#: Fields that stand in no table: events are kept as they come, and lists filter by whatever documents have.
FURTHER = {
    "events.add": ("iter", "value", "timestamp", "x", "key", "min", "max"),
    "tasks.get_all": (
        "last_iteration",
        "active_duration",
        "started",
        "id",
        "name",
        "tags",
        "last_metrics.a.b.value",
    ),
    "models.get_all": ("created", "ready", "id", "labels.a"),
    "projects.get_all": ("created", "id"),
}
#: They end the session in which is asked.
LEAVE = ("auth.logout", "login.logout")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(role="admin") as running:
        yield running


class Base:
    """A request that an endpoint takes, as far as its fields say what that is."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._project = server.call("projects.create", name="odd")["id"]
        self._worker = "a worker"
        server.call("workers.register", worker=self._worker)

    def of(self, name: str) -> dict[str, Any]:
        """The required fields of an endpoint, with what they name made anew."""
        if name not in fields.table():
            return {}
        if name == "events.add":
            return {
                "type": "training_stats_scalar",
                "task": self._made("task"),
                "metric": "m",
                "variant": "v",
            }
        known = fields.table()[name]
        service = name.partition(".")[0]
        return {field: self._value(service, field, known["fields"].get(field)) for field in known["required"]}

    def _value(self, service: str, field: str, form: Any) -> Any:
        kind = service.removesuffix("s") if field in ("id", "ids") else field.removesuffix("s")
        if made := self._made(kind):
            return [made] if field.endswith("s") else made
        if isinstance(form, list):
            return [self._value(service, field, form[0])]
        if isinstance(form, dict) and "object" in form:
            return {n: self._value(service, n, form["object"][n]) for n in form.get("required", ())}
        if isinstance(form, dict):
            return form["enum"][0] if "enum" in form else {}
        return {"string": f"text {next(self._numbers)}", "boolean": True, "object": {}}.get(form, 1)

    def _made(self, kind: str) -> str | None:
        call = self._server.call
        if kind in ("task", "model", "queue", "report", "pipeline"):
            service = {"pipeline": "tasks"}.get(kind, f"{kind}s")
            about: dict[str, Any] = {"name": f"{kind} {next(self._numbers)}"}
            about |= {"task": {"type": "training"}, "pipeline": {"type": "controller"}}.get(kind, {})
            about |= {"model": {"uri": "http://f/m"}, "report": {"project": self._project}}.get(kind, {})
            made: str = call(f"{service}.create", **about)["id"]
            return made
        return {"project": self._project, "worker": self._worker}.get(kind)


def odd(form: Any) -> Iterator[Any]:
    """Values for a field that may hold numbers; nothing for others."""
    if form in NUMERIC:
        yield from ODD
    elif isinstance(form, list):
        yield from ([value] for value in odd(form[0]))
    elif isinstance(form, dict) and "map" in form:
        yield from ({"a": value} for value in odd(form["map"]))
    elif isinstance(form, dict) and "object" in form:
        for name, inner in form["object"].items():
            yield from ({name: value} for value in odd(inner))


def test_no_number_breaks_an_endpoint(server: Running) -> None:
    """CWE-20: neither a column nor a slice nor a clock gets what it cannot take."""
    base, asked = Base(server), 0
    failed = []
    for name in sorted(endpoints.load().keys() - set(LEAVE)):
        known = {
            **fields.table().get(name, {}).get("fields", {}),
            **dict.fromkeys(FURTHER.get(name, ()), "any"),
        }
        for field, form in known.items():
            for value in odd(form):
                answer = server.ask(name, **{**base.of(name), field: value})
                asked += 1
                if answer["meta"]["result_code"] >= 500:
                    failed.append((name, field, value, answer["meta"]["result_msg"]))
    assert not failed, "\n".join(map(str, failed))
    assert asked > 1000


@pytest.mark.parametrize("value", [1.5, "5", [1], {"a": 1}, 1e300, 2**64])
@pytest.mark.parametrize("method", ["queues.get_all", "queues.get_all_ex", "queues.get_by_id"])
def test_a_count_of_entries_is_a_whole_number(server: Running, method: str, value: Any) -> None:
    queue = server.call("queues.create", name=f"queue for {method} {value}"[:40])["id"]
    meta = server.ask(method, queue=queue, max_task_entries=value)["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (400, 12)
    assert "max_task_entries" in meta["result_msg"]
