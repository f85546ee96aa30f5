"""One run from the command line: a workload's declared parameters as options, a run folder as the result.

What the entry scripts in ``tasks/`` call. Measures and runs nothing itself: it writes ``task.json`` and hands
over to the supervisor. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from pathlib import Path
from typing import Any, List, Optional

from stackyard_task import records, run
from stackyard_task.records import Limits, TaskSpec
from stackyard_task.workloads import WORKLOADS, Parameter, ParameterError, Workload, checked

#: Exit status for options that cannot be used, as argparse has it.
UNUSABLE = 2


def main(workload_name: str, arguments: Optional[List[str]] = None) -> int:
    """Run one workload as the options ask; 0 if it completed.

    Args:
        workload_name: a key of ``workloads.WORKLOADS``.
        arguments: instead of the process' own.
    """
    workload = WORKLOADS[workload_name]
    parser = parser_of(workload)
    given = vars(parser.parse_args(arguments))
    folder = Path(given.pop("out")).resolve()
    cores, memory = given.pop("cores"), given.pop("memory_bytes")
    time_limit = given.pop("time_limit_seconds")
    try:
        parameters = checked(workload, {k: v for k, v in given.items() if v is not None})
    except ParameterError as error:
        parser.error(str(error))
    if (folder / records.RECORD_FILE).exists():
        parser.error(f"{folder} already holds a run; choose another --out")
    task = TaskSpec(
        run_id=f"{workload_name}/{uuid.uuid4().hex[:8]}",
        workload=workload_name,
        parameters=parameters,
        limits=Limits(cores=cores, memory_bytes=memory),
        time_limit_seconds=time_limit,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        records.write_json(task, folder / records.TASK_FILE)
    except OSError as error:
        parser.error(f"{folder} cannot be written ({error.strerror}); choose another --out")
    status = run.main([str(folder)])
    print(folder / records.RECORD_FILE)
    return status


def parser_of(workload: Workload) -> argparse.ArgumentParser:
    """The options of a workload: ``--out``, the limits, and one per declared parameter."""
    parser = argparse.ArgumentParser(
        prog=Path(sys.argv[0]).name, description=f"{workload.name}: {workload.help}."
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the record and the outputs")
    limits = parser.add_argument_group("limits")
    limits.add_argument("--cores", type=_positive, metavar="N", help="greatest CPU use in cores, such as 0.5")
    limits.add_argument("--memory-bytes", type=_positive_whole, metavar="N", help="greatest memory")
    limits.add_argument("--time-limit-seconds", type=_positive, metavar="N", help="longest wall time")
    group = parser.add_argument_group("parameters")
    for parameter in workload.parameters:
        shown = "" if parameter.default is None else f" (default: {parameter.default})"
        group.add_argument(
            "--" + parameter.name.replace("_", "-"),
            type=_reader(parameter),
            choices=parameter.choices or None,
            required=parameter.required,
            metavar=None if parameter.choices else _METAVARS[parameter.kind],
            help=(parameter.help + shown).replace("%", "%%"),
        )
    return parser


_METAVARS = {
    "integer": "N",
    "number": "X",
    "text": "TEXT",
    "flag": "true|false",
    "data": "JSON",
    "model": "DIR",
}
_METAVARS["choice"] = "NAME"


def _reader(parameter: Parameter) -> Any:
    return {"integer": int, "number": float, "flag": _flag, "data": _data}.get(parameter.kind, str)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _data(text: str) -> Any:
    """Sources as JSON text, or the path of a JSON file that holds them."""
    try:
        return json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither JSON ({{"sources": [...]}}) nor a readable file ({error.strerror})'
        ) from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error})") from error


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _positive_whole(text: str) -> int:
    return int(_positive(text))
