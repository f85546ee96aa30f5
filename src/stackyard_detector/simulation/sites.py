"""Sites: the same kinds of behaviour in other mixtures, with other habits and some other event names.

Site 1 is the one that the defaults describe. All others are drawn from their number alone, so that site 2 is the same
site whatever the seed of its sessions. Drift moves a site's mixture and habits with time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

from stackyard_detector.simulation.benign import BENIGN, Behaviour, Habits
from stackyard_detector.simulation.dice import Dice

#: The greatest number of a site.
SITES = 9
#: What a service may be called elsewhere: other products, other ports, other rule names.
_OTHER_NAMES = {
    "http": "web",
    "https": "tls-443",
    "static": "cdn",
    "form": "post",
    "login": "portal",
    "login-failed": "auth-reject",
    "login-ok": "auth-accept",
    "logout": "auth-end",
    "smtp": "submission",
    "mail-scan": "mail-filter",
    "mail": "mail-relay",
    "vpn": "ipsec",
    "vpn-data": "ipsec-in",
    "vpn-sent": "ipsec-out",
    "rekey": "ike",
    "api": "rest",
    "sftp": "ssh-copy",
    "upload": "file",
    "file-scan": "sandbox",
    "bot-check": "challenge",
    "shop": "cart",
    "paid": "checkout",
    "support": "helpdesk",
    "ticket": "case",
    "order": "purchase",
    "order-receipt": "purchase-ack",
    "invoice": "bill",
    "invoice-receipt": "bill-ack",
    "admin": "console",
    "share": "files",
    "high": "ephemeral",
    "smb": "cifs",
}
#: How many of the names above are other ones at another site.
_RENAMED = 6
#: What drift of 1 has made of the weights at the end, by factor.
_LATER_WEIGHTS = {"visitor": 0.6, "crawler": 3.0, "remote_worker": 1.6, "stray_host": 2.0}
#: And of the habits.
_LATER_HABITS = Habits(
    mistyped=0.45,
    form=0.6,
    signed_in=0.7,
    shop=0.75,
    quarantined=0.3,
    newsletter=0.35,
    token=0.85,
    sent=0.5,
    order=0.7,
    quic=0.3,
)


@dataclass(frozen=True)
class Site:
    """What a site's sessions are drawn from."""

    weights: Tuple[Tuple[Behaviour, float], ...] = BENIGN
    habits: Habits = field(default_factory=Habits)
    #: Service -> what it is called here, where it is called otherwise than at site 1.
    names: Dict[str, str] = field(default_factory=dict)

    def named(self, events: List[str]) -> List[str]:
        """``events`` as this site calls them."""
        if not self.names:
            return events
        parts = [event.split("-", 1) for event in events]
        return [f"{action}-{self.names.get(service, service)}" for action, service in parts]

    def at(self, moment: float, drift: float) -> Site:
        """The site at ``moment``, 0 (when the simulation begins) to 1, as far as ``drift`` (0 to 1) moves it."""
        share = moment * drift
        if not share:
            return self
        weights = tuple(
            (behaviour, weight * (1 + share * (_LATER_WEIGHTS.get(behaviour.__name__, 1.0) - 1)))
            for behaviour, weight in self.weights
        )
        before, later = dataclasses.asdict(self.habits), dataclasses.asdict(_LATER_HABITS)
        habits = Habits(**{name: value + share * (later[name] - value) for name, value in before.items()})
        return dataclasses.replace(self, weights=weights, habits=habits)


def site(number: int) -> Site:
    """The site of this number, 1 to ``SITES``."""
    if number == 1:
        return Site()
    dice = Dice(1000 + number)
    weights = tuple((behaviour, weight * dice.between(0.5, 2.0)) for behaviour, weight in BENIGN)
    usual = dataclasses.asdict(Habits())
    habits = Habits(**{name: value * dice.between(0.6, 1.5) for name, value in usual.items()})
    left, names = sorted(_OTHER_NAMES), {}
    for _ in range(_RENAMED):
        service = left.pop(dice.number(0, len(left) - 1))
        names[service] = _OTHER_NAMES[service]
    return Site(weights, habits, names)
