"""From bare hosts to tasks completed on both queues, without a way out; what is there afterwards, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.hosts import Lab
from tests.lab.yard import PASSWORD, Yard, installed
from tests.waiting import until


@pytest.fixture(scope="module")
def yard(make_lab: Callable[..., Lab]) -> Iterator[Yard]:
    """Three bare hosts, an engine on two, and one ``site.yml``."""
    with installed(
        make_lab(["head", "one", "two"], engines=["one", "two"], internet=False), check=True
    ) as made:
        yield made


def test_a_look_at_bare_hosts_changes_nothing_and_fails_nowhere(yard: Yard) -> None:
    assert yard.checked is not None
    assert yard.checked.exit_code == 0, yard.checked.output[-3000:]


def test_tasks_complete_on_both_queues_with_records(yard: Yard) -> None:
    rows = yard.smoke()
    assert {(row["queue"], row["status"]) for row in rows} == {
        ("cpu", "completed"),
        ("cpu-container", "completed"),
    }
    assert all(row["ok"] and row["peak_rss_bytes"] > 50e6 for row in rows)
    assert {row["torch"] for row in rows} == {"2.13.0+cpu"}


def test_a_second_run_changes_nothing(yard: Yard) -> None:
    assert yard.good("site.yml").named_changes() == []
    assert yard.good("site.yml", "--check", "--diff").named_changes() == []


def test_secrets_are_for_their_owners_only_and_in_no_log(yard: Yard) -> None:
    head, one = yard.head, yard.lab.hosts["one"]
    for host, path in (
        (head, "/etc/stackyard/keys/one.conf"),
        (head, "/etc/stackyard/authority/ca.key"),
        (head, "/var/lib/stackyard-server/tls.key"),
        (one, "/etc/stackyard/clearml.conf"),
    ):
        assert host.shell(f"stat -c %a {path}") == "600", path
    secret = one.shell('sed -n \'s/.*"secret_key" = "\\(.*\\)"/\\1/p\' /etc/stackyard/clearml.conf')
    assert len(secret) > 20
    told = (yard.lab.folder / "plays.log").read_text()
    for host in yard.lab.hosts.values():
        told += host.shell("journalctl --no-pager")
    assert PASSWORD not in told
    assert secret not in told


def test_only_what_is_listed_can_be_reached(yard: Yard) -> None:
    def reaches(port: int) -> bool:
        return yard.lab.hosts["one"].succeeds(f"timeout 2 bash -c '</dev/tcp/{yard.head.address}/{port}'")

    yard.head.shell("systemd-run --unit=listener python3 -m http.server 9999")
    until(lambda: yard.head.succeeds("bash -c '</dev/tcp/127.0.0.1/9999'"), "the listener")
    assert reaches(8008)
    assert not reaches(9999)
    yard.head.shell("systemctl stop listener")


def test_what_a_bundle_lacks_is_named_before_anything_changes(yard: Yard) -> None:
    result = yard.play("site.yml", lab_stacks=["torch-2.13.0-cpu", "sklearn-1.9.1-cpu"], lab_pythons=["3.9"])
    assert (result.exit_code != 0, result.changed) == (True, 0)
    assert "python-3.9, stack-sklearn-1.9.1-cpu" in " ".join(result.output.split())
    other = yard.play("site.yml", lab_bundle_digest="0" * 64)
    assert (other.exit_code != 0, other.changed) == (True, 0)
    assert "lab_bundle_digest" in other.output


def test_a_lab_is_taken_down_and_its_data_stay(yard: Yard) -> None:
    """The last of this file: nothing of the lab runs afterwards."""
    refused = yard.play("playbooks/uninstall.yml")
    assert (refused.exit_code != 0, refused.changed) == (True, 0)
    yard.good("playbooks/uninstall.yml", lab_uninstall=True)
    for host in yard.lab.hosts.values():
        assert host.shell("systemctl list-units 'stackyard*' --no-legend --all") == ""
        assert host.shell("pgrep -f '[/]opt/stackyard' || true") == ""
    assert yard.head.succeeds("test -s /var/lib/stackyard-server/server.sqlite")
    yard.good("playbooks/uninstall.yml", lab_uninstall=True, lab_remove_data=True)
    assert not yard.head.succeeds("test -e /var/lib/stackyard-server || test -e /etc/stackyard")
