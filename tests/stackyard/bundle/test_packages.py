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
