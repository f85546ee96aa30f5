"""The table of faults as docs/faults.md shows it: ``python -m tests.faults.page`` writes it there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

TABLE: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("table.toml").read_text())["fault"]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"
COLUMNS = (
    *("fault", "when it comes", "status of the task", "its reason begins with"),
    *("its record", "times tried again", "what was seen"),
)
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


def rendered() -> str:
    """The rows, in the table's order."""
    return HEADER + "".join(_row(row) for row in TABLE)


def _row(row: dict[str, Any]) -> str:
    kinds = {"": "of a completed run", "none": "none", None: "`interrupted` or none"}
    kind = row.get("kind")
    cells = (
        row["name"] + (" *" if row.get("long") else ""),
        row["phase"],
        row["status"],
        f"`{row['reason']}`" if row.get("reason") else "",
        kinds.get(kind, f"`{kind}`"),
        str(row["retries"]),
        row["seen"],
    )
    return f"| {' | '.join(cells)} |\n"


def parts(text: str) -> tuple[str, str, str]:
    """The page before, between and after the marks."""
    before, _, rest = text.partition(BEGIN)
    between, _, after = rest.partition(END)
    return before, between, after


if __name__ == "__main__":
    first, _, last = parts(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(f"{first}{BEGIN}{rendered()}{END}{last}", encoding="utf-8")
