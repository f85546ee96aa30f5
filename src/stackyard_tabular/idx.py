"""The idx format of MNIST: a magic number that says type and dimensions, their sizes, then the values."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from stackyard_tabular import streams
from stackyard_task.channel import BadInput

#: The third byte of the magic number: the type of the values. MNIST's is the first; the others are refused.
UNSIGNED_BYTE = 0x08
MOST_DIMENSIONS = 4


def read(path: Path, dimensions: int = 0) -> Any:
    """The values of an idx file of unsigned bytes, as an array of uint8 with the file's shape.

    Args:
        path: The file, plain or packed.
        dimensions: How many it must have; 0: any number.

    Raises:
        BadInput: it is no such file, or is longer or shorter than its header says.
    """
    import numpy as np

    with streams.opened(path) as stream:
        magic = stream.read(4)
        if len(magic) < 4:
            raise BadInput(
                f"{path}: is empty or cut short; an idx file begins with a magic number of 4 bytes"
            )
        kind, count = magic[2], magic[3]
        if magic[:2] != b"\0\0" or kind != UNSIGNED_BYTE or not 1 <= count <= MOST_DIMENSIONS:
            raise BadInput(
                f"{path}: the magic number is 0x{magic.hex()}, expected 0x000008 and the number of dimensions: it is "
                "no idx file of unsigned bytes"
            )
        if dimensions and count != dimensions:
            raise BadInput(f"{path}: has {count} dimensions, expected {dimensions}")
        header = stream.read(4 * count)
        if len(header) < 4 * count:
            raise BadInput(f"{path}: ends in its header")
        shape = struct.unpack(f">{count}I", header)
        if 0 in shape:
            raise BadInput(f"{path}: its header says {' x '.join(map(str, shape))} values: it holds none")
        wanted = 1
        for size in shape:
            wanted *= size
        if wanted > streams.MOST_BYTES:
            raise BadInput(
                f"{path}: says that it holds {wanted} bytes; {streams.MOST_BYTES} is the most that is read"
            )
        data = bytearray()
        while len(data) <= wanted:  # one byte more than it should have, if there is one
            part = stream.read(min(1 << 20, wanted + 1 - len(data)))
            if not part:
                break
            data += part
    if len(data) != wanted:
        told = f"only {len(data)}" if len(data) < wanted else "more"
        raise BadInput(f"{path}: its header says {wanted} values, and it holds {told}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
