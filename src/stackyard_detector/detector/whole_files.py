"""Text files that appear whole or not at all, several of them together. Standard library only."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Iterable, Iterator, List, Mapping, Sequence, TextIO

from stackyard_task.channel import BadInput


@contextmanager
def drafts(paths: Sequence[Path], what: str) -> Iterator[List[TextIO]]:
    """Streams to write the files ``paths`` to, which get their names when the block has ended well.

    All are complete under another name before the first one gets its own: a full disk leaves none of them. What cannot
    be UTF-8 (half a surrogate pair) becomes "?".

    Raises:
        BadInput: one cannot be written; ``what`` names them in the sentence ("the verdicts").
    """
    partials = [path.with_name(f".{path.name}.{os.getpid()}") for path in paths]
    try:
        with ExitStack() as open_ones:
            yield [
                open_ones.enter_context(partial.open("w", encoding="utf-8", errors="replace", newline=""))
                for partial in partials
            ]
        for partial, path in zip(partials, paths):
            os.replace(str(partial), str(path))
    except OSError as error:
        where = paths[0] if len(paths) == 1 else paths[0].parent
        raise BadInput(f"{where}: {what} cannot be written ({error.strerror})") from error
    finally:
        for partial in partials:
            if partial.exists():
                partial.unlink()


def write(files: Mapping[Path, Iterable[str]], what: str) -> None:
    """Write ``files``, path -> pieces of its text, all of them or none.

    Raises:
        BadInput: as ``drafts``.
    """
    with drafts(list(files), what) as streams:
        for stream, pieces in zip(streams, files.values()):
            stream.writelines(pieces)
