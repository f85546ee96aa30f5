"""Attacks: malicious sessions that begin like benign ones, and the index of the attack's first event.

``kind`` says what gives an attack away. ``event``: events that no benign session has. ``pair``: ordinary events of
which two never follow each other like this. ``range``: the parts of a benign session in a wrong order; each two and
three events in a row are ordinary, and so are counts and length, but what closes belongs to what was opened elsewhere.
``context``: an ordinary step after ordinary steps, in a visit that was opened in another way. ``statistics``: nothing
but ordinary stretches, more of some than usual; no single event is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Mapping, Tuple

from stackyard_detector.simulation import benign
from stackyard_detector.simulation.benign import Habits
from stackyard_detector.simulation.dice import Dice

#: What gives an attack away.
KINDS = ("event", "pair", "range", "context", "statistics")
#: Attacks of the kinds "range" and "context" begin here or later: a history of ten events is there before.
FIRST_WRONG = 10


@dataclass(frozen=True)
class Attack:
    """One attack: its events, how often it comes and at what pace."""

    #: Dice and habits of the site -> events, index of the attack's first event.
    run: Callable[[Dice, Habits], Tuple[List[str], int]]
    kind: str
    weight: float
    #: Mean seconds between two events.
    pace: float = 3.0
    #: By what factor the pace has grown at the end of the session.
    slowing: float = 1.0


def port_scan(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """Knocks at many ports in turn; some answer."""
    start = benign.stray_host(dice, habits)[: dice.number(0, 4)]
    ports = ("ssh", "smb", "high", "telnet", "rdp", "sql", "ssh", "high", "smb")
    events = [f"Deny-{dice.one(ports)}" for _ in range(dice.number(14, 40))]
    return [*start, *events, "Allow-http"], len(start)


def brute_force(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """Guesses passwords at the VPN, one after the other, until it is locked out."""
    start = ["Allow-vpn", "Inline-tls"]
    events = ["Inline-login-failed"] * dice.number(8, 27) + ["Inline-rate-limit", "Deny-vpn"]
    return start + events, len(start)


def probing(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A visitor who turns to injection: forms are sent in series, some stopped by the IPS."""
    start = ["Allow-dns", "Allow-http", "Allow-https", *benign.pages(dice, habits, 1, 3)]
    events: List[str] = []
    for _ in range(dice.number(3, 7)):
        events += ["Inline-form"] * dice.number(1, 3)
        events += ["Inline-injection"] if dice.chance(0.35) else ["Allow-https"]
    return [*start, *events, "Inline-injection"], len(start)


def low_and_slow(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """Guesses a password every few pages: a failed sign-in after which the guesser just reads on."""
    start = ["Allow-dns", "Allow-http", "Allow-https", *benign.pages(dice, habits, 2, 3)]
    events: List[str] = []
    for _ in range(dice.number(1, 2)):
        events += ["Allow-login", "Inline-login-failed", *benign.pages(dice, habits, 1, 2)]
    if dice.chance(0.5):
        events += ["Allow-login", "Inline-login-ok", *benign.pages(dice, habits, 1, 2)]
    return start + events, len(start)


def hijacked_tunnel(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A stolen tunnel: data flows, and only later somebody signs in; the numbers are as usual."""
    usual = benign.remote_worker(dice, habits)
    at = usual.index("Allow-vpn", 1) + 2
    late = usual.index("Inline-rekey", at)
    return [*usual[:at], *usual[at + 1 : late], usual[at], *usual[late:]], at


def exfiltration(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A partner's account abused: the usual steps in another order, files are scanned before they are there."""
    events = benign.partner(dice, habits)
    usual, wrong = ("Inline-upload", "Inline-file-scan"), ("Inline-file-scan", "Inline-upload")
    places = [i for i in range(len(events) - 1) if tuple(events[i : i + 2]) == usual]
    for place in places:
        events[place : place + 2] = wrong
    return events, places[0]


def slow_scan(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A crawler's disguise: between the pages single refused knocks, as many as a stray host makes."""
    events = benign.crawler(dice, habits)
    start = dice.number(4, 8)
    at = start
    for _ in range(dice.number(2, 4)):
        events.insert(at, dice.one(("Deny-ssh", "Deny-smb", "Deny-high")))
        at += dice.number(3, 6)
        if at > len(events):
            break
    return events, start


def _exchanged(dice: Dice, make: Callable[[], List[str]], closes: Mapping[str, str]) -> Tuple[List[str], int]:
    """A session with two closing events of different kinds in each other's place, and the first of the places."""
    pairs: List[Tuple[int, int]] = []
    while not pairs:
        events = make()
        at = [n for n, event in enumerate(events) if n >= FIRST_WRONG and event in closes.values()]
        pairs = [(a, b) for a in at for b in at if a < b and events[a] != events[b]]
    a, b = dice.one(pairs)
    events[a], events[b] = events[b], events[a]
    return events, a


def crossed_receipts(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A partner's files replayed: an order gets the receipt of an invoice, and that invoice the order's."""
    return _exchanged(dice, lambda: benign.partner(dice, habits), benign.FILES)


def crossed_errands(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """Calls of the shop forged: a payment closes what was a question, a ticket what was a purchase."""
    return _exchanged(dice, lambda: benign.visitor(dice, habits), benign.ERRANDS)


def borrowed_visit(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """The administration reached from a visit that a password opened; another visit of the session had a token."""
    own, wanted = benign.VISITS["Inline-password"], benign.VISITS["Inline-token"]
    places: List[int] = []
    while not places:
        events = benign.remote_worker(dice, habits)
        places = [n for n, event in enumerate(events) if n >= FIRST_WRONG and event == own]
        if wanted not in events:
            places = []
    place = dice.one(places)
    events[place] = wanted
    return events, place


def slow_leak(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A worker's account that sends more from visit to visit; every visit by itself is an ordinary one."""
    events = benign.visit(dice, habits, habits.sent)
    start = len(events)
    visits = dice.number(2, 3)
    for number in range(1, visits + 1):
        events += benign.visit(dice, habits, habits.sent + (0.95 - habits.sent) * number / visits)
    return [*events, "Inline-logout"], start


def swelling_mail(dice: Dice, habits: Habits) -> Tuple[List[str], int]:
    """A relay abused for spam: as long as the longest newsletters, and ever slower, so that no limit stops it."""
    start = [
        "Allow-dns",
        "Allow-smtp",
        "Deny-smtp",
        "Allow-smtp",
        "Inline-tls",
        *benign.mails(dice, habits, 6),
    ]
    return start + benign.mails(dice, habits, dice.number(4, 10)), len(start)


ATTACKS: Tuple[Attack, ...] = (
    Attack(port_scan, "event", 7.0, pace=1.0),
    Attack(brute_force, "event", 6.0, pace=1.0),
    Attack(probing, "event", 7.0, pace=1.0),
    Attack(low_and_slow, "pair", 7.0, pace=240.0),
    Attack(hijacked_tunnel, "pair", 6.0),
    Attack(exfiltration, "pair", 6.0),
    Attack(slow_scan, "pair", 6.0, pace=240.0),
    Attack(crossed_receipts, "range", 16.0),
    Attack(crossed_errands, "range", 16.0),
    Attack(borrowed_visit, "context", 15.0),
    Attack(slow_leak, "statistics", 4.0),
    Attack(swelling_mail, "statistics", 4.0, slowing=20.0),
)
