"""Requests nobody should send, as bytes; each is made from its own seed, so that any can be made again."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from stackyard_server.calls.endpoint import Endpoint

from .values import REGEX_BOMBS, STRINGS, Field, Known, hostile, maybe_hostile


@dataclass(frozen=True)
class World:
    """What the makers may refer to."""

    endpoints: list[Endpoint]
    facts: dict[str, dict[str, Any]]
    #: What exists on the server.
    known: Known
    token: str
    #: Access key and secret.
    pair: tuple[str, str]


@dataclass(frozen=True)
class Attack:
    """One request: where it goes, its bytes, and whether the connection can go on after it."""

    port: str
    kind: str
    data: bytes
    #: A complete HTTP/1.1 request: the answer ends where its length says, and another may follow.
    whole: bool


#: Fields of ClearML's query language, which no table of fields lists.
QUERY: dict[str, Any] = {
    "only_fields": ["string"], "order_by": ["string"], "page": "integer", "page_size": "integer",
    "size": "integer",
    "scroll_id": "string", "search_text": "string", "id": ["string"], "name": "string", "tags": ["string"],
    "system_tags": ["string"], "status": ["string"], "project": ["string"], "user": ["string"],
    "type": ["string"],
    "last_update": ["string"], "created": ["number"], "parent": "string", "search_hidden": "boolean",
    "allow_public": "any",
    "refresh_scroll": "boolean", "include_stats": "boolean", "filters": {"map": {"map": {"map": ["string"]}}},
    "_any_": {"object": {"pattern": "string", "fields": ["string"]}},
    "_all_": {"object": {"datetime": "any", "fields": ["string"]}},
    "hyperparams.Args.x.value": ["any"], "last_metrics.a.b.value": ["any"], "execution.queue": ["any"],
    "task": "string",
    "tasks": ["string"], "ids": ["string"], "queue": "string", "metrics": "any", "worker": "string",
    "key": "string",
}  # fmt: skip
EVENT: dict[str, Any] = {
    "type": {"enum": ["log", "training_stats_scalar", "training_stats_vector", "training_debug_image", "plot"]},
    "task": "string", "timestamp": "integer", "iter": "integer", "metric": "string", "variant": "string",
    "key": "string",
    "value": "number", "values": ["number"], "msg": "string", "level": "string", "url": "string",
    "plot_str": "string",
    "worker": "string", "x_axis_label": "string", "model_event": "boolean",
}  # fmt: skip


def request(
    method: str, target: str, headers: dict[str, str], body: bytes, *, token: str | None = None
) -> bytes:
    """A well-formed HTTP request; header values may be anything latin-1 holds."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def by_schema(rng: random.Random, world: World, number: int) -> Attack:
    """A call of one endpoint (in turn) whose fields are partly right, partly not."""
    entry = world.endpoints[number % len(world.endpoints)]
    if entry.batch or rng.random() < 0.05:
        entry = next(e for e in world.endpoints if e.batch)
        return batch(rng, world, entry)
    facts = world.facts.get(entry.name, {"required": [], "fields": {}})
    share = rng.choice([0.0, 0.0, 0.05, 0.2, 1.0])
    service = entry.name.partition(".")[0]
    data: dict[str, Any] = {}
    for name in {*facts["required"], *facts["fields"]}:
        needed = name in facts["required"]
        if rng.random() < (0.9 if needed else 0.3):
            data[name] = maybe_hostile(
                rng, facts["fields"].get(name, "any"), world.known, Field(name, service), share
            )
    if "get_all" in entry.name or not facts["fields"] or rng.random() < 0.15:
        for name in rng.sample(sorted(QUERY), rng.randrange(1, 6)):
            data[name] = maybe_hostile(rng, QUERY[name], world.known, Field(name, service), share)
    if rng.random() < 0.1:
        data[rng.choice(STRINGS)] = hostile(rng, world.known)
    if rng.random() < 0.1:
        data = {**data, **{k: rng.choice(REGEX_BOMBS) for k in ("name", "search_text") if rng.random() < 0.7}}
    version = rng.choice(["", "v2.23/", "v999.0/", f"v{entry.shown_version}/", "v2.34/", "v2.1/"])
    body, headers = written(rng, data)
    target = f"/{version}{entry.name}"
    if rng.random() < 0.05:
        target += "?" + quoted(rng, data)
    if rng.random() < 0.1:
        headers["X-ClearML-Worker"] = oneline(rng.choice(STRINGS))
    method = rng.choice(["GET", "POST", "POST", "PUT", "DELETE", "PATCH"])
    return Attack("api", "schema", request(method, target, headers, body, token=world.token), True)


def batch(rng: random.Random, world: World, entry: Endpoint) -> Attack:
    """NDJSON with noise among the lines."""
    lines: list[bytes] = []
    for _ in range(rng.choice([0, 1, 2, 5, 30])):
        share = rng.choice([0.0, 0.2, 0.7])
        names = [n for n in EVENT if n in ("type", "task") or rng.random() < 0.6]
        line: Any = {
            name: maybe_hostile(rng, EVENT[name], world.known, Field(name, "events"), share) for name in names
        }
        if rng.random() < 0.1:
            line = hostile(rng, world.known)
        text = encoded(line)
        lines.append(text[: rng.randrange(len(text) + 1)] if rng.random() < 0.03 else text)
    kind = rng.choice(
        ["application/json-lines", "application/json-lines; charset=utf-8", "application/json", "text/x"]
    )
    body = rng.choice([b"\n", b"\n", b"\r\n", b"\n\n", b"\r"]).join(lines)
    data = request("POST", f"/{entry.name}", {"Content-Type": kind}, body, token=world.token)
    return Attack("api", "batch", data, True)


def encoded(value: Any) -> bytes:
    """JSON with whatever Python's writer lets through (NaN, lone surrogates as escapes)."""
    return json.dumps(value, ensure_ascii=True).encode()


def written(rng: random.Random, data: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """A body and its headers, not always JSON."""
    kind = rng.randrange(60)
    body = encoded(data)
    headers = {"Content-Type": "application/json"}
    if kind == 0:  # repeated keys
        body = body[:-1] + (b"," if data else b"") + encoded(data)[1:]
    elif kind == 1:
        body = body[: rng.randrange(len(body) + 1)]
    elif kind == 2:
        body = body.replace(b'"', rng.choice([b"'", b'\\"', b"\xff", b'"\\ud800']), rng.randrange(1, 4))
    elif kind == 3:
        body = rng.choice(
            [b"\xef\xbb\xbf" + body, body.decode().encode("utf-16"), body + b"\x00", b"[" + body + b"]"]
        )
    elif kind == 4:
        body = rng.choice(
            [b"NaN", b"Infinity", b"null", b"[]", b'"x"', b"1", b"{", b"}", b"\x00", rng.randbytes(50)]
        )
    elif kind == 5:
        body = quoted(rng, data).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif kind == 6:
        headers["Content-Type"] = rng.choice(
            ["text/plain", "application/json-lines", "multipart/form-data; boundary=", "\xff"]
        )
    elif kind == 7:
        body = json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return body, headers


def quoted(rng: random.Random, data: dict[str, Any]) -> str:
    """A query string or form of the same fields, more or less."""
    pairs = []
    for name, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value)
        name = rng.choice([name, f"{name}[]", f"{name}.x", f"{name}.{name}", name * 2])
        pairs.append(f"{quote(name, errors='replace')}={quote(text[:500], errors='replace')}")
        if rng.random() < 0.2:
            pairs.append(pairs[-1])
    return "&".join(pairs)


def oneline(text: str) -> str:
    """A text a header can hold without ending it."""
    return text.replace("\r", "").replace("\n", "").replace("\x00", "")[:2000].strip()


def by_identity(rng: random.Random, world: World, number: int) -> Attack:
    """A call whose caller, path or headers make no sense."""
    entry = rng.choice(world.endpoints)
    caller = rng.choice([
        "Bearer ", "Bearer", "Basic", "Basic ====", "Basic " + "A" * 5000, "Bearer " + "a.b.c",
        "Bearer " + "." * 3000,
        "Bearer " + world.token[:-1], "bearer " + world.token, "Digest x", "\xff\xfe", "Basic \xe9",
        "Bearer \xe9.\xe9.\xe9",
        "Basic Og==", "Basic OjpBOg==", "Negotiate " + "A" * 100, "Bearer " + world.token + ", Bearer x",
    ])  # fmt: skip
    headers = rng.choice([
        {"Authorization": caller},
        {"Cookie": f"clearml_token_basic={rng.choice([world.token, 'x', '', '=;=;', chr(34)])}"},
        {"Cookie": oneline(rng.choice(STRINGS))},
        {"Authorization": caller, "X-Clearml-Impersonate-As": oneline(rng.choice(STRINGS))},
        {"Authorization": f"Bearer {world.token}", "X-Clearml-Trx": oneline(rng.choice(STRINGS)),
        "Accept-Encoding": "gzip"},
        {"Authorization": f"Bearer {world.token}", "Origin": oneline(rng.choice(STRINGS)), "Host": "evil"},
    ])  # fmt: skip
    path = rng.choice([
        f"/{entry.name}",
        f"/v{rng.choice(['0.0', '9' * 400, '2', '2.', '.2', '-1', '1e3', chr(0xB2) * 3])}/{entry.name}",
        f"/{entry.name}/", f"//{entry.name}", f"/{entry.name}%00", f"/{entry.name}%0d%0aX:y",
        f"/{entry.name}/../x.y",
        "/" + quote(rng.choice(STRINGS), errors="replace"), f"/{entry.name}.{entry.name}", "/%", "/%zz", "*",
        "/?", "/;a=b",
    ])  # fmt: skip
    method = rng.choice(["GET", "POST", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
    data = request(method, path, headers, b"{}" if method == "POST" else b"")
    return Attack(rng.choice(["api", "api", "files", "web"]), "caller", data, False)


def broken(rng: random.Random, world: World, number: int) -> Attack:
    """Bytes that are hardly HTTP."""
    good = request("POST", f"/{rng.choice(world.endpoints).name}", {}, b'{"a":1}', token=world.token)
    head, _, body = good.partition(b"\r\n\r\n")
    kind = rng.randrange(14)
    data = {
        0: lambda: rng.randbytes(rng.choice([1, 10, 100, 3000])),
        1: lambda: good[: rng.randrange(len(good))],
        2: lambda: good.replace(b"\r\n", b"\n"),
        3: lambda: head.replace(b"Content-Length: 7", b"Content-Length: 70") + b"\r\n\r\n" + body,
        4: lambda: head.replace(b"Content-Length: 7", b"Content-Length: -7") + b"\r\n\r\n" + body,
        5: lambda: head.replace(b"Content-Length: 7",
        b"Content-Length: 7\r\nContent-Length: 8") + b"\r\n\r\n" + body,
        6: lambda: head.replace(b"Content-Length: 7", b"Transfer-Encoding: chunked") + b"\r\n\r\n" + rng.choice(
            [b"ZZ\r\nx\r\n", b"-1\r\n", b"7\r\n" + body + b"\r\n", b"ffffffffffffffff\r\nx",
            b"7;" + b"x" * 5000 + b"\r\n"]
        ),
        7: lambda: head + b"\r\nX-\x00: \x00\r\n\r\n" + body,
        8: lambda: head + b"\r\nX: " + b"y" * rng.choice([10_000, 70_000]) + b"\r\n\r\n" + body,
        9: lambda: head + b"".join(b"\r\nX%d: y" % i for i in range(500)) + b"\r\n\r\n" + body,
        10: lambda: good.replace(b"HTTP/1.1", rng.choice([b"HTTP/9.9", b"HTTP/1.0", b"HTTP/2", b"", b"\xff",
        b"HTTP/1.1 x"])),
        11: lambda: good.replace(b"POST /", rng.choice([b"POST ", b"P\x00ST /", b"POST /\xff\xfe",
        b"POST http://[/", b" /"])),
        12: lambda: head + b"\r\nExpect: 100-continue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + body,
        13: lambda: bytes(b ^ (1 << rng.randrange(8)) if rng.random() < 0.01 else b for b in good),
    }[kind]()  # fmt: skip
    return Attack(rng.choice(["api", "files", "web"]), "bytes", data, False)


FILE_PATHS = [
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%252e%252e/x", "/..%5c..%5cx", "/a/%00/b",
    "//etc/passwd", "/a//b",
    "/.", "/..", "/...", "/%c0%ae%c0%ae/x", "/\u2025/x", "/a;/../b", "/" + "a" * 3000, "/" + "a/" * 500,
    "/C:/x", "/%ff%fe",
    "/\\\\host\\share", "/delete_many", "/?download", "/p/x.txt?download=1&a=%ff", "/p/x.txt/", "/p", "/p/",
    "/%2f%2fx",
]  # fmt: skip


def at_files(rng: random.Random, world: World, number: int) -> Attack:
    """Requests to the file server: paths, multipart bodies, ranges, deletions."""
    path = (
        rng.choice(FILE_PATHS) if rng.random() < 0.7 else "/" + quote(rng.choice(STRINGS), errors="replace")
    )
    target = quote(path, safe="/%?&=;\\:.~")
    kind = rng.randrange(5)
    if kind == 0:
        headers = {"Range": rng.choice(["bytes=0-", "bytes=-1", "bytes=5-1", "bytes=0-0,1-1",
        "bytes=" + "1-2," * 500,
                                        "x", "bytes=99999999999999999999-", "bytes=a-b",
                                        "bytes=--"])}  # fmt: skip
        data = request(rng.choice(["GET", "HEAD"]), target, headers, b"", token=world.token)
    elif kind == 1:
        data = request("DELETE", target, {}, b"", token=world.token)
    elif kind == 2:
        body = encoded({"files": [rng.choice(FILE_PATHS), hostile(rng, world.known)]})
        body = rng.choice([body, body[:-3], b"[]", b"", encoded(hostile(rng, world.known))])
        data = request("POST", "/delete_many", {"Content-Type": "application/json"}, body, token=world.token)
    else:
        data = multipart(rng, world, path)
    return Attack(rng.choice(["files", "files", "web"]), "files", data, False)


def multipart(rng: random.Random, world: World, path: str) -> bytes:
    """An upload that is not quite one."""
    name = rng.choice([path, rng.choice(STRINGS), path + '"', "a\r\nb", f"/p/{rng.randrange(50)}.txt"])
    part = b'--B\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n' % (
        name.encode("utf-8", "replace"),
        rng.choice(STRINGS).encode("utf-8", "replace"),
    )
    part += rng.choice(
        [b"", b"Content-Type: text/html\r\n", b"X: " + b"y" * 20_000 + b"\r\n", b"\xff: \xff\r\n"]
    )
    part += b"\r\n" + rng.randbytes(rng.choice([0, 10, 5000])) + b"\r\n"
    body = part * rng.choice([1, 1, 2, 20]) + rng.choice([b"--B--\r\n", b"--B--", b"--B", b"", b"--X--\r\n"])
    kind = rng.choice(
        ["multipart/form-data; boundary=B"] * 4
        + ["multipart/form-data", "multipart/form-data; boundary=" + "B" * 500, "text/plain"]
    )
    return request(rng.choice(["POST", "POST", "PUT"]), "/", {"Content-Type": kind}, body, token=world.token)


WEB_PATHS = ["/", "/login", "/logout", "/projects", "/tasks", "/tasks/{}", "/tasks/{}/log",
"/tasks/{}/log/lines",
             "/tasks/{}/scalars", "/tasks/{}/clone", "/tasks/{}/enqueue", "/tasks/{}/abort",
             "/tasks/{}/reset", "/queues",
             "/workers", "/account", "/account/revoke", "/projects/{}/tasks", "/static/{}", "/api/{}",
             "/files/{}", "/{}"]  # fmt: skip


def at_web(rng: random.Random, world: World, number: int) -> Attack:
    """Requests to the web port: pages with odd parameters, forms with odd fields."""
    word = world.known.any(rng) if rng.random() < 0.5 else rng.choice(STRINGS)
    path = rng.choice(WEB_PATHS).format(quote(word[:3000], errors="replace"))
    fields = {rng.choice(["page", "order", "status", "name", "queue", "project", "tag", "from", "user",
    "login", "password",
                          "Args/x", "csrf", "next"]): hostile(rng,
                          world.known) for _ in range(rng.randrange(5))}  # fmt: skip
    headers = {"Cookie": f"clearml_token_basic={world.token}"}
    if rng.random() < 0.5:
        target = f"{path}?{quoted(rng, fields)}"
        return Attack("web", "web", request("GET", target, headers, b""), False)
    headers |= {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    headers["Content-Type"] = rng.choice(
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=B", "text/x"]
    )
    return Attack("web", "web", request("POST", path, headers, quoted(rng, fields).encode()), False)


def attack(seed: int, number: int, world: World) -> Attack:
    """Request ``number`` of a run."""
    rng = random.Random(f"{seed}/{number}")
    makers = [by_schema] * 14 + [by_identity] * 2 + [broken] * 2 + [at_files] + [at_web]
    maker = makers[number % len(makers)]
    return maker(rng, world, number // len(makers) * 14 + number % len(makers))
