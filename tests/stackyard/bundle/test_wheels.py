"""What wheels say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.bundle import wheels
from stackyard.errors import StackyardError
from tests.stackyard.bundle.conftest import wheel


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        (["License-Expression: MIT AND Apache-2.0", "License: other"], "MIT AND Apache-2.0"),
        (["License: BSD 3-Clause"], "BSD 3-Clause"),
        (
            [f"License: {'long text ' * 20}", "Classifier: License :: OSI Approved :: MIT License"],
            "MIT License",
        ),
        (["Classifier: Programming Language :: Python"], "not stated"),
    ],
)
def test_the_licence_is_what_the_wheel_states(tmp_path: Path, headers: list[str], licence: str) -> None:
    path = wheel(tmp_path, "small", *headers)
    assert wheels.describe(tmp_path, path.name) == ("small", "1.0", licence)


def test_what_is_no_wheel_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_text("no")
    with pytest.raises(StackyardError, match="no wheel"):
        wheels.describe(tmp_path, "x.whl")


def test_the_installer_is_pinned_with_hashes() -> None:
    pinned = wheels._installer()
    assert pinned.startswith("uv==")
    assert "--hash=sha256:" in pinned
    assert not pinned.rstrip().endswith("\\")


def test_a_component_is_made_anew_when_a_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = wheels.control_made_from("3.11")
    assert before != wheels.control_made_from("3.13")
    lock = wheels._lock
    (tmp_path / "web.lock").write_text(lock("web").read_text() + "more==1\n")
    monkeypatch.setattr(wheels, "_lock", lambda part: tmp_path / "web.lock" if part == "web" else lock(part))
    assert wheels.control_made_from("3.11") != before
