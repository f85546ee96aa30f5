from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.masks import MASKS, NAMED_MASKS, Masked

pytestmark = pytest.mark.python

PIECES = st.sampled_from(
    [
        *(
            *"-+.:/ \t_xa",
            *("12", "10.0.0.1", "00", "77", "3", "1x"),
            "blk_",
            "blk_-5",
            "0x1F",
            "é",
            "²",
            "\x1f",
            "\u2003",
            "deadbeef-",
        ),
        *("01234567-89ab-cdef-0123-456789abcdef", "1.5", ":80", "<number>"),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)
#: Of the user's: those that see one token, and those that see more.
OTHERS = [
    (r"user=\w+", "user=<user>"),
    (r"(?<=user )\S+", "<user>"),
    (r"\d+ bytes", "<size>"),
    (r"^\S+", "<first>"),
    (r"[^ ]x", "<x>"),
    (r".", "<any>"),
    (r"a\s*", "<a>"),
    (r"\Bx", "<x>"),
    (r"(a)", r"\1\n"),
    (r"x", ""),
    (r"(?i)a", "<a>"),
    (r"[ -~]1", "<1>"),
    (r"[\W]", "<w>"),
    (r"(?:a|b)+(?=x)", "<ab>"),
    (r"\d{1,3}\b", "<d>"),
    (r"x\Z", "<end>"),
    (r"1\d", "<1n>"),
    (r"[3-5]", "<some>"),
    (r"\b0x?", "<maybe>"),
    (r"(?P<n1>\d)(?P=n1)", "<twice>"),
    (r"\d{2}", "<d2>"),
]


def one_after_the_other(masks, text):
    for pattern, replacement in masks:
        text = re.sub(pattern, replacement, text)
    return tuple(text.split())


@given(st.lists(st.sampled_from([*MASKS, *OTHERS]), max_size=5), st.lists(TEXTS, max_size=5))
def test_a_message_is_masked_as_if_each_mask_saw_all_of_it(masks, texts):
    masked = Masked(masks, 3)
    for text in [*texts, *texts]:
        assert masked.tokens(text) == one_after_the_other(masks, text)


@pytest.mark.parametrize("mask", [*MASKS, OTHERS[0], OTHERS[13], OTHERS[14]])
def test_masks_within_a_token_are_made_once_for_each_token(mask):
    masked = Masked([mask], 100)
    assert masked.tokens("a 12 a 12")[1] is masked.tokens("12")[0]


def test_masks_have_names_in_the_order_they_are_applied():
    assert list(NAMED_MASKS) == ["uuid", "block", "address", "hex", "number"]
    assert Masked(MASKS, 10).tokens("blk_-7 from /10.0.0.1:80 took 0x1F and 3.5 s") == (
        *("<block>", "from", "<address>", "took", "<hex>", "and", "<number>", "s"),
    )
