"""Simulated firewall and IPS sessions, one per external address, benign and malicious, from a seed.

Nothing here is a recording: behaviours are small programs that draw events ("Allow-https", "Deny-ssh",
"Inline-login-failed"). They exist so that a demonstration and a test have data anywhere; what a detector
reaches on them says nothing about a real network. Every file written says "simulated".

Malicious sessions begin like benign ones; ``attack_starts_at`` is the index of the first event of the attack,
so that early detection can be judged. Some attacks show events no benign session has, some only odd counts,
and some only a wrong order of ordinary events in ordinary numbers.

Standard library only; the draws use nothing but ``random.Random.random`` (the Mersenne Twister), so that a
seed gives the same bytes in every Python version.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from stackyard_task.channel import BadInput, Channel

#: 2026-01-01T00:00:00Z: when the simulated time begins.
BEGIN = 1767225600
#: Addresses come from 198.18.0.0/15, set apart for benchmarks (RFC 2544): never a real host.
ADDRESSES = 1 << 17

Behaviour = Callable[["Dice"], List[str]]


class Dice:
    """Draws from one seeded generator, by ``random()`` alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with ``probability``."""
        return self._random() < probability

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._random() * (high - low + 1))

    def one(self, options: Sequence[Any]) -> Any:
        """One of ``options``."""
        return options[int(self._random() * len(options))]

    def seconds(self, mean: float) -> float:
        """A waiting time, triangular around ``mean``, in thousandths."""
        return round(mean * (self._random() + self._random()), 3)


# --- benign ---


def _login(dice: Dice) -> List[str]:
    """A person signs in, now and then with one or two mistyped passwords before."""
    mistyped = dice.number(1, 2) if dice.chance(0.25) else 0
    return ["Inline-login-failed"] * mistyped + ["Inline-login-ok"]


def _pages(dice: Dice, low: int, high: int) -> List[str]:
    """Pages of a web site; now and then a form is sent and its result shown."""
    events: List[str] = []
    for _ in range(dice.number(low, high)):
        events += ["Allow-https"] * dice.number(2, 4)
        events += ["Inline-form", "Allow-https"] if dice.chance(0.4) else ["Allow-static"]
    return events


def visitor(dice: Dice) -> List[str]:
    """Visits the public web site, sometimes signing in."""
    events = ["Allow-dns", "Allow-http", "Allow-https"]
    events += _pages(dice, 1, 3)
    if dice.chance(0.5):
        events += ["Allow-login", *_login(dice), *_pages(dice, 2, 4), "Inline-logout"]
    else:
        events += _pages(dice, 1, 3)
    return events


def crawler(dice: Dice) -> List[str]:
    """A search engine: reads page after page, is slowed down, waits, goes on."""
    events = ["Allow-dns", "Allow-https", "Inline-bot-check"]
    for _ in range(dice.number(2, 4)):
        events += ["Allow-https", "Allow-static"] * dice.number(2, 4)
        events += ["Inline-rate-limit", "Deny-https", "Inline-bot-check"]
    return events


def mail_relay(dice: Dice) -> List[str]:
    """Delivers mail; the first delivery is put off (greylisting) and repeated."""
    events = ["Allow-dns", "Allow-smtp", "Deny-smtp", "Allow-smtp", "Inline-tls"]
    for _ in range(dice.number(2, 6)):
        events += ["Allow-smtp", "Inline-mail-scan"]
        events += ["Inline-mail-quarantine"] if dice.chance(0.15) else ["Allow-mail"]
    return events


def remote_worker(dice: Dice) -> List[str]:
    """Works over the VPN: signs in, moves data, renews keys, closes."""
    events = ["Allow-vpn", "Inline-tls", *_login(dice)]
    for _ in range(dice.number(2, 5)):
        events += ["Allow-vpn-data"] * dice.number(2, 4)
        events += ["Inline-rekey"]
    return [*events, "Allow-vpn-data", "Inline-logout"]


def partner(dice: Dice) -> List[str]:
    """A partner's program: asks the interface, then uploads a file that is scanned."""
    events = ["Allow-dns", "Allow-api", "Inline-tls", "Inline-login-ok"]
    for _ in range(dice.number(1, 3)):
        events += ["Allow-api"] * dice.number(2, 4)
        events += ["Allow-sftp", "Inline-upload", "Inline-file-scan", "Allow-api"]
    return [*events, "Inline-logout"]


def stray_host(dice: Dice) -> List[str]:
    """A misconfigured or curious host: a few refused packets, a look at the web site."""
    events = [dice.one(("Deny-smb", "Deny-ssh", "Deny-high"))] * dice.number(3, 4)
    events += ["Deny-high"] * dice.number(2, 3)
    return [*events, "Allow-http", "Allow-https", "Allow-static", *_pages(dice, 1, 3)]


#: Behaviour -> weight.
BENIGN: Tuple[Tuple[Behaviour, int], ...] = (
    (visitor, 40),
    (mail_relay, 18),
    (remote_worker, 16),
    (partner, 12),
    (crawler, 8),
    (stray_host, 6),
)


# --- malicious: (events, index of the attack's first event) ---


def port_scan(dice: Dice) -> Tuple[List[str], int]:
    """Knocks at many ports in turn; some answer."""
    start = stray_host(dice)[: dice.number(0, 4)]
    ports = ("ssh", "smb", "high", "telnet", "rdp", "sql", "ssh", "high", "smb")
    events = [f"Deny-{dice.one(ports)}" for _ in range(dice.number(14, 40))]
    return [*start, *events, "Allow-http"], len(start)


def brute_force(dice: Dice) -> Tuple[List[str], int]:
    """Guesses passwords at the VPN, one after the other, until it is locked out."""
    start = ["Allow-vpn", "Inline-tls", "Inline-login-failed", "Inline-login-failed"]
    events = ["Inline-login-failed"] * dice.number(6, 25) + ["Inline-rate-limit", "Deny-vpn"]
    return start + events, len(start)


def probing(dice: Dice) -> Tuple[List[str], int]:
    """A visitor who turns to injection: forms are sent in series, some stopped by the IPS."""
    start = ["Allow-dns", "Allow-http", "Allow-https", *_pages(dice, 1, 3)]
    events: List[str] = []
    for _ in range(dice.number(3, 7)):
        events += ["Inline-form"] * dice.number(1, 3)
        events += ["Inline-injection"] if dice.chance(0.35) else ["Allow-https"]
    return start + events, len(start)


def low_and_slow(dice: Dice) -> Tuple[List[str], int]:
    """Guesses a password every few pages, at the web site or the VPN: ordinary events in an odd order."""
    start = ["Allow-dns", "Allow-http", "Allow-https", *_pages(dice, 2, 3)]
    events: List[str] = []
    for _ in range(dice.number(1, 2)):
        events += dice.one((["Allow-login"], ["Allow-vpn", "Inline-tls"]))
        events += ["Inline-login-failed"]
        events += _pages(dice, 1, 2)
    events += ["Allow-login", "Inline-login-ok", *_pages(dice, 1, 2)] if dice.chance(0.5) else []
    return start + events, len(start)


def hijacked_tunnel(dice: Dice) -> Tuple[List[str], int]:
    """A stolen VPN session: data flows, and only then somebody signs in; the numbers are as usual."""
    usual = remote_worker(dice)
    while len(usual) < 16:
        usual = remote_worker(dice)
    signed_in = usual.index("Inline-login-ok")
    late = dice.number(11, len(usual) - 2)
    rest = usual[:signed_in] + usual[signed_in + 1 :]
    return [*rest[:late], "Inline-login-ok", *rest[late:]], signed_in


def exfiltration(dice: Dice) -> Tuple[List[str], int]:
    """A partner's account abused: the usual steps in another order, files move before they are scanned."""
    usual = partner(dice)
    begin = usual.index("Allow-sftp")
    events = list(usual)
    for i in range(begin, len(events) - 2):
        if events[i] == "Allow-sftp":  # sftp, upload, scan -> upload, sftp, scan last
            events[i : i + 4] = ["Allow-sftp", "Allow-api", "Inline-file-scan", "Inline-upload"]
    return events, begin + 1


def slow_scan(dice: Dice) -> Tuple[List[str], int]:
    """A crawler's disguise: between the pages single refused knocks, as many as a stray host makes."""
    events = crawler(dice)
    start = dice.number(4, 8)
    at = start
    for _ in range(dice.number(2, 4)):
        events.insert(at, dice.one(("Deny-ssh", "Deny-smb", "Deny-high")))
        at += dice.number(3, 6)
        if at > len(events):
            break
    return events, start


MALICIOUS: Tuple[Tuple[Callable[[Dice], Tuple[List[str], int]], int], ...] = (
    (port_scan, 16),
    (brute_force, 14),
    (probing, 16),
    (low_and_slow, 20),
    (hijacked_tunnel, 12),
    (exfiltration, 12),
    (slow_scan, 10),
)


@dataclass(frozen=True)
class SimulatedSession:
    """One simulated session of one external address."""

    address: str
    label: int
    #: Name of the behaviour that made it.
    behaviour: str
    events: List[str]
    #: Seconds since the epoch, one per event.
    instants: List[float]
    #: Index of the first event of the attack; ``None`` for benign sessions.
    attack_starts_at: Optional[int]


def simulated_sessions(seed: int, count: int, malicious_share: float) -> Iterator[SimulatedSession]:
    """``count`` simulated sessions in the order of time, a share of them malicious."""
    dice = Dice(seed)
    offset = dice.number(0, ADDRESSES - 1)
    begins_at = float(BEGIN)
    for number in range(count):
        begins_at += dice.seconds(20.0)
        attack_starts_at: Optional[int] = None
        malicious = dice.chance(malicious_share)
        pace = 3.0
        if malicious:
            attack = _weighted(dice, MALICIOUS)
            events, attack_starts_at = attack(dice)
            name = attack.__name__
            pace = 240.0 if "slow" in name else 1.0
        else:
            behaviour = _weighted(dice, BENIGN)
            events, name = behaviour(dice), behaviour.__name__
        instants = [round(begins_at, 3)]
        for _ in events[1:]:
            instants.append(round(instants[-1] + dice.seconds(pace), 3))
        # An odd factor modulo a power of two: no address comes twice.
        host = (number * 40503 + offset) % ADDRESSES
        address = f"198.{18 + (host >> 16)}.{(host >> 8) & 255}.{host & 255}"
        yield SimulatedSession(address, int(malicious), name, events, instants, attack_starts_at)


def _weighted(dice: Dice, options: Sequence[Tuple[Any, int]]) -> Any:
    drawn = dice.number(1, sum(weight for _, weight in options))
    for option, weight in options:
        drawn -= weight
        if drawn <= 0:
            return option
    raise AssertionError("weights add up")


def simulate(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Write simulated sessions for training and test: the workload "simulate-firewall".

    Writes ``benign.txt`` (training: one simulated benign session a line, events separated by spaces),
    ``test.csv`` (test: key, label, started_at, simulated_behaviour, attack_starts_at, events; benign and
    malicious mixed), ``SIMULATED.txt`` (what these files are) and, asked by ``log``, ``firewall.log`` (the
    test sessions once more as key=value lines of a simulated firewall, interleaved in time).

    Args:
        parameters: "sessions" in all; "test_share" of them for the test; "malicious_share" of the test;
            "seed"; "log".
        channel: told phases, progress and results.
        output_folder: an existing folder for the files.

    Raises:
        BadInput: shares that leave no training or no test session, or more sessions than addresses.
    """
    sessions, seed = int(parameters["sessions"]), int(parameters["seed"])
    test_count = round(sessions * float(parameters["test_share"]))
    train_count = sessions - test_count
    if not 0 < train_count < sessions:
        raise BadInput(
            f"{sessions} sessions with test_share {parameters['test_share']} leave {train_count} to train on "
            f"and {test_count} for the test; expected at least one of each"
        )
    if sessions > ADDRESSES:
        raise BadInput(f"sessions is {sessions}, expected at most {ADDRESSES} (one simulated address each)")
    channel.phase("steady")
    counts: Dict[str, int] = {}
    events_written = 0
    with (output_folder / "benign.txt").open("w", encoding="utf-8", newline="\n") as stream:
        for session in simulated_sessions(2 * seed, train_count, 0.0):
            stream.write(" ".join(session.events) + "\n")
            events_written += len(session.events)
    channel.progress(train_count, sessions, "sessions")
    test = list(simulated_sessions(2 * seed + 1, test_count, float(parameters["malicious_share"])))
    with (output_folder / "test.csv").open("w", encoding="utf-8", newline="") as stream:
        _write_test(test, stream)
    for session in test:
        events_written += len(session.events)
        counts[session.behaviour] = counts.get(session.behaviour, 0) + 1
    if parameters.get("log"):
        with (output_folder / "firewall.log").open("w", encoding="utf-8", newline="\n") as stream:
            _write_log(test, stream)
    channel.progress(sessions, sessions, "sessions")
    channel.phase("finish")
    malicious = sum(session.label for session in test)
    (output_folder / "SIMULATED.txt").write_text(
        "These files are simulated: no line was recorded on a network, and results on them describe the\n"
        "simulation only. Addresses are from 198.18.0.0/15 (benchmarks, RFC 2544).\n"
        f"Workload simulate-firewall, seed {seed}: {train_count} benign sessions to train on,\n"
        f"{test_count} for the test, {malicious} of them malicious.\n",
        encoding="utf-8",
    )
    channel.results(
        data="simulated",
        sessions=sessions,
        events=events_written,
        training_sessions=train_count,
        test_sessions=test_count,
        test_malicious_sessions=malicious,
        **{f"simulated_{name}": count for name, count in sorted(counts.items())},
    )


def _write_test(sessions: Sequence[SimulatedSession], stream: IO[str]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["key", "label", "started_at", "simulated_behaviour", "attack_starts_at", "events"])
    for s in sessions:
        start = "" if s.attack_starts_at is None else s.attack_starts_at
        writer.writerow([s.address, s.label, f"{s.instants[0]:.3f}", s.behaviour, start, " ".join(s.events)])


def _write_log(sessions: Sequence[SimulatedSession], stream: IO[str]) -> None:
    """One line an event, sorted by time, as a firewall before 10.0.0.0/8 would write it."""
    lines = [
        (instant, s, event, index)
        for s in sessions
        for index, (event, instant) in enumerate(zip(s.events, s.instants))
    ]
    lines.sort(key=lambda line: (line[0], line[1].address, line[3]))
    for instant, session, event, index in lines:
        action, service = event.split("-", 1)
        attack = session.attack_starts_at is not None and index >= session.attack_starts_at
        stream.write(
            f'time={instant:.3f} device="simulated" src_ip={session.address} '
            f"dst_ip=10.0.0.{1 + len(service)} action={action.lower()} service={service} "
            f"simulated_attack={int(attack)}\n"
        )
