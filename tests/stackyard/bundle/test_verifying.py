"""A bundle is sound, or every fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.bundle import manifest, verifying
from stackyard.cli.main import run
from stackyard.errors import BadInputError


def test_a_sound_bundle_has_no_fault(bundle: Path) -> None:
    assert verifying.verify(bundle, manifest.digest(bundle)) == []


def test_every_fault_is_named_and_the_command_fails(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "control-3.11.tar").unlink()
    with (bundle / "debian-bookworm.tar").open("r+b") as file:
        file.write(b"#")
    (bundle / "extra.tar").touch()
    assert run(["bundle", "verify", str(bundle)]) == 1
    said = capsys.readouterr()
    for fault in (
        "control-3.11.tar: missing",
        "debian-bookworm.tar: not what",
        "extra.tar: not in the manifest",
    ):
        assert fault in said.out
    assert "3 faults" in said.err


def test_another_bundle_than_was_meant_is_refused(bundle: Path) -> None:
    with pytest.raises(BadInputError, match="another bundle than was meant"):
        verifying.verify(bundle, "0" * 64)
