"""A choice and its address are one thing; what an address holds too much of, or nobody knows, is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.errors import BadInputError
from stackyard.web import choice
from stackyard.web.choice import Choice
from tests.counts import examples

words = st.text(
    st.characters(categories=("L", "N", "P", "S"), exclude_characters=","), min_size=1, max_size=12
)
several = st.lists(words, max_size=4, unique=True).map(tuple)


once = st.one_of(st.just(""), words)


@settings(max_examples=examples(100), deadline=None)
@given(st.builds(Choice, once, several, several, several, several, several, once, several))
def test_an_address_says_the_choice_it_was_made_of(made: Choice) -> None:
    assert choice.read(made.query()) == made


def test_what_the_form_says_becomes_an_address_without_what_is_empty() -> None:
    made = choice.from_form(
        "project=Vision&tag=a&tag=&status=completed&status=failed&where=Args%2Flr&is=0.1&where=&is=&task=a1+b2%2C+c3"
        "&group-by=stack&group-by=&pair-by=Args%2Fseed&but=Args%2Fseed&name=loss%2Fval&choice=min&better=less&name=acc&choice=last&better="
        "&name=&choice=last&better="
    )
    assert made == Choice(
        project="Vision",
        tags=("a",),
        filters=("status=completed", "status=failed", "Args/lr=0.1"),
        tasks=("a1", "b2", "c3"),
        group_by=("stack", "all-but:Args/seed"),
        metrics=("loss/val:min:less", "acc"),
        pair_by="Args/seed",
    )
    assert (made.keys, made.all_but) == (["stack"], ["Args/seed"])
    assert made.complete


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("projct=P", "nothing is chosen by 'projct'; near it: project"),
        ("project=A&project=B", "project stands twice: choose one"),
        ("tag=" + "x" * 8_000, "the address is longer than 8,000 characters: choose less"),
        ("tag=" + "x" * 1_001, "tag: expected up to 1,000 printable characters on one line"),
        ("tag=a%0Ab", "tag: expected up to 1,000 printable characters on one line"),
        ("&".join(["tag=a"] * 401), "the address cannot be read: over 400 fields, or no text"),
        ("tag=%ff%fe", "the address cannot be read: over 400 fields, or no text"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_one_sentence(query: str, sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        choice.read(query)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("where=Args%2Flr&is=", "filter 'Args/lr': give both a parameter and its value"),
        ("name=loss&choice=last", "a metric needs a name, which value of it counts, and which way is better"),
        ("colour=red", "nothing is chosen by 'colour'"),
    ],
)
def test_so_is_a_form(query: str, sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        choice.from_form(query)
    assert str(refused.value) == sentence


def test_a_baseline_is_a_key_and_a_value() -> None:
    _, options = Choice("P", group_by=("Args/lr",), baseline=("Args/lr=0.1",)).asked()
    assert options.baseline == {"Args/lr": "0.1"}
    with pytest.raises(BadInputError, match="expected KEY=VALUE"):
        Choice("P", baseline=("0.1",)).asked()
