"""The product as a bench uses it: ``stackyard tune`` as a process, and what it leaves, read as JSON."""

from __future__ import annotations

import datetime
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 1800.0


def run(
    text: str,
    folder: Path,
    expected: Sequence[int] = (0,),
    variables: Optional[Mapping[str, str]] = None,
) -> Dict[str, Any]:
    """Search as a study file says; its folder is ``folder / "study"``.

    Args:
        text: the study file.
        folder: made here.
        expected: exit statuses that are well.
        variables: of the environment, instead of this process'.

    Raises:
        RuntimeError: it ended otherwise than expected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "stackyard.cli.main",
        "tune",
        "run",
        str(file),
        "--out",
        str(folder / "study"),
    ]
    made = subprocess.run(
        [*command, "--json"],
        cwd=ROOT,
        env={**(os.environ if variables is None else variables), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if made.returncode not in expected:
        raise RuntimeError(f"the study ended with {made.returncode}: {made.stderr[-2000:]}")
    found: Dict[str, Any] = json.loads(made.stdout) if made.stdout else {}
    return found


def trials(folder: Path) -> List[Dict[str, Any]]:
    """Every trial of the study in a folder, in order, as its file has it."""
    files = sorted((folder / "study" / "runs").glob("t[0-9]*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def instant(text: str) -> float:
    """Epoch seconds of an instant as files have it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
