from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackyard_detector.readers import Quarantine, read_sessions

LONG = bool(os.environ.get("STACKYARD_LONG"))
#: Examples per format and compression in ``test_any_bytes``.
EXAMPLES = 1000 if LONG else 25


def pytest_terminal_summary(terminalreporter):
    if not LONG:
        terminalreporter.write_line(
            f"readers on any bytes: {EXAMPLES} of 1000 examples each (STACKYARD_LONG=1: all)"
        )


@pytest.fixture
def write(tmp_path):
    """Write a text or bytes to a file of that name; its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


@pytest.fixture
def read():
    """The sessions of one source, as (sessions, quarantine)."""

    def read(path, quarantine=None, templates=None, **settings):
        quarantine = quarantine or Quarantine()
        data = {"sources": [{"path": str(path), **settings}]}
        return list(read_sessions(data, quarantine, templates)), quarantine

    return read


@pytest.fixture
def real_data():
    """A file of the public data sets; skips where they are not here."""

    def real_data(name):
        folder = os.environ.get("STACKYARD_DATA")
        if not folder or not (Path(folder) / name).is_file():
            pytest.skip(f"real data {name} is not here (set STACKYARD_DATA)")
        return Path(folder) / name

    return real_data
