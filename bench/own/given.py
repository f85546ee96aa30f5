"""The examples that the project gives: each is run once as its first line says, and counts where it fails."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, List

from bench.own.yard import ROOT, Yard, last_line
from bench.result import NotHere, Result
from stackyard import stacks
from stackyard.settings import Settings

if sys.version_info >= (3, 11):
    import tomllib

FIGURES = ("examples_failed", "examples_run")
#: Those that take seconds, for --quick.
QUICK = ("own-script", "program-in-c", "shell-command")


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Run them in a home that has the stacks that are built; what else they need is built there, and goes with it."""
    scenarios = sorted(ROOT.glob("examples/*/scenario.toml"))
    if quick:
        scenarios = [path for path in scenarios if path.parent.name in QUICK]
    if not scenarios:
        raise NotHere("there are no examples with a scenario.toml")
    home = yard.made("home")
    (home / "stacks").mkdir()
    for entry in (yard.home / "stacks").iterdir() if (yard.home / "stacks").is_dir() else ():
        (home / "stacks" / entry.name).symlink_to(entry)
    variables = yard.variables(STACKYARD_HOME=str(home))
    if "STACKYARD_DATA" in os.environ:
        variables["STACKYARD_DATA"] = os.environ["STACKYARD_DATA"]
    failed = ran = 0
    for scenario in scenarios:
        name = scenario.parent.name
        try:
            yard.check_time(60)
            _build(yard, scenario, home, variables)
        except NotHere as reason:
            result.row(part="given", example=name, not_measured=str(reason))
            continue
        begun = time.monotonic()
        out = ["--out", str(yard.new(name)), "--repeats", "1"]
        ended = yard.run(
            [yard.stackyard, "scenario", "run", str(scenario), *out], folder=ROOT, variables=variables
        )
        ran += 1
        failed += ended.status != 0
        said = {} if ended.status == 0 else {"status": ended.status, "said": last_line(ended.stderr)[-300:]}
        result.row(part="given", example=name, seconds=round(time.monotonic() - begun, 1), **said)
        if said:
            print(f"  failed: {name}: {said['said']}", flush=True)
        result.figure("examples_failed", failed)
        result.figure("examples_run", ran)


def _build(yard: Yard, scenario: Path, home: Path, variables: Any) -> None:
    """Build the stacks that a scenario names and that are not built.

    Raises:
        NotHere: one cannot be built here.
    """
    axes = tomllib.loads(scenario.read_text(encoding="utf-8")).get("axes", {})
    defined = stacks.load()
    missing: List[str] = [
        name
        for name in axes.get("stack", [])
        if name in defined and stacks.python_of(defined[name], Settings(home=home)) is None
    ]
    for name in missing:
        ended = yard.run([yard.stackyard, "stack", "build", name], variables=variables)
        if ended.status != 0:
            raise NotHere(f"stack {name} cannot be built here: {last_line(ended.stderr)}")
