"""Requests that were made to stop a server, and the largest ones that each endpoint is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from stackyard_server import endpoints
from stackyard_server.calls import dispatch
from stackyard_server.protocol import fields

from .yard import Server

JSON, LINES = "application/json", "application/json-lines"
#: What is tried at most: beyond what any endpoint takes, bytes and items.
LARGEST_BYTES, MOST_ITEMS = 16_000_000, 150_000
CALL_BYTES, CALL_ITEMS = 1_000_000, 10_000
#: Never asked: they end the session that asks.
LEFT_OUT = frozenset({"auth.logout"})


@dataclass
class Hostile:
    """One request."""

    name: str
    role: str
    path: str
    #: Made when it is sent: some are large.
    body: Callable[[], bytes]
    port: str = "api"
    kind: str = JSON
    gzip: bool = False
    #: How many of it are sent at the same time.
    times: int = 1
    method: str = "POST"

    def head(self, server: Server, length: int) -> bytes:
        """The request's line and headers."""
        token = server.tokens[self.role]
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: {server.urls[self.port].removeprefix('http://')}",
            f"Content-Type: {self.kind}",
            f"Content-Length: {length}",
            f"Cookie: {cookie()}={token}" if self.port == "web" else f"Authorization: Bearer {token}",
            "Sec-Fetch-Site: same-origin",
        ]
        if self.gzip:
            lines.append("Accept-Encoding: gzip")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def cookie() -> str:
    """The name of the session's cookie."""
    from stackyard_server import identity

    return identity.COOKIE


def known(server: Server) -> Iterator[Hostile]:
    """Requests that are known to have stopped a server, as a reader and as a user."""
    yard = server.yard
    pattern = "|".join(f"(.*{number}.*)" for number in range(1500))
    for role in ("readonly", "user"):
        yield from (
            Hostile("40,000 preferences", role, "/users.set_preferences",
                    lambda: dumped(preferences={f"n{i}": i for i in range(40_000)})),
            Hostile("60,000 metrics", role, "/events.get_task_single_value_metrics",
                    lambda: dumped(tasks=[yard.plotted], metrics=[{"metric": "m", "variants": ["v"]}] * 60_000)),
            Hostile("60 MB of empty lists", role, "/debug.ping", lambda: b'{"a":[' + b"[]," * 20_000_000 + b"[]]}"),
            Hostile("16 MB of empty lists", role, "/debug.ping", lambda: b'{"a":[' + b"[]," * 5_300_000 + b"[]]}"),
            Hostile("1 MB of empty lists", role, "/debug.ping", lambda: b'{"a":[' + b"[]," * 340_000 + b"[]]}"),
            Hostile("documents of 50 MB", role, "/tasks.get_all_ex", lambda: dumped(id=yard.large), gzip=True),
            Hostile("a document of 50 MB", role, "/tasks.get_by_id", lambda: dumped(task=yard.large[0]), gzip=True),
            Hostile("plots of 3 MB", role, "/events.get_task_plots", lambda: dumped(task=yard.plotted), gzip=True),
            Hostile("a page of plots of 3 MB", role, f"/tasks/{yard.plotted}/plots", bytes, port="web", method="GET"),
            Hostile("a page of a comment of 50 MB", role, f"/tasks/{yard.large[0]}", bytes, port="web", method="GET"),
            Hostile("200,000 paths", role, "/delete_many",
                    lambda: dumped(files=[f"/a/{i}" for i in range(200_000)]), port="files"),
            Hostile("200,000 ids to delete", role, "/tasks.delete_many",
                    lambda: dumped(ids=[f"{i:032x}" for i in range(200_000)])),
            Hostile("1,000,000 ids", role, "/tasks.get_all_ex",
                    lambda: dumped(id=[f"{i:x}" for i in range(1_000_000)])),
            Hostile("150,000 parameters", role, "/tasks.create", lambda: dumped(name="many", type="training",
                    hyperparams={"Args": {f"p{i}": {"name": f"p{i}", "value": "1"} for i in range(150_000)}})),
            Hostile("four patterns", role, "/tasks.get_all_ex",
                    lambda: dumped(comment=pattern, search_hidden=True), times=4),
            Hostile("a form of 600 MB", role, "/queues", lambda: form(200, 3_000_000), port="web",
                    kind="multipart/form-data; boundary=b"),
            Hostile("a download with 30 MB of junk", role, "/organization.prepare_download_for_get_all",
                    lambda: dumped(entity_type="task", field_mappings=[{"field": "id"}], junk="x" * 30_000_000)),
            Hostile("a container with 30 MB of junk", role, "/serving.register_container",
                    lambda: dumped(container_id="c", endpoint_name="x" * 30_000_000)),
            Hostile("15 MB of scalars", role, "/events.add_batch", lambda: scalars(yard.tasks[0], 80_000), kind=LINES),
            Hostile("one plot of 15 MB", role, "/events.add_batch", lambda: plot(yard.tasks[0], 15_000_000),
                    kind=LINES),
        )  # fmt: skip


def stored(server: Server) -> Iterator[Hostile]:
    """Requests that grow with what is stored. In this order: later ones find what earlier ones left."""
    yard = server.yard
    some, many, change = (
        yard.crowd[:5000],
        yard.many_parameters,
        {"section": "Args", "name": "p1", "value": "2"},
    )
    tags = [f"tag {number}" for number in range(100)]
    yield from (
        Hostile("one of 39,000 parameters", "user", "/tasks.edit_hyper_params",
                lambda: dumped(task=many, hyperparams=[change])),
        Hostile("a copy of 39,000 parameters", "user", "/tasks.clone", lambda: dumped(task=many)),
        Hostile("39,000 parameters", "readonly", "/tasks.get_by_id", lambda: dumped(task=many), gzip=True),
        Hostile("a form of 39,000 parameters", "readonly", f"/tasks/{many}/clone", bytes, port="web", method="GET"),
        Hostile("a page of 39,000 parameters", "readonly", f"/tasks/{many}", bytes, port="web", method="GET"),
        Hostile("39,000 parameters compared", "readonly", f"/compare?tasks={many}", bytes, port="web", method="GET"),
        Hostile("100 tags for 5,000 tasks", "user", "/tasks.update_tags", lambda: dumped(ids=some, add_tags=tags)),
        Hostile("5,000 tasks moved", "user", "/tasks.move", lambda: dumped(ids=some, project=yard.project)),
        Hostile("a queue of 5,000 tasks cleared", "user", "/queues.clear_queue",
                lambda: dumped(queue=yard.crowded_queues[0])),
        Hostile("a queue of 5,000 tasks deleted", "user", "/queues.delete",
                lambda: dumped(queue=yard.crowded_queues[1], force=True)),
        Hostile("5,000 tasks archived", "user", "/tasks.archive", lambda: dumped(tasks=some)),
        Hostile("a project of 5,000 tasks deleted", "user", "/projects.delete",
                lambda: dumped(project=yard.crowded_project, force=True, delete_contents=True)),
    )  # fmt: skip


def dumped(**data: Any) -> bytes:
    """A request's fields."""
    return json.dumps(data, separators=(",", ":")).encode()


def form(count: int, size: int) -> bytes:
    """A form of text fields."""
    part = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n'
    return b"".join(part % number + b"x" * size + b"\r\n" for number in range(count)) + b"--b--\r\n"


def scalars(task: str, count: int) -> bytes:
    """Events as the SDK sends them."""
    line = (
        '{"type":"training_stats_scalar","task":"%s","metric":"loss","variant":"v%d","iter":%d,"value":%d.5,'
        '"timestamp":%d,"worker":"w"}'
    )
    lines = (line % (task, i % 16, i, i, 1_700_000_000_000 + i) for i in range(count))
    return "\n".join(lines).encode()


def plot(task: str, size: int) -> bytes:
    """One event with a large figure."""
    text = json.dumps({"data": [{"type": "scatter", "y": [i / 7 for i in range(size // 20)]}], "layout": {}})
    return dumped(type="plot", task=task, metric="m", variant="v", iter=1, plot_str=text)


# --- the largest of each endpoint -------------------------------------------------------------------------------------


def largest(server: Server) -> Iterator[Hostile]:
    """For each endpoint and field, what grows in it: a text, a list, an object, depth, and values nobody asked for."""
    endpoints.load()
    yard = server.yard
    ids = {"task": yard.tasks[1], "tasks": yard.tasks[1:3], "queue": yard.queue, "project": yard.project}
    for name in sorted(dispatch.known()):
        if name in LEFT_OUT:
            continue
        facts = fields.table().get(name, {"required": [], "fields": {}})
        base = {
            field: ids.get(field, small(facts["fields"].get(field, "string"))) for field in facts["required"]
        }
        for size, items in ((CALL_BYTES, CALL_ITEMS), (LARGEST_BYTES, MOST_ITEMS)):
            yield _one(name, f"{items} values nobody asked for", base, "junk", partial(lists, items))
            yield _one(name, f"a text of {size} bytes nobody asked for", base, "junk", partial(text, size))
        yield _one(name, "100 levels", base, "junk", partial(nested, 99))
        for field, wanted in facts["fields"].items():
            yield _one(name, f"the largest {field}", base, field, partial(grown, wanted))


def _one(name: str, what: str, base: dict[str, Any], field: str, value: Callable[[], Any]) -> Hostile:
    return Hostile(f"{name}: {what}", "user", f"/v2.34/{name}", lambda: dumped(**{**base, field: value()}))


def lists(count: int) -> Any:
    """Empty lists in a list."""
    return [[]] * count


def text(size: int) -> Any:
    """A long text."""
    return "x" * size


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def small(form: Any) -> Any:
    """A value of a form."""
    if isinstance(form, list):
        return [small(form[0])]
    if isinstance(form, str):
        return {"string": "some text", "integer": 1, "number": 1.0, "boolean": True, "any": {}, "object": {}}[
            form
        ]
    if "enum" in form:
        return form["enum"][0]
    if "map" in form:
        return {"name": small(form["map"])}
    return {name: small(inner) for name, inner in form["object"].items()}


def grown(form: Any) -> Any:
    """The largest value of a form that is worth trying."""
    if isinstance(form, list):
        inner = small(form[0])
        if form[0] == "string":
            return [f"{number:032x}" for number in range(CALL_ITEMS)]
        return [inner] * CALL_ITEMS
    if isinstance(form, str):
        if form == "string":
            return "x" * CALL_BYTES
        if form in ("object", "any"):
            return {f"n{number}": number for number in range(CALL_ITEMS)}
        return {"integer": 2**62, "number": 1e300, "boolean": True}[form]
    if "map" in form:
        return {f"n{number}": small(form["map"]) for number in range(CALL_ITEMS)}
    if "enum" in form:
        return form["enum"][-1]
    return {name: grown(inner) for name, inner in form["object"].items()}
