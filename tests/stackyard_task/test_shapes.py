"""JSON from outside: what is taken, what is refused, and in which words."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_task import shapes
from stackyard_task.measure.timeline import CAPACITY, Timeline
from stackyard_task.records import Course
from stackyard_task.shapes import RecordError, from_json, parse, read_json, to_json
from tests.counts import examples


@dataclass(frozen=True)
class Part:
    name: str
    at: float = 0.0
    parts: Tuple[Part, ...] = ()


@dataclass
class Whole:
    number: int
    share: Optional[float] = None
    flag: bool = False
    either: Union[str, int] = 0
    pair: Tuple[str, int] = ("", 0)
    names: List[str] = field(default_factory=list)
    parts: Tuple[Part, ...] = ()
    named: Mapping[str, Part] = field(default_factory=dict)
    anything: Any = None
    free: Dict[str, Any] = field(default_factory=dict)


def test_every_kind_of_value_arrives_as_its_annotation_says() -> None:
    value = {
        "number": 3,
        "share": 1,
        "flag": True,
        "either": "x",
        "pair": ["a", 1],
        "names": ["a"],
        "parts": [{"name": "p", "parts": [{"name": "q"}]}],
        "named": {"k": {"name": "r", "at": 0.5}},
        "anything": [None, {"a": True}],
        "free": {"k": [1.5]},
        "of a newer version": 1,
    }
    assert from_json(Whole, value) == Whole(
        3,
        1,
        True,
        "x",
        ("a", 1),
        ["a"],
        (Part("p", parts=(Part("q"),)),),
        {"k": Part("r", 0.5)},
        [None, {"a": True}],
        {"k": [1.5]},
    )
    assert from_json(Dict[str, List[int]], {"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number": "3"}, "place: number is '3', expected a whole number"),
        ({"number": True}, "place: number is true, expected a whole number"),
        ({"number": 3.0}, "place: number is 3.0, expected a whole number"),
        ({"number": None}, "place: number is null, expected a whole number"),
        ({"number": 10**30}, f"place: number is {10**30}, expected a whole number"),
        ({"number": 10**300}, "place: number is a number of too many digits, expected a whole number"),
        ({"share": "3.1"}, "place: share is '3.1', expected a number"),
        ({"share": False}, "place: share is false, expected a number"),
        ({"share": float("inf")}, "place: share is inf, expected a number"),
        ({"share": float("nan")}, "place: share is nan, expected a number"),
        ({"share": 10**400}, "place: share is a number of too many digits, expected a number"),
        ({"flag": 1}, "place: flag is 1, expected true or false"),
        ({"either": 1.5}, "place: either is 1.5, expected a text or a whole number"),
        ({"pair": ["a"]}, "place: pair is a list of 1, expected a list of 2"),
        ({"pair": ["a", "b"]}, "place: pair[1] is 'b', expected a whole number"),
        ({"names": "abc"}, "place: names is 'abc', expected a list"),
        ({"names": ["a", 1]}, "place: names[1] is 1, expected a text"),
        ({"names": ["\ud800"]}, "place: names[0] is '\\ud800', expected a text that can be written as UTF-8"),
        ({"parts": [{"name": "p"}, {}]}, "place: parts[1] key 'name' is missing"),
        ({"parts": [7]}, "place: parts[0] is 7, expected an object"),
        ({"named": {"k": {"name": "r", "at": "x"}}}, "place: named.k.at is 'x', expected a number"),
        ({"anything": {"a": [float("inf")]}}, "place: anything.a[0] is inf, expected a number"),
        ({"anything": {"\udfff": 1}}, "place: anything.\\udfff is '\\udfff', expected a text"),
        ({"free": []}, "place: free is a list, expected an object"),
        ({"number": "x" * 1000}, "place: number is '" + "x" * 56 + "..., expected a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_seen_and_expected(changes: Dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError) as refusal:
        from_json(Whole, {"number": 1, **changes}, "place")
    assert str(refusal.value).startswith(words)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded_where_the_shape_is_free() -> None:
    assert from_json(Whole, {"number": 1, "anything": nested(shapes.NESTING)}).anything
    with pytest.raises(RecordError, match="nested too deeply"):
        from_json(Whole, {"number": 1, "anything": nested(shapes.NESTING + 1)})
    with pytest.raises(RecordError, match="nested too deeply"):
        parse("[" * 100_000, "place")


def test_a_number_of_too_many_digits_is_said_in_our_words() -> None:
    with pytest.raises(RecordError) as refusal:
        parse('{"a": ' + "9" * 5000 + "}", "place")
    assert str(refusal.value) == "place: not JSON (a number has too many digits)"


def test_what_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*one\.json"):
        shapes.write_json({}, tmp_path / "one.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_only_a_regular_file_is_read_and_nothing_is_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "one.json"
    if kind == "fifo":
        os.mkfifo(str(path))
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(RecordError, match=r"one\.json: cannot be read \(it is no regular file\)"):
        read_json(Whole, path)


def test_a_file_holds_values_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.json"
    monkeypatch.setattr(shapes, "FILE_BYTES", 1600)
    path.write_text(json.dumps({"number": 1, "anything": [{}] * 49}), encoding="utf-8")
    assert len(read_json(Whole, path).anything) == 49
    path.write_text(json.dumps({"number": 1, "anything": [{}] * 50}), encoding="utf-8")
    with pytest.raises(RecordError, match=r"one\.json: cannot be read \(more than 100 values\)"):
        read_json(Whole, path)
    assert len(read_json(Whole, path, 3200).anything) == 50


def test_the_longest_honest_timeline_is_read(tmp_path: Path) -> None:
    gpus, path = 64, tmp_path / "timeline.json"
    timeline = Timeline(0.1, list(range(gpus)))
    for index in range(CAPACITY - 1):
        timeline.add(index * 8640.123, 12345.6, 1 << 40, [[1 << 37, 99.9]] * gpus)
    shapes.write_json(timeline.to_json([{"name": "startup", "at_seconds": 0.0}]), path)
    course = read_json(Course, path)
    assert (len(course.t_seconds), len(course.gpus)) == (CAPACITY - 1, gpus)


def test_a_file_is_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"number": 1}), encoding="utf-8")
    assert read_json(Whole, path).number == 1
    monkeypatch.setattr(shapes, "FILE_BYTES", 5)
    with pytest.raises(RecordError, match=r"one\.json: cannot be read \(more than 5 bytes\)"):
        read_json(Whole, path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"number": NaN}', b'{"number": 1e999}', b"7", b"null"]
)
def test_a_file_that_is_not_of_the_shape_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(content)
    for place in (path, tmp_path, tmp_path / "absent"):
        with pytest.raises(RecordError, match=str(place)):
            read_json(Whole, place)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(80), deadline=None)
@given(st.dictionaries(st.sampled_from(list(Whole.__dataclass_fields__)), PLAIN))
def test_whatever_comes_is_taken_unchanged_or_refused(value: Dict[str, Any]) -> None:
    try:
        built = from_json(Whole, value)
    except RecordError:
        return
    plain = json.loads(json.dumps(to_json(built), allow_nan=False))
    assert {key: plain[key] for key in value} == json.loads(json.dumps(value))
