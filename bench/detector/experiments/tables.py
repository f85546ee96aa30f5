"""The rows of one or more runs as markdown tables: one for all variants, a column for each group. Standard library."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

Rows = Sequence[Mapping[str, Any]]

SOFT = "soft maximum, sharpness 2"


def markdown(rows: Rows) -> str:
    """All tables, each below a heading."""
    lines = [row for row in rows if "difference_interval" in row]
    groups = list(dict.fromkeys(row["group"] for row in lines))
    found = []
    for title, chosen in (
        (
            "Networks and inputs, scored by the maximum",
            lambda r: r["score"] == "maximum" and not r["ensemble"],
        ),
        ("The same, scored by the soft maximum", lambda r: r["score"] == SOFT),
        ("Ensembles of three, scored by the maximum", lambda r: r["ensemble"]),
        (
            "Scores of a session, of the LSTM",
            lambda r: r["score"] and r["variant"] == "LSTM" and not r["ensemble"],
        ),
        ("Baselines", lambda r: not r["score"]),
    ):
        part = [row for row in lines if chosen(row)]
        if part:
            found.append(f"### {title}\n\n{_table(part, groups, title)}")
    if any(row.get("part") == "demo" for row in rows):
        found.append(_demo([row for row in rows if row.get("part") == "demo"]))
    return "\n\n".join(found)


def _table(lines: Rows, groups: Sequence[str], title: str) -> str:
    """Average precision, the difference from the LSTM with its interval, and last the mean difference in
    ``auprc_of_corrupted_validation`` over the groups that a variant was tried in."""
    by_score, same_score = title.startswith("Scores"), title.startswith("The same")
    apart = "difference_at_same_score" if same_score else "difference"
    cells: Dict[str, Dict[str, str]] = {}
    corrupted: Dict[str, List[float]] = {}
    usual = {row["group"]: row["auprc_of_corrupted_validation"] for row in reversed(lines)}
    for row in lines:
        name = row["score"] if by_score else row["variant"]
        low, high = row.get(f"{apart}_interval", (0, 0))
        told = "" if low == high == 0 else f" ({row[apart]:+.3f}: {low:+.3f} to {high:+.3f})"
        cells.setdefault(name, {})[row["group"]] = f"{row['auprc']:.3f}{told}"
        if row["auprc_of_corrupted_validation"] is not None:
            differs = row["auprc_of_corrupted_validation"] - usual[row["group"]]
            corrupted.setdefault(name, []).append(differs)
    head = ["", *groups, *(["corrupted validation"] if corrupted else [])]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, own in cells.items():
        line = [name, *(own.get(group, "not tried") for group in groups)]
        if corrupted:
            line.append(f"{sum(corrupted[name]) / len(corrupted[name]):+.3f}")
        text.append("| " + " | ".join(line) + " |")
    return "\n".join(text)


def _demo(rows: Rows) -> str:
    kinds = list(rows[0]["auprc_by_seed_of_kind"])
    text = []
    for title in dict.fromkeys(row["data"] for row in rows):
        text += [f"### Simulated: {title}\n", "| detector | all attacks | " + " | ".join(kinds) + " |"]
        text.append("|---" * (2 + len(kinds)) + "|")
        for row in rows:
            if row["data"] == title:
                areas = row["auprc_by_seed"]
                spread = f" ({min(areas):.3f} to {max(areas):.3f})" if len(areas) > 1 else ""
                own = [f"{_middle(row['auprc_by_seed_of_kind'][kind]):.3f}" for kind in kinds]
                text.append(f"| {row['detector']} | {_middle(areas):.3f}{spread} | " + " | ".join(own) + " |")
        text.append("")
    return "\n".join(text)


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
