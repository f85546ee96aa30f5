"""How true the figures of ordinary tasks on the host are: peak memory and CPU time of programs whose use is known.

The programs are those of ``bench.own``, each as the script of a task: Python, a module, children in the background, a
daemon that forks twice, another session, C. Memory: the growth of the peak over that of the same program that touches
nothing, against the bytes it touches. CPU: the growth over that of the same program that sleeps instead, against the
growth of what a cgroup counted that the script joined at its first line; what Python uses until then is in both.
Where no such cgroup can be made, against the seconds that the program burns by its own clock. Spikes of 300 MB that
are held for 5 to 300 ms are programs of known memory too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.own.instruments import MB
from bench.own.yard import SCRIPTS, Inner
from bench.own.yard import Yard as OwnYard
from bench.result import NotHere, Result
from bench.tasks.yard import QUEUE, Yard

FIGURES = ("cpu_error_percent_worst", "peak_rss_error_percent_worst")
SPIKE_MB, HOLDS = 300, (0.005, 0.02, 0.05, 0.1, 0.3)
#: Program -> the end of its script; ``figures`` are words: megabytes, CPU seconds, seconds asleep.
PROGRAMS = {
    "script": "run('touch.py')",
    "module": "",
    "children": "call('bash', folder + '/children.sh', sys.executable, folder + '/touch.py')",
    "double fork": "run('double_fork.py')",
    "setsid": "call('setsid', '--wait', sys.executable, folder + '/touch.py')",
    "C": "call({in_c!r})",
    "spike": "run('spike.py')",
}
_SCRIPT = """
import os, runpy, subprocess, sys
if {group!r}:
    open({group!r} + "/cgroup.procs", "w").write("0")
folder, figures = {folder}, {figures!r}

def call(*words):
    raise SystemExit(subprocess.call([*words, *figures]))

def run(file):
    sys.path.insert(0, folder)
    sys.argv = [file, *figures]
    runpy.run_path(os.path.join(folder, file), run_name="__main__")

"""
_MODULE = "if {group!r}:\n    open({group!r} + '/cgroup.procs', 'w').write('0')\nimport touch\ntouch.main()\n"


@dataclass
class Used:
    """What a record says of a task, and what its cgroup counted."""

    peak: float
    cpu: float
    #: ``None``: there is no such cgroup here.
    counted: float | None
    record: dict[str, Any]


@dataclass
class Place:
    """Where programs are run as tasks."""

    yard: Yard
    result: Result
    queue: str = QUEUE
    #: An expression of the folder that holds the scripts of the programs, for the task's script.
    folder: str = repr(str(SCRIPTS))
    #: The program in C; ``None``: there is none.
    in_c: str | None = None
    #: Whether the script may join a cgroup of ours that counts.
    joins: bool = True
    #: Ends the names of the figures.
    suffix: str = ""
    #: Called with each hot task's kind of use ("cpu" or "peak_rss") and its record.
    seen: Callable[[str, dict[str, Any]], None] = field(default=lambda _kind, _record: None)

    def used(self, name: str, *given: float) -> Used:
        """Run a program once.

        Raises:
            NotHere: it does not complete, or its record does not say what is asked.
        """
        words = [str(value) for value in given]
        inner = Inner() if self.joins else None
        try:
            group = "" if inner is None or inner.folder is None else str(inner.folder)
            if name == "module":
                touch = (SCRIPTS / "touch.py").read_text(encoding="utf-8")
                files = {"touched.py": _MODULE.format(group=group), "touch.py": touch}
                place = self.yard.repository("touched", files)
                entry = "-m touched " + " ".join(words)
                _, record = self.yard.run(name, repository=place, entry=entry, queue=self.queue)
            else:
                text = _SCRIPT.format(group=group, folder=self.folder, figures=words)
                text += PROGRAMS[name].format(in_c=self.in_c) + "\n"
                _, record = self.yard.run(name, text, queue=self.queue)
            said = record["measurement"]
            if said["peak_rss_bytes"] is None or said["cpu_seconds"] is None:
                raise NotHere(f"the record of {name} does not say its CPU seconds and peak")
            counted = None if inner is None else inner.cpu_seconds()
            return Used(said["peak_rss_bytes"], said["cpu_seconds"], counted, record)
        finally:
            if inner is not None:
                inner.remove()

    def add(self, kind: str, percent: float) -> None:
        """One more error, in percent; the worst is the figure."""
        figure = f"{kind}_error_percent_worst{self.suffix}"
        self.result.figure(figure, max(abs(percent), self.result.figures.get(figure) or 0.0))

    def row(self, **values: Any) -> None:
        """A row of this place."""
        self.result.row(part="truth" + self.suffix, **values)


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Every program, every size."""
    place = Place(yard, result)
    try:
        place.in_c = OwnYard(yard.folder, yard.until, yard.folder).compiled()
    except NotHere as reason:
        place.row(program="C", not_measured=str(reason))
    names = [name for name in PROGRAMS if name != "spike" and (name != "C" or place.in_c)]
    sizes, burn, repeats = ((500,), 1.0, 1) if quick else ((500, 200, 1000, 2000), 2.0, 2)
    for name in names:
        measure(place, name, sizes, burn, repeats)
    spikes(place, 1 if quick else 2)


def measure(place: Place, name: str, sizes: tuple[int, ...], burn: float, repeats: int) -> None:
    """The errors of one program.

    Args:
        place: where; gets figures and rows.
        name: of PROGRAMS.
        sizes: megabytes.
        burn: CPU seconds.
        repeats: of the pair that CPU is told from.
    """
    try:
        cold = [place.used(name, 0, 0.0, burn) for _ in range(repeats)]
        hot = [place.used(name, 0, burn, 0.0) for _ in range(repeats)]
        large = {size: place.used(name, size, 0.0, 0.1) for size in sizes}
    except NotHere as reason:
        place.row(program=name, not_measured=str(reason))
        return
    row: dict[str, Any] = {}
    base = statistics.median(one.peak for one in cold)
    for size, used in large.items():
        grown = (used.peak - base) / MB
        row[f"grown_mb_of_{size}"] = round(grown, 2)
        place.add("peak_rss", 100 * (grown - size) / size)
        place.seen("peak_rss", used.record)
    pairs = []
    for one, other in zip(hot, cold):
        true = burn if one.counted is None or other.counted is None else one.counted - other.counted
        pairs.append((one.cpu - other.cpu, true))
        place.seen("cpu", one.record)
    error = statistics.median(100 * (said - true) / true for said, true in pairs)
    place.add("cpu", error)
    row["cpu_error_percent"] = round(error, 3)
    row["cpu_seconds_said_and_true"] = [[round(value, 3) for value in pair] for pair in pairs]
    row["truth"] = "burnt" if hot[0].counted is None else "cgroup"
    place.row(program=name, **row)


def spikes(place: Place, repeats: int) -> None:
    """Spikes of known height, each held so long, that each meets a sampler elsewhere."""
    seen = []
    try:
        base = place.used("spike", 0, 0.1, 0.2).peak
        for index in range(repeats * len(HOLDS)):
            hold = HOLDS[index % len(HOLDS)]
            grown = (place.used("spike", SPIKE_MB, hold, 0.15 + 0.013 * index).peak - base) / MB
            seen.append([hold, round(grown, 1)])
            place.add("peak_rss", 100 * (grown - SPIKE_MB) / SPIKE_MB)
    except NotHere as reason:
        place.row(program="spike", not_measured=str(reason))
    place.row(program="spike", hold_seconds_and_mb=seen)
