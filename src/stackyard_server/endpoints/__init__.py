"""One module per ClearML service, one function per method: parse, call rules and store, answer.

A function's docstring says what it answers and names the fields of the API that are left out. The modules import
``dispatch`` for the mark, ``rules``, ``store`` and the shared nouns beside this package, never each other.
"""

from __future__ import annotations

import importlib
import pkgutil

from ..calls import dispatch
from ..calls.endpoint import Endpoint


def load() -> dict[str, list[Endpoint]]:
    """Every endpoint there is, by name, newest first; from then on ``dispatch`` knows them."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dispatch.known()
