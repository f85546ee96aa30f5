"""RAPL counters, on a folder that looks like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard_task.measure.energy import METHOD, EnergyCounters, energy_of, simulated_watts


def counter(root: Path, name: str, value: int, span: int = 1_000_000_000) -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(f"{value}\n", encoding="ascii")
    (folder / "max_energy_range_uj").write_text(f"{span}\n", encoding="ascii")
    return folder


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    for name, value in (("intel-rapl:0", 0), ("intel-rapl:1", 100), ("intel-rapl:0:0", 0)):
        counter(tmp_path, name, value)
    energy = EnergyCounters(str(tmp_path))
    for name, value in (("intel-rapl:0", 3_000_000), ("intel-rapl:1", 2_000_100), ("intel-rapl:0:0", 9)):
        counter(tmp_path, name, value)
    assert energy.since_start() == (pytest.approx(5.0), METHOD)


def test_a_counter_that_wrapped_around(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 900_000_000)
    energy = EnergyCounters(str(tmp_path))
    counter(tmp_path, "intel-rapl:0", 100_000_000)
    assert energy.since_start()[0] == pytest.approx(200.0)


def test_without_a_counter_nothing_is_claimed(tmp_path: Path) -> None:
    assert EnergyCounters(str(tmp_path / "absent")).since_start() == (None, None)


def test_energy_that_is_simulated_follows_the_processor_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKYARD_ENERGY", "simulated:12.5")
    found = energy_of(lambda: 4.0)
    assert found.since_start() == (50.0, "simulated: 12.5 W for each busy core")
    assert energy_of(lambda: None).since_start() == (None, None)


@pytest.mark.parametrize("told", ["simulated:", "simulated:-1", "simulated:nan", "real", "simulated:x"])
def test_what_simulates_nothing_is_refused(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKYARD_ENERGY", told)
    with pytest.raises(ValueError, match="expected simulated:WATTS"):
        simulated_watts()
