"""Counts as people read them in a record's notes."""

from stackyard_task.counting import are, count, were


def test_counts_have_singular_and_plural() -> None:
    assert [count(n, "line") for n in (0, 1, 2, 1000)] == ["0 lines", "1 line", "2 lines", "1,000 lines"]
    assert [count(n, "core") for n in (1.0, 1.5, 8.0)] == ["1 core", "1.5 cores", "8 cores"]
    assert [(are(n), were(n)) for n in (0, 1, 2)] == [("are", "were"), ("is", "was"), ("are", "were")]
