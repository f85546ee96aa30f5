"""What goes wrong in a lab, on a real one: each fault is told in plain words, or mended by itself or by a play."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab import faults
from tests.lab.hosts import Lab
from tests.lab.yard import Yard, installed


@pytest.fixture(scope="module")
def yard(make_lab: Callable[..., Lab]) -> Iterator[Yard]:
    with installed(make_lab(["head", "one", "two"], engines=["one", "two"], internet=False)) as made:
        yield made


@pytest.mark.parametrize("fault", faults.ALL, ids=faults.words_of)
def test_a_lab_stands_it(yard: Yard, fault: faults.Fault) -> None:
    fault(yard)
