"""Values no field should hold, and values one could hold, by their form in ``fields.json``."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REGEX_BOMBS = [
    "(a+)+$", "(a|aa)+$", "(.*a){25}", "(?:x*)*y", "(" * 200, "[", "(?P<n", "a{99999}", "((a{9}){9}){9}{9}",
    "(?=a)b",
    "\\1", "(?i)(?s).*", "[\\w-\\d]", "\\p{L}+", "^(([a-z])+.)+[A-Z]([a-z])+$", "|" * 500, "(?#", "\\", "*",
    "a**",
]  # fmt: skip
STRINGS = [
    "", " ", "a", "ab", "null", "None", "true", "0", "-1", "1e309", "NaN", "' OR 1=1 --",
    '"; DROP TABLE task; --', "%",
    "_%", "$", "$.a", "$[0]", "$..*", "a.b.c", ".", "..", "a..b", "../../etc/passwd", "..%2f", "%00", "\x00",
    "a\x00b",
    "\n", "\r\nX: y", "\x1b[2J", "\x7f", "\ufeff", "\u202e", "\u2028", "\U0001f600", "e\u0301" * 20, "\ufffe",
    "<script>alert(1)</script>", "{{7*7}}", "${7*7}", "__$all", "__$or", "-", "--", "-__$not", "__class__",
    "constructor",
    "hyperparams.Args.x.value", "last_metrics.a.b.value", "last_metrics.", "last_metrics..",
    "execution.queue", "*",
    f"last_metrics.{'0' * 32}.{'f' * 32}.value", "models.input.model", "user.password",
    "project.name.x", "-name",
    ">=2026-01-01T00:00:00", ">=nonsense", "<", "2026-13-45", "9999-12-31T23:59:59+14:00", "0001-01-01",
    "-99999-01-01",
    "file:///etc/passwd", "http://127.0.0.1:1/", "s3://", "\\\\host\\share", "C:\\x", "a/b/c", "/" * 50,
    "a/" * 50, "~",
    "x" * 300, "x" * 20_000, "\u00e9" * 5_000, "md5", "0" * 32, "g" * 32, "f" * 33, "[1,2]", '{"a":1}', "on",
    "0x10", "+5",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 7, 500, 501, 10_000, -(2**31), 2**31, 2**53, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 10**25,
    -(10**25),
    0.5, -0.5, 1e-320, 1e15, 1e308, -1e308, 1e18, 253402300800, 253402300800000, -62135596801000, 3.0000001,
]  # fmt: skip


def deep(depth: int, kind: int) -> Any:
    """A value nested so deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == 0 else {"a": value} if kind == 1 else {"$and": [value]}
    return value


@dataclass(frozen=True)
class Known:
    """What exists on the server: ids and names by kind ("task", "project"...)."""

    by_kind: dict[str, list[str]]

    def any(self, rng: random.Random) -> str:
        """Something that exists."""
        return rng.choice(self.by_kind[rng.choice(sorted(self.by_kind))])

    def fitting(self, rng: random.Random, name: str, service: str) -> str:
        """Something that could stand in a field of that name."""
        if name in ("id", "ids", "parent"):
            name = service.removesuffix("s")
        for kind, found in self.by_kind.items():
            if kind in name and rng.random() < 0.9:
                return rng.choice(found)
        return self.any(rng)


@dataclass(frozen=True)
class Field:
    """Where a value is to stand: the field's name and its endpoint's service."""

    name: str
    service: str


def hostile(rng: random.Random, known: Known) -> Any:
    """Any value at all."""
    kind = rng.randrange(12)
    if kind <= 2:
        return rng.choice(STRINGS)
    if kind <= 4:
        return rng.choice(NUMBERS)
    if kind == 5:
        return rng.choice(REGEX_BOMBS)
    if kind == 6:
        return rng.choice([None, True, False, [], {}, [[]], [{}], {"": None}, [None], [None, 1, "a", [], {}]])
    if kind == 7:
        return [hostile(rng, known) for _ in range(rng.randrange(5))]
    if kind == 8:
        return {rng.choice(STRINGS[:80]): hostile(rng, known) for _ in range(rng.randrange(4))}
    if kind == 9 and rng.random() < 0.3:
        return deep(rng.choice([3, 50, 95, 99, 100, 101, 250, 300]), rng.randrange(3))
    if kind == 10:
        return known.any(rng)
    return rng.choice(STRINGS) * rng.choice([1, 2, 3])


def fitting(rng: random.Random, form: Any, known: Known, field: Field) -> Any:
    """A value of the right form, from things that exist where it may."""
    if isinstance(form, str):
        makers: dict[str, Callable[[], Any]] = {
            "string": lambda: (
                known.fitting(rng, field.name, field.service) if rng.random() < 0.8 else rng.choice(STRINGS)
            ),
            "integer": lambda: rng.choice([0, 1, 2, 10, 500, rng.choice(NUMBERS[:13])]),
            "number": lambda: rng.choice([0, 0.5, 1, 100, rng.choice(NUMBERS[:13])]),
            "boolean": lambda: rng.random() < 0.5,
            "object": lambda: {
                rng.choice(STRINGS[:40]): hostile(rng, known) for _ in range(rng.randrange(3))
            },
            "any": lambda: hostile(rng, known),
        }
        return makers[form]()
    if isinstance(form, list):
        return [fitting(rng, form[0], known, field) for _ in range(rng.randrange(4))]
    if "enum" in form:
        return rng.choice(form["enum"])
    if "map" in form:
        return {
            rng.choice(STRINGS[:60]): fitting(rng, form["map"], known, field) for _ in range(rng.randrange(3))
        }
    names = [n for n in form["object"] if n in form.get("required", ()) or rng.random() < 0.4]
    inner = form["object"]
    return {n: maybe_hostile(rng, inner[n], known, Field(n, field.service), 0.1) for n in names}


def maybe_hostile(rng: random.Random, form: Any, known: Known, field: Field, share: float) -> Any:
    """A fitting value, or with this probability any other."""
    return hostile(rng, known) if rng.random() < share else fitting(rng, form, known, field)
