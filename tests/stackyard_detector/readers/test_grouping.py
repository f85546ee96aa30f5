from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers import Quarantine, grouping
from stackyard_detector.readers.batches import BadLines, ObservationBatch
from stackyard_detector.readers.grouping import sessions_of
from stackyard_detector.readers.names import Names
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


def sessions_of_rows(rows, source, quarantine=None, batch_rows=4096):
    """The sessions of an iterable of (instant, key, event, label), handed on in batches of that many rows."""
    np = pytest.importorskip("numpy")
    keys, events = Names(), Names()

    def batches():
        lines = enumerate(rows, 1)
        while batch := list(itertools.islice(lines, batch_rows)):
            yield ObservationBatch(
                [line for line, _ in batch],
                np.array([keys.number(row[1]) for _, row in batch], dtype=np.uint32),
                np.array([events.number(row[2]) for _, row in batch], dtype=np.uint32),
                np.array([row[0] for _, row in batch]),
                np.array([-1 if row[3] is None else row[3] for _, row in batch], dtype=np.int8),
            )

    return sessions_of(batches(), keys, events, source, quarantine or Quarantine(), BadLines())


def grouped(rows, quarantine=None, batch_rows=4096, **settings):
    return list(sessions_of_rows(rows, source(**settings), quarantine, batch_rows))


@given(
    ROWS,
    st.sampled_from([None, 1, 2, 5]),
    st.sampled_from([None, 30.0]),
    st.booleans(),
    st.sampled_from([1, 7, 99]),
)
def test_sessions_are_what_sorting_and_cutting_the_whole_table_gives(
    rows, max_events, minutes, as_filed, batch_rows
):
    """However many rows come at once, and whenever those past the limit are dropped."""
    expected = {}
    for at, key, event, label in rows:
        expected.setdefault((int(at // 1800) if minutes else 0, key), []).append((at, event, label))
    how = {"time_order": "file" if as_filed else "any", "max_events": max_events, "session_minutes": minutes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "CUT_FROM_ROWS", 8)
        patch.setattr(grouping, "PART_ROWS", 16)
        patch.setattr(grouping, "PIECE_ROWS", 4)
        sessions = grouped(rows, batch_rows=batch_rows, label_column="l", **how)
    # Windows in the order of time, keys in the order they came.
    in_order = sorted(expected.items(), key=lambda item: item[0][0])
    assert [s.key for s in sessions] == [key for (_, key), _ in in_order]
    for session, (_, members) in zip(sessions, in_order):
        in_time = members if as_filed else sorted(members, key=lambda member: member[0])
        kept = in_time[:max_events]
        assert session.events == [event for _, event, _ in kept]
        labels = [label for _, _, label in members if label is not None]
        assert session.label == (max(labels) if labels else None)
        assert session.started_at == min(at for at, _, _ in kept)
        assert session.ended_at == max(at for at, _, _ in kept)
        malicious = [place for place, (_, _, label) in enumerate(in_time) if label == 1]
        assert session.attack_starts_at == (min(malicious[0], len(kept)) if malicious else None)


@given(ROWS, st.sampled_from([1, 7, 99]))
def test_a_sorted_source_read_as_sorted_gives_the_same_sessions(rows, batch_rows):
    rows = sorted(rows, key=lambda row: row[0])
    quarantine = Quarantine()
    as_sorted = grouped(rows, quarantine, batch_rows, time_order="sorted")
    assert as_sorted == grouped(rows)
    assert quarantine.count == 0


def test_windows_of_a_sorted_source_are_handed_on_as_time_moves():
    seen = []

    def rows():
        for number in range(100):
            seen.append(number)
            yield number * 1800.0, "k", "E", 0

    sessions = sessions_of_rows(rows(), source(time_order="sorted", lateness_minutes=30.0), batch_rows=2)
    assert next(sessions).started_at == 0.0
    assert len(seen) <= 4, "the first session came only after many more rows were read"


def test_keys_of_windows_that_are_closed_are_forgotten(monkeypatch):
    """A source of years in time order has more addresses than the memory should hold."""
    monkeypatch.setattr(grouping, "FORGET_FROM_KEYS", 10)
    rows = [(number * 60.0, f"key {number // 20}", f"E{number % 3}", 0) for number in range(5000)]
    with_all = grouped(rows)
    assert grouped(rows, batch_rows=50, time_order="sorted") == with_all


def test_a_whole_source_has_a_label_and_no_first_malicious_event():
    rows = [(100.0, "k", "A", 1), (101.0, "k", "B", 1)]
    assert [(s.label, s.attack_starts_at) for s in grouped(rows, label=1)] == [(1, None)]


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
        for _ in range(60_000):
            yield draw.random() * 1000, "k", "E", 0

    tracemalloc.start()
    (session,) = grouped(rows(), batch_rows=500, max_events=1000, time_order=order)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(session.events) == 1000
    assert peak < 1_000_000
