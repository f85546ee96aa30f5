"""What a host's firewall lets in, as the role base writes it: who may come to which port."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
BASE = ANSIBLE / "roles" / "base"
Rules = Callable[..., str]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """The rules of one host, from an inventory's groups and variables."""

    def write(host: str, groups: dict[str, dict[str, Any]], ssh_port: int = 0, **variables: Any) -> str:
        children = {name: {"hosts": members} for name, members in groups.items()}
        python = {"ansible_python_interpreter": sys.executable, "ansible_connection": "local"}
        inventory = tmp_path / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"vars": {**python, **variables}, "children": children}}))
        tasks: list[dict[str, Any]] = [
            {"ansible.builtin.include_vars": {"file": str(BASE / part / "main.yml")}}
            for part in ("defaults", "vars")
        ]
        tasks.append({"ansible.builtin.set_fact": {"base_seen": {"ssh_port": ssh_port}}})
        template = {"src": str(BASE / "templates" / "firewall.nft.j2"), "dest": str(tmp_path / "out.nft")}
        tasks.append({"ansible.builtin.template": template})
        play = tmp_path / "play.yml"
        play.write_text(yaml.safe_dump([{"hosts": host, "gather_facts": False, "tasks": tasks}]))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(play)]
        done = subprocess.run(command, cwd=ANSIBLE, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            return " ".join(done.stdout.split())
        return (tmp_path / "out.nft").read_text()

    return write


def test_names_become_addresses_and_nobody_else_comes_in(rules: Rules) -> None:
    groups = {
        "server": {"head": {"ansible_host": "192.0.2.1"}},
        "agents": {"head": {}, "two": {"ansible_host": "fd00::5"}},
        "monitoring": {"localhost": {}},
        "storage": {"head": {}},
    }
    found = rules("head", groups, ssh_port=2222, lab_clients=["198.51.100.0/24"])
    lines = [line.strip() for line in found.splitlines()]
    assert "tcp dport 2222 accept # SSH" in lines
    assert [
        line for line in lines if "dport 9100" in line and "127.0.0.1" not in line and "::1" not in line
    ] == []
    assert "ip6 saddr { fd00::5 } tcp dport 2049 accept # shared folders" in "\n".join(lines)
    (api,) = [line for line in lines if line.startswith("ip saddr") and "dport 8008" in line]
    assert {"198.51.100.0/24", "192.0.2.1"} <= set(api.replace(",", "").split())
    assert 'iifname "docker0" tcp dport { 8080, 8008, 8081 } accept # tasks in containers here' in lines


def test_without_a_list_of_clients_everybody_may_sign_in(rules: Rules) -> None:
    found = rules("head", {"server": {"head": {"ansible_host": "192.0.2.1"}}})
    assert "    tcp dport 8008 accept # the server's API" in found
    assert "tcp dport 22 accept # SSH" in found
    assert "9100" not in found


def test_a_name_that_nobody_knows_is_refused(rules: Rules) -> None:
    groups = {"server": {"head": {"ansible_host": "192.0.2.1"}}, "monitoring": {"nowhere.invalid": {}}}
    assert "nowhere.invalid has no address that this machine knows" in rules("head", groups)
