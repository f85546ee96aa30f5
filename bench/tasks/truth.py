"""How true the figures of ordinary tasks on the host are: peak memory and CPU time of programs whose use is known.

The programs are those of ``bench.own``, each as the script of a task: Python, a module, children in the background, a
daemon that forks twice, another session, C. Memory: the growth of the peak over that of the same program that touches
nothing, against the bytes it touches. CPU: the growth over that of the same program that sleeps instead, against the
growth of what a cgroup counted that the script joined at its first line; what Python uses until then is in both.
Where no such cgroup can be made, against the seconds that the program burns by its own clock. Spikes of 300 MB that
are held for 5 to 300 ms count as programs of known memory.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.own.instruments import MB
from bench.own.yard import SCRIPTS, Inner
from bench.own.yard import NotHere as NotThere
from bench.own.yard import Yard as OwnYard
from bench.result import Result
from bench.tasks.yard import NotHere, Yard

FIGURES = ("cpu_error_percent_worst", "peak_rss_error_percent_worst")
SPIKE_MB, HOLDS = 300, (0.005, 0.02, 0.05, 0.1, 0.3)
#: Joins the cgroup that counts, then does the rest.
_JOIN = "import os\nif {group!r}:\n    open({group!r} + '/cgroup.procs', 'w').write('0')\n"
_SCRIPT = (
    "import runpy, sys\nsys.path.insert(0, {folder!r})\nsys.argv = {words!r}\n"
    "runpy.run_path({file!r}, run_name='__main__')\n"
)
_COMMAND = "import subprocess\nraise SystemExit(subprocess.call({words!r}))\n"
_TOUCH = str(SCRIPTS / "touch.py")


@dataclass
class Used:
    """What a record says of a task, and what its cgroup counted."""

    peak: float
    cpu: float
    #: ``None``: there is no such cgroup here.
    counted: float | None


def program(name: str, figures: list[str], touch_in_c: str | None) -> str:
    """The script of a task that does what one of the programs does.

    Args:
        name: of PROGRAMS.
        figures: megabytes, CPU seconds, seconds asleep.
        touch_in_c: the program in C.
    """
    file = {"double fork": "double_fork.py", "spike": "spike.py"}.get(name, "touch.py")
    commands = {
        "children": ["bash", str(SCRIPTS / "children.sh"), sys.executable, _TOUCH, *figures],
        "setsid": ["setsid", "--wait", sys.executable, _TOUCH, *figures],
        "C": [str(touch_in_c), *figures],
    }
    if name in commands:
        return _COMMAND.format(words=commands[name])
    return _SCRIPT.format(folder=str(SCRIPTS), words=[file, *figures], file=str(SCRIPTS / file))


PROGRAMS = ("script", "module", "children", "double fork", "setsid", "C")


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Every program, every size."""
    sizes, burn, repeats = ((500,), 1.0, 1) if quick else ((500, 200, 1000, 2000), 2.0, 3)
    off = Errors(result)
    try:
        in_c: str | None = OwnYard(yard.folder, yard.folder, yard.until).compiled()
    except NotThere as reason:
        in_c = None
        result.row(part="truth", program="C", not_measured=str(reason))
    for name in PROGRAMS:
        if name == "C" and in_c is None:
            continue
        try:
            _measure(yard, off, name, in_c, sizes, burn, repeats)
        except NotHere as reason:
            result.row(part="truth", program=name, not_measured=str(reason))
    _spikes(yard, off, 1 if quick else 2)


class Errors:
    """Collects the worst of both."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self._worst: dict[str, float] = {}

    def add(self, kind: str, percent: float) -> None:
        """One more error: "cpu" or "peak_rss", percent."""
        self._worst[kind] = max(abs(percent), self._worst.get(kind, 0.0))
        self.result.figure(f"{kind}_error_percent_worst", self._worst[kind])


def _measure(
    yard: Yard, off: Errors, name: str, in_c: str | None, sizes: tuple[int, ...], burn: float, repeats: int
) -> None:
    def used(megabytes: int, burnt: float, asleep: float) -> Used:
        words = [str(megabytes), str(burnt), str(asleep)]
        return _used(yard, name, words, program(name, words, in_c))

    cold = [used(0, 0.0, burn) for _ in range(repeats)]
    hot = [used(sizes[0], burn, 0.0) for _ in range(repeats)]
    peaks = {sizes[0]: statistics.median(one.peak for one in hot)}
    peaks.update({size: used(size, 0.0, 0.1).peak for size in sizes[1:]})
    row: dict[str, Any] = {}
    base = statistics.median(one.peak for one in cold)
    for size, peak in peaks.items():
        grown = (peak - base) / MB
        row[f"grown_mb_of_{size}"] = round(grown, 2)
        off.add("peak_rss", 100 * (grown - size) / size)
    pairs = []
    for one, other in zip(hot, cold):
        true = burn if one.counted is None or other.counted is None else one.counted - other.counted
        pairs.append((one.cpu - other.cpu, true))
    error = statistics.median(100 * (said - true) / true for said, true in pairs)
    off.add("cpu", error)
    row["cpu_error_percent"] = round(error, 3)
    row["cpu_seconds_said_and_true"] = [[round(value, 3) for value in pair] for pair in pairs]
    row["truth"] = "burnt" if hot[0].counted is None else "cgroup"
    off.result.row(part="truth", program=name, **row)


def _used(yard: Yard, name: str, words: list[str], text: str) -> Used:
    """Run one task.

    Raises:
        NotHere: it does not complete, or its record does not say what is asked.
    """
    inner = Inner()
    try:
        group = "" if inner.folder is None else str(inner.folder)
        if name == "module":
            joining = {"touched.py": _JOIN.format(group=group) + "import touch\ntouch.main()\n"}
            touch = {"touch.py": Path(_TOUCH).read_text(encoding="utf-8")}
            place = yard.repository("touched", {**joining, **touch})
            _, record = yard.run(name, repository=place, entry="-m touched " + " ".join(words))
        else:
            _, record = yard.run(name, _JOIN.format(group=group) + text)
        said = record["measurement"]
        if said["peak_rss_bytes"] is None or said["cpu_seconds"] is None:
            raise NotHere(f"the record of {name} does not say its CPU seconds and peak")
        return Used(said["peak_rss_bytes"], said["cpu_seconds"], inner.cpu_seconds())
    finally:
        inner.remove()


def _spikes(yard: Yard, off: Errors, repeats: int) -> None:
    def peak(*words: object) -> float:
        given = [str(word) for word in words]
        return _used(yard, "spike", given, program("spike", given, None)).peak

    seen = []
    try:
        base = peak(0, 0.1, 0.2)
        for index in range(repeats * len(HOLDS)):
            hold = HOLDS[index % len(HOLDS)]
            grown = (peak(SPIKE_MB, hold, 0.15 + 0.013 * index) - base) / MB  # each meets a sampler elsewhere
            seen.append([hold, round(grown, 1)])
            off.add("peak_rss", 100 * (grown - SPIKE_MB) / SPIKE_MB)
    except NotHere as reason:
        off.result.row(part="truth", program="spike", not_measured=str(reason))
    off.result.row(part="truth", program="spike", hold_seconds_and_mb=seen)
