"""Scalars in TensorBoard event files, read without TensorBoard.

An event file is a sequence of records as TensorFlow's ``tensorflow/core/lib/io/record_writer.h`` describes them: length
(8 bytes, little-endian), its masked CRC, the data, its masked CRC; the CRC is CRC-32C (Castagnoli, RFC 3720). The data
is a protocol buffer ``Event`` (``event.proto``), whose ``Summary`` (``summary.proto``) holds tags with a simple value
or a tensor, and whose ``SessionLog`` says that a session begins. Only what carries a wanted tag or tells of a session
is decoded and checked. Standard library only.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import struct
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Collection, Dict, Iterator, List, Optional, Set, Tuple, Union

from stackyard_task.counting import count
from stackyard_task.listener import plain
from stackyard_task.metric_sources import Source
from stackyard_task.metrics import files
from stackyard_task.metrics.figure import Figure, Nothing
from stackyard_task.metrics.files import Places, Say, is_new, walk

#: Part of every event file's name.
_NAME = "tfevents"
#: Event files that are read for one tag.
_FILES = 200
#: Points that are looked at to see which of them later sessions purge: each session looks at all before it.
_PURGED_POINTS = 20_000_000
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

#: SessionLog: the status of one that begins.
_SESSION_START = 1
#: The rank of a folder that is named with wildcards.
_WILD = 3
#: What another run's folder has otherwise: a day, a time, the number that Lightning gives a version.
_STAMP = re.compile(r"\d{1,4}(?:[-_:.T]?\d{2}){2,}|^version_\d+$|/version_\d+(?:/|$)")

#: (when, step, value)
_Point = Tuple[float, int, float]


def read(source: Source, places: Places, say: Say) -> Figure:
    """The values of a tag, with their steps, in the order in which they were written.

    A tag that several folders have, as "train" and "validation" have, is named with its folder: "validation/loss",
    "runs/*/loss". What TensorBoard purges is left out: where a session begins at a step, as ``SummaryWriter`` says with
    ``purge_step``, the folder's earlier points of that step and later ones are void.

    Raises:
        Nothing: no event file of this run holds such a scalar, or several folders do.
    """
    tried = 0
    for place in (places.outputs, places.working):
        found, looked = _found_below(place, source.key, places, say)
        tried += looked
        if found:
            figure = Figure()
            for _, step, value in sorted(_chosen(found).points, key=lambda point: point[0]):
                figure.add(plain(value), step)
            return figure
    if tried:
        known = sorted(
            {tag for place in (places.outputs, places.working) for tag in _tags_below(place, places)}
        )
        there = f"; they have {', '.join(known)[:300]}" if known else ""
        raise Nothing(f"no scalar {source.key!r} in {count(tried, 'TensorBoard event file')}{there}")
    raise Nothing("the run wrote no TensorBoard event file into its outputs or working folder")


@dataclass
class _Scalar:
    """A tag in the event files of one folder."""

    #: How TensorBoard calls the folder.
    run: str
    tag: str
    #: How well the two are what a source names; 0 is best, and ``_WILD`` a folder with wildcards.
    rank: int
    points: List[_Point] = field(default_factory=list)
    #: When the last of its files was written.
    written: float = 0.0


def _chosen(found: List[_Scalar]) -> _Scalar:
    """The scalar that a source means.

    Raises:
        Nothing: it may mean several.
    """
    best = min(scalar.rank for scalar in found)
    meant = [scalar for scalar in found if scalar.rank == best]
    if len(meant) > 1 and best != _WILD:
        names = sorted(scalar.run for scalar in meant)
        tag = meant[0].tag
        raise Nothing(
            f"{len(names)} folders have a scalar {tag!r} ({', '.join(names)[:300]}); "
            f"name one: tensorboard:{_lasting(names)}/{tag}"
        )
    return max(meant, key=lambda scalar: scalar.written)


def _found_below(top: Path, key: str, places: Places, say: Say) -> Tuple[List[_Scalar], int]:
    """What a key may mean in the event files below a folder, where it has points; and how many files were looked at."""
    events = [path for path in walk(top) if _NAME in path.name and is_new(path, places)]
    if len(events) > _FILES:
        say(f"{len(events):,} TensorBoard event files are there; {_FILES} were read")
    by_folder: Dict[Path, Dict[str, _Scalar]] = {}
    room = _PURGED_POINTS
    for path in sorted(events)[:_FILES]:
        run = _run(path.parent, top)
        here = by_folder.setdefault(
            path.parent, {tag: _Scalar(run, tag, rank) for tag, rank in _meanings(key, run).items()}
        )
        written = path.stat().st_mtime
        for tag, point in scalars(path, here, say):
            if tag is None:  # a session begins, for all tags of the folder
                for scalar in here.values():
                    room -= len(scalar.points)
                    if room < 0:
                        raise Nothing(f"too many sessions begin in the TensorBoard event files of {run}")
                    scalar.points = [earlier for earlier in scalar.points if earlier[1] < point[1]]
            else:
                here[tag].points.append(point)
                here[tag].written = written
    found = [scalar for here in by_folder.values() for scalar in here.values() if scalar.points]
    return found, len(events)


def _meanings(key: str, run: str) -> Dict[str, int]:
    """Tag -> how well a key means it in a folder: by itself, with the folder's name, its end, or wildcards for it."""
    meant = {key: 0}
    cut = key.find("/")
    while cut >= 0:
        folder, tag = key[:cut], key[cut + 1 :]
        if tag and folder == run:
            meant[tag] = 1
        elif tag and folder and run.endswith("/" + folder):
            meant.setdefault(tag, 2)
        elif tag and any(c in folder for c in "*?[") and files.fits(run, folder):
            meant.setdefault(tag, _WILD)
        cut = key.find("/", cut + 1)
    return meant


def _lasting(names: List[str]) -> str:
    """A name for one of several folders that fits the next run too: its last parts, or wildcards for a time stamp."""
    forms = []
    for name in names:
        parts = name.split("/")
        for cut in range(len(parts) - 1, 0, -1):
            end = "/".join(parts[cut:])
            if _STAMP.search(end):
                break
            if sum(other == end or other.endswith("/" + end) for other in names) == 1:
                forms.append(end)
                break
        else:
            if not _STAMP.search(name):
                forms.append(name)
        general = "/".join("*" if _STAMP.search(part) else part for part in parts)
        if general != name and sum(files.fits(other, general) for other in names) == 1:
            forms.append(general)
    return min(forms, key=lambda form: ("*" in form, form)) if forms else names[0]


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


def scalars(path: Path, tags: Collection[str], say: Say) -> Iterator[Tuple[Optional[str], _Point]]:
    """(tag, (seconds since 1970, step, value)) of each scalar with one of some tags in an event file.

    The tag is ``None`` where a session begins at a step. What is cut off at the file's end, as in a run that was
    killed, or is not what its checksum says, ends the reading.

    Args:
        path: The event file.
        tags: Each of them ends with the shortest one.
        say: Told what is not read.
    """
    wanted = {tag.encode("utf-8"): tag for tag in tags}
    try:
        for data in _records(path, min(wanted, key=len), say):
            when, step, values, begins = _event(data)
            if begins:
                yield None, (when, step, 0.0)
            for name, value in values:
                if name in wanted:
                    yield wanted[name], (when, step, value)
    except (ValueError, IndexError, struct.error) as error:
        say(f"{path.name} is damaged ({error}); what comes before counts")


def _records(path: Path, wanted: bytes, say: Say, longest: int = _RECORD_BYTES) -> Iterator[bytes]:
    """The data of the records that hold a text, or may begin a session, and are not too long, checked."""
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
            if wanted in data or _is_of_a_session(data):
                if masked_crc(data[:length]) != struct.unpack("<I", data[length:])[0]:
                    raise ValueError(f"the record before byte {at} has another checksum")
                yield data[:length]


def _is_of_a_session(data: bytes) -> bool:
    """Whether an event tells of a session: field 7 of it, behind time and step; all writers keep to that order."""
    at = 9 if data[:1] == b"\x09" else 0
    if data[at : at + 1] == b"\x10":
        end = at + 11  # bytes of the longest varint
        at += 1
        while at < end and data[at : at + 1] >= b"\x80":
            at += 1
        at += 1
    return data[at : at + 1] == b"\x3a"


def _event(data: bytes) -> Tuple[float, int, List[Tuple[bytes, float]], bool]:
    """When, at which step, the scalars with their tags, and whether a session begins."""
    when, step, begins = 0.0, 0, False
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
        elif number == 7 and isinstance(held, bytes):
            begins = (1, _SESSION_START) in _fields(held)
    return when, step, values, begins


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
