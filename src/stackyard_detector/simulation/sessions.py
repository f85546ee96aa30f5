"""Simulated sessions in the order of time: addresses, instants, and which behaviour or attack made each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional

from stackyard_detector.simulation.attacks import ATTACKS, Attack
from stackyard_detector.simulation.dice import Dice
from stackyard_detector.simulation.sites import Site

#: 2026-01-01T00:00:00Z: when the simulated time begins.
BEGIN = 1767225600
#: Addresses come from 198.18.0.0/15, set apart for benchmarks (RFC 2544): never a real host.
ADDRESSES = 1 << 17
#: Mean seconds between two events of a benign session, and between the beginnings of two sessions.
PACE, ARRIVAL = 3.0, 20.0


@dataclass(frozen=True)
class SimulatedSession:
    """One simulated session of one external address."""

    address: str
    label: int
    #: Name of the behaviour that made it.
    behaviour: str
    #: What gives the attack away (``attacks.KINDS``); ``None`` for benign sessions.
    attack_kind: Optional[str]
    events: List[str]
    #: Seconds since the epoch, one per event.
    instants: List[float]
    #: Index of the first event of the attack; ``None`` for benign sessions.
    attack_starts_at: Optional[int]


@dataclass(frozen=True)
class Period:
    """The part of the simulated time that sessions come from: 0 is its beginning, 1 its end."""

    first: float = 0.0
    last: float = 1.0
    #: How far benign behaviour has moved at the end, 0 to 1.
    drift: float = 0.0


def simulated_sessions(
    seed: int,
    count: int,
    malicious_share: float,
    site: Optional[Site] = None,
    period: Optional[Period] = None,
) -> Iterator[SimulatedSession]:
    """``count`` simulated sessions in the order of time, a share of them malicious.

    Args:
        seed: where chance begins.
        count: how many, at most ``ADDRESSES``.
        malicious_share: probability of each to be malicious, 0 to 1.
        site: whose sessions they are; ``None``: site 1.
        period: when they come, and how benign behaviour drifts; ``None``: all of the time, no drift.
    """
    site, period = site or Site(), period or Period()
    dice = Dice(seed)
    offset = dice.number(0, ADDRESSES - 1)
    weighted = [(attack, attack.weight) for attack in ATTACKS]
    begins_at = float(BEGIN)
    for number in range(count):
        begins_at += dice.seconds(ARRIVAL)
        here = site.at(period.first + (period.last - period.first) * number / count, period.drift)
        starts_at: Optional[int] = None
        kind: Optional[str] = None
        pace, slowing = PACE, 1.0
        if dice.chance(malicious_share):
            attack: Attack = dice.weighted(weighted)
            events, starts_at = attack.run(dice, here.habits)
            name, kind, pace, slowing = attack.run.__name__, attack.kind, attack.pace, attack.slowing
        else:
            behaviour = dice.weighted(here.weights)
            events, name = behaviour(dice, here.habits), behaviour.__name__
        if here.habits.quic and dice.chance(here.habits.quic):
            events = ["Allow-quic" if event == "Allow-https" else event for event in events]
        instants = [round(begins_at, 3)]
        for index in range(1, len(events)):
            grown = 1 + (slowing - 1) * index / len(events)
            instants.append(round(instants[-1] + dice.seconds(pace * grown), 3))
        # An odd factor modulo a power of two: no address comes twice.
        host = (number * 40503 + offset) % ADDRESSES
        address = f"198.{18 + (host >> 16)}.{(host >> 8) & 255}.{host & 255}"
        label = int(kind is not None)
        yield SimulatedSession(address, label, name, kind, here.named(events), instants, starts_at)
