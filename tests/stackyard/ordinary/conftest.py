"""A built base stack that tests of ordinary tasks add to."""

from __future__ import annotations

from tests.stackyard.stacks.conftest import yard

__all__ = ["yard"]
