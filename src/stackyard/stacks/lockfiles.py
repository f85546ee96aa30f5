"""Lock files of other tools: ``pylock.toml`` (PEP 751) and ``uv.lock``, as requirements with hashes."""

from __future__ import annotations

from pathlib import Path

from stackyard.errors import BadInputError
from stackyard.stacks.requirements import Requirements


def read_uv(path: Path, python: str) -> Requirements:
    """What a uv.lock asks for."""
    raise BadInputError(f"{path}: not read yet")


def read_pylock(path: Path, python: str) -> Requirements:
    """What a pylock.toml asks for."""
    raise BadInputError(f"{path}: not read yet")
