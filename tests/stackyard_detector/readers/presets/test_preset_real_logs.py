"""Presets on public logs: what is guessed, and that nothing is lost. Skips where the data is not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from stackyard_detector.readers import trial

#: File -> preset, further settings of the guess, events, kinds of event (``None``: templates), corrupt lines. Counted
#: without our readers: lines of sshd with an address, methods and statuses, rows and their values.
LOGS: Dict[str, Any] = {
    "elastic_examples/apache_logs.xz": ("apache", {}, 10_000, 14, 0),
    "loghub_2k/OpenSSH/OpenSSH_2k.log.gz": ("sshd", {}, 1_732, 11, 0),
    "loghub_2k/Linux/Linux_2k.log.gz": ("syslog", {}, 2_000, None, 0),
    "suricata_eve_alerts/first-org-conf-2015_alerts-only.json.gz": ("suricata-eve", {}, 136, 136, 0),
    "suricata_eve_alerts/wrccdc-2017_alerts-only.json.gz": ("suricata-eve", {}, 161, 161, 0),
    "iot23_zeek_labeled/CTU-Malware-Capture-42-1-labeled.csv.xz": (
        "zeek-conn",
        {"format": "csv"},
        4_426,
        13,
        0,
    ),
}


@pytest.mark.parametrize("name", sorted(LOGS))
def test_public_logs_are_guessed_and_read(name: str, real_data: Callable[[str], Path]) -> None:
    preset, further, events, kinds, bad = LOGS[name]
    told = trial.tried({"path": str(real_data(name))}, 1_000_000)
    assert told["error"] is None
    assert {k: v for k, v in told["settings"].items() if k != "path"} == {"preset": preset, **further}
    assert told["events"]["count"] == events, told["quarantined"]
    assert kinds in (None, told["events"]["different"])
    assert told["quarantined"]["count"] == bad
