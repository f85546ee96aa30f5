from __future__ import annotations

import pytest

from stackyard_detector.simulation.attacks import ATTACKS
from stackyard_detector.simulation.sessions import Period, simulated_sessions
from stackyard_detector.simulation.sites import SITES, site

pytestmark = pytest.mark.python


def events_of(number, seed=2, count=400):
    return {event for s in simulated_sessions(seed, count, 0.0, site(number)) for event in s.events}


def test_all_sites_have_the_same_actions_and_most_names_and_no_two_are_alike():
    usual = events_of(1)
    seen = []
    for number in range(2, SITES + 1):
        events = events_of(number)
        assert {event.split("-")[0] for event in events} == {"Allow", "Deny", "Inline"}
        assert 4 <= len(events - usual) <= 12
        assert len(events & usual) >= 20
        seen.append((site(number).names, site(number).habits))
    assert all(one != other for n, one in enumerate(seen) for other in seen[:n])


def test_a_site_is_the_same_whatever_the_seed_of_its_sessions():
    assert events_of(3, seed=2) == events_of(3, seed=5)
    assert site(3) == site(3)


@pytest.mark.parametrize("number", range(1, SITES + 1))
def test_every_attack_can_be_drawn_at_every_site_with_the_most_drift(number):
    late = Period(0.9, 1.0, 1.0)
    names = {s.behaviour for s in simulated_sessions(1, 250, 1.0, site(number), late)}
    assert names == {attack.run.__name__ for attack in ATTACKS}


def test_without_drift_a_site_stays_as_it_is_and_with_it_it_moves_with_time():
    assert site(2).at(1.0, 0.0) == site(2).at(0.0, 1.0) == site(2)
    middle, end = site(1).at(0.5, 1.0), site(1).at(1.0, 1.0)
    assert 0.0 < middle.habits.quic < end.habits.quic
    assert dict(end.weights) != dict(site(1).weights)
    assert all(0 <= p <= 1 for n in range(1, SITES + 1) for p in vars(site(n).at(1.0, 1.0).habits).values())
