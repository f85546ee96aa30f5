"""Text files that appear whole or not at all, several of them together. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, List, Mapping, Tuple

from stackyard_task.channel import BadInput


def write(files: Mapping[Path, Iterable[str]], what: str) -> None:
    """Write ``files``, path -> pieces of its text; what cannot be UTF-8 (half a surrogate pair) becomes "?".

    All are complete under another name before the first one gets its own: a full disk leaves none of them.

    Raises:
        BadInput: one cannot be written; ``what`` names them in the sentence ("the verdicts").
    """
    prepared: List[Tuple[Path, Path]] = []
    path = Path()
    try:
        for path, pieces in files.items():
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            prepared.append((partial, path))
            with partial.open("w", encoding="utf-8", errors="replace", newline="") as stream:
                stream.writelines(pieces)
        for partial, path in prepared:
            os.replace(str(partial), str(path))
    except OSError as error:
        raise BadInput(f"{path}: {what} cannot be written ({error.strerror})") from error
    finally:
        for partial, _ in prepared:
            if partial.exists():
                partial.unlink()
