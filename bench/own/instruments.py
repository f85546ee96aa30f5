"""Who measures a command: ours here, the others in ``peers``; and the programs whose use is known."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from bench.own.yard import SCRIPTS, Ended, Inner, Yard, last_line
from bench.result import NotHere, Result

MB = 1e6
#: How the programs of one kind are started: yard, megabytes, CPU seconds, seconds asleep -> words.
Program = Callable[[Yard, int, float, float], List[str]]


@dataclass
class Seen:
    """What an instrument says of a command; what it does not say is ``None``."""

    peak_bytes: Optional[float] = None
    cpu_seconds: Optional[float] = None


class Instrument:
    """Something that is written before a command to measure it."""

    #: Ends the names of its figures.
    suffix = ""
    #: What has to be known of how it was used.
    remark = ""

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """What is started; ``folder`` exists, and is for what it leaves."""
        raise NotImplementedError

    def seen(self, folder: Path) -> Seen:
        """What it says of the command, from what it left."""
        raise NotImplementedError


class Ours(Instrument):
    """``stackyard run``, with a cgroup of its own or without."""

    def __init__(self, yard: Yard, method: str = "auto", suffix: str = "") -> None:
        self._yard, self._method, self.suffix = yard, method, suffix

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """``--stack none``: the command's own programs."""
        return ["env", f"STACKYARD_MEASURE={self._method}", *self._yard.ours(folder / "run"), *command]

    def seen(self, folder: Path) -> Seen:
        """As the record has it."""
        record = json.loads((folder / "run" / "record.json").read_text(encoding="utf-8"))
        measured: Dict[str, Any] = record["measurement"]
        return Seen(measured["peak_rss_bytes"], measured["cpu_seconds"])


@dataclass
class Measured:
    """A run as an instrument saw it, and as the cgroup around both did."""

    seen: Seen
    ended: Ended
    #: CPU seconds of the command alone; ``None``: they cannot be told apart here.
    alone: Optional[float]


def measured(yard: Yard, instrument: Instrument, command: Sequence[str]) -> Measured:
    """Run a command under an instrument.

    Raises:
        NotHere: the instrument fails, or the time is up.
    """
    yard.check_time()
    folder, inner = yard.made("seen"), Inner()
    try:
        ended = yard.run(instrument.words(inner.words(command), folder), counted=True, folder=SCRIPTS)
        if ended.status != 0:
            raise ValueError(f"status {ended.status}; {last_line(ended.stderr)}")
        return Measured(instrument.seen(folder), ended, inner.cpu_seconds())
    except (OSError, ValueError, KeyError) as error:
        raise NotHere(f"{type(instrument).__name__} failed ({error})") from error
    finally:
        inner.remove()


def _touch(*before: str) -> Program:
    return lambda yard, *figures: [*before, *map(str, figures)]


#: Name -> program; each does what scripts/touch.py does.
PROGRAMS: Dict[str, Program] = {
    "python": _touch(sys.executable, str(SCRIPTS / "touch.py")),
    "python -m": _touch(sys.executable, "-m", "touch"),
    "bash with background children": _touch(
        "bash", str(SCRIPTS / "children.sh"), sys.executable, str(SCRIPTS / "touch.py")
    ),
    "double fork": _touch(sys.executable, str(SCRIPTS / "double_fork.py")),
    "setsid": _touch("setsid", "--wait", sys.executable, str(SCRIPTS / "touch.py")),
    "C": lambda yard, *figures: [yard.compiled(), *map(str, figures)],
}


def errors(
    result: Result,
    yard: Yard,
    instrument: Instrument,
    *,
    sizes: Sequence[int],
    burn: float,
    repeats: int,
    names: Sequence[str] = tuple(PROGRAMS),
) -> None:
    """How far an instrument is from the truth, over programs: the worst, in percent; a row for each.

    Memory: the growth of the peak over that of the same program that touches nothing, against the bytes it touches.
    CPU: against what a cgroup counted that only the command is in. Where no such cgroup can be made, its growth over
    that of the same program that sleeps instead, against the growth of what a cgroup counted that is around instrument
    and command; what the instrument itself uses is taken out so. Medians of ``repeats``.

    Args:
        result: gets figures and rows.
        yard: where.
        instrument: whose.
        sizes: in MB; with the first of them CPU is burnt.
        burn: CPU seconds.
        repeats: of the pair that CPU is told from.
        names: of the programs.
    """
    worst_peak: List[float] = []
    worst_cpu: List[float] = []
    unseen: Dict[str, List[str]] = {"peak": [], "cpu": []}
    for name in names:
        try:
            runs = _runs(yard, instrument, PROGRAMS[name], sizes, burn, repeats)
        except NotHere as reason:
            result.row(part="truth" + instrument.suffix, program=name, not_measured=str(reason))
            for kind in unseen.values():
                kind.append(name)
            continue
        row: Dict[str, Any] = {}
        base = [run.seen.peak_bytes for run in runs[0] if run.seen.peak_bytes is not None]
        for size in sizes:
            peaks = [run.seen.peak_bytes for run in runs[size] if run.seen.peak_bytes is not None]
            if base and peaks:
                grown = (statistics.median(peaks) - statistics.median(base)) / MB
                row[f"grown_mb_of_{size}"] = round(grown, 2)
                worst_peak.append(100 * abs(grown - size) / size)
        if not base:
            unseen["peak"].append(name)
        counted = [pair for hot, cold in zip(runs[sizes[0]], runs[0]) for pair in _cpu(hot, cold)]
        if counted:
            off = statistics.median(100 * (said - truth) / truth for said, truth in counted)
            worst_cpu.append(abs(off))
            row["cpu_error_percent"] = round(off, 3)
            row["cpu_seconds_said_and_true"] = [[round(x, 3) for x in pair] for pair in counted]
        else:
            unseen["cpu"].append(name)
        result.row(part="truth" + instrument.suffix, program=name, **row)
    for kind, found, figure in (("peak", worst_peak, "peak_rss"), ("cpu", worst_cpu, "cpu")):
        result.figure(f"{figure}_error_percent_worst{instrument.suffix}", max(found) if found else None)
        if unseen[kind]:
            result.row(
                part="truth" + instrument.suffix, not_measured=f"{figure} of {', '.join(unseen[kind])}"
            )


def _runs(
    yard: Yard, instrument: Instrument, program: Program, sizes: Sequence[int], burn: float, repeats: int
) -> Dict[int, List[Measured]]:
    """Megabytes -> runs; with 0 and the first of the sizes ``repeats`` of them."""
    found: Dict[int, List[Measured]] = {0: [], sizes[0]: []}
    for _ in range(repeats):
        found[0].append(measured(yard, instrument, program(yard, 0, 0.0, burn)))
        found[sizes[0]].append(measured(yard, instrument, program(yard, sizes[0], burn, 0.0)))
    for size in sizes[1:]:
        found[size] = [measured(yard, instrument, program(yard, size, 0.0, 0.1))]
    return found


def _cpu(hot: Measured, cold: Measured) -> List[Tuple[float, float]]:
    """CPU seconds as the instrument says, and as they were; empty: one of them is not known."""
    said, before = hot.seen.cpu_seconds, cold.seen.cpu_seconds
    if said is None or before is None:
        return []
    if hot.alone is not None:
        return [(said, hot.alone)]
    if hot.ended.cpu_seconds is None or cold.ended.cpu_seconds is None:
        return []
    return [(said - before, hot.ended.cpu_seconds - cold.ended.cpu_seconds)]


def spikes(result: Result, yard: Yard, instrument: Instrument, *, repeats: int) -> None:
    """Of 25 spikes of 300 MB, held 5 to 300 ms, how many are seen at 90 to 110 % of their height."""
    script = [sys.executable, str(SCRIPTS / "spike.py")]
    holds, height = (0.005, 0.02, 0.05, 0.1, 0.3), 300
    base = measured(yard, instrument, [*script, "0", "0.1", "0.2"]).seen.peak_bytes
    if base is None:
        result.row(part="spikes" + instrument.suffix, not_measured="no peak of memory is told")
        return
    caught, heights = 0, []
    for index in range(repeats * len(holds)):
        hold, before = holds[index % len(holds)], 0.15 + 0.013 * index  # each meets a sampler elsewhere
        peak = measured(yard, instrument, [*script, str(height), str(hold), str(before)]).seen.peak_bytes
        seen = ((peak or base) - base) / MB
        caught += 0.9 * height <= seen <= 1.1 * height
        heights.append([hold, round(seen, 1)])
    result.figure("spikes_caught_of_25" + instrument.suffix, caught * 25 / (repeats * len(holds)))
    result.row(part="spikes" + instrument.suffix, hold_seconds_and_mb=heights)
