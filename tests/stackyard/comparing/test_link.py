"""A comparison saved by its address."""

from __future__ import annotations

import pytest

from stackyard.comparing import Asked
from stackyard.comparing.link import query_of, read_query
from stackyard.comparing.selection import Selection
from stackyard.errors import BadInputError


def test_what_was_asked_is_what_the_link_asks() -> None:
    asked = Asked(
        Selection(
            "Vision/Größe & more",
            ("a b", "c=d"),
            {"Args/lr": ["0.1", "1"], "status": ["completed"]},
            ("0" * 32,),
        ),
        ("stack,Args/lr", "all-but:Args/seed"),
        ("loss/val:min:less", ":monitor:gpu/x"),
        "Args/seed",
    )
    text = query_of(asked, {"Args/lr": "0.1=x"})
    assert read_query(text) == (asked, {"Args/lr": "0.1=x"})
    least = Asked(Selection("P"), ("stack",))
    assert query_of(least) == "project=P&group_by=stack"
    assert read_query("project=P&group_by=stack") == (least, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "which tasks"),
        ("project=P", "--group-by is missing"),
        ("project=P&project=Q&group_by=x", "names project twice"),
        ("project=P&group_by=x&colour=red", "asks for 'colour'; it may ask for project, tag"),
        ("project=P&group_by=x&filter=status%3Dgone", "no task has that status"),
        ("project=P&group_by=x&baseline=y", "expected KEY=VALUE"),
        ("project=%ff&group_by=x", "cannot be read"),
        ("project=P&" + "tag=a&" * 600 + "group_by=x", "cannot be read"),
        ("x" * 20_000, "more than 16,384"),
    ],
)
def test_a_link_that_asks_for_something_else_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read_query(text)
