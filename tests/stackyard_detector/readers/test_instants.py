from __future__ import annotations

import datetime

import pytest

from stackyard_detector.readers.instants import first_year, instant_reader, says_no_year

pytestmark = pytest.mark.python


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1642213952", 1642213952.0),
        ("1588205199.82437", 1588205199.82437),
        ("2015-03-29T11:01:38.221126-0600", 1427648498.221126),
        ("2015-03-29 17:01:38Z", 1427648498.0),
        ("2015-03-29T17:01:38+00:00", 1427648498.0),
        ("2015-03-29T09:01:38-08", 1427648498.0),
        ("2015-03-29 17:01:38 GMT", 1427648498.0),
        ("Mar 29 2015 17:01:38 GMT", 1427648498.0),
        ("Mar 29 2015 17:01:38.5 UTC", 1427648498.5),
        ("Mar 29 2015 17:01:38Z", 1427648498.0),
        ("Mar 29 2015 12:01:38 -0500", 1427648498.0),
        ("Mar 29 2015 19:01:38 GMT+02:00", 1427648498.0),
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


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "nan", "inf", "2015-13-01", "2015-02-30T00:00", "12:30"),
        *("2024-01-01 00:00:99", "2024-01-01 00:00:61.5Z", "2024-01-01T00:60:00", "2024-01-01T24:00:00"),
        *("2024-01-01T00:00:00+99:99", "2024-01-01T00:00:00-0060", "2024-01-01T00:00:00+2400"),
        *("08/Jan/2024:03:37:09 +9959", "08/Jan/2024:03:37:09 +0060", "Jan 08 2024 03:37:61"),
    ],
)
def test_what_is_no_instant_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        instant_reader()(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("1704685029000", "it would fit time_unit 'ms'"),
        ("1704685029000000", "it would fit time_unit 'us'"),
        ("1704685029000000000", "it would fit time_unit 'ns'"),
        ("100", "no time_unit would fit"),
    ],
)
def test_a_number_of_another_unit_is_a_mistake_that_names_the_unit_it_would_fit(text, advice):
    with pytest.raises(ValueError, match=rf"{text}' is in the year \d+, outside 1990 to 2100; {advice}"):
        instant_reader()(text)
    if "'" in advice:
        assert instant_reader(advice.split("'")[1])(text) == pytest.approx(1704685029.0)


@pytest.mark.parametrize("text", ["1985-01-01", "2101-01-01T00:00:00Z", "0001-01-01"])
def test_a_text_of_another_century_is_a_mistake(text):
    with pytest.raises(ValueError, match=r"outside 1990 to 2100"):
        instant_reader()(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Jan  8 03:37:09", "2024-01-08T03:37:09"),
        ("Jan 08 03:37:09.25", "2024-01-08T03:37:09.25"),
        ("Jan 08 2024 03:37:09", "2024-01-08T03:37:09"),
        ("08/Jan/2024:03:37:09 +0100", "2024-01-08T02:37:09"),
        ("[08/Jan/2024:03:37:09 -0130]", "2024-01-08T05:07:09"),
        ("01/08-03:37:09.100001", "2024-01-08T03:37:09.100001"),
        ("01/08/2024-03:37:09.100001", "2024-01-08T03:37:09.100001"),
        ("Mon Jan  8 03:37:09 2024", "2024-01-08T03:37:09"),
    ],
)
def test_usual_times_of_logs_need_no_format(text, moment):
    expected = datetime.datetime.fromisoformat(moment.ljust(26, "0") if "." in moment else moment)
    assert instant_reader(first_year=2024)(text) == expected.replace(tzinfo=datetime.timezone.utc).timestamp()


@pytest.mark.parametrize(
    "form",
    ["%d/%b/%Y:%H:%M:%S %z", "%y%m%d %H%M%S", "%b %d %Y %H:%M:%S.%f", "%A %d. %B %Y %I:%M %p", "%Y-%j"],
)
def test_a_format_reads_what_strptime_reads(form):
    start = datetime.datetime(2024, 2, 27, 23, 59, 58, 250000, tzinfo=datetime.timezone.utc)
    read = instant_reader(time_format=form)
    for days in range(4):
        text = (start + datetime.timedelta(days=days, hours=days)).strftime(form)
        expected = datetime.datetime.strptime(text, form)  # noqa: DTZ007 - it is added below
        if expected.tzinfo is None:
            expected = expected.replace(tzinfo=datetime.timezone.utc)
        assert read(text) == expected.timestamp()
    with pytest.raises(ValueError, match=r"."):
        read(text + "x")


def test_a_new_year_within_a_file_keeps_its_order():
    read = instant_reader(first_year=2023)
    texts = [
        "Dec 31 23:58:00",
        "Dec 31 23:59:30",
        "Jan  1 00:00:10",
        "Dec 31 23:59:59",
        "Jan  1 00:00:20",
        "Feb 29 00:00:01",
    ]
    found = [read(text) for text in texts]
    assert sorted(found) == [found[0], found[1], found[3], found[2], found[4], found[5]]
    assert found[-1] == datetime.datetime(2024, 2, 29, 0, 0, 1, tzinfo=datetime.timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("texts", "written", "year"),
    [
        (["Jan  8 00:00:00"], "2024-01-08", 2024),
        (["Jan  8 00:00:00"], "2024-01-06", 2023),
        (["Dec 31 23:00:00", "Jan  1 01:00:00"], "2024-01-01", 2023),
        (["Dec 31 23:00:00", "Jan  1 01:00:00", "Feb 29 00:00:00"], "2026-11-30", 2023),
        (["Jun  1 00:00:00", "nonsense", "Jan  1 00:00:00", "Jun  2 00:00:00"], "2024-07-01", 2024),
    ],
)
def test_the_year_is_the_last_in_which_the_file_can_have_been_written(texts, written, year):
    at = datetime.datetime.fromisoformat(written).replace(tzinfo=datetime.timezone.utc).timestamp()
    assert first_year(texts, "", at) == year
    assert first_year([], "", at) is None


@pytest.mark.parametrize(
    "text",
    ["Nov 23, 2026 @ 13:00:00.250", "11/23/2026, 1:00:00.250 PM", "11/23/2026, 01:00:00.250 pm"],
)
def test_times_of_exports_of_kibana_and_sentinel(text: str) -> None:
    assert instant_reader()(text) == 1795438800.25
    assert instant_reader()("11/23/2026, 12:00:00 AM") == 1795392000.0


@pytest.mark.parametrize("zone", ["EST", "EDT", "CEST", "IST"])
def test_a_zone_by_an_abbreviation_of_several_meanings_is_refused_in_words(zone):
    with pytest.raises(
        ValueError, match=f"names the time zone '{zone}', .* expected GMT, UTC, Z or an offset like"
    ):
        instant_reader()(f"Sep 03 2020 14:54:59 {zone}")


def test_a_time_without_year_may_have_a_zone():
    assert says_no_year("Sep 03 14:54:59 UTC", "")
    assert instant_reader(first_year=2020)("Sep 03 14:54:59 UTC") == 1599144899.0
    assert first_year(["Sep 03 14:54:59 UTC"], "", 1609459200.0) == 2020
