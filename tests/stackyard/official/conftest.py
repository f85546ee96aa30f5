"""What the official server's tests share."""

from __future__ import annotations

import functools

import bcrypt
import pytest


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed with least work: the form is the same, and thirty installations take seconds less."""
    monkeypatch.setattr(bcrypt, "gensalt", functools.partial(bcrypt.gensalt, 4))
