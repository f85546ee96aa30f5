from __future__ import annotations

from collections import Counter

import pytest

from stackyard_detector.simulation import benign
from stackyard_detector.simulation.attacks import ATTACKS, FIRST_WRONG, KINDS
from stackyard_detector.simulation.benign import Habits
from stackyard_detector.simulation.dice import Dice
from stackyard_detector.simulation.sessions import simulated_sessions

pytestmark = pytest.mark.python

#: The training parts of the workload's default, and of the quickstart scenario and pipeline.
TRAINING_PARTS = {"default": (2, 2400), "quickstart": (14, 600)}
HIDDEN = ("range", "context", "statistics")


def runs(events, length):
    return {tuple(events[i : i + length]) for i in range(len(events) - length + 1)}


def attacks_of(*kinds):
    return [attack for attack in ATTACKS if attack.kind in kinds]


@pytest.fixture(scope="module", params=list(TRAINING_PARTS))
def training(request):
    seed, count = TRAINING_PARTS[request.param]
    return [session.events for session in simulated_sessions(seed, count, 0.0)]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_event_pair_and_triple_of_the_hidden_attacks_occurs_in_benign_training(training, length):
    ordinary = set().union(*(runs(events, length) for events in training))
    for attack in attacks_of(*HIDDEN):
        dice = Dice(3)
        for _ in range(150):
            events, _ = attack.run(dice, Habits())
            assert runs(events, length) <= ordinary, attack.run.__name__


def test_pairs_give_the_other_attacks_away_from_where_they_begin(training):
    ordinary = set().union(*(runs(events, 2) for events in training))
    for attack in attacks_of("event", "pair"):
        dice = Dice(4)
        for _ in range(100):
            events, start = attack.run(dice, Habits())
            assert runs(events[:start], 2) <= ordinary
            assert runs(events, 2) - ordinary, attack.run.__name__


def threads(events, closes):
    """For each opening event, whether the next closing event is its own."""
    opened = None
    found = []
    for event in events:
        if event in closes:
            opened = event
        elif event in closes.values():
            found.append(closes[opened] == event)
    return found


@pytest.mark.parametrize(
    ("name", "closes", "wrong"),
    [
        ("crossed_receipts", benign.FILES, 2),
        ("crossed_errands", benign.ERRANDS, 2),
        ("borrowed_visit", benign.VISITS, 1),
    ],
)
def test_what_closes_belongs_to_something_opened_elsewhere_and_where_it_begins_is_told(name, closes, wrong):
    attack = next(attack for attack in ATTACKS if attack.run.__name__ == name)
    dice = Dice(5)
    for _ in range(200):
        events, start = attack.run(dice, Habits())
        assert threads(events, closes).count(False) == wrong
        assert all(threads(events[:start], closes))
        assert not threads(events[: start + 1], closes)[-1]
        assert start >= FIRST_WRONG


def test_benign_threads_close_as_they_were_opened():
    closes = {**benign.FILES, **benign.ERRANDS, **benign.VISITS}
    for session in simulated_sessions(6, 500, 0.0):
        assert all(threads(session.events, closes))


def test_attacks_out_of_range_keep_counts_and_length():
    # An exchange changes no count: undone, the session is one that its behaviour draws.
    for attack in attacks_of("range"):
        dice = Dice(7)
        closes = benign.FILES if attack.run.__name__ == "crossed_receipts" else benign.ERRANDS
        for _ in range(100):
            counts = Counter(attack.run(dice, Habits())[0])
            for opens, close in closes.items():
                assert counts[opens] == counts[close]


def test_every_kind_is_one_that_is_told():
    assert {attack.kind for attack in ATTACKS} == set(KINDS)
    assert sum(attack.weight for attack in attacks_of("event", "pair")) < 50
    assert sum(attack.weight for attack in ATTACKS) == 100


def test_swelling_mail_slows_down():
    for session in simulated_sessions(8, 1500, 1.0):
        if session.behaviour == "swelling_mail":
            waits = [b - a for a, b in zip(session.instants, session.instants[1:])]
            half = len(waits) // 2
            assert sum(waits[half:]) > sum(waits[:half])
