"""What the beginning of a JSON file is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard_detector.readers.json_shapes import HEAD_BYTES, Asked, beginning, holds_documents

pytestmark = pytest.mark.python

ASKED = Asked(("k.name", "other"), ("e",))


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", False),
        ("text", False),
        (" \n[", True),
        ('{"k": 1}', False),
        ('{"k":\n1}', True),
        ('{"k":\n{"k": 1}', False),
        ('{"Records": []}', True),
        ('{"Records": []}\nnot JSON', False),
        ('{"Records": []}\n\n{"Records": [{}]}\n', True),
        ('{"Records": []}\n{"records": []}', True),
        ('{"Records": []}\n{"records": [], "e": 1}', False),
        ('{"Records": []}{"Records": []}', True),
        ('{"value": [], "e": 1}', True),
        ('{"value": [], "e": 1}\n{"value": [], "e": 2}', False),
        ('{"value": [], "k.name": 1, "e": 2}', False),
        ('{"value": [], "k": {"name": 1}, "e": 2}', False),
        ('{"value": [], "k": {"name": 1}, "more": 2}', True),
        ('{"value": [1], "Records": [{}]}', True),
        ('{"value": [1]}', False),
        ('{"hits": {"total": 1, "hits": [', True),
        ('{"value": [\n{"k": 1}', True),
        ('{"k": 1, "e": 1, "value": [\n{"k": 1}', False),
    ],
)
def test_lines_and_documents(text: str, documents: bool) -> None:
    assert holds_documents(text, False, ASKED) is documents


def test_a_long_first_line_is_looked_at_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf" + b"x" * 5 * HEAD_BYTES + b"\n" + b"y" * 9 * HEAD_BYTES)
    text, more = beginning(path)
    assert more
    assert text.startswith("x" * 5 * HEAD_BYTES + "\n")
    assert len(text) < 8 * HEAD_BYTES
    path.write_bytes(b"x\n" * 7)
    assert beginning(path) == ("x\n" * 7, False)
