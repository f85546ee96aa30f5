from __future__ import annotations

import datetime

import pytest

from stackyard_detector.readers.instants import instant_reader

pytestmark = pytest.mark.python


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1642213952", 1642213952.0),
        ("1588205199.82437", 1588205199.82437),
        ("2015-03-29T11:01:38.221126-0600", 1427648498.221126),
        ("2015-03-29 17:01:38Z", 1427648498.0),
        ("2015-03-29T17:01:38+00:00", 1427648498.0),
        ("2015-03-29T17:01", 1427648460.0),
        ("2015-03-29", 1427587200.0),
        ("1999-12-31 23:59:60", 946684800.0),
    ],
)
def test_numbers_and_iso_8601_are_read_without_offset_as_utc(text, seconds):
    assert instant_reader()(text) == pytest.approx(seconds, abs=1e-6)


def test_iso_agrees_with_datetime_for_any_offset():
    read = instant_reader()
    for hours in range(-11, 14):
        zone = datetime.timezone(datetime.timedelta(hours=hours, minutes=30))
        moment = datetime.datetime(2024, 2, 29, 23, 30, 15, 250000, tzinfo=zone)
        assert read(moment.isoformat()) == moment.timestamp()


def test_units_and_formats_can_be_given():
    assert instant_reader("ms")("1642213952000") == 1642213952.0
    assert instant_reader(time_format="%y%m%d %H%M%S")("081109 203518") == 1226262918.0


@pytest.mark.parametrize("text", ["", "yesterday", "nan", "inf", "2015-13-01", "2015-02-30T00:00", "12:30"])
def test_what_is_no_instant_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        instant_reader()(text)
