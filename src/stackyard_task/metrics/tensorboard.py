"""Scalars in TensorBoard event files, read without TensorBoard.

An event file is a sequence of records as TensorFlow's ``tensorflow/core/lib/io/record_writer.h`` describes them: length
(8 bytes, little-endian), its masked CRC, the data, its masked CRC; the CRC is CRC-32C (Castagnoli, RFC 3720). The data
is a protocol buffer ``Event`` (``event.proto``), whose ``Summary`` (``summary.proto``) holds tags with a simple value
or a tensor. Only what carries a wanted tag is decoded and checked. Standard library only.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import struct
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set, Tuple, Union

from stackyard_task.listener import plain
from stackyard_task.metric_sources import Source
from stackyard_task.metrics import files
from stackyard_task.metrics.figure import Figure, Nothing
from stackyard_task.metrics.files import Places, Say, is_new, walk

#: Part of every event file's name.
_NAME = "tfevents"
#: Event files that are read for one tag.
_FILES = 200
#: A record longer than this holds pictures or a graph; it is passed over.
_RECORD_BYTES = 8 << 20
#: Where a sentence names the tags that are there: files, and records of at most so many bytes of each.
_NAMED_FILES, _NAMED_RECORDS, _NAMED_BYTES = 20, 200, 4096
#: Wire types of protocol buffers.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
#: TensorProto: type -> how one element lies in tensor_content.
_ELEMENTS = {
    1: "<f",
    2: "<d",
    3: "<i",
    4: "<B",
    5: "<h",
    6: "<b",
    9: "<q",
    10: "<?",
    19: "<e",
    22: "<I",
    23: "<Q",
}
#: TensorProto: field of a list of values -> how one of a fixed size lies there; None: varints.
_LISTS: Dict[int, Optional[str]] = {5: "<f", 6: "<d", 7: None, 10: None, 11: None, 16: None, 17: None}

#: (when, step, value)
_Point = Tuple[float, int, float]


def read(source: Source, places: Places, say: Say) -> Figure:
    """The values of a tag, with their steps, in the order in which they were written.

    A tag that several folders have, as "train" and "validation" have, is named with its folder: "validation/loss".

    Raises:
        Nothing: no event file of this run holds such a scalar, or several folders do.
    """
    tried = 0
    for place in (places.outputs, places.working):
        found, looked = _points_below(place, source.key, places, say)
        tried += looked
        if len(found) > 1:
            names = sorted(_run(folder, place) for folder in found)
            raise Nothing(
                f"{len(names)} folders have a scalar {source.key!r} ({', '.join(names)[:300]}); "
                f"name one: tensorboard:{names[0]}/{source.key}"
            )
        for points in found.values():
            figure = Figure()
            for _, step, value in sorted(points, key=lambda point: point[0]):
                figure.add(plain(value), step)
            return figure
    if tried:
        known = sorted(
            {tag for place in (places.outputs, places.working) for tag in _tags_below(place, places)}
        )
        there = f"; they have {', '.join(known)[:300]}" if known else ""
        raise Nothing(f"no scalar {source.key!r} in {tried} TensorBoard event files{there}")
    raise Nothing("the run wrote no TensorBoard event file into its outputs or working folder")


def _points_below(top: Path, key: str, places: Places, say: Say) -> Tuple[Dict[Path, List[_Point]], int]:
    """Folder -> the points of its event files, for those that have the tag; and how many files were looked at."""
    events = [path for path in walk(top) if _NAME in path.name and is_new(path, places)]
    if len(events) > _FILES:
        say(f"{len(events)} TensorBoard event files are there; {_FILES} were read")
    plainly: Dict[Path, List[_Point]] = {}
    by_folder: Dict[Path, List[_Point]] = {}
    for path in sorted(events)[:_FILES]:
        run = _run(path.parent, top)
        inner = key[len(run) + 1 :] if key.startswith(run + "/") else None
        for tag, place in ((key, plainly), (inner, by_folder)):
            points = list(scalars(path, tag, say)) if tag else []
            if points:
                place.setdefault(path.parent, []).extend(points)
    return plainly or by_folder, len(events)


def _tags_below(top: Path, places: Places) -> Set[str]:
    """Tags of scalars at the beginning of the event files below a folder, for a sentence."""
    tags: Set[str] = set()
    for path in sorted(path for path in walk(top) if _NAME in path.name and is_new(path, places))[
        :_NAMED_FILES
    ]:
        with contextlib.suppress(ValueError, IndexError, struct.error):
            for data in islice(_records(path, b"", lambda note: None, _NAMED_BYTES), _NAMED_RECORDS):
                tags.update(tag.decode("utf-8", "replace") for tag, value in _event(data)[2])
    return tags


def _run(folder: Path, top: Path) -> str:
    """How TensorBoard calls what lies in a folder."""
    return str(folder.relative_to(top))


def scalars(path: Path, tag: str, say: Say) -> Iterator[_Point]:
    """(seconds since 1970, step, value) of each scalar with a tag in one event file.

    What is cut off at its end, as in a run that was killed, or is not what its checksum says, ends the reading.
    """
    wanted = tag.encode("utf-8")
    try:
        for data in _records(path, wanted, say):
            when, step, values = _event(data)
            for name, value in values:
                if name == wanted:
                    yield when, step, value
    except (ValueError, IndexError, struct.error) as error:
        say(f"{path.name} is damaged ({error}); what comes before counts")


def _records(path: Path, wanted: bytes, say: Say, longest: int = _RECORD_BYTES) -> Iterator[bytes]:
    """The data of the records that hold a text and are not too long, checked."""
    with os.fdopen(files.opened(path), "rb", buffering=1 << 16) as file:
        at = 0
        while True:
            head = file.read(12)
            if len(head) < 12:
                return
            length, check = struct.unpack("<QI", head)
            if masked_crc(head[:8]) != check:
                raise ValueError(f"the length of the record at byte {at} has another checksum")
            at += 16 + length
            if at > files.FILE_BYTES:
                say(f"{path.name} is longer than {files.FILE_BYTES >> 20} MiB; its beginning was read")
                return
            if length > longest:
                file.seek(length + 4, io.SEEK_CUR)
                continue
            data = file.read(length + 4)
            if len(data) < length + 4:
                return  # the writer was in the middle of it
            if wanted in data:
                if masked_crc(data[:length]) != struct.unpack("<I", data[length:])[0]:
                    raise ValueError(f"the record before byte {at} has another checksum")
                yield data[:length]


def _event(data: bytes) -> Tuple[float, int, List[Tuple[bytes, float]]]:
    """When, at which step, and the scalars with their tags."""
    when, step = 0.0, 0
    values: List[Tuple[bytes, float]] = []
    for number, held in _fields(data):
        if number == 1 and isinstance(held, bytes):
            when = struct.unpack("<d", held)[0]
        elif number == 2 and isinstance(held, int):
            step = held - (1 << 64) if held >> 63 else held
        elif number == 5 and isinstance(held, bytes):
            for inner, value in _fields(held):
                if inner == 1 and isinstance(value, bytes):
                    values += _summary_value(value)
    return when, step, values


def _summary_value(data: bytes) -> List[Tuple[bytes, float]]:
    tag, value = b"", None
    for number, held in _fields(data):
        if number == 1 and isinstance(held, bytes):
            tag = held
        elif number == 2 and isinstance(held, bytes):
            value = struct.unpack("<f", held)[0]
            value = _shortest(value)
        elif number == 8 and isinstance(held, bytes):
            value = _tensor(held)
    return [(tag, value)] if value is not None else []


def _tensor(data: bytes) -> Optional[float]:
    """The one number of a tensor; ``None``: it has more, or none that is a number."""
    kind, content, values = 0, b"", []
    for number, held in _fields(data):
        if number == 1 and isinstance(held, int):
            kind = held
        elif number == 4 and isinstance(held, bytes):
            content = held
        elif number in _LISTS:
            values += _packed(held, _LISTS[number])
        if len(values) > 1:
            return None
    form = _ELEMENTS.get(kind)
    if content and form is not None and len(content) == struct.calcsize(form):
        values = [struct.unpack(form, content)[0]]
    if len(values) != 1 or form is None:
        return None
    return _shortest(values[0]) if form == "<f" else values[0]


def _packed(held: Union[int, bytes], form: Optional[str]) -> List[float]:
    """Up to two of a list's values: who asks for one knows then that there are more."""
    if isinstance(held, int):
        return [_signed(held)]
    if form is not None:
        size = struct.calcsize(form)
        return [struct.unpack_from(form, held, at)[0] for at in range(0, min(len(held), 2 * size), size)]
    values: List[float] = []
    at = 0
    while at < len(held) and len(values) < 2:
        value, at = _varint(held, at)
        values.append(_signed(value))
    return values


def _fields(data: bytes) -> Iterator[Tuple[int, Union[int, bytes]]]:
    """(number, value) of each field of a message, which is a varint or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_EIGHT, _FOUR):
            length = 8 if wire == _EIGHT else 4
        else:
            raise ValueError(f"a field of wire type {wire}")
        if at + length > len(data):
            raise ValueError("a field that is longer than its message")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("a number without an end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _shortest(value: float) -> float:
    """A 32-bit float as the shortest decimal that means it: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return value
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) < 3.4e38 and struct.unpack("<f", struct.pack("<f", short))[0] == value:
            return short
    return value


def _crc_table() -> List[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ 0x82F63B78 if byte & 1 else byte >> 1
        table.append(byte)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """CRC-32C of some bytes, rotated and shifted as event files hold it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
