"""Reading all metrics of a run: whatever it left, what can be read is read."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_task.listener import plain
from stackyard_task.metrics import read
from stackyard_task.metrics.tensorboard import masked_crc
from tests.counts import examples
from tests.stackyard_task.metrics.running import places

SOURCES = {
    "line": r"line:a(?P<value>.*?)(?P<step>b.*)?$",
    "json": "json:m.json#a.0",
    "jsonl": "jsonl:m.jsonl#a@b",
    "csv": "csv:m.csv#a@b",
    "tensorboard": "tensorboard:a",
    "clearml": "clearml:a/b",
}
PIECES = st.sampled_from(
    [
        b"a",
        b"b",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"0",
        b"1e999",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"\x0a\x01a",
    ]
)
BYTES = st.one_of(
    st.binary(max_size=40), st.lists(PIECES, max_size=20).map(b"".join), st.just(b'{"a": [1], "b": 2}')
)


def framed(data: bytes) -> bytes:
    """A record of an event file with right checksums, whatever is in it."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(BYTES, min_size=6, max_size=6))
def test_no_bytes_of_any_file_break_the_reading(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    log, one_value, rows, table, event, sdk = contents
    where = places(folder, log)
    (where.outputs / "m.json").write_bytes(one_value)
    (where.outputs / "m.jsonl").write_bytes(rows)
    (where.outputs / "m.csv").write_bytes(table)
    (where.outputs / "tfevents.1").write_bytes(framed(b"\x2a" + bytes([len(event)]) + event) + event)
    (folder / "clearml" / "offline" / "one").mkdir(parents=True)
    (folder / "clearml" / "offline" / "one" / "metrics.jsonl").write_bytes(sdk)
    found = read(SOURCES, where)
    shutil.rmtree(str(folder))
    assert json.loads(json.dumps([found.values, found.series], allow_nan=False)) == [
        found.values,
        found.series,
    ]
    assert plain(found.values) == found.values
    for name in SOURCES:
        assert name in found.values or any(f"metric {name!r}: " in note for note in found.notes)
    assert all(note.isprintable() for note in found.notes)


def test_what_is_said_once_is_not_said_for_each_metric(tmp_path: Path) -> None:
    where = places(tmp_path)
    where.log.unlink()
    found = read({"a": "line:a(?P<value>.)", "b": "line:b(?P<value>.)"}, where)
    assert [note for note in found.notes if "cannot be read" in note] == [
        "output.log cannot be read (No such file or directory)"
    ]


def test_a_sentence_shows_no_instructions_to_a_terminal_and_is_short(tmp_path: Path) -> None:
    where = places(tmp_path)
    (where.outputs / "m.csv").write_bytes(b"\x1b[31mred,b\n1,2\n")
    found = read({"a": "csv:m.csv#c", "b": "csv:m.csv#" + "x" * 1500}, where)
    assert found.notes[0] == "metric 'a': m.csv has no column 'c'; it has ?[31mred, b"
    assert len(found.notes[1]) == 600
