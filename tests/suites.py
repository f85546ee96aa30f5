"""Runs the test suites, each in the Python it belongs to, and counts what passed, failed and was skipped.

``make test`` runs every suite at reduced counts; ``make test-long`` at full counts (``STACKYARD_LONG=1``)
and, being long, does not repeat a suite that passed with the same code. A suite that cannot be had on this
machine is skipped with its reason and counted. Standard library and ``stackyard`` only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stackyard import stacks
from stackyard.errors import StackyardError
from stackyard.settings import Settings
from tests import session

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".stackyard" / "tests"
OLD_STACK = "torch-1.10.2-cu102"
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


SUITES = (
    Suite("house", ("tests/test_imports.py", "tests/test_docs.py", "tests/test_session.py"), control),
    # real agents, servers and containers: much waiting
    Suite("our side", ("tests/stackyard",), control, workers=4),
    # these need the ClearML SDK or OpenTelemetry, which the agent's Python has and no stack
    Suite(
        "task, agent's Python",
        (
            "tests/stackyard_task/test_clearml_link.py",
            "tests/stackyard_task/test_clearml_live.py",
            "tests/stackyard_task/test_telemetry.py",
        ),
        control,
    ),
    Suite("server", ("tests/stackyard_server",), control),
    Suite("faults", ("tests/faults",), control, workers=3, share="load"),
    Suite(
        "task, default stack",
        ("tests/stackyard_task", "tests/stackyard_detector"),
        lambda: stack_python(stacks.DEFAULT),
        OLD_STACK,
    ),
    Suite(
        "task, Python 3.9 and torch 1.10.2",
        ("tests/stackyard_task", "tests/stackyard_detector"),
        lambda: stack_python(OLD_STACK),
        stacks.DEFAULT,
    ),
)


def code_digest() -> str:
    """A digest of everything the suites depend on."""
    digest = hashlib.sha256()
    for folder in ("src", "tests", "agents", "scenarios", "pipelines", "server", "bench", "tasks"):
        for path in sorted((ROOT / folder).rglob("*")):
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


def run(suite: Suite, long: bool) -> Counts:
    try:
        python, path = suite.interpreter()
    except (StackyardError, subprocess.CalledProcessError) as reason:
        return Counts(skipped=1, reasons=[f"whole suite {suite.name!r}: {reason}"])
    HOME.mkdir(parents=True, exist_ok=True)
    report = HOME / f"{suite.name.replace(' ', '-').replace(',', '')}.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    environment["STACKYARD_LONG"] = "1" if long else ""
    environment.setdefault("OMP_NUM_THREADS", "1")  # threads that outnumber free cores spin for minutes
    if not path:
        del environment["PYTHONPATH"]
    other = suite.other_stack and stacks.python_of(
        stacks.load()[suite.other_stack], Settings.from_environment()
    )
    if other:
        environment["STACKYARD_OTHER_PYTHON"] = str(other)
    targets = [p for p in suite.paths if (ROOT / p).exists()]
    options = ["-q", "--no-header", "-p", "no:cacheprovider", f"--junitxml={report}"]
    options += [f"--numprocesses={suite.workers}", f"--dist={suite.share}", "--no-loadscope-reorder"]
    options += [] if long else ["-m", "not long"]
    command = [str(python), "-m", "pytest", *options, *targets]
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    counts = counted(report) if report.exists() else Counts()
    if status != 0 and not counts.failed:
        counts.failed += 1  # pytest itself broke: nothing may hide that
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="full counts; what passed is not repeated")
    parser.add_argument("--only", metavar="WORD", default="", help="suites whose name holds WORD")
    options = parser.parse_args()
    if os.environ.get("MAKELEVEL"):  # a `make` that is killed takes nothing with it by itself
        session.end_with_parent()
    session.begin()
    total, digest = Counts(), code_digest()
    if not options.long:
        print("reduced counts: `make test-long` runs every suite in full")
    for stack in (stacks.DEFAULT, OLD_STACK):
        # suites of our side run tasks on real stacks, too; where one cannot be built, they say so themselves
        with contextlib.suppress(StackyardError, subprocess.CalledProcessError):
            stack_python(stack)
    for suite in SUITES:
        if options.only not in suite.name:
            continue
        done = HOME / f"long-{hashlib.sha256((suite.name + digest).encode()).hexdigest()[:16]}.json"
        if options.long and done.exists():
            passed = json.loads(done.read_text())["passed"]
            print(f"== {suite.name}: passed before with this code ({passed} tests)")
            continue
        print(f"\n== {suite.name}", flush=True)
        begun = time.monotonic()
        counts = run(suite, options.long)
        print(
            f"== {suite.name}: {counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped "
            f"in {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        if options.long and not counts.failed:
            done.write_text(json.dumps({"suite": suite.name, "passed": counts.passed}))
        total.add(counts)
    if total.reasons:
        print("\nskipped, and why:")
        for reason in sorted(set(total.reasons)):
            print(f"  {total.reasons.count(reason)} x {reason}")
    print(f"\n{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
