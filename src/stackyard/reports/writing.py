"""Writes the report files: everything is rendered first, then each file appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackyard import extras
from stackyard.errors import BadInputError
from stackyard.reports import outputs
from stackyard.reports.report import Report


@dataclass(frozen=True)
class ReportPaths:
    """Where the files of a report lie."""

    json: Path
    csv: Path
    markdown: Path
    #: ``None``: the extra that makes it is not installed.
    html: Path | None


def write(report: Report, folder: Path) -> ReportPaths:
    """Write report.json, report.csv, report.md and report.html into ``folder``; the last with the extra [reports].

    Without that extra an earlier report.html goes: it would tell of other runs than the files beside it.

    Raises:
        BadInputError: the folder cannot be written; no file is left half-written.
    """
    folder = Path(folder)
    page = folder / "report.html"
    paths = ReportPaths(
        json=folder / "report.json",
        csv=folder / "report.csv",
        markdown=folder / "report.md",
        html=None if extras.why_not("reports") else page,
    )
    texts = {
        folder / outputs.file_name(ending): outputs.render(ending, report)
        for ending in outputs.KINDS
        if ending != "html" or paths.html is not None
    }
    put(texts, [page] if paths.html is None else [])
    return paths


def put(texts: Mapping[Path, str], gone: Sequence[Path] = ()) -> None:
    """Write the files of a report, all of one folder: none of them appears half-written, or before all are prepared.

    Args:
        texts: file -> its text.
        gone: files of an earlier report that go.

    Raises:
        BadInputError: the folder cannot be written.
    """
    folder = next(iter(texts)).parent
    prepared: list[tuple[str, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            prepared.append((_beside(path, text), path))
        for name, path in prepared:
            os.replace(name, path)
        for path in gone:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(
            f"the report cannot be written to {folder} ({error.strerror or error}): "
            "choose a writable folder with free space"
        ) from error
    finally:
        for name, _ in prepared:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _beside(path: Path, text: str) -> str:
    """Name of a complete temporary file next to ``path``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
    except BaseException:
        os.unlink(name)
        raise
    return name
