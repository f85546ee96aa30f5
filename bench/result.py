"""The form every bench prints: figures, their intervals, the rows behind them, and the machine.

Figures are numbers or ``None`` (not measured, with a reason among the rows). Python 3.9, standard library.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

API_VERSION = 1
#: Bench -> the minutes it may take, in full and with --quick.
MINUTES: Dict[str, Tuple[float, float]] = {
    "measure": (20, 4),
    "statistics": (20, 4),
    "detector": (90, 12),
    "server": (60, 10),
    "safety": (25, 8),
    "own": (25, 5),
    "dispatch": (90, 15),
    "tasks": (25, 8),
    "tuning": (40, 8),
    "footprint": (15, 5),
    "installation": (30, 15),
    "lab": (30, 12),
    "short_runs": (30, 8),
}
#: The same of what is no part of the figures, and is run by hand.
APART: Dict[str, Tuple[float, float]] = {"detector.experiments": (60, 6), "levels": (10, 2)}
#: Exit status of a bench whose data is not on this machine.
DATA_ABSENT = 3


class NotHere(Exception):
    """Something cannot be measured on this machine; the message is the reason."""


class Result:
    """The figures of one bench run."""

    def __init__(self, bench: str, names: Sequence[str] = ()) -> None:
        self.bench = bench
        self.figures: Dict[str, Optional[float]] = dict.fromkeys(names)
        self.intervals: Dict[str, List[float]] = {}
        self.rows: List[Dict[str, Any]] = []

    def figure(self, name: str, value: Optional[float], interval: Optional[Sequence[float]] = None) -> None:
        """Set a figure, with its [low, high] interval where there is one."""
        self.figures[name] = value
        if interval is not None:
            self.intervals[name] = [float(interval[0]), float(interval[1])]

    def row(self, **values: Any) -> None:
        """Add one row of detail."""
        self.rows.append(values)

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return {
            "bench": self.bench,
            "api_version": API_VERSION,
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine(),
            "figures": self.figures,
            "intervals": self.intervals,
            "rows": self.rows,
        }

    def finish(self, path: Optional[Path]) -> None:
        """Print the figures, one a line, and write the JSON form to ``path`` where one is given."""
        for name, value in self.figures.items():
            text = "not measured" if value is None else f"{value:.6g}"
            if name in self.intervals:
                text += " [{:.6g}, {:.6g}]".format(*self.intervals[name])
            print(f"{name:40s} {text}")
        if path is not None:
            self.write(path)

    def write(self, path: Path) -> None:
        """Write the JSON form as it is so far."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")


def run_parts(result: Result, modules: Mapping[str, ModuleType], options: Any, *given: Any) -> None:
    """Have each part measure its figures; one that raises NotHere says why among the rows, and the others go on.

    Args:
        result: gets figures and rows.
        modules: part -> its module; ``figures(result, quick, *given, options)`` measures.
        options: of the bench; the figures so far go to ``json`` after each part.
        given: what the parts of this bench measure with.
    """
    for part, module in modules.items():
        print(f"{part}:", flush=True)
        try:
            module.figures(result, options.quick, *given, options)
        except NotHere as reason:
            result.row(part=part, not_measured=str(reason))
            print(f"not measured: {reason}", flush=True)
        if options.json is not None:  # what is measured is kept, whatever becomes of the rest
            result.write(options.json)


@dataclass
class Ground:
    """A folder that a bench works in, and the end of its time."""

    #: Holds everything that is made.
    folder: Path
    #: CLOCK_MONOTONIC instant after which nothing long is begun.
    until: float
    _made = 0

    def check_time(self, seconds: float = 0.0) -> None:
        """Whether so long may still be worked.

        Raises:
            NotHere: no.
        """
        if time.monotonic() + seconds > self.until:
            raise NotHere("the time that this bench may take is up: the machine is busy with other things")

    def new(self, name: str) -> Path:
        """A path that nothing has yet."""
        self._made += 1
        return self.folder / f"{name}-{self._made}"


def machine() -> Dict[str, Any]:
    """What the bench ran on; no host name, no path."""
    model = None
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


class Bounded(argparse.ArgumentParser):
    """Options of a bench, which is ended where it takes longer than its ``--help`` says."""

    def parse_args(self, *given: Any, **named: Any) -> Any:
        """The options; from here on time counts."""
        options = super().parse_args(*given, **named)
        minutes = {**MINUTES, **APART}[self.prog.partition("bench.")[2]][1 if options.quick else 0]

        def ended(*_: Any) -> None:
            raise SystemExit(f"{self.prog}: not done after {minutes:g} minutes: ended")

        signal.signal(signal.SIGALRM, ended)
        signal.setitimer(signal.ITIMER_REAL, minutes * 60)
        return options


def arguments(bench: str, description: str) -> argparse.ArgumentParser:
    """The options every bench has: ``--json FILE`` and ``--quick``; its help says how long it may take."""
    full, quick = {**MINUTES, **APART}[bench]
    told = (
        f"Ends within {full} minutes on two cores, with --quick within {quick}; what takes longer is ended."
    )
    parser = Bounded(prog=f"python -m bench.{bench}", description=description, epilog=told)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller of everything: the figures say less"
    )
    return parser


def data_folder(given: Optional[Path]) -> Optional[Path]:
    """The folder of data sets: ``given``, else $STACKYARD_DATA, else the cache of `stackyard data fetch`."""
    home = Path(os.environ.get("STACKYARD_HOME", ".stackyard"))
    for folder in (given, os.environ.get("STACKYARD_DATA"), home / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    return None


def data_absent(result: Result, reason: str, path: Optional[Path]) -> None:
    """End the bench: every figure null, the reason printed and kept, exit status 3."""
    result.row(not_measured=reason)
    print(f"not measured: {reason}", file=sys.stderr)
    result.finish(path)
    raise SystemExit(DATA_ABSENT)
