"""Single values of a task as its page shows them: what a run took, as reports say it, and apart, what it found. Pure.

A dispatched run leaves every figure of its record as a single value, named with its unit. Those names are known here;
any other value is a result of the work.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: The metric under which clients report single values.
SINGLE = "Summary"
#: Names of a record's figures: the row they belong to, and the word they have there. The first of a row is its sum.
ROWS: dict[str, dict[str, str]] = {
    "Wall time": {
        "wall time (s)": "", "start-up (s)": "start-up", "data (s)": "data", "warm-up (s)": "warm-up",
        "steady (s)": "steady", "finish (s)": "finish",
    },
    "CPU": {
        "CPU time (s)": "", "CPU mean (% of a core)": "mean, of a core",
        "CPU greatest (% of a core)": "greatest, of a core", "CPU mean (% of allowed)": "mean, of what is allowed",
        "CPU greatest (% of allowed)": "greatest, of what is allowed",
    },
    "RAM": {
        "peak RAM (MB)": "", "peak charged to the cgroup (MB)": "charged to the cgroup",
        "peak RAM with page cache (MB)": "charged to the cgroup",  # as older records call it
    },
    "Steps": {
        "steps": "", "step time mean (ms)": "mean", "step time median (ms)": "median",
        "step time 95th percentile (ms)": "95th percentile",
    },
}  # fmt: skip
#: Of each GPU.
GPU_ROW = {
    "peak memory (MB)": "",
    "utilisation mean (%)": "utilisation mean",
    "utilisation greatest (%)": "greatest",
}
#: Figures that are folded.
FOLDED = frozenset({
    "CPU time in user mode (s)", "CPU time in the kernel (s)", "disk read (MB)", "disk written (MB)", "energy (J)",
    "measuring took CPU time (s)", "measuring took RAM (MB)", "pulled to user code (s)",
    "container start to user code (s)", "user code to workload (s)",
})  # fmt: skip
FOLDED_OF_GPU = frozenset({"peak allocated by PyTorch (MB)", "peak reserved by PyTorch (MB)", "energy (J)"})
_GPU = re.compile(r"(GPU [0-9]+) (.+)")
_UNIT = re.compile(r"(.+) \(([^()]+)\)")
#: Longer than this, seconds are shown as minutes, minutes as hours.
_MINUTES, _HOURS = 600, 7200


@dataclass
class Row:
    """One thing that a run took."""

    name: str
    total: str = "–"
    parts: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Results:
    """What a page shows of a task's single values."""

    #: What the run took; empty where the task is no run of ours.
    took: list[Row] = field(default_factory=list)
    #: What the work reported: name and value.
    work: list[tuple[str, str]] = field(default_factory=list)
    #: The rest, to be folded.
    rest: list[tuple[str, str]] = field(default_factory=list)


def significant(value: float, digits: int = 3) -> str:
    """So many significant digits, thousands grouped, no exponent."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 12)}f}"


def number(value: Any) -> str:
    """A value without a unit: whole numbers whole, others with up to five significant digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–" if value is None else str(value)
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) < 1e-4 or abs(value) >= 1e15:
        return f"{value:.2e}"
    text = significant(value, 5)
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: Any, unit: str) -> str:
    """A measured value in the unit that fits, with three significant digits (percent: two, or whole)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return number(value)
    if unit == "ms":
        value, unit = value / 1e3, "s"
    if unit == "s":
        for least, size, name in (
            (_HOURS, 3600, "h"),
            (_MINUTES, 60, "min"),
            (0.1, 1, "s"),
            (1e-4, 1e-3, "ms"),
        ):
            if abs(value) >= least:
                return f"{significant(value / size)} {name}"
        return "0 s" if value == 0 else f"{significant(value * 1e6)} µs"
    if unit == "MB":
        for least, size, name in ((1e6, 1e6, "TB"), (1e3, 1e3, "GB"), (1, 1, "MB"), (1e-3, 1e-3, "kB")):
            if abs(value) >= least:
                return f"{significant(value / size)} {name}"
        return "0 MB" if value == 0 else f"{value * 1e6:.0f} B"
    if unit.startswith("%"):
        return f"{value:.0f} %" if abs(value) >= 100 or value == 0 else f"{significant(value, 2)} %"
    return f"{significant(value)} {unit}"


def shown(name: str, value: Any) -> str:
    """A figure of a record, by the unit in its name."""
    found = _UNIT.fullmatch(name)
    return quantity(value, found[2]) if found else number(value)


def read(single: Iterable[Mapping[str, Any]], hyperparams: Mapping[str, Any] | None = None) -> Results:
    """What is shown of single values: ``{metric, variant, value}`` each.

    A value that a parameter of the same name has too is no result: it is folded.
    """
    values = list(single)
    measured = {str(v["variant"]): v["value"] for v in values if v["metric"] == SINGLE}
    results = Results()
    if "wall time (s)" not in measured:
        measured = {}
    gpus = sorted(
        {found[1] for name in measured if (found := _GPU.fullmatch(name))}, key=lambda n: int(n[4:])
    )
    rows = {**ROWS, **{gpu: {f"{gpu} {name}": word for name, word in GPU_ROW.items()} for gpu in gpus}}
    for title, names in rows.items():
        row = Row(title)
        for name, word in names.items():
            if name in measured and word:
                row.parts.append((word, shown(name, measured[name])))
            elif name in measured:
                row.total = shown(name, measured[name])
        if row.parts or row.total != "–":
            results.took.append(row)
    placed = {name for names in rows.values() for name in names}
    given = parameters_of(hyperparams)
    for value in values:
        name = str(value["variant"])
        full = name if value["metric"] == SINGLE else f"{value['metric']} · {name}"
        if value["metric"] == SINGLE and name in measured:
            if name in placed:
                continue
            found = _GPU.fullmatch(name)
            if name in FOLDED or (found and found[2] in FOLDED_OF_GPU):
                results.rest.append((full, shown(name, value["value"])))
                continue
        repeated = name in given and given[name] == value["value"]
        (results.rest if repeated else results.work).append((full, number(value["value"])))
    return results


def parameters_of(hyperparams: Mapping[str, Any] | None) -> dict[str, float]:
    """The parameters that are numbers, by name."""
    found = {}
    for parameters in (hyperparams or {}).values():
        for name, parameter in parameters.items():
            try:
                found[name] = float(str(parameter.get("value")))
            except (ValueError, AttributeError):
                continue
    return found
