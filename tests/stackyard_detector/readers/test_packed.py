from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys
import types
import zipfile
import zlib

import pytest

from stackyard_detector.readers import data_checksum, packed
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

TEXT = b"1 2\n3 4\n"


def zipped(*files, **how):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def zstandard(content):
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.compress(content)
    module = pytest.importorskip("zstandard", reason="nothing here can pack with Zstandard")
    # Two frames, as zstd makes them of files that are appended.
    return module.compress(content[:4]) + module.compress(content[4:])


PACKERS = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".lzma": lambda content: lzma.compress(content, lzma.FORMAT_ALONE),
    ".bz2": bz2.compress,
    ".zip": lambda content: zipped(("folder/", b""), ("folder/a.log", content)),
    ".zst": zstandard,
}


@pytest.mark.parametrize("kind", list(PACKERS))
@pytest.mark.parametrize("suffix", [True, False])
def test_packed_files_are_read_with_and_without_their_suffix(write, read, kind, suffix):
    path = write("a" + (kind if suffix else ".log"), PACKERS[kind](TEXT))
    sessions, _ = read(path, format="sequences")
    assert [s.events for s in sessions] == [["1", "2"], ["3", "4"]]
    plain = data_checksum({"sources": [{"path": str(write("plain", TEXT)), "format": "sequences"}]})
    assert data_checksum({"sources": [{"path": str(path), "format": "sequences"}]}) == plain


@pytest.mark.parametrize("kind", [".bz2", ".zst"])
def test_packed_data_cut_off_says_how_far_it_was_readable(write, read, kind):
    noise = random.Random(1)
    packed = PACKERS[kind](
        b"".join(b"%d %d\n" % (noise.random() * 1e9, noise.random() * 1e9) for _ in range(90_000))
    )
    with pytest.raises(BadInput, match=r"is cut off or broken after line \d+"):
        read(write("a" + kind, packed[: len(packed) // 2]), format="sequences")


def test_what_only_calls_itself_packed_says_so(write, read):
    with pytest.raises(BadInput, match=r"broken after line 0|cannot be read past line 0"):
        read(write("a.bz2", TEXT), format="sequences")
    with pytest.raises(BadInput, match="is no zip file that can be read"):
        read(write("a.zip", TEXT), format="sequences")


def test_a_zip_of_several_files_or_of_none_is_refused_with_their_names(write, read):
    with pytest.raises(BadInput, match=r"holds 2 files \('a.log', 'b.log'\), expected one; unpack it"):
        read(write("a.zip", zipped(("a.log", TEXT), ("b.log", TEXT))), format="sequences")
    with pytest.raises(BadInput, match=r"holds 0 files \(none\)"):
        read(write("a.zip", zipped(("folder/", b""))), format="sequences")


def test_a_zip_whose_file_is_broken_is_one_sentence(write, read):
    content = bytearray(zipped(("a.log", TEXT * 1000)))
    content[45:60] = b"\x00" * 15
    with pytest.raises(BadInput, match=r"a\.zip: "):
        read(write("a.zip", bytes(content)), format="sequences")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python unpacks Zstandard by itself")
def test_without_an_unpacker_of_zstandard_the_package_is_named(write, read, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(BadInput, match="add the package zstandard to the stack, or unpack the file"):
        read(write("a.log", b"\x28\xb5\x2f\xfd\x04\x00"), format="sequences")


def test_frames_of_zstandard_follow_each_other_and_one_cut_off_is_told():
    """With zlib in the place of the package, which unpacks frame by frame in the same calls."""
    package = types.SimpleNamespace(decompressobj=zlib.decompressobj)
    frames = zlib.compress(TEXT * 1000) + zlib.compress(b"") + zlib.compress(b"5\n")
    stream = packed._Zstandard(io.BytesIO(frames), package)
    assert b"".join(iter(lambda: stream.read(100), b"")) == TEXT * 1000 + b"5\n"
    assert stream.read(1) == b""
    stream = packed._Zstandard(io.BytesIO(frames[:-3]), package)
    with pytest.raises(EOFError, match="before the end of its last frame"):
        list(iter(lambda: stream.read(1 << 20), b""))
