"""The page names every event of the security log, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def noted() -> set[str]:
    """The events that the source writes."""
    found = set()
    for path in (ROOT / "src/stackyard_server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in ("note", "security_log.note")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
    return found


@pytest.mark.promise("security-log")
def test_the_page_names_every_event() -> None:
    page = (
        (ROOT / "docs/security.md").read_text().partition("\n## The security log\n")[2].partition("\n## ")[0]
    )
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([a-z_.]+)`", " ".join(rows))) == noted()
