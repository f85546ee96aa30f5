"""Runs the test suites, each in the Python it belongs to, and counts what passed, failed and was skipped.

``make test`` runs every suite at reduced counts; ``make test-long`` at full counts (``STACKYARD_LONG=1``)
and, being long, does not repeat a suite that passed with the same code. A suite that cannot be had on this
machine is skipped with its reason and counted. Standard library and ``stackyard`` only.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from stackyard import stacks
from stackyard.errors import StackyardError
from stackyard.settings import Settings
from tests import session

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".stackyard" / "tests"
#: Most tests wait for other processes most of the time.
PROCESSES_PER_CORE = 4
#: How long suites have to clean up after Ctrl-C.
GRACE_SECONDS = 20.0
#: pytest's exit status where marks leave no test.
NO_TESTS = 5
OLD_STACK = "torch-1.10.2-cu102"
TABLE_STACK = "sklearn-1.9.1-cpu"
#: What suites run tasks on, in the order in which they are built.
STACKS = (stacks.DEFAULT, OLD_STACK, TABLE_STACK)
#: Folders that no suite depends on.
MADE_HERE = {"runs", "dist", "build"}
#: What a stack's Python gets beside it.
TOOLS = ("pytest>=8,<10", "pytest-xdist>=3.6", "hypothesis>=6.100")


@dataclass
class Counts:
    """What one suite came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reasons += other.reasons


@dataclass(frozen=True)
class Suite:
    """A folder of tests and the Python to run it in."""

    name: str
    paths: tuple[str, ...]
    #: The interpreter and extra PYTHONPATH entries; StackyardError is the reason why it cannot be had.
    interpreter: Callable[[], tuple[Path, list[Path]]]
    #: A stack whose model files shall be readable here, and ours there.
    other_stack: str = ""
    #: How many processes share its tests; "loadfile": a file's tests, and what they set up, stay together.
    workers: int = 2
    share: str = "loadfile"
    #: Only tests with these marks, unless at full counts: a pytest expression.
    marks: str = ""
    #: Of the extents that run it.
    extents: tuple[str, ...] = ("reduced", "long")
    #: The stack that must be there before it begins, of those that ``STACKS`` has in this order; "": none.
    stack: str = stacks.DEFAULT

    def file(self, ending: str) -> Path:
        """Where its output ("log") or its report ("xml") lies."""
        return HOME / f"{self.name.replace(' ', '-').replace(',', '')}.{ending}"

    def passed_before(self) -> Path:
        """The file that says that it passed in full with the code as it is."""
        digest = hashlib.sha256((self.name + code_digest()).encode()).hexdigest()
        return HOME / f"long-{digest[:16]}.json"


def control() -> tuple[Path, list[Path]]:
    return Path(sys.executable), []


def stack_python(name: str) -> tuple[Path, list[Path]]:
    """A stack's own Python, built where needed, with pytest beside it rather than inside it."""
    settings = Settings.from_environment()
    stack = stacks.load()[name]
    python = stacks.python_of(stack, settings)
    if python is None:
        print(f"building {name} ...", flush=True)
        python = stacks.build(stack, settings)
    tools, complete = HOME / f"tools-{stack.python}", " ".join(TOOLS)
    marker = tools / "complete"
    if not marker.exists() or marker.read_text() != complete:
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]
        subprocess.run([str(python), *install, str(tools), *TOOLS], check=True)
        marker.write_text(complete)
    return python, [ROOT / "src", tools]


EVERY = ("fast", "reduced", "long")
#: What takes longest begins first.
SUITES = (
    Suite("our side", ("tests/stackyard",), control, workers=4, extents=EVERY),
    Suite("server", ("tests/stackyard_server",), control, workers=2, extents=EVERY, stack=""),
    # these need the ClearML SDK or OpenTelemetry, which the agent's Python has and no stack
    Suite(
        "task, agent's Python",
        (
            "tests/stackyard_task/test_clearml_link.py",
            "tests/stackyard_task/test_clearml_live.py",
            "tests/stackyard_task/test_clearml_pipeline.py",
            "tests/stackyard_task/test_box.py",
            "tests/stackyard_task/test_ordinary.py",
            "tests/stackyard_task/test_ordinary_endings.py",
            "tests/stackyard_task/metrics/test_offline.py",
            "tests/stackyard_task/test_telemetry.py",
        ),
        control,
        workers=1,
    ),
    Suite("faults", ("tests/faults",), control, share="load"),
    Suite(
        "guest, default stack",
        ("tests/stackyard_detector",),
        lambda: stack_python(stacks.DEFAULT),
        OLD_STACK,
        workers=1,
        stack=OLD_STACK,
    ),
    # at reduced counts only the oldest Python tries the task's side by itself; runs on both stacks are in other suites
    Suite(
        "task, default stack",
        ("tests/stackyard_task",),
        lambda: stack_python(stacks.DEFAULT),
        OLD_STACK,
        workers=1,
        extents=("long",),
        stack=OLD_STACK,
    ),
    Suite(
        "task, Python 3.9 and torch 1.10.2",
        ("tests/stackyard_task",),
        lambda: stack_python(OLD_STACK),
        stacks.DEFAULT,
        workers=1,
        stack=OLD_STACK,
    ),
    # of the guest, only what depends on torch's version or Python's
    Suite(
        "guest, Python 3.9 and torch 1.10.2",
        ("tests/stackyard_detector",),
        lambda: stack_python(OLD_STACK),
        stacks.DEFAULT,
        workers=1,
        marks="torch or python",
        stack=OLD_STACK,
    ),
    Suite(
        "second guest, scikit-learn",
        ("tests/stackyard_tabular",),
        lambda: stack_python(TABLE_STACK),
        workers=1,
        stack=TABLE_STACK,
    ),
    Suite("task, our own Python", ("tests/stackyard_task",), control, extents=("fast",), stack=""),
    Suite("examples", ("tests/test_examples.py",), control),
    Suite("ansible", ("tests/ansible",), control, workers=1, extents=EVERY, stack=""),
    Suite(
        "house",
        tuple(
            f"tests/{path.name}"
            for path in sorted((ROOT / "tests").glob("test_*.py"))
            if path.name != "test_examples.py"
        ),
        control,
        workers=1,
        extents=EVERY,
        stack="",
    ),
)


@functools.cache
def code_digest() -> str:
    """A digest of everything the suites depend on: of all but what is made here."""
    digest = hashlib.sha256()
    for top in sorted(ROOT.iterdir()):
        if top.name.startswith(".") or top.name in MADE_HERE:
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def counted(report: Path) -> Counts:
    """The counts of a JUnit XML report."""
    counts = Counts()
    for case in ElementTree.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            counts.skipped += 1
            counts.reasons.append(skipped.get("message", "no reason given").splitlines()[0])
        elif case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
        else:
            counts.passed += 1
    return counts


@dataclass(frozen=True)
class Extent:
    """How much of every suite is run."""

    name: str
    #: Which marks: a pytest expression.
    marks: str = ""
    full_counts: bool = False


REDUCED = Extent("reduced", "not long")
LONG = Extent("long", full_counts=True)
FAST = Extent("fast", "not long and not whole and not slow")


def run(suite: Suite, extent: Extent) -> Counts:
    """Run a suite; what pytest said is in its log."""
    for ending in ("log", "xml"):  # of an earlier run
        suite.file(ending).unlink(missing_ok=True)
    try:
        python, path = suite.interpreter()
    except (StackyardError, subprocess.CalledProcessError) as reason:
        return Counts(skipped=1, reasons=[f"whole suite {suite.name!r}: {reason}"])
    report = suite.file("xml")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    environment["STACKYARD_LONG"] = "1" if extent.full_counts else ""
    # else each of hundreds of processes compiles all that it imports
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment.setdefault("OMP_NUM_THREADS", "1")  # threads that outnumber free cores spin for minutes
    if not path:
        del environment["PYTHONPATH"]
    other = suite.other_stack and stacks.python_of(
        stacks.load()[suite.other_stack], Settings.from_environment()
    )
    if other:
        environment["STACKYARD_OTHER_PYTHON"] = str(other)
    targets = [p for p in suite.paths if (ROOT / p).exists()]
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "--durations=10", f"--junitxml={report}"]
    options += [f"--numprocesses={suite.workers}", f"--dist={suite.share}", "--no-loadscope-reorder"]
    marks = " and ".join(
        f"({one})" for one in (extent.marks, "" if extent.full_counts else suite.marks) if one
    )
    options += ["-m", marks] if marks else []
    command = [str(python), "-m", "pytest", *options, *targets]
    with suite.file("log").open("wb") as log:
        status = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False
        ).returncode
    counts = counted(report) if report.exists() else Counts()
    if status not in (0, NO_TESTS) and not counts.failed:
        counts.failed += 1  # pytest itself broke: nothing may hide that
    return counts


class Places:
    """Room for so many processes at a time; who asks first, comes in first."""

    def __init__(self, count: int) -> None:
        self.count = self.free = count
        self._changed = threading.Condition()
        self._turn = 0

    @contextlib.contextmanager
    def taken(self, wanted: int, turn: int) -> Iterator[None]:
        """Room for ``wanted`` processes, or for all there can be; given in the order of turns."""
        wanted = min(wanted, self.count)
        with self._changed:
            self._changed.wait_for(lambda: turn == self._turn and wanted <= self.free)
            self.free -= wanted
            self._turn += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.free += wanted
                self._changed.notify_all()


def build(stack: str) -> None:
    """Build a stack that suites run tasks on; where it cannot be had, they say so themselves."""
    with contextlib.suppress(StackyardError, subprocess.CalledProcessError):
        stack_python(stack)


def run_all(suites: Sequence[Suite], extent: Extent) -> Counts:
    """Run suites side by side, and build the stacks meanwhile; each one's output in one piece when it has ended."""
    total, said, interrupted = Counts(), threading.Lock(), threading.Event()
    places = Places(PROCESSES_PER_CORE * (os.cpu_count() or 2))

    def one(turn: int, suite: Suite) -> None:
        with places.taken(suite.workers, turn):
            if suite.stack in built:
                built[suite.stack].result()
            if interrupted.is_set():
                return
            begun = time.monotonic()
            counts = run(suite, extent)
        took = time.monotonic() - begun
        with said:
            print(f"\n== {suite.name}", flush=True)
            if suite.file("log").exists():
                print(suite.file("log").read_text(errors="replace"), flush=True)
            figures = f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped"
            print(f"== {suite.name}: {figures} in {took:.0f} s", flush=True)
            if extent.full_counts and counts.passed and not counts.failed:
                suite.passed_before().write_text(json.dumps({"suite": suite.name, "passed": counts.passed}))
            total.add(counts)

    builder, pool = ThreadPoolExecutor(1), ThreadPoolExecutor(max(1, len(suites)))
    built = {stack: builder.submit(build, stack) for stack in STACKS} if extent is not FAST else {}
    begun_all = [pool.submit(one, turn, suite) for turn, suite in enumerate(suites)]
    try:
        for suite_ended in begun_all:
            suite_ended.result()
    except KeyboardInterrupt:
        interrupted.set()  # no further suite begins; those that run were interrupted, too, and clean up
        wait(begun_all, GRACE_SECONDS)
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(130)  # what is left is ended by the run's watcher
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="full counts; what passed is not repeated")
    parser.add_argument(
        "--fast", action="store_true", help="no agents, containers, browsers, no stack's Python"
    )
    parser.add_argument("--only", metavar="WORD", default="", help="suites whose name holds WORD")
    options = parser.parse_args()
    if os.environ.get("MAKELEVEL"):  # a `make` that is killed takes nothing with it by itself
        session.end_with_parent()
    session.begin()
    HOME.mkdir(parents=True, exist_ok=True)
    extent = LONG if options.long else FAST if options.fast else REDUCED
    suites = [s for s in SUITES if options.only in s.name and extent.name in s.extents]
    if not suites:
        parser.error(f"no suite's name holds {options.only!r}")
    if extent is REDUCED:
        print("reduced counts: `make test-long` runs every suite in full")
    if extent is LONG:
        for suite in [s for s in suites if s.passed_before().exists()]:
            passed = json.loads(suite.passed_before().read_text())["passed"]
            print(f"== {suite.name}: passed before with this code ({passed} tests)")
            suites.remove(suite)
    begun = time.monotonic()
    print(f"side by side: {', '.join(suite.name for suite in suites)}", flush=True)
    total = run_all(suites, extent)
    if total.reasons:
        print("\nskipped, and why:")
        for reason in sorted(set(total.reasons)):
            print(f"  {total.reasons.count(reason)} x {reason}")
    took = time.monotonic() - begun
    print(f"\n{total.passed} passed, {total.failed} failed, {total.skipped} skipped in {took:.0f} s")
    return 1 if total.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
