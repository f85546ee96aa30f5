"""TensorBoard event files, made by hand as their format says."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import List, Tuple, Union

import pytest

from stackyard_task.metrics import files, read, tensorboard
from stackyard_task.metrics.tensorboard import masked_crc
from tests.stackyard_task.metrics.running import places


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: Union[int, float, bytes]) -> bytes:
    """A field of a protocol buffer: a varint, a 32-bit float or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def event(step: int, *values: bytes, when: float = 1.0) -> bytes:
    """An Event with a Summary of values."""
    head = varint(1 << 3 | 1) + struct.pack("<d", when) + (field(2, step) if step else b"")
    return head + field(5, b"".join(field(1, value) for value in values))


def simple(tag: str, value: float) -> bytes:
    return field(1, tag.encode()) + field(2, value)


def tensor(tag: str, kind: int, *parts: bytes) -> bytes:
    return field(1, tag.encode()) + field(8, field(1, kind) + field(2, b"") + b"".join(parts))


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


VERSION = record(varint(1 << 3 | 1) + struct.pack("<d", 1.0) + field(3, b"brain.Event:2"))


def events(folder: Path, *data: bytes, name: str = "events.out.tfevents.1.host.1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(VERSION + b"".join(record(one) for one in data))
    return folder / name


def test_the_checksum_is_crc_32c() -> None:
    # RFC 3720, B.4: the CRC of "123456789" is E3069283
    crc = 0xE3069283
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_scalar_is_its_last_value_and_a_course(tmp_path: Path) -> None:
    where = places(tmp_path)
    events(
        where.working / "runs" / "now",
        event(0, simple("Loss/train", 1.5), simple("other", 9.0)),
        event(10, simple("Loss/train", 0.1)),
        event(20, simple("Loss/train/more", 7.0)),
        event(-3, simple("Loss/train", float("nan"))),
    )
    found = read({"loss": "tensorboard:Loss/train"}, where)
    assert found.values == {"loss": "nan"}
    assert found.series == {"loss": [[0, 1.5], [10, 0.1], [-3, "nan"]]}
    assert found.notes == []


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (tensor("t", 1, field(4, struct.pack("<f", 0.1))), 0.1),
        (tensor("t", 2, field(4, struct.pack("<d", 1 / 3))), 1 / 3),
        (tensor("t", 9, field(4, struct.pack("<q", -7))), -7),
        (tensor("t", 19, field(4, struct.pack("<e", 0.5))), 0.5),
        (tensor("t", 1, field(5, struct.pack("<f", 0.3))), 0.3),
        (tensor("t", 1, field(5, 0.25)), 0.25),
        (tensor("t", 3, field(7, varint(-5))), -5),
        (tensor("t", 3, field(7, 5)), 5),
    ],
)
def test_a_tensor_of_one_number_is_a_scalar(tmp_path: Path, data: bytes, value: float) -> None:
    where = places(tmp_path)
    events(where.outputs, event(4, data))
    assert read({"t": "tensorboard:t"}, where).series == {"t": [[4, value]]}


@pytest.mark.parametrize(
    "data",
    [
        tensor("t", 1, field(4, struct.pack("<2f", 1, 2))),
        tensor("t", 1, field(5, struct.pack("<2f", 1, 2))),
        tensor("t", 3, field(7, varint(1) + varint(2))),
        tensor("t", 7, field(8, b"text")),
        field(1, b"t") + field(4, b"a picture"),
    ],
)
def test_what_is_no_number_is_no_scalar(tmp_path: Path, data: bytes) -> None:
    where = places(tmp_path)
    events(where.outputs, event(4, data))
    found = read({"t": "tensorboard:t"}, where)
    assert (found.values, found.notes) == ({}, ["metric 't': no scalar 't' in 1 TensorBoard event file"])


def test_a_tag_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    where = places(tmp_path)
    events(
        where.outputs / "a",
        event(1, simple("loss/train", 0.5)),
        event(1, field(1, b"image") + field(4, b"x")),
    )
    events(where.working / "b", event(1, simple("accuracy", 0.5)))
    found = read({"t": "tensorboard:Loss/train"}, where)
    assert found.notes == [
        "metric 't': no scalar 'Loss/train' in 2 TensorBoard event files; they have accuracy, loss/train"
    ]


def test_a_tag_that_two_folders_have_is_named_with_its_folder(tmp_path: Path) -> None:
    where = places(tmp_path)
    events(where.outputs / "train", event(1, simple("loss", 1.0)))
    events(where.outputs / "validation", event(1, simple("loss", 2.0)))
    found = read({"any": "tensorboard:loss", "one": "tensorboard:validation/loss"}, where)
    assert found.values == {"one": 2.0}
    assert found.notes == [
        "metric 'any': 2 folders have a scalar 'loss' (train, validation); name one: tensorboard:train/loss"
    ]


RUN = "runs/Nov30_13-03-43_host"


@pytest.mark.parametrize(
    "source",
    [
        "loss_train/loss",
        "Nov30_13-03-43_host/loss_train/loss",
        RUN + "/loss_train/loss",
        "runs/*/loss_train/loss",
        "**/loss_train/loss",
        "runs/*/loss_tr???/loss",
        "runs/*_host/loss_train/loss",
    ],
)
def test_a_folder_is_named_by_its_end_or_with_wildcards(tmp_path: Path, source: str) -> None:
    where = places(tmp_path)
    events(where.working / RUN, event(1, simple("loss", 9.0)), event(1, simple("a/b", 3.0)))
    events(where.working / RUN / "loss_train", event(1, simple("loss", 1.0)))
    events(where.working / RUN / "loss_valid", event(1, simple("loss", 2.0)))
    found = read(
        {"it": "tensorboard:" + source, "root": "tensorboard:runs/*/loss", "tag": "tensorboard:a/b"}, where
    )
    assert (found.values, found.notes) == ({"it": 1.0, "root": 9.0, "tag": 3.0}, [])
    within = read({"it": "tensorboard:runs/*/a/b", "not": "tensorboard:ss_train/loss"}, where)
    assert within.values == {"it": 3.0}


def test_an_end_that_two_folders_have_is_refused(tmp_path: Path) -> None:
    where = places(tmp_path)
    for fold in ("fold-a", "fold-b"):
        events(where.outputs / fold / "train", event(1, simple("Loss/all", 1.0)))
    assert read({"it": "tensorboard:train/Loss/all"}, where).notes == [
        "metric 'it': 2 folders have a scalar 'Loss/all' (fold-a/train, fold-b/train); "
        "name one: tensorboard:fold-a/train/Loss/all"
    ]


def test_wildcards_mean_the_folder_that_was_written_last(tmp_path: Path) -> None:
    where = places(tmp_path)
    for number, name in enumerate(("b", "c", "a")):
        path = events(where.working / "runs" / name, event(1, simple("loss", float(number))))
        os.utime(path, (1000 + number, 1000 + number))
    assert read({"loss": "tensorboard:runs/*/loss"}, where).values == {"loss": 2.0}


@pytest.mark.parametrize(
    ("folders", "advice"),
    [
        ([RUN + "/loss_train", RUN + "/loss_valid"], "loss_train/loss"),
        ([RUN, RUN + "/loss_train"], "loss_train/loss"),
        ([RUN, RUN + "/20261130-130343"], "runs/*/loss"),
        (["logs/20261130-130343/train", "logs/20261130-130343/validation"], "train/loss"),
        (["logs/1/train", "logs/2/train"], "1/train/loss"),
        (["x/train", "train"], "train/loss"),
        ([".", "x"], "./loss"),
        (["lightning_logs/version_0", "other/version_0"], "lightning_logs/*/loss"),
        ([RUN, "runs/Nov30_13-03-44_host"], RUN + "/loss"),
    ],
)
def test_the_advice_names_what_fits_the_next_run_too(tmp_path: Path, folders: List[str], advice: str) -> None:
    where = places(tmp_path)
    for folder in folders:
        events(where.outputs / folder, event(1, simple("loss", 1.0)))
    refused = read({"loss": "tensorboard:loss"}, where)
    assert refused.notes[0].endswith(f"; name one: tensorboard:{advice}")
    taken = read({"loss": "tensorboard:" + advice}, where)
    assert (taken.values, taken.notes) == ({"loss": 1.0}, [])


def session(step: int, status: int = 1) -> bytes:
    """An Event that tells of a session, as SummaryWriter(purge_step=step) writes it."""
    return varint(1 << 3 | 1) + struct.pack("<d", 1.0) + field(2, step) + field(7, field(1, status))


def course(*points: Tuple[int, float]) -> List[bytes]:
    return [event(step, simple("loss", value)) for step, value in points]


def test_what_a_later_session_purges_is_not_there(tmp_path: Path) -> None:
    where = places(tmp_path)
    first = course(*((step, 1.0 + step) for step in range(6)))
    events(where.outputs, *first, name="events.out.tfevents.1")
    events(where.outputs, session(3), *course((3, 33.0), (4, 34.0)), name="events.out.tfevents.2")
    events(where.outputs / "other", *course((5, 7.0)))
    # as TensorBoard 2.21's EventAccumulator has it
    expected = [[0, 1.0], [1, 2.0], [2, 3.0], [3, 33.0], [4, 34.0]]
    found = read({"loss": "tensorboard:./loss", "other": "tensorboard:other/loss"}, where)
    assert found.series == {"loss": expected, "other": [[5, 7.0]]}
    events(where.outputs, session(4), name="events.out.tfevents.3")
    assert read({"loss": "tensorboard:./loss"}, where).series == {"loss": expected[:-1]}


def test_sessions_without_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "_PURGED_POINTS", 100)
    where = places(tmp_path)
    events(where.outputs, *course((1, 1.0), (2, 2.0)), *[session(3)] * 60)
    found = read({"loss": "tensorboard:loss"}, where)
    assert found.values == {}
    assert "too many sessions begin in the TensorBoard event files" in found.notes[0]


def test_a_session_that_ends_or_is_damaged_purges_nothing(tmp_path: Path) -> None:
    where = places(tmp_path)
    path = events(where.outputs, *course((1, 1.0), (2, 2.0)), session(1, status=2), session(1, status=3))
    assert read({"loss": "tensorboard:loss"}, where).series == {"loss": [[1, 1.0], [2, 2.0]]}
    broken = bytearray(record(session(1)))
    broken[-1] ^= 1
    path.write_bytes(path.read_bytes() + broken)
    found = read({"loss": "tensorboard:loss"}, where)
    assert found.series == {"loss": [[1, 1.0], [2, 2.0]]}
    assert "is damaged" in found.notes[0]


def test_several_files_of_one_folder_are_one_course(tmp_path: Path) -> None:
    where = places(tmp_path)
    events(where.outputs, event(2, simple("a", 2.0), when=20.0), name="a.tfevents.2")
    events(where.outputs, event(1, simple("a", 1.0), when=10.0), name="z.tfevents.1")
    assert read({"a": "tensorboard:a"}, where).series == {"a": [[1, 1.0], [2, 2.0]]}


def test_the_files_of_an_earlier_run_are_not_read(tmp_path: Path) -> None:
    where = places(tmp_path, since=time.time())
    old = events(where.working / "runs" / "before", event(1, simple("a", 1.0)))
    os.utime(old, (1000, 1000))
    assert read({"a": "tensorboard:a"}, where).notes == [
        "metric 'a': the run wrote no TensorBoard event file into its outputs or working folder"
    ]
    events(where.working / "runs" / "now", event(1, simple("a", 2.0)))
    assert read({"a": "tensorboard:a"}, where).values == {"a": 2.0}


def test_a_file_that_ends_in_the_middle_counts_until_there(tmp_path: Path) -> None:
    where = places(tmp_path)
    path = events(where.outputs, event(1, simple("a", 1.0)), event(2, simple("a", 2.0)))
    whole = path.read_bytes()
    for cut in (1, 3, 20, 30):
        path.write_bytes(whole[:-cut])
        found = read({"a": "tensorboard:a"}, where)
        assert (found.values, found.notes) == ({"a": 1.0}, [])


def test_a_damaged_file_counts_until_there_and_is_said(tmp_path: Path) -> None:
    where = places(tmp_path)
    path = events(where.outputs, event(1, simple("a", 1.0)), event(2, simple("a", 2.0)))
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(whole)
    found = read({"a": "tensorboard:a"}, where)
    assert found.values == {"a": 1.0}
    assert len(found.notes) == 1
    assert "is damaged (the record before byte" in found.notes[0]
    path.write_bytes(b"this is no event file at all")
    found = read({"a": "tensorboard:a"}, where)
    assert "is damaged (the length of the record at byte 0" in found.notes[0]
    path.write_bytes(VERSION + record(b"\x0f\xff a tag in rubbish"))
    assert "is damaged" in read({"a": "tensorboard:a"}, where).notes[0]


def test_pictures_are_passed_over_and_a_long_file_is_read_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = places(tmp_path)
    huge = field(5, field(1, field(1, b"a") + field(4, b"x" * (9 << 20))))
    path = events(where.outputs, event(1, simple("a", 1.0)))
    with path.open("ab") as file:  # no checksum of what is not read
        length = struct.pack("<Q", len(huge))
        file.write(length + struct.pack("<I", masked_crc(length)) + huge + b"1234")
        file.write(record(event(2, simple("a", 2.0))))
    assert read({"a": "tensorboard:a"}, where).values == {"a": 2.0}
    monkeypatch.setattr(files, "FILE_BYTES", 1 << 20)
    found = read({"a": "tensorboard:a"}, where)
    assert found.values == {"a": 1.0}
    assert "is longer than 1 MiB; its beginning was read" in found.notes[0]
