"""What a package says of sources of data: whether they can be used, and what their first lines become.

A workload of a package names a module (``trial`` in its declaration). It is asked in a process of its own, one question
on its standard input, one answer on its standard output, both JSON; docs/workloads.md has them. Nothing of a package is
imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError, StackyardError
from stackyard.workloads.environment import clean_environment
from stackyard_task.workloads import Workload

#: Seconds that an answer may take: a trial reads a thousand lines.
PATIENCE = 120.0


@dataclass(frozen=True)
class Asked:
    """Data that a module is asked about."""

    module: str
    #: Its key in the file.
    where: str
    #: {"sources": [...]}, references not yet replaced.
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Trier:
    """Who is asked: a Python, and the folder of the packages for it; without a folder the Python has them."""

    python: Path = Path(sys.executable)
    code: Path | None = None

    def asked(self, module: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """What a module answers.

        Raises:
            BadInputError: the question cannot be answered; the module says why.
            StackyardError: it does not answer.
        """
        # -P: what lies in the current folder is no module of ours; a stack's Python may be too old to know it
        words = [str(self.python), *(["-P"] if self.code is None else []), "-m", module]
        environment = dict(os.environ) if self.code is None else clean_environment(self.code)
        try:
            done = subprocess.run(
                words,
                input=json.dumps(question).encode("utf-8"),
                capture_output=True,
                timeout=PATIENCE,
                check=False,
                env=environment,
                cwd=self.code,
            )
            answer = json.loads(done.stdout) if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            raise StackyardError(f"{module} gave no answer in {PATIENCE:g} s") from None
        except (OSError, ValueError) as error:
            raise StackyardError(f"{module} could not be asked ({error})") from error
        if not isinstance(answer, dict):
            last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise StackyardError(f"{module} failed ({last or f'exit status {done.returncode}'})")
        return answer


def refuse(file: Path, asked: Iterable[Asked]) -> None:
    """See that the settings of all sources can be used, as the packages that read them say. Their files stay closed.

    Raises:
        BadInputError: some cannot; the message is the first fault, with its key.
        StackyardError: a package does not answer.
    """
    by_module: dict[str, list[Asked]] = {}
    for one in asked:
        if one not in by_module.setdefault(one.module, []):
            by_module[one.module].append(one)
    for module, data in by_module.items():
        question = {"do": "check", "data": [{"where": one.where, "value": one.value} for one in data]}
        for fault in Trier().asked(module, question)["faults"]:
            raise BadInputError(f"{file}: {fault['where']}.{fault['message']}")


def of_parameters(
    declared: Workload | None, parameters: Mapping[str, Any], data: Mapping[str, Any], where: str
) -> Iterable[Asked]:
    """The data that the parameters of a workload name, where its package checks it.

    Args:
        declared: its declaration; ``None``: it has none.
        parameters: as the file has them.
        data: the tables [data.NAME].
        where: the key of the parameters.
    """
    for parameter in declared.parameters if declared is not None and declared.trial else ():
        value = parameters.get(parameter.name) if parameter.kind == "data" else None
        if declared is None or value is None:
            continue
        name = value.removeprefix("data:") if isinstance(value, str) else ""
        if name in data:
            yield Asked(declared.trial, f"data.{name}", {"sources": [dict(source) for source in data[name]]})
        elif isinstance(value, Mapping):
            yield Asked(declared.trial, f"{where}.{parameter.name}", value)


def modules(declared: Mapping[str, Workload]) -> list[str]:
    """The modules that try sources, in the order of the declarations."""
    return list(dict.fromkeys(workload.trial for workload in declared.values() if workload.trial))
