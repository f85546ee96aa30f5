"""From bare hosts to tasks completed on both queues, without a way out: install, again, verify, operate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import bundles, hosts
from tests.lab.hosts import Lab, Result
from tests.waiting import until

PASSWORD = "a password for tests"


@dataclass
class Yard:
    """A lab without internet, and what it was installed with."""

    lab: Lab
    inventory: Path
    checked: Result
    first: Result

    def play(self, playbook: str, *options: str, **extra: Any) -> Result:
        """Play, and say what failed where it does."""
        return self.lab.play(playbook, self.inventory, *options, extra=extra or None)

    def tasks(self) -> list[dict[str, Any]]:
        """What the smoke test ran."""
        result = self.play("playbooks/verify.yml", "--tags", "smoke")
        assert result.exit_code == 0, result.output[-3000:]
        told = next(task for task in result.tasks if task["name"].endswith("Say what ran where"))
        return [json.loads(row) for row in json.loads(told["message"])]


@pytest.fixture(scope="module")
def yard(make_lab: Callable[..., Lab]) -> Iterator[Yard]:
    """Three bare hosts, an engine on two, and one ``site.yml``."""
    folder = bundles.bundle()
    lab = make_lab(["head", "one", "two"], engines=["one", "two"], internet=False)
    with bundles.served(folder, lab.gateway) as told:
        variables = {
            "lab_admin_password": PASSWORD,
            "lab_base_images": {bundles.STACK: hosts.BASE},
            "lab_queues_file": str(queues_file(lab.folder)),
            **told,
        }
        inventory = lab.inventory({"server": ["head"], "agents": ["one", "two"]}, variables)
        checked = lab.play("site.yml", inventory, "--check", "--diff")
        first = lab.play("site.yml", inventory)
        assert first.exit_code == 0, first.output[-4000:]
        yield Yard(lab, inventory, checked, first)


def queues_file(folder: Path) -> Path:
    """The lab's queues, with a worker that is gone taken for lost sooner than a lab would want it."""
    path = folder / "queues.toml"
    text = (hosts.ROOT / "agents" / "queues.toml").read_text()
    path.write_text(text.replace("silence_seconds = 180", "silence_seconds = 30"))
    return path


def test_a_look_at_bare_hosts_changes_nothing_and_fails_nowhere(yard: Yard) -> None:
    assert yard.checked.exit_code == 0, yard.checked.output[-3000:]


def test_tasks_complete_on_both_queues_with_records(yard: Yard) -> None:
    rows = yard.tasks()
    assert {(row["queue"], row["status"]) for row in rows} == {
        ("cpu", "completed"),
        ("cpu-container", "completed"),
    }
    assert all(row["ok"] and row["peak_rss_bytes"] > 50e6 for row in rows)
    assert {row["torch"] for row in rows} == {"2.13.0+cpu"}


def test_a_second_run_changes_nothing(yard: Yard) -> None:
    again = yard.play("site.yml")
    assert again.exit_code == 0, again.output[-3000:]
    assert again.named_changes() == []
    looked = yard.play("site.yml", "--check", "--diff")
    assert (looked.exit_code, looked.named_changes()) == (0, [])


def test_secrets_are_for_their_owners_only_and_in_no_log(yard: Yard) -> None:
    head, one = yard.lab.hosts["head"], yard.lab.hosts["one"]
    for host, path in (
        (head, "/etc/stackyard/keys/one.conf"),
        (head, "/etc/stackyard/authority/ca.key"),
        (head, "/var/lib/stackyard-server/tls.key"),
        (one, "/etc/stackyard/clearml.conf"),
    ):
        assert host.shell(f"stat -c %a {path}") == "600", path
    secret = one.shell('sed -n \'s/.*"secret_key" = "\\(.*\\)"/\\1/p\' /etc/stackyard/clearml.conf')
    assert len(secret) > 20
    told = yard.first.output + (yard.lab.folder / "plays.log").read_text()
    for host in yard.lab.hosts.values():
        told += host.shell("journalctl --no-pager")
    assert PASSWORD not in told
    assert secret not in told


def test_only_what_is_listed_can_be_reached(yard: Yard) -> None:
    one = yard.lab.hosts["one"]
    head = yard.lab.hosts["head"].address

    def reaches(port: int) -> bool:
        return one.succeeds(f"timeout 2 bash -c '</dev/tcp/{head}/{port}'")

    yard.lab.hosts["head"].shell("systemd-run --unit=listener python3 -m http.server 9999")
    until(lambda: yard.lab.hosts["head"].succeeds("bash -c '</dev/tcp/127.0.0.1/9999'"), "the listener")
    assert reaches(8008)
    assert not reaches(9999)
    yard.lab.hosts["head"].shell("systemctl stop listener")


def test_what_a_bundle_lacks_is_named_before_anything_changes(yard: Yard) -> None:
    result = yard.play("site.yml", lab_stacks=["torch-2.13.0-cpu", "sklearn-1.9.1-cpu"], lab_pythons=["3.9"])
    assert result.exit_code != 0
    assert result.changed == 0
    assert "python-3.9, stack-sklearn-1.9.1-cpu" in " ".join(result.output.split())
    other = yard.play("site.yml", lab_bundle_digest="0" * 64)
    assert (other.exit_code != 0, other.changed) == (True, 0)
    assert "lab_bundle_digest" in other.output
