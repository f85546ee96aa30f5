"""A package of workloads of somebody else's, installed for the time of a test."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

#: A declaration that can be used.
GOOD = """
[guest-work]
entry = "{name}.work:main"
help = "work"
"""


def install(site: Path, monkeypatch: pytest.MonkeyPatch, name: str, declared: str | None = GOOD) -> Path:
    """Install the package ``name`` into the folder ``site``; ``None``: its entry point leads to no package.

    Returns:
        Its folder.
    """
    about = site / f"{name}-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[stackyard.workloads]\nguest = {name}\n")
    package = site / name
    if declared is not None:
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "work.py").write_text("def main(parameters, channel, output_folder): pass\n")
        (package / "workloads.toml").write_text(declared.replace("{name}", name))
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return package
