"""What packages on top of a stack cost: scikit-learn and pandas on the default stack, their wheels in the cache."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

from bench.own.yard import STACK, Yard, last_line
from bench.result import NotHere, Result

FIGURES = ("derived_stack_seconds", "derived_stack_bytes_share")
REQUIREMENTS = "scikit-learn\npandas\n"


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Define and build it twice, each time in a home that has the base alone; the first fills pip's cache."""
    base = yard.stack_folder()
    requirements = yard.new("requirements").with_suffix(".txt")
    requirements.write_text(REQUIREMENTS, encoding="utf-8")
    for warm in (False, True):
        yard.check_time(60)
        home = yard.made("home")
        (home / "stacks").mkdir()
        for part in (base.name, f"{base.name}.log"):
            if (base.parent / part).exists():
                (home / "stacks" / part).symlink_to(base.parent / part)
        took: Dict[str, float] = {}
        used: Dict[str, Any] = {}
        for name, words in {
            "derive": ["derive", "derived", "--base", STACK, "--requirements", str(requirements)],
            "build": ["build", "derived"],
        }.items():
            variables = yard.variables(STACKYARD_HOME=str(home))
            ended = yard.run([yard.stackyard, "stack", *words], counted=True, variables=variables)
            if ended.status != 0:
                raise NotHere(f"stackyard stack {name} failed: {last_line(ended.stderr)}")
            took[name], used[name] = ended.wall_seconds, ended.cpu_seconds
        result.row(part="derived", wheels_in_cache=warm, wall_seconds=took, cpu_seconds=used)
    result.figure("derived_stack_seconds", sum(took.values()))
    (folder,) = (
        Path(row["interpreter"]).parent.parent for row in _listed(yard, home) if row["name"] == "derived"
    )
    # what an import compiles is counted too
    imported = yard.run([str(folder / "bin" / "python"), "-c", "import sklearn, pandas, torch"])
    if imported.status != 0:
        raise NotHere(f"the derived stack does not work: {last_line(imported.stderr)}")
    own, every = blocks(base.resolve(), folder)
    result.figure("derived_stack_bytes_share", own / every)
    result.row(part="derived", own_mb=round(own / 1e6, 1), whole_mb=round(every / 1e6, 1))


def _listed(yard: Yard, home: Path) -> List[Dict[str, Any]]:
    told = subprocess.run(
        [yard.stackyard, "stack", "list", "--json"],
        env=yard.variables(STACKYARD_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    stacks: List[Dict[str, Any]] = json.loads(told.stdout)["stacks"]
    return stacks


def blocks(base: Path, folder: Path) -> Tuple[int, int]:
    """(bytes on disk of what ``folder`` does not share with ``base`` by hard links, bytes on disk of all of it)."""
    theirs: Set[Tuple[int, int]] = {(s.st_dev, s.st_ino) for s in _stats(base)}
    own = every = 0
    seen: Set[Tuple[int, int]] = set()
    for stat in _stats(folder):
        key = (stat.st_dev, stat.st_ino)
        if key in seen:
            continue
        seen.add(key)
        every += stat.st_blocks * 512
        own += 0 if key in theirs else stat.st_blocks * 512
    return own, every


def _stats(folder: Path) -> List[os.stat_result]:
    """Of every file and folder in it."""
    found = [os.lstat(folder)]
    for place, folders, files in os.walk(folder):
        found += [os.lstat(os.path.join(place, name)) for name in (*folders, *files)]
    return found
