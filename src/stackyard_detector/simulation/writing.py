"""Simulated sessions as files. Every one of them says "simulated"."""

from __future__ import annotations

import csv
from typing import IO, Iterable, Sequence

from stackyard_detector.simulation.sessions import SimulatedSession

COLUMNS = ("key", "label", "started_at", "simulated_behaviour", "attack_kind", "attack_starts_at", "events")


def write_benign(sessions: Iterable[SimulatedSession], stream: IO[str]) -> int:
    """One session a line, its events separated by spaces; how many events were written."""
    written = 0
    for session in sessions:
        stream.write(" ".join(session.events) + "\n")
        written += len(session.events)
    return written


def write_test(sessions: Iterable[SimulatedSession], stream: IO[str]) -> None:
    """A CSV table with ``COLUMNS``, one session a row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in sessions:
        start = "" if s.attack_starts_at is None else s.attack_starts_at
        began, events = f"{s.instants[0]:.3f}", " ".join(s.events)
        writer.writerow([s.address, s.label, began, s.behaviour, s.attack_kind or "", start, events])


def write_log(sessions: Sequence[SimulatedSession], stream: IO[str]) -> None:
    """One key=value line an event, sorted by time, as a firewall before 10.0.0.0/8 would write it."""
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
