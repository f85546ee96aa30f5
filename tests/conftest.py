"""What every suite shares: the run's own folder, gone with all that names it when the run ends, however it ends."""

from __future__ import annotations

from tests import session


def pytest_configure() -> None:
    session.begin()
