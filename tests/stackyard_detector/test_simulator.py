from __future__ import annotations

import csv
import hashlib
from collections import Counter

import pytest

from stackyard_detector import simulator
from stackyard_detector.readers import Quarantine, read_sessions
from stackyard_detector.simulation.sessions import simulated_sessions
from stackyard_task.channel import BadInput, Channel
from stackyard_task.workloads import ParameterError, checked
from tests.stackyard_detector.declared import WORKLOADS

pytestmark = pytest.mark.python

PARAMETERS = {"sessions": 1000, "test_share": 0.4, "malicious_share": 0.3, "seed": 1, "log": True}


class Listener(Channel):
    """A channel that remembers results."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def results(self, **values):
        self.found.update(values)


@pytest.fixture
def outputs(tmp_path):
    listener = Listener()
    simulator.simulate(PARAMETERS, listener, tmp_path)
    return tmp_path, listener.found


def digest(folder):
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        whole.update(path.name.encode() + path.read_bytes())
    return whole.hexdigest()


def test_a_seed_gives_the_same_bytes_in_every_python(outputs):
    assert digest(outputs[0]) == "fea98f5196fbd2113fd3545bbba4189519ea371fdb89b22cea89918c5e1e6a0d"


def test_another_seed_gives_other_sessions(outputs, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    simulator.simulate({**PARAMETERS, "seed": 2}, Channel(), other)
    assert (other / "benign.txt").read_bytes() != (outputs[0] / "benign.txt").read_bytes()


def test_the_files_are_what_the_readers_take(outputs):
    folder, found = outputs
    benign = {"path": str(folder / "benign.txt"), "format": "sequences", "label": 0}
    test = {
        "path": str(folder / "test.csv"),
        "format": "csv-sequences",
        "key_column": "key",
        "label_column": "label",
        "time_column": "started_at",
    }
    quarantine = Quarantine(limit=0)
    training = list(read_sessions({"sources": [benign]}, quarantine))
    tested = list(read_sessions({"sources": [test]}, quarantine))
    assert (len(training), len(tested)) == (600, 400) == (found["training_sessions"], found["test_sessions"])
    assert sum(s.label for s in tested) == found["test_malicious_sessions"]
    assert 80 <= found["test_malicious_sessions"] <= 160
    assert len({s.key for s in tested}) == 400
    assert found["data"] == "simulated"


def test_the_firewall_log_holds_the_same_test_sessions(outputs):
    folder, _ = outputs
    log = {
        "path": str(folder / "firewall.log"),
        "format": "key-value",
        "external_key": {"columns": ["src_ip", "dst_ip"]},
        "time_column": "time",
        "event_column": ["action", "service"],
        "action_map": {"allow": "Allow", "deny": "Deny", "inline": "Inline"},
        "label_column": "simulated_attack",
    }
    from_log = {s.key: (s.events, s.label) for s in read_sessions({"sources": [log]}, Quarantine(limit=0))}
    with (folder / "test.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert from_log == {
        r["key"]: ([e.replace("-", "|", 1) for e in r["events"].split()], int(r["label"])) for r in rows
    }


def test_attacks_say_where_they_begin_and_what_gives_them_away(outputs):
    folder, _ = outputs
    ordinary = set((folder / "benign.txt").read_text(encoding="utf-8").split())
    with (folder / "test.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        events = row["events"].split()
        if row["label"] == "1":
            assert 0 <= int(row["attack_starts_at"]) < len(events)
            assert set(events[: int(row["attack_starts_at"])]) <= ordinary
            assert bool(set(events) - ordinary) == (row["attack_kind"] == "event")
        else:
            assert row["attack_starts_at"] == row["attack_kind"] == ""
            assert set(events) <= ordinary
    kinds = Counter(row["attack_kind"] for row in rows if row["label"] == "1")
    assert set(kinds) == {"event", "pair", "range", "context", "statistics"}
    told = (folder / "SIMULATED.txt").read_text(encoding="utf-8")
    assert f'{kinds["statistics"]} are of the kind "statistics"' in told


def test_the_training_part_of_another_site_has_other_names_and_the_default_is_site_one(
    outputs, tmp_path_factory
):
    folder, found = outputs
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for number, other in ((1, one), (2, two)):
        simulator.simulate({**PARAMETERS, "site": number}, Channel(), other)
    assert digest(one) == digest(folder)
    assert found["site"] == 1
    here = set((folder / "benign.txt").read_text(encoding="utf-8").split())
    there = set((two / "benign.txt").read_text(encoding="utf-8").split())
    assert here & there
    assert here - there
    assert there - here


def test_with_drift_the_test_has_benign_events_that_training_hardly_had(tmp_path):
    simulator.simulate({**PARAMETERS, "drift": 1.0}, Channel(), tmp_path)
    training = (tmp_path / "benign.txt").read_text(encoding="utf-8").splitlines()
    with (tmp_path / "test.csv").open(encoding="utf-8", newline="") as stream:
        benign = [row["events"] for row in csv.DictReader(stream) if row["label"] == "0"]
    early, late = training[:200], benign[-150:]
    assert sum("quic" in s for s in late) / len(late) > 2 * sum("quic" in s for s in early) / len(early)
    assert "drift 1:" in (tmp_path / "SIMULATED.txt").read_text(encoding="utf-8")


def test_every_session_has_room_for_a_history_of_ten_events():
    sessions = list(simulated_sessions(5, 2000, 0.5))
    assert sum(len(s.events) <= 10 for s in sessions) < 0.05 * len(sessions)
    assert all(b >= a for s in sessions for a, b in zip(s.instants, s.instants[1:]))


def test_everything_written_is_called_simulated(outputs):
    folder, _ = outputs
    assert "simulated" in (folder / "SIMULATED.txt").read_text(encoding="utf-8")
    assert "simulated" in (folder / "test.csv").read_text(encoding="utf-8").splitlines()[0]
    assert all(
        "simulated" in line for line in (folder / "firewall.log").read_text(encoding="utf-8").splitlines()
    )


def test_the_workload_is_known_with_defaults_and_shares_that_leave_nothing_are_refused(tmp_path):
    parameters = checked(WORKLOADS["simulate-firewall"], {})
    assert (parameters["site"], parameters["drift"]) == (1, 0.0)
    with pytest.raises(ParameterError, match="site"):
        checked(WORKLOADS["simulate-firewall"], {"site": 10})
    with pytest.raises(ParameterError, match="drift"):
        checked(WORKLOADS["simulate-firewall"], {"drift": 1.5})
    assert WORKLOADS["simulate-firewall"].entry == "stackyard_detector.simulator:simulate"
    with pytest.raises(BadInput, match="expected at least one of each"):
        simulator.simulate({**parameters, "test_share": 1.0}, Channel(), tmp_path)
    assert list(tmp_path.iterdir()) == []
