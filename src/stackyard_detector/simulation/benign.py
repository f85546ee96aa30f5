"""Benign behaviours: small programs that draw the events of one session.

Three of them keep a thread: what opens a piece of work also decides how it closes, several events later. A visitor's
errand (shop or support) closes with a payment or a ticket. A partner's file (order or invoice) closes with its own
receipt. A worker's visit (signed in by token or by password) goes on to the administration or to a share. What lies
between is drawn alike for both kinds, so that no two or three events in a row tell the kinds apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

from stackyard_detector.simulation.dice import Dice


@dataclass(frozen=True)
class Habits:
    """How often things happen at a site: probabilities, 0 to 1."""

    #: A person mistypes the password, once or twice.
    mistyped: float = 0.25
    #: A page holds a form that is sent.
    form: float = 0.4
    #: A visitor signs in.
    signed_in: float = 0.5
    #: An errand is a purchase, not a question to support.
    shop: float = 0.5
    #: A mail is put into quarantine.
    quarantined: float = 0.15
    #: A mail relay delivers a newsletter: many mails in one session.
    newsletter: float = 0.15
    #: A worker signs in by token, not by password.
    token: float = 0.5
    #: A stretch of VPN data is mostly sent, not received.
    sent: float = 0.3
    #: A partner's file is an order, not an invoice.
    order: float = 0.5
    #: A client speaks QUIC, which has an event name of its own.
    quic: float = 0.0


Behaviour = Callable[[Dice, Habits], List[str]]

#: What opens an errand, a file or a visit -> what closes it, both ways of each.
ERRANDS: Dict[str, str] = {"Allow-shop": "Inline-paid", "Allow-support": "Inline-ticket"}
FILES: Dict[str, str] = {"Inline-order": "Inline-order-receipt", "Inline-invoice": "Inline-invoice-receipt"}
VISITS: Dict[str, str] = {"Inline-token": "Allow-admin", "Inline-password": "Allow-share"}

#: What lies between: few fixed stretches, so that a small training part holds every triple of events.
_BROWSED: Tuple[Tuple[str, ...], ...] = (
    ("Allow-https", "Allow-static", "Allow-https"),
    ("Allow-https", "Allow-static", "Allow-https", "Allow-https"),
    ("Allow-https", "Allow-https", "Allow-static", "Allow-https"),
    ("Allow-https", "Allow-static", "Allow-https", "Allow-static", "Allow-https"),
)
_RECEIVED: Tuple[Tuple[str, ...], ...] = (
    ("Allow-vpn-data", "Allow-vpn-data", "Allow-vpn-data"),
    ("Allow-vpn-data", "Allow-vpn-sent", "Allow-vpn-data", "Allow-vpn-data"),
    ("Allow-vpn-data", "Allow-vpn-data", "Allow-vpn-data", "Allow-vpn-data"),
)
_SENT: Tuple[Tuple[str, ...], ...] = (
    ("Allow-vpn-data", "Allow-vpn-sent", "Allow-vpn-sent", "Allow-vpn-data"),
    ("Allow-vpn-sent", "Allow-vpn-sent", "Allow-vpn-data", "Allow-vpn-data"),
)


def login(dice: Dice, habits: Habits) -> List[str]:
    """A person signs in, now and then with one or two mistyped passwords before."""
    mistyped = dice.number(1, 2) if dice.chance(habits.mistyped) else 0
    return ["Inline-login-failed"] * mistyped + ["Inline-login-ok"]


def pages(dice: Dice, habits: Habits, low: int, high: int) -> List[str]:
    """Pages of a web site; now and then a form is sent and its result shown."""
    events: List[str] = []
    for _ in range(dice.number(low, high)):
        events += ["Allow-https"] * dice.number(2, 4)
        events += ["Inline-form", "Allow-https"] if dice.chance(habits.form) else ["Allow-static"]
    return events


def errands(dice: Dice, habits: Habits, count: int) -> List[str]:
    """Errands on the web site, each closed as it was opened."""
    events: List[str] = []
    for _ in range(count):
        kind = "Allow-shop" if dice.chance(habits.shop) else "Allow-support"
        events += [kind, *dice.one(_BROWSED), ERRANDS[kind], "Allow-https"]
    return events


def visitor(dice: Dice, habits: Habits) -> List[str]:
    """Visits the public web site, sometimes signing in, and does errands."""
    events = ["Allow-dns", "Allow-http", "Allow-https"]
    events += pages(dice, habits, 1, 2)
    if dice.chance(habits.signed_in):
        events += ["Allow-login", *login(dice, habits), *pages(dice, habits, 1, 2)]
        return [*events, *errands(dice, habits, dice.number(1, 4)), "Inline-logout"]
    return [*events, *errands(dice, habits, dice.number(0, 3)), *pages(dice, habits, 1, 2)]


def crawler(dice: Dice, habits: Habits) -> List[str]:
    """A search engine: reads page after page, is slowed down, waits, goes on."""
    events = ["Allow-dns", "Allow-https", "Inline-bot-check"]
    for _ in range(dice.number(2, 4)):
        events += ["Allow-https", "Allow-static"] * dice.number(2, 4)
        events += ["Inline-rate-limit", "Deny-https", "Inline-bot-check"]
    return events


def mails(dice: Dice, habits: Habits, count: int) -> List[str]:
    """The events of ``count`` mails."""
    events: List[str] = []
    for _ in range(count):
        events += ["Allow-smtp", "Inline-mail-scan"]
        events += ["Inline-mail-quarantine"] if dice.chance(habits.quarantined) else ["Allow-mail"]
    return events


def mail_relay(dice: Dice, habits: Habits) -> List[str]:
    """Delivers mail; the first delivery is put off (greylisting) and repeated."""
    events = ["Allow-dns", "Allow-smtp", "Deny-smtp", "Allow-smtp", "Inline-tls"]
    many = dice.chance(habits.newsletter)
    return events + mails(dice, habits, dice.number(7, 16) if many else dice.number(2, 6))


def visit(dice: Dice, habits: Habits, sent: float) -> List[str]:
    """One visit over the VPN, up to the step that its way of signing in allows; ``sent`` as in ``Habits``."""
    way = "Inline-token" if dice.chance(habits.token) else "Inline-password"
    events = ["Allow-vpn", "Inline-tls", way]
    events += dice.one(_SENT if dice.chance(sent) else _RECEIVED)
    return [*events, "Inline-rekey", VISITS[way], "Allow-vpn-data"]


def remote_worker(dice: Dice, habits: Habits) -> List[str]:
    """Works over the VPN: visits of either way of signing in, keys renewed within."""
    events: List[str] = []
    for _ in range(dice.number(2, 4)):
        events += visit(dice, habits, habits.sent)
    return [*events, "Inline-logout"]


def partner(dice: Dice, habits: Habits) -> List[str]:
    """A partner's program: asks the interface, uploads files that are scanned, gets a receipt for each."""
    events = ["Allow-dns", "Allow-api", "Inline-tls", "Inline-login-ok"]
    for _ in range(dice.number(2, 4)):
        kind = "Inline-order" if dice.chance(habits.order) else "Inline-invoice"
        events += ["Allow-api", kind, *["Allow-api"] * dice.number(1, 2)]
        events += ["Allow-sftp", "Inline-upload", "Inline-file-scan", FILES[kind]]
    return [*events, "Allow-api", "Inline-logout"]


def stray_host(dice: Dice, habits: Habits) -> List[str]:
    """A misconfigured or curious host: a few refused packets, a look at the web site."""
    events = [dice.one(("Deny-smb", "Deny-ssh", "Deny-high"))] * dice.number(3, 4)
    events += ["Deny-high"] * dice.number(2, 3)
    return [*events, "Allow-http", "Allow-https", "Allow-static", *pages(dice, habits, 1, 3)]


#: Behaviour -> weight.
BENIGN: Tuple[Tuple[Behaviour, float], ...] = (
    (visitor, 38.0),
    (remote_worker, 20.0),
    (partner, 18.0),
    (mail_relay, 12.0),
    (crawler, 7.0),
    (stray_host, 5.0),
)
