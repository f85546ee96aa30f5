"""``python -m bench.detector``: the detector's figures, in a stack's own Python.

Runs in any Python of the project. Where PyTorch is not importable, everything is done by a child in a
stack's Python: ``--python``, else $STACKYARD_STACK_PYTHON, else this checkout's default stack, where built.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent.parent
if importlib.util.find_spec("stackyard_task") is None:
    sys.path.insert(0, str(ROOT / "src"))
# The processes this bench starts find the project too, whatever Python they run in.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
)

from bench.detector import hdfs  # noqa: E402
from bench.result import Result, arguments, data_absent, data_folder  # noqa: E402

#: The parts in the order they run, and the module that measures each.
PARTS = ("reading", "quality", "worth", "speed", "threads")
#: Measured only where asked for: what a choice was made by.
APART = ("corruption",)
NEED_NUMPY = ("quality", "worth", "corruption")
#: Parts that make what they measure with.
WITHOUT_DATA = ("reading",)


def main() -> None:
    """Parse the options, find an interpreter with PyTorch, measure."""
    parser = arguments("detector", "Quality and speed of the detector on the shared HDFS sequences.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data sets")
    parser.add_argument(
        "--only", choices=(*PARTS, *APART), action="append", help="only this part; may be repeated"
    )
    parser.add_argument("--python", type=Path, metavar="FILE", help="the stack's interpreter")
    parser.add_argument("--duckdb-python", type=Path, metavar="FILE", help="a Python that has DuckDB")
    options = parser.parse_args()
    parts = options.only or list(PARTS)
    result = Result("detector", [name for part in parts for name in _figure_names(part)])
    folder = data_folder(options.data)
    missing = hdfs.missing(folder)
    if missing:
        reason = f"hdfs_logdeep is not on this machine ({', '.join(missing)}); give --data or $STACKYARD_DATA"
        if not set(parts) & set(WITHOUT_DATA):
            data_absent(result, reason, options.json)
            return
        for part in parts:
            if part not in WITHOUT_DATA:
                result.row(part=part, not_measured=reason)
        parts = [part for part in parts if part in WITHOUT_DATA]
    if importlib.util.find_spec("torch") is None:
        python, why_not = _stack_python(options.python)
        if python is None:
            data_absent(result, why_not, options.json)
            return
        raise SystemExit(_again(python))
    for part in parts:
        module = _module(part)
        if module is None:
            result.row(part=part, not_measured="this checkout has no such part")
            continue
        print(f"{part}:", flush=True)
        more = {"duckdb_python": options.duckdb_python} if part == "reading" else {}
        module.figures(folder, result, options.quick, **more)
    result.finish(options.json)


def _module(part: str):  # type: ignore[no-untyped-def]
    if importlib.util.find_spec(f"bench.detector.{part}") is None:
        return None
    return importlib.import_module(f"bench.detector.{part}")


def _figure_names(part: str) -> Tuple[str, ...]:
    module = _module(part) if importlib.util.find_spec("numpy") or part not in NEED_NUMPY else None
    return tuple(getattr(module, "FIGURES", ()))


def _stack_python(given: Optional[Path]) -> Tuple[Optional[Path], str]:
    """A stack's interpreter, or the reason why there is none."""
    named = given or os.environ.get("STACKYARD_STACK_PYTHON")
    if named:
        return Path(named), ""
    try:
        from stackyard import stacks
        from stackyard.settings import Settings

        loaded = stacks.load()
        python = stacks.python_of(loaded[stacks.DEFAULT], Settings.from_environment())
    except (ImportError, AttributeError, KeyError) as error:
        return None, f"PyTorch is not importable and no stack was found ({error}); give --python"
    if python is None:
        return None, "PyTorch is not importable and the default stack is not built: `stackyard stack build`"
    return python, ""


def _again(python: Path) -> int:
    """Run this bench again in ``python``; its exit status."""
    print(f"measuring in {python}", flush=True)
    environment = dict(os.environ)
    # The child must not come back here: it has PyTorch or says that it has not.
    if environment.get("STACKYARD_BENCH_CHILD"):
        print(f"{python} has no PyTorch either; give another --python", file=sys.stderr)
        return 2
    environment["STACKYARD_BENCH_CHILD"] = "1"
    return subprocess.call([str(python), "-m", "bench.detector", *sys.argv[1:]], env=environment)


if __name__ == "__main__":
    main()
