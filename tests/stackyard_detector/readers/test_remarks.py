from __future__ import annotations

from stackyard_detector.readers.remarks import event_remarks


def test_events_that_are_all_one_or_all_different_are_remarked_on():
    assert "all events are one" in event_remarks(5, 1)[0]
    assert "nearly every event is different" in event_remarks(100, 81)[0]
    for events, different in ((0, 0), (1, 1), (4, 1), (5, 5), (100, 80), (100, 2)):
        assert event_remarks(events, different) == []
