"""``stackyard doctor``: what can run, what is missing and what helps; nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.cli import main
from stackyard.stacks import indexes
from tests.stackyard.fake_stacks import Built, Depot, Index, define
from tests.stackyard.guest_package import GOOD, install
from tests.waiting import PATIENCE_SECONDS


def test_without_the_default_stack_it_exits_1_and_says_what_helps(
    depot: Depot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STACKYARD_DATA", raising=False)
    define(depot.definitions)
    assert main.run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"{stacks.DEFAULT}: can be built" in out
    assert f"stackyard stack build {stacks.DEFAULT}" in out
    assert "hardware limits" in out
    assert "stackyard data fetch NAME" in out
    assert not depot.home.exists()  # it looks, and changes nothing


def test_with_the_default_stack_it_exits_0(
    built: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(built.depot.home))
    monkeypatch.setenv("STACKYARD_STACKS", str(built.depot.definitions))
    assert main.run(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ready"] is True
    assert answer["machine"]["cores"] >= 1
    states = {finding["name"]: finding["state"] for finding in answer["findings"]}
    assert states[stacks.DEFAULT] == "ok"


def test_a_package_of_workloads_that_cannot_be_used_is_named_with_its_fault(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(built.depot.home))
    monkeypatch.setenv("STACKYARD_STACKS", str(built.depot.definitions))
    install(tmp_path, monkeypatch, "guest_a", "[broken\n")
    install(tmp_path / "b", monkeypatch, "guest_b", GOOD.replace(".work:", ".none:"))
    assert main.run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"no guest_a: {tmp_path}/guest_a/workloads.toml: " in out
    assert "no guest_b: workload 'guest-work' cannot be run: its entry is 'guest_b.none:main': " in out
    assert "ok stackyard_detector: " in out
    assert "can run scenarios that name no workload of guest_a, guest_b on the default stack" in out


def test_a_missing_python_is_said_in_plain_words(depot: Depot, capsys: pytest.CaptureFixture[str]) -> None:
    define(depot.definitions)
    path = depot.definitions / stacks.DEFAULT / "stack.toml"
    path.write_text(path.read_text().replace(path.read_text().splitlines()[0], 'python = "3.42"'))
    assert main.run(["doctor"]) == 1
    assert "no Python 3.42 that runs was found" in capsys.readouterr().out


@pytest.mark.slow
def test_indexes_are_asked_only_with_online(
    depot: Depot,
    serve: Callable[..., Index],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        indexes, "PROBE_SECONDS", PATIENCE_SECONDS
    )  # pip itself takes long to start beside others
    index = serve(depot.wheels)
    define(depot.definitions, indexes=(index.address,))
    define(depot.definitions, name="far", indexes=("http://127.0.0.1:9/simple",))
    monkeypatch.setenv("PIP_INDEX_URL", index.address)
    assert main.run(["doctor"]) == 1
    assert index.asked == []
    capsys.readouterr()
    assert main.run(["doctor", "--online"]) == 1
    out = capsys.readouterr().out
    assert index.asked
    assert f"{stacks.DEFAULT}: can be built: {index.address} has it" in out
    assert "far: not runnable" in out
    assert "index unreachable (connection refused)" in out
