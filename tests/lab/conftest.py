"""A lab for a whole file of tests, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import hosts


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., hosts.Lab]]:
    """Makes labs; all are removed when the file's tests are over."""
    reason = hosts.why_not()
    if reason is not None:
        pytest.skip(reason)
    made: list[hosts.Lab] = []

    def make(names: list[str], **more: Any) -> hosts.Lab:
        lab = hosts.Lab(Path(tmp_path_factory.mktemp("lab")), names, **more)
        made.append(lab)
        return lab.__enter__()

    yield make
    for lab in made:
        lab.remove()
