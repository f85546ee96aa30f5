"""Packages of workloads: a broken one is named with its fault, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import StackyardError
from stackyard.workloads import packages
from tests.stackyard.guest_package import GOOD, install

#: What a guest lays into its ``workloads.toml`` -> words of its fault.
BROKEN = {
    "not TOML": ("[broken\n", "workloads.toml"),
    "no help": ('[w]\nentry = "a:b"\n', "w.help"),
    "bad kind": (GOOD + 'parameters.n = { kind = "float", help = "n" }\n', "guest-work.parameters.n.kind"),
    "bad default": (
        GOOD + 'parameters.n = { kind = "integer", default = "x", help = "n" }\n',
        "guest-work.parameters.n.default",
    ),
    "gone": (None, "package 'guest_a', which declares workloads, cannot be found"),
}


def by_name() -> dict[str, packages.Package]:
    return {package.name: package for package in packages.found()}


@pytest.mark.parametrize("case", BROKEN)
def test_a_package_that_cannot_be_used_says_why(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, words = BROKEN[case]
    install(tmp_path, monkeypatch, "guest_a", declared)
    found = by_name()
    assert words in (found["guest_a"].fault or "")
    assert found["guest_a"].declared == {}
    assert found["stackyard_detector"].fault is None
    assert tmp_path / "guest_a" not in packages.folders()


def test_a_package_without_declarations_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (install(tmp_path, monkeypatch, "guest_a") / "workloads.toml").unlink()
    assert by_name()["guest_a"].fault == "package 'guest_a' holds no workloads.toml; install it again"


def test_of_two_packages_that_declare_one_name_the_guest_is_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name comes before ours in the alphabet, and that is no excuse."""
    clash = GOOD.replace("guest-work", "detector-train")
    install(tmp_path, monkeypatch, "a_guest", clash)
    found = by_name()
    assert found["stackyard_detector"].fault is None
    fault = found["a_guest"].fault or ""
    assert fault.startswith("package 'a_guest' declares workload 'detector-train'")
    assert "package 'stackyard_detector' declares too" in fault


def test_a_package_that_is_whole_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path, monkeypatch, "guest_a")
    assert list(by_name()["guest_a"].declared) == ["guest-work"]
    assert packages.folders()[-1] == folder


@pytest.mark.parametrize("name", ["gone_away", "not.a.package", "no name", ""])
def test_a_package_that_is_gone_is_named(name: str) -> None:
    with pytest.raises(StackyardError, match=r"package '.*', which declares workloads, cannot be found"):
        packages.folder_of(name)
