"""A bundle brings every Debian package that the roles install by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from stackyard.bundle import debian, packages

ROLES = Path(__file__).resolve().parents[3] / "ansible" / "roles"


def variables(role: str) -> dict[str, Any]:
    return yaml.safe_load((ROLES / role / "vars" / "main.yml").read_text())


@pytest.mark.parametrize(("suite", "distribution"), [("bookworm", "Debian12"), ("trixie", "Debian13")])
def test_a_suite_has_the_python_that_role_python_takes(suite: str, distribution: str) -> None:
    python = variables("python")["python_of_distribution"][distribution]
    assert python["command"] == f"python{packages.python_of(suite)}"
    assert set(python["packages"]) <= set(packages.of_debian(suite))
    assert variables("bundle")["bundle_python_of"][distribution] == packages.python_of(suite)


def test_every_suite_that_can_be_asked_for_has_an_engine_a_firewall_and_the_clock() -> None:
    engine = set(variables("docker")["docker_packages_of"]["distribution"]["Debian"])
    for suite in debian.SUITES:
        assert {*engine, "nftables", "ca-certificates", "systemd-timesyncd"} <= set(packages.of_debian(suite))


def test_what_roles_install_by_name_is_in_every_suite() -> None:
    found = set()
    for path in ROLES.glob("*/tasks/*.yml"):
        for task in _tasks(yaml.safe_load(path.read_text()) or []):
            asked = task.get("ansible.builtin.apt") or task.get("ansible.builtin.package") or {}
            names = asked.get("name", [])
            found |= {
                name
                for name in ([names] if isinstance(names, str) else names)
                if "{" not in name and name.strip()
            }
    assert {"prometheus", "curl"} <= found
    found |= {"git", *variables("shared_storage")["shared_storage_packages_of"]["Debian"].values()}
    for suite in debian.SUITES:
        assert found <= set(packages.of_debian(suite))


def _tasks(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [inner for task in tasks for inner in (task, *_tasks(task.get("block", [])))]
