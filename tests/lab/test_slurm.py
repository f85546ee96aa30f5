"""Deployment slurm on a real cluster of one node: the contract, and the ends that only a cluster has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackyard.launch import installed
from stackyard.launch.contract import Contract, Ground, code_in
from stackyard.launch.deployment import Premises
from stackyard.settings import Settings
from tests.lab import hosts
from tests.lab.slurm_host import SlurmHost, slurm_host


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmHost]:
    reason = hosts.why_not()
    if reason is not None:
        pytest.skip(reason)
    mounted = [hosts.ROOT, Path(sys.base_prefix), tmp_path_factory.getbasetemp()]
    with slurm_host(tmp_path_factory.mktemp("slurm-host"), mounted) as host:
        yield host


@pytest.fixture
def on_path(cluster: SlurmHost, monkeypatch: pytest.MonkeyPatch) -> SlurmHost:
    monkeypatch.setenv("PATH", f"{cluster.programs}{os.pathsep}{os.environ['PATH']}")
    return cluster


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return code_in(tmp_path_factory.mktemp("slurm-code"))


class SlurmGround(Ground):
    """Where a run of the cluster is seen."""

    cluster: SlurmHost

    def log(self) -> str:
        return self.cluster.shell("squeue --states=all; tail -n 30 /var/log/slurm/*.log 2>&1", check=False)


@pytest.fixture
def ground(on_path: SlurmHost, code: Path, tmp_path: Path) -> SlurmGround:
    home = tmp_path / "home"
    home.mkdir()
    (home / "clusters.toml").write_text("[slurm]\nshared = true\npoll_seconds = 0.5\n")
    deployment = installed.named("slurm")(Premises.here(Settings(home=home), {}))
    found = SlurmGround(deployment, deployment.launcher(0), code)
    found.cluster = on_path
    return found


class TestSlurm(Contract):
    name = "slurm"

    @pytest.fixture
    def ground(self, ground: SlurmGround) -> Ground:
        return ground
