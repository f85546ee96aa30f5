"""Recorded bodies as bytes again.

Lives here: turning the recordings' form of a body (a value, NDJSON, text, the start of a multipart body, a byte count)
into what is sent, and filling what the recordings cut, where its pattern or a later answer tells it.
Lives elsewhere: translating ids (``mapping``), sending (``player``). May import: ``recordings``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .recordings import CUT_LIST, CUT_TEXT, Exchange


def continue_list(items: list[Any]) -> list[Any]:
    """A list whose cut tail goes on as its beginning went.

    A period of one to four items is looked for in which texts repeat and integers step evenly; a float is taken to
    follow ``value * (iter + 1)`` when that is constant, and to repeat otherwise. Without such a period the cut marker
    is only taken off.
    """
    cut = CUT_LIST.match(items[-1]) if items and isinstance(items[-1], str) else None
    if cut is None:
        return items
    known, missing = items[:-1], int(cut.group(1))
    if not all(isinstance(item, dict) for item in known):
        return known
    for period in range(1, 5):
        if all(
            _follows(known[i], known[i + period], known[i + 2 * period])
            for i in range(len(known) - 2 * period)
        ):
            for _ in range(missing):
                known.append(_next(known[-2 * period], known[-period]))
            break
    return known


def _follows(first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]) -> bool:
    if not first.keys() == second.keys() == third.keys():
        return False
    for key, value in third.items():
        if isinstance(value, float):
            continue
        if isinstance(value, int) and value - second[key] != second[key] - first[key]:
            return False
        if isinstance(value, str) and value != first[key]:
            return False
    return True


def _next(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    item = dict(second)
    for key, value in second.items():
        if isinstance(value, int) and not isinstance(value, bool):
            item[key] = 2 * value - first[key]
    scale = second.get("value", 0.0) * (second.get("iter", 0) + 1)
    if "iter" in second and abs(first["value"] * (first["iter"] + 1) - scale) < 1e-9:
        item["value"] = scale / (item["iter"] + 1)
    return item


def build_body(
    exchange: Exchange, value: Any, stored: dict[str, bytes], translate: Callable[[str], str] = str
) -> bytes | None:
    """The bytes to send for an exchange.

    Args:
        exchange: What was recorded.
        value: Its request, translated for the server under test.
        stored: Recorded path on the file server -> content known from a later download, to complete a cut upload.
        translate: A recorded text for the server under test; lengths stay.
    """
    if value is None:
        return None
    value = _lengthen(value)
    if isinstance(value, dict):
        if "__jsonlines__" in value:
            lines = value["__jsonlines__"]
            if isinstance(lines, list):
                return "".join(_to_line(line) for line in continue_list(lines)).encode()
            return str(lines).encode()
        if "__text__" in value:
            return str(value["__text__"]).encode()
        if "__multipart__" in value:
            return _complete_upload(exchange, value, find_content(exchange, stored, translate))
        if "__binary__" in value:
            return imagine_upload(
                _boundary(exchange),
                translate(_path(exchange)),
                value["__binary__"],
                find_content(exchange, stored, translate),
            )
    return json.dumps(value).encode()


def _lengthen(value: Any) -> Any:
    """The value with cut texts filled to their length: lengths are part of some answers."""
    if isinstance(value, dict):
        return {key: _lengthen(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_lengthen(item) for item in value]
    if isinstance(value, str) and (cut := CUT_TEXT.search(value)):
        return value[: cut.start()] + "x" * int(cut.group(1))
    return value


def _to_line(line: Any) -> str:
    return (line if isinstance(line, str) else json.dumps(line)) + "\n"


def _boundary(exchange: Exchange) -> str:
    return exchange.headers.get("Content-Type", "").partition("boundary=")[2]


def _path(exchange: Exchange) -> str:
    """The recorded path of an upload."""
    answer = exchange.response
    lead = "/" if exchange.flow.startswith("s") else ""
    return lead + (answer[0] if isinstance(answer, list) and answer else "unknown")


def find_content(
    exchange: Exchange, stored: dict[str, bytes], translate: Callable[[str], str]
) -> bytes | None:
    """What an upload must have held, going by a later download."""
    content = stored.get(_path(exchange).lstrip("/"))
    return None if content is None else translate_content(content, translate)


def translate_content(content: bytes, translate: Callable[[str], str]) -> bytes:
    """A file's content with its ids translated, where it is text."""
    try:
        return translate(content.decode("ascii")).encode()
    except UnicodeDecodeError:
        return content


def _complete_upload(exchange: Exchange, value: dict[str, Any], known: bytes | None) -> bytes:
    text, length = value["__multipart__"], value.get("len", 0)
    body = text.encode("utf-8", "surrogateescape")
    ending = f"\r\n--{_boundary(exchange)}--\r\n".encode()
    if body.endswith(ending):
        return body
    head, _, start = body.partition(b"\r\n\r\n")
    size = max(length - len(head) - 4 - len(ending), len(start))
    content = known if known is not None and known.startswith(start) else start + b"x" * (size - len(start))
    return head + b"\r\n\r\n" + content + ending


def imagine_upload(boundary: str, name: str, length: int, known: bytes | None) -> bytes:
    """An upload of which only the path is known, as long as a later download or else as recorded."""
    guess = {"gz": "application/octet-stream", "jpeg": "image/jpeg", "zip": "application/zip"}
    kind = guess.get(name.rpartition(".")[2], "application/octet-stream")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    ).encode()
    ending = f"\r\n--{boundary}--\r\n".encode()
    if known is None:
        known = b"\x00" * max(length - len(head) - len(ending), 0)
    return head + known + ending


def find_stored_contents(exchanges: list[Exchange]) -> dict[str, bytes]:
    """Path on the file server -> content, from the downloads among the exchanges."""
    contents: dict[str, bytes] = {}
    for exchange in exchanges:
        if exchange.client != "files" or exchange.method != "GET" or exchange.status != 200:
            continue
        path = re.sub(r"%20", " ", exchange.path.split("?")[0]).lstrip("/")
        size = int(exchange.response_headers.get("Content-Length", "0"))
        answer = exchange.response
        if isinstance(answer, dict) and "__text__" in answer:
            content = answer["__text__"].encode()
        elif isinstance(answer, dict) and "__binary__" in answer:
            content = b"\x00" * answer["__binary__"]
        else:
            content = json.dumps(answer, indent=4).encode()
            if len(content) != size:
                content = json.dumps(answer).encode()
        if len(content) == size:
            contents[path] = content
    return contents
