"""Counts as people read them."""

import pytest

from stackyard.counting import count


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 cells"),
        (1, "1 cell"),
        (2, "2 cells"),
        (1000, "1,000 cells"),
        (1.0, "1 cell"),
        (1.5, "1.5 cells"),
        (4.0, "4 cells"),
    ],
)
def test_counts_have_singular_and_plural(number: float, words: str) -> None:
    assert count(number, "cell") == words


def test_a_plural_of_its_own() -> None:
    assert [count(n, "process", "processes") for n in (1, 2)] == ["1 process", "2 processes"]
