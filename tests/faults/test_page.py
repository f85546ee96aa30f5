"""docs/faults.md shows the table that is played."""

from __future__ import annotations

import ast
from pathlib import Path

from . import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_shows_the_table() -> None:
    _, shown, _ = page.parts(page.PAGE.read_text(encoding="utf-8"))
    assert shown == page.rendered(), "write it anew: python -m tests.faults.page"


def test_what_is_played_at_full_counts_only_is_seen_elsewhere_or_said_to_be_seen_nowhere() -> None:
    for row in page.TABLE:
        where = row.get("long", "nowhere: it is played")
        if where.startswith("nowhere: "):
            continue
        place, _, name = where.partition("::")
        found = [
            node
            for node in ast.walk(ast.parse((ROOT / f"{place}.py").read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and node.name == name
        ]
        assert len(found) == 1, row["name"]
        assert not any("mark.long" in ast.unparse(mark) for mark in found[0].decorator_list), row["name"]
