"""A column of instants is what its texts are one by one."""

from __future__ import annotations

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.instants import instant_reader
from stackyard_detector.readers.time_columns import TimeColumn

pytest.importorskip("numpy")
pytestmark = pytest.mark.python

MOMENTS = st.integers(1989 * 366, 2101 * 366).map(
    lambda days: datetime.datetime.fromordinal(days).replace(
        hour=days % 24, minute=days % 60, second=days % 59
    )
)
FORMS = st.sampled_from(
    [
        "%Y-%m-%dT%H:%M:%S.%fZ",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S,%f+0530",
        "%Y-%m-%dT%H:%M-07:00",
        "%Y-%m-%d",
    ]
)
ODD = st.sampled_from(
    [
        *("", "soon", "nan", "2023-02-29T00:00:00", "2024-01-01T24:00:00", "1704685029", "1704685029000"),
        *("2024-01-01 00:00:60", "2024-01-01 00:00:99", "2024-01-01 00:99:00", "2024-01-01T00:00-24:00"),
        *("2024-01-01T00:00:00.000000+9999", "2024-01-01T00:00:00,000000+9930"),
    ]
)


@given(FORMS, st.lists(MOMENTS, min_size=1, max_size=8), st.lists(ODD, max_size=2), st.randoms())
def test_a_column_agrees_with_its_texts(form, moments, odd, draw):
    texts = [moment.strftime(form) for moment in moments] + odd
    draw.shuffle(texts)
    read = instant_reader()
    found, reasons = TimeColumn("s", "", read).read(texts)
    for at, text in enumerate(texts):
        try:
            expected = read(text)
        except ValueError as error:
            expected, reason = math.nan, str(error)
        else:
            reason = None
        assert found[at] == expected or (math.isnan(found[at]) and math.isnan(expected))
        assert reasons.get(at) == reason


@pytest.mark.parametrize(
    "odd",
    [
        "2024-01-08T03:37:60Z",
        "2024-01-08T03:37:61Z",
        "2024-01-08T03:37:99Z",
        "2024-01-08T03:60:09Z",
        "2024-13-08T03:37:09Z",
        "2024-01-08X03:37:09Z",
    ],
)
def test_one_odd_text_of_the_same_length_is_found_among_many(odd):
    texts = ["2024-01-08T03:37:09Z"] * 100
    texts[50] = odd
    found, reasons = TimeColumn("s", "", instant_reader()).read(texts)
    assert found[49] == found[51] == 1704685029.0
    assert (50 in reasons) == (odd[17:19] != "60")  # a leap second
