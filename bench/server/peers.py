"""An MLflow to measure against, in a virtual environment of its own, made on first use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MLFLOW = "mlflow==3.17.2"


def mlflow_python(given: Path | None) -> tuple[Path | None, str]:
    """(a Python that has MLflow, "") or (None, why not)."""
    if given is not None:
        return given, ""
    # absolute: the server under test runs in a folder of its own
    folder = (Path(os.environ.get("STACKYARD_HOME", ".stackyard")) / "bench-mlflow").resolve()
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python, ""
    print(f"installing {MLFLOW} into {folder} ...", flush=True)
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True
        )
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MLFLOW]
        subprocess.run(install, check=True, capture_output=True, timeout=900)
    except (subprocess.SubprocessError, OSError) as fault:
        return None, f"{MLFLOW} could not be installed: {fault}"
    (folder / "complete").touch()
    return python, ""
