"""Where this installation keeps its things: read from the environment, else seen from the checkout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: The usual port of the web app.
WEB_APP_PORT = 8090


def base() -> Path:
    """The checkout this code runs from, so commands mean the same everywhere; else the current folder."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "agents" / "stacks").is_dir() else Path.cwd()


@dataclass(frozen=True)
class Settings:
    """The folders Stackyard reads and writes."""

    #: Built stacks, fetched data: $STACKYARD_HOME, else ``.stackyard`` in the base folder.
    home: Path
    #: A folder of data sets given by --data or $STACKYARD_DATA; ``None``: the fetched ones below ``home``.
    given_data: Path | None = None

    @property
    def data(self) -> Path:
        """The folder of data sets: --data, else $STACKYARD_DATA, else ``home/data``."""
        return self.given_data or self.home / "data"

    @classmethod
    def from_environment(cls, data: Path | None = None) -> Settings:
        """The settings the environment variables ask for.

        Args:
            data: what --data said; goes before $STACKYARD_DATA.
        """
        folder = data or os.environ.get("STACKYARD_DATA")
        return cls(
            home=Path(os.environ.get("STACKYARD_HOME") or base() / ".stackyard").absolute(),
            given_data=Path(folder).absolute() if folder else None,
        )
