"""Linear algebra on one thread: matrices here are small, and trials need the cores.

OpenBLAS, which numpy and scipy bring, starts a thread a core for matrices of a hundred rows already. Beside trials
that keep the cores busy those threads wait for each other, and the same work takes twenty times as long.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator
from typing import Any

_NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Holds the libraries to one thread for as long as it lasts; where they are others, does nothing."""
    found = [(put, get()) for get, put in _libraries()]
    for put, _ in found:
        put(1)
    try:
        yield
    finally:
        for put, count in found:
            put(count)


@functools.cache
def _libraries() -> tuple[tuple[Callable[[], int], Callable[[int], Any]], ...]:
    """What asks and sets the number of threads, one pair a library."""
    import scipy.linalg._flapack
    from numpy.linalg import _umath_linalg

    found = []
    for module in (_umath_linalg, scipy.linalg._flapack):
        with contextlib.suppress(OSError, TypeError):
            # a module's own handle finds what it was linked to as well
            library = ctypes.CDLL(module.__file__)
            for name in _NAMES:
                get, put = (getattr(library, name.format(do), None) for do in ("get", "set"))
                if get is not None and put is not None:
                    found.append((get, put))
                    break
    return tuple(found)
