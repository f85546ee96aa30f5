"""Where this installation keeps its things. Read from the environment; no I/O beyond that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The folders Stackyard reads and writes."""

    #: Built stacks, fetched data: $STACKYARD_HOME, else ``.stackyard`` in the current folder.
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
            home=Path(os.environ.get("STACKYARD_HOME") or ".stackyard").absolute(),
            given_data=Path(folder).absolute() if folder else None,
        )
