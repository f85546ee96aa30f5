"""Small bundles of real files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.bundle import archive, manifest
from stackyard.bundle.manifest import Component, Manifest


def described(path: str) -> tuple[str, str, str]:
    return path, "1", "MIT"


def wheel(folder: Path, name: str, *headers: str) -> Path:
    """A wheel with nothing but its METADATA."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *headers]
        file.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join(lines) + "\n\nWords.\n")
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Component]:
    """Packs files into a component of the bundle at ``tmp_path/bundle``."""

    def make(name: str = "control-3.11", **files: str) -> Component:
        content = tmp_path / "content" / name
        for path, text in (files or {"one": "1", "two": "22"}).items():
            (content / path).parent.mkdir(parents=True, exist_ok=True)
            (content / path).write_text(text)
        (tmp_path / "bundle").mkdir(exist_ok=True)
        target = tmp_path / "bundle" / f"{name}.tar"
        return archive.pack(content, target, name, "wheels", "0" * 64, described)

    return make


@pytest.fixture
def bundle(tmp_path: Path, pack: Callable[..., Component]) -> Path:
    """A sound bundle of two components."""
    parts = [pack(), pack("debian-bookworm", Packages="none")]
    manifest.write(Manifest(manifest.FORMAT, "2026-01-01T00:00:00+00:00", "", parts), tmp_path / "bundle")
    return tmp_path / "bundle"
