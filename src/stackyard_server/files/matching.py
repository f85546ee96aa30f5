"""Contents and rows compared: what is there without a row, and what a row names and is not there.

A kill leaves single contents without a row: uploads that were complete and not yet visible. Rows without their content,
and most contents without a row, are left by no kill: database and contents are not of one another then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..program import hint
from ..store import FILE_NAME, ApartError, Store, mark, opening
from ..store import files as rows
from .stored import BLOB, StoredFiles

log = logging.getLogger(__name__)

#: Paths and faults that are named; more are counted.
NAMED = 100
#: So many contents without a row are left by kills at most, however few others there are.
LEFT_BY_KILLS = 16


@dataclass
class Sides:
    """What was found: ``contents`` on disk, ``unclaimed`` of them without a row, keys of rows whose content is
    ``missing``."""

    contents: int = 0
    unclaimed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def surplus(self) -> str | None:
        """Said where more contents have no row than kills leave."""
        if len(self.unclaimed) > max(LEFT_BY_KILLS, self.contents / 2):
            return f"{len(self.unclaimed)} of {self.contents} contents belong to no file"
        return None

    @property
    def apart(self) -> str | None:
        """In what rows and contents are apart; None where they are not."""
        if self.missing:
            number = "1 file has" if len(self.missing) == 1 else f"{len(self.missing):,} files have"
            return f"{number} no content, the first is {self.missing[0]}"
        return self.surplus


def told(problems: list[str]) -> list[str]:
    """The first of many faults, and how many more there are."""
    more = len(problems) - NAMED
    return problems[:NAMED] + ([f"... and {more} more"] if more > 0 else [])


def compare(stored: StoredFiles) -> Sides:
    """Look at every name in the table and on disk.

    Beside a running server what is ``missing`` is right: a content stays for a while after its row is gone. What is
    ``unclaimed`` may be an upload that has its row by now.
    """
    sides = Sides()
    for prefix in (f"{number:02x}" for number in range(256)):
        with stored.store.reading() as tx:
            kept, doomed = rows.contents(tx, prefix), rows.doomed(tx, prefix)
        on_disk = set(_names(stored.folder / prefix))
        sides.contents += len(on_disk - doomed)
        sides.unclaimed += sorted(on_disk - doomed - kept.keys())
        sides.missing += sorted(kept[blob] for blob in kept.keys() - on_disk)
    return sides


def compare_closed(folder: Path) -> Sides:
    """The same of a data folder whose database is not opened, for it may be apart; as if it were empty where it cannot
    be read."""
    kept, doomed = opening.read_contents(folder, FILE_NAME)
    on_disk = {
        name for sub in (folder / mark.FOLDER).glob("[0-9a-f][0-9a-f]") for name in _names(sub)
    } - doomed
    sides = Sides(len(on_disk), sorted(on_disk - {blob for _, blob in kept}))
    sides.missing = [key for key, blob in kept if blob not in on_disk]
    return sides


def check(store: Store) -> None:
    """Refuse a folder whose rows and contents are apart; the log names what a kill may have left.

    Raises:
        ApartError: They are.
    """
    sides = compare(StoredFiles(store))
    refuse(store, sides)
    if sides.unclaimed:
        log.warning(
            "%d contents belong to no file, the first is %s: a kill during an upload leaves such, and so does a "
            "database that is older than its contents. `%s` names them; `gc` removes them after a day",
            len(sides.unclaimed),
            sides.unclaimed[0],
            hint("verify", store.folder),
        )


def refuse(store: Store, sides: Sides) -> None:
    """The same, of what was found.

    Raises:
        ApartError: They are apart.
    """
    if sides.apart:
        raise ApartError(f"{store.folder}: {sides.apart}")


def _names(folder: Path) -> Iterator[str]:
    try:
        yield from (path.name for path in folder.iterdir() if BLOB.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return
