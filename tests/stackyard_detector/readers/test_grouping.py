from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers import Quarantine
from stackyard_detector.readers.grouping import sessions_of
from stackyard_detector.readers.source import Source

ROWS = st.lists(
    st.tuples(
        st.floats(0, 20_000, allow_nan=False),
        st.sampled_from("abc"),
        st.sampled_from("EFG"),
        st.sampled_from([0, 1, None]),
    ),
    max_size=60,
)


def source(**settings):
    settings = {"session_minutes": 30.0, **settings}
    return Source(Path("rows"), "csv", key_column=("k",), event_column=("e",), time_column=("t",), **settings)


def grouped(rows, quarantine=None, **settings):
    observations = ((number, key, at, event, label) for number, (at, key, event, label) in enumerate(rows, 1))
    return list(sessions_of(observations, source(**settings), quarantine or Quarantine()))


@given(ROWS, st.sampled_from([None, 1, 2, 5]))
def test_sessions_are_what_sorting_and_cutting_the_whole_table_gives(rows, max_events):
    expected = {}
    for at, key, event, label in rows:
        expected.setdefault((int(at // 1800), key), []).append((at, event, label))
    found = {(int(s.started_at // 1800), s.key): s for s in grouped(rows, max_events=max_events)}
    assert set(found) == set(expected)
    for identity, members in expected.items():
        session = found[identity]
        in_time = sorted(members, key=lambda member: member[0])
        assert session.events == [event for _, event, _ in in_time][:max_events]
        labels = [label for _, _, label in members if label is not None]
        assert session.label == (max(labels) if labels else None)
        assert session.started_at == in_time[0][0]


@given(ROWS)
def test_a_sorted_source_read_as_sorted_gives_the_same_sessions(rows):
    rows = sorted(rows, key=lambda row: row[0])
    quarantine = Quarantine()
    as_sorted = grouped(rows, quarantine, time_order="sorted")
    assert as_sorted == grouped(rows)
    assert quarantine.count == 0


def test_windows_of_a_sorted_source_are_handed_on_as_time_moves():
    seen = []

    def rows():
        for number in range(100):
            seen.append(number)
            yield number, "k", number * 1800.0, "E", 0

    sessions = sessions_of(rows(), source(time_order="sorted", lateness_minutes=30.0), Quarantine())
    assert next(sessions).started_at == 0.0
    assert len(seen) <= 4, "the first session came only after many more rows were read"


def test_rows_a_little_late_are_put_in_place_and_later_ones_are_set_aside():
    rows = [
        (100.0, "k", "A", 0),
        (2000.0, "k", "C", 0),
        (1700.0, "k", "B", 0),
        (9000.0, "k", "D", 0),
        (1000.0, "k", "E", 0),
    ]
    quarantine = Quarantine()
    sessions = grouped(rows, quarantine, time_order="sorted", lateness_minutes=10.0)
    assert [s.events for s in sessions] == [["A", "B"], ["C"], ["D"]]
    assert "line 5: 8000 s late" in quarantine.first


def test_file_order_keeps_the_order_of_the_file():
    rows = [(300.0, "k", "A", 0), (100.0, "k", "B", 0), (200.0, "k", "C", 0)]
    assert [s.events for s in grouped(rows, time_order="file", max_events=2)] == [["A", "B"]]
    assert [s.events for s in grouped(rows, max_events=2)] == [["B", "C"]]


@pytest.mark.parametrize("order", ["any", "file"])
def test_a_flood_of_one_key_keeps_no_more_than_twice_its_limit(order):
    import tracemalloc

    draw = random.Random(3)

    def rows():
        for number in range(60_000):
            yield number, "k", draw.random() * 1000, "E", 0

    tracemalloc.start()
    (session,) = sessions_of(rows(), source(max_events=1000, time_order=order), Quarantine())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(session.events) == 1000
    assert peak < 1_000_000
