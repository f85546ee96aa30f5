"""The workload simulate-firewall: simulated firewall and IPS sessions, benign and malicious, from a seed.

Nothing here is a recording: behaviours are small programs that draw events ("Allow-https", "Deny-ssh",
"Inline-login-failed"). They exist so that a demonstration and a test have data anywhere; what a detector
reaches on them says nothing about a real network. Every file written says "simulated".

Malicious sessions begin like benign ones; ``attack_starts_at`` is the index of the first event of the attack,
so that early detection can be judged. ``attack_kind`` says what gives an attack away (``simulation.attacks``):
half of them were made so that pairs and triples of events do not.

Standard library only; the draws use nothing but ``random.Random.random`` (the Mersenne Twister), so that a
seed gives the same bytes in every Python version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping

from stackyard_detector.simulation import sites, writing
from stackyard_detector.simulation.sessions import ADDRESSES, Period, simulated_sessions
from stackyard_task.channel import BadInput, Channel


def simulate(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Write simulated sessions for training and test: the workload "simulate-firewall".

    Writes ``benign.txt`` (training: one simulated benign session a line, events separated by spaces),
    ``test.csv`` (test: ``writing.COLUMNS``, benign and malicious mixed), ``SIMULATED.txt`` (what these files
    are) and, asked by ``log``, ``firewall.log`` (the test sessions once more as key=value lines of a simulated
    firewall, interleaved in time).

    Args:
        parameters: "sessions" in all; "test_share" of them for the test; "malicious_share" of the test;
            "seed"; "log"; "site", whose sessions they are (default 1); "drift", how far benign behaviour has
            moved when the test ends (0, the default, to 1; the training part comes first).
        channel: told phases, progress and results.
        output_folder: an existing folder for the files.

    Raises:
        BadInput: shares that leave no training or no test session, or more sessions than addresses.
    """
    sessions, seed = int(parameters["sessions"]), int(parameters["seed"])
    number, drift = int(parameters.get("site", 1)), float(parameters.get("drift", 0.0))
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
    site, turn = sites.site(number), train_count / sessions
    before, after = Period(0.0, turn, drift), Period(turn, 1.0, drift)
    with (output_folder / "benign.txt").open("w", encoding="utf-8", newline="\n") as stream:
        benign = simulated_sessions(2 * seed, train_count, 0.0, site, before)
        events_written = writing.write_benign(benign, stream)
    channel.progress(train_count, sessions, "sessions")
    malicious_share = float(parameters["malicious_share"])
    test = list(simulated_sessions(2 * seed + 1, test_count, malicious_share, site, after))
    with (output_folder / "test.csv").open("w", encoding="utf-8", newline="") as stream:
        writing.write_test(test, stream)
    counts: Dict[str, int] = {}
    for session in test:
        events_written += len(session.events)
        counts[session.behaviour] = counts.get(session.behaviour, 0) + 1
    if parameters.get("log"):
        with (output_folder / "firewall.log").open("w", encoding="utf-8", newline="\n") as stream:
            writing.write_log(test, stream)
    channel.progress(sessions, sessions, "sessions")
    channel.phase("finish")
    malicious = sum(session.label for session in test)
    statistical = sum(session.attack_kind == "statistics" for session in test)
    (output_folder / "SIMULATED.txt").write_text(
        "These files are simulated: no line was recorded on a network, and results on them describe the\n"
        "simulation only. Addresses are from 198.18.0.0/15 (benchmarks, RFC 2544).\n"
        f"Workload simulate-firewall, site {number}, seed {seed}, drift {drift:g}:\n"
        f"{train_count} benign sessions to train on, {test_count} for the test, {malicious} of them malicious.\n"
        'Attacks of the kinds "range" and "context" are made so that no pair of events, and hardly a triple, is\n'
        f'new. {statistical} are of the kind "statistics": no event of theirs is wrong, only how many there are.\n',
        encoding="utf-8",
    )
    channel.results(
        data="simulated",
        site=number,
        sessions=sessions,
        events=events_written,
        training_sessions=train_count,
        test_sessions=test_count,
        test_malicious_sessions=malicious,
        **{f"simulated_{name}": count for name, count in sorted(counts.items())},
    )
