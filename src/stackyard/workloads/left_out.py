"""Which of the files and folders that stay here a sentence names: those that a run is likeliest to miss."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterable
from pathlib import Path

#: Names in one sentence.
MOST_NAMED = 3
#: Entries that are looked at to see how large folders are.
MOST_SIZED = 20_000


def foremost(root: Path, names: Iterable[str], most: int = MOST_NAMED) -> list[str]:
    """Of names that stay here the few that matter: folders first, what is larger first.

    Args:
        root: the folder they are below.
        names: as ``Listed.left_out_names`` has them, a folder's with a slash behind it.
        most: how many.
    """
    room = MOST_SIZED

    def size(path: Path) -> int:
        nonlocal room
        total, ahead = 0, [path]
        while ahead and room > 0:
            try:
                seen = ahead[-1].lstat()
                inside = (
                    list(itertools.islice(ahead[-1].iterdir(), room)) if stat.S_ISDIR(seen.st_mode) else []
                )
            except OSError:
                seen, inside = None, []
            ahead[-1:] = inside
            room -= 1
            total += 0 if seen is None or stat.S_ISDIR(seen.st_mode) else seen.st_size
        return total

    ordered = sorted(names, key=lambda name: not name.endswith("/"))
    sizes = {name: size(root / name) for name in ordered}
    return sorted(ordered, key=lambda name: (not name.endswith("/"), -sizes[name], name))[:most]
