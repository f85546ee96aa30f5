"""Events as numbers."""

from __future__ import annotations

import pytest

from stackyard_detector.detector.vocabulary import Vocabulary


def test_numbers_come_in_numeric_order_and_names_after_them():
    vocabulary = Vocabulary.from_sessions([["10", "9", "Deny"], ["Allow", "9"]])
    assert vocabulary.events == ["9", "10", "Allow", "Deny"]


def test_encoding_gives_ids_and_unknown_for_what_training_did_not_hold():
    vocabulary = Vocabulary(["a", "b"])
    assert vocabulary.encode(["b", "new", "a"]).tolist() == [1, vocabulary.unknown, 0]
    assert vocabulary.unknown == 2
    assert vocabulary.pad == 3
    assert vocabulary.encode([]).tolist() == []


def test_the_json_form_gives_the_same_vocabulary_back():
    vocabulary = Vocabulary(["b", "a"])
    assert Vocabulary(vocabulary.to_json()) == vocabulary
    assert Vocabulary(["a", "b"]) != vocabulary


@pytest.mark.parametrize("events", [[], ["a", "a"]])
def test_no_event_and_a_repeated_event_are_refused(events):
    with pytest.raises(ValueError, match="vocabulary"):
        Vocabulary(events)
