"""ClearML's request and answer form: from path, query, body to a call's data, and back to the JSON envelope.

Clients send GET with a JSON body, fields nobody asked for, and any version; all of it is read here, once.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qsl

import orjson

from .. import API_VERSION
from . import bounds
from .bounds import Bound
from .error_table import ApiError, error

PATH = re.compile(r"/(?:v(\d{1,9}\.?\d{1,9})/)?([A-Za-z_]\w*)\.([A-Za-z_]\w*)/?", re.ASCII)
#: Longer paths are no endpoint's and are not remembered.
REMEMBERED_PATH = 128
BATCH = b"application/json-lines"
FORM = b"application/x-www-form-urlencoded"
#: A form whose body begins so is the JSON that every other body is.
JSON_BEGINS = (b"{", b"[", b'"')
#: Fields of a query or form, and how deep their dotted names nest.
MOST_PAIRS, MOST_PARENTS = 1000, 20


def parse_path(path: str) -> tuple[str, str]:
    """The endpoint's name and the version asked for ("2.34" where the path has none).

    Raises:
        ApiError: 400/0.
    """
    return _read_known_path(path) if len(path) <= REMEMBERED_PATH else _read_path(path)


def _read_path(path: str) -> tuple[str, str]:
    found = PATH.fullmatch(path)
    if not found:
        raise ApiError(400, 0, f"Invalid request path {path}")
    version, service, action = found.groups()
    return f"{service}.{action}", version or API_VERSION


#: Clients ask for the same few paths again and again.
_read_known_path = functools.lru_cache(512)(_read_path)


@functools.lru_cache(256)
def parse_version(version: str) -> tuple[int, int]:
    """("2.23") -> (2, 23), so that 2.9 comes before 2.23."""
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)


def parse_body(
    content_type: bytes, body: bytes, query: bytes, bound: Bound
) -> dict[str, Any] | list[dict[str, Any]]:
    """The data of a request: a dict, or a list of dicts for a batch (one JSON object a line).

    Raises:
        ApiError: 400/0 malformed JSON; 400/12 JSON that is no object, or more than may be.
    """
    if content_type.startswith(BATCH):
        return parse_lines(body, bound)
    data: Any = {}
    if body:
        # curl calls every body a form, and a form without a pair is none
        is_form = content_type.startswith(FORM) and b"=" in body and body.lstrip()[:1] not in JSON_BEGINS
        data = _parse_pairs(body, bound) if is_form else bounds.read(body, bound)
    if not isinstance(data, dict):
        raise error("validation", f"a JSON object was expected, found: {type(data).__name__}")
    if query:
        data = {**_parse_pairs(query, bound), **data}
    return data


def parse_lines(body: bytes, bound: Bound) -> list[dict[str, Any]]:
    """The objects of a batch, or of a piece of one.

    Raises:
        ApiError: 400/0 malformed; 400/12 more than may be.
    """
    bounds.check_lines(body, bound)
    if len(body) > 2 * bound.values and bounds.has_more(body, bound.values):
        for line in body.splitlines():
            bounds.check_text(line, bound)
    lines = _lines_at_once(body)
    if lines is None:
        lines = [_parse_line(line) for line in body.splitlines() if line.strip()]
    brackets = body.count(b"{") + body.count(b"[")
    # what has few brackets and short lines has less of everything
    is_bounded = brackets - len(lines) < bound.depth and max(map(len, body.split(b"\n"))) <= bound.name
    for line in lines:
        if not is_bounded:
            bounds.check_shape(line, body, bound)
        if not isinstance(line, dict):
            raise ApiError(400, 0, f"json lines must contain objects, found: {type(line).__name__}")
    return lines


def _lines_at_once(body: bytes) -> list[Any] | None:
    """The lines read as one list, which is faster; None where they must be looked at one by one."""
    body = body.strip()
    try:
        lines: list[Any] = orjson.loads(b"[" + body.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        return None
    return lines if len(lines) == body.count(b"\n") + 1 else None


def _parse_line(line: bytes) -> Any:
    """One JSON value. Python's clients write NaN and Infinity, which are no JSON: they are read as null."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return orjson.loads(orjson.dumps(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            raise error("bad_request") from None


def _parse_pairs(text: bytes, bound: Bound) -> dict[str, Any]:
    """Form or query fields: digits are numbers, ``a.b=1`` nests, repeated keys and ``k[]`` are lists."""
    data: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MOST_PAIRS)
    except ValueError:
        raise error("bad_request") from None
    bounds.check_names((key for key, _ in pairs), bound)
    for key, raw in pairs:
        value: Any = raw
        if raw.isascii() and raw.isdigit() and len(raw) < 19:
            value = int(raw)
        elif raw in ("true", "false"):
            value = raw == "true"
        is_list = key.endswith("[]")
        *parents, last = key.removesuffix("[]").split(".")[:MOST_PARENTS]
        place = data
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = inner
        if last in place:
            held = place[last]
            place[last] = [*held, value] if isinstance(held, list) else [held, value]
        else:
            place[last] = [value] if is_list else value
    return data


def meta(
    name: str | None,
    requested: str | float,
    actual: str | None,
    trx: str | None,
    code: int,
    subcode: int,
    message: str,
) -> dict[str, Any]:
    """The envelope's head."""
    id = secrets.token_hex(16)
    return {
        "id": id,
        "trx": trx or id,
        "endpoint": {
            "name": name,
            "requested_version": requested,
            # to clients that are told the one as a number, both are
            "actual_version": float(actual) if actual and isinstance(requested, float) else actual,
        },
        "result_code": code,
        "result_subcode": subcode,
        "result_msg": message,
        "error_stack": None,
        "error_data": {},
    }


def encode(head: dict[str, Any], data: Any) -> bytes:
    """The answer's body."""
    return orjson.dumps({"meta": head, "data": data}, option=orjson.OPT_NON_STR_KEYS)
