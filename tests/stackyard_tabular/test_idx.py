from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from stackyard_tabular import idx, streams
from stackyard_task.channel import BadInput

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def written(path, values=VALUES, magic=None, shape=None):
    head = struct.pack(">I", 0x800 + values.ndim) if magic is None else magic
    path.write_bytes(head + struct.pack(f">{values.ndim}I", *(shape or values.shape)) + values.tobytes())
    return path


def test_values_come_back_in_their_shape_plain_and_packed(tmp_path):
    plain = written(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        assert np.array_equal(idx.read(path, 3), VALUES)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), "is empty or cut short"),
        (lambda path: written(path, magic=b"\0\0\x0d\x03"), "the magic number is 0x00000d03"),
        (lambda path: written(path, magic=b"%PDF"), "the magic number is 0x25504446"),
        (lambda path: path.write_bytes(b"\0\0\x08\x03\0"), "ends in its header"),
        (lambda path: written(path, shape=(2, 3, 5)), "says 30 values, and it holds only 24"),
        (lambda path: written(path, shape=(2, 3, 3)), "says 18 values, and it holds more"),
        (lambda path: written(path, shape=(2**31, 2**31, 2)), "the most that is read"),
        (lambda path: written(path, VALUES[:0], shape=(0, 2**32 - 1, 2**32 - 1)), "it holds none"),
        (lambda path: written(path, VALUES[0]), "has 2 dimensions, expected 3"),
        (lambda path: path.write_bytes(gzip.compress(b"x" * 100)[:-9]), "the packed data is broken"),
    ],
)
def test_what_is_no_idx_file_is_one_sentence(make, words, tmp_path):
    path = tmp_path / "file"
    make(path)
    with pytest.raises(BadInput, match=words):
        idx.read(path, 3)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(BadInput, match="holds more than 1000 bytes"), streams.opened(path, 1000) as stream:
        stream.read()
