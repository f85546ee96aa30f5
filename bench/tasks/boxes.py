"""Ordinary tasks in containers: how true their figures are, and how far the two witnesses differ.

The programs are those of ``truth`` that need no file of the host, in containers of the default stack's image. The truth
of CPU is what a program burns by its own clock; that of memory is what it touches. ``witnesses_differ_percent_worst``
is the greatest difference that a record tells between what was measured inside and what the container's cgroup counted:
of CPU in tasks that burn some, of the peak in tasks that touch some. Images that were made are removed at the end.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.own.yard import SCRIPTS
from bench.result import NotHere, Result
from bench.tasks.truth import Place, measure, spikes
from bench.tasks.yard import Yard
from stackyard.machine.docker_engine import obstacle

CONTAINERS = "cpu-container"
FIGURES = (
    "cpu_error_percent_worst_container",
    "peak_rss_error_percent_worst_container",
    "witnesses_differ_percent_worst",
)
_PROGRAMS = ("script", "children", "double fork", "setsid")
_QUEUE = """
[queues.cpu-container]
deployment = "container"
slots = 1
retries = 0
default_stack = "{stack}"
"""
#: Writes the scripts of the programs where the task runs; its value is the folder.
_WRITES = (
    "(lambda t: [open(os.path.join(t, n), 'w').write(x) for n, x in {files!r}.items()] and t)"
    "(__import__('tempfile').mkdtemp())"
)


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Every program that can run there.

    Raises:
        NotHere: no engine answers, or the default stack has no image.
    """
    names = ("touch.py", "children.sh", "double_fork.py", "spike.py")
    files = {name: (SCRIPTS / name).read_text(encoding="utf-8") for name in names}
    told: dict[str, list[float]] = {"cpu": [], "peak_rss": []}

    def seen(kind: str, record: dict[str, Any]) -> None:
        witness = record.get("witness") or {}
        differs = witness.get("cpu_differs_percent" if kind == "cpu" else "peak_differs_percent")
        if differs is not None:
            told[kind].append(round(differs, 2))

    with _containers(yard):
        place = Place(yard, result, CONTAINERS, _WRITES.format(files=files), None, False, "_container", seen)
        sizes, burn, repeats = ((500,), 1.0, 1) if quick else ((500, 1000), 2.0, 2)
        for name in _PROGRAMS[:2] if quick else _PROGRAMS:
            measure(place, name, sizes, burn, repeats)
        spikes(place, 0 if quick else 1)
    every = [abs(value) for values in told.values() for value in values]
    if every:
        result.figure("witnesses_differ_percent_worst", max(every))
    result.row(part="boxes", witness_differs_percent=told)


@contextmanager
def _containers(yard: Yard) -> Iterator[None]:
    """An agent for containers, and the default stack's image, until the block is left.

    Raises:
        NotHere: there is none.
    """
    missing = obstacle()
    if missing:
        raise NotHere(missing)
    known = yard.images / "images.json"
    recorded = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    if yard.stack not in recorded:
        raise NotHere(f"no image of {yard.stack}; make one: stackyard stack image build {yard.stack}")
    lab = yard.lab
    # all of them: what is made a second time takes the name of the first
    (lab.home / "images.json").write_text(json.dumps(recorded), encoding="utf-8")
    before = _tags()
    yard.queues(_QUEUE.format(stack=yard.stack))
    try:
        lab.agent(f"{CONTAINERS}-0")
        yield
    finally:
        yard.queues("")
        made = json.loads((lab.home / "images.json").read_text(encoding="utf-8"))
        for tag in {one["tag"] for one in made.values()} - before:
            subprocess.run([_docker(), "rmi", tag], capture_output=True, check=False)


def _docker() -> str:
    found = shutil.which("docker")
    if found is None:
        raise NotHere("there is no docker command on the PATH")
    return found


def _tags() -> set[str]:
    words = [_docker(), "images", "--format", "{{.Repository}}:{{.Tag}}"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
