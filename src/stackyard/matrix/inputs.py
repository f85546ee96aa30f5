"""The files that a matrix reads: what a scenario file names and is not there is told before anything starts.

May import scenarios, data and the seam. Looks each file up once; opens none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard import scenarios
from stackyard.errors import BadInputError
from stackyard.scenarios import Cell, Preparation, Scenario
from stackyard.scenarios.references import DATASET, PREPARED
from stackyard.scenarios.shape import WorkloadSpec
from stackyard_task.workloads import Workload


@dataclass(frozen=True)
class Inputs:
    """Where a scenario's files are looked for."""

    scenario: Scenario
    #: The scenario file; relative paths are seen from its folder.
    file: Path
    declared: Mapping[str, Workload]
    #: Sees that "dataset:NAME/FILE" can be had; raises BadInputError where it cannot.
    dataset: Callable[[str], object]
    #: Whether a deployment runs where other files may lie: an absolute path is not looked for then.
    elsewhere: Callable[[str], bool] = lambda deployment: False

    def refuse_missing(self, cells: Iterable[Cell], preparations: Iterable[Preparation]) -> None:
        """See that every file is there that these cells and preparations read.

        Raises:
            BadInputError: one is not; the message names the key.
        """
        seen: set[tuple[str, str]] = set()
        for where, text in [*self._of_preparations(preparations), *self._of_cells(cells)]:
            if (where, text) not in seen:
                seen.add((where, text))
                reason = self._why_not(text)
                if reason is not None:
                    raise BadInputError(f"{self.file}: {where} is {text!r}: {reason}")

    def _of_preparations(self, preparations: Iterable[Preparation]) -> Iterator[tuple[str, str]]:
        for preparation in preparations:
            where = f"prepare.{preparation.name}"
            yield from self._named(preparation, preparation.parameters, where, False)

    def _of_cells(self, cells: Iterable[Cell]) -> Iterator[tuple[str, str]]:
        for cell in cells:
            settings = scenarios.settings_of(self.scenario, cell)
            where = f"workloads.{settings.workload.name}"
            elsewhere = self.elsewhere(settings.deployment)
            yield from self._named(settings.workload, settings.parameters, where, elsewhere)

    def _named(
        self, of: WorkloadSpec | Preparation, parameters: Mapping[str, Any], where: str, elsewhere: bool
    ) -> Iterator[tuple[str, str]]:
        declared = of.declared or self.declared.get(of.workload)
        models = [p.name for p in declared.parameters if p.kind == "model"] if declared is not None else []
        for key, text in (
            *scenarios.files(parameters, self.scenario.data, f"{where}.parameters"),
            *((f"{where}.parameters.{name}", parameters[name]) for name in models if parameters.get(name)),
            *((f"{where}.inputs.{name}", text) for name, text in of.inputs.items()),
        ):
            if not (elsewhere and text.startswith("/")):
                yield key, text

    def _why_not(self, text: str) -> str | None:
        if text.startswith(PREPARED):
            return None
        if text.startswith(DATASET):
            try:
                self.dataset(text)
            except BadInputError as error:
                return str(error)
            return None
        path = self.file.parent / text
        try:
            path.stat()
        except FileNotFoundError:
            return f"there is no file {path.absolute()}"
        except (
            OSError,
            ValueError,
        ) as error:  # a name too long, with NUL, below a file, or not to be looked at
            return f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        return None
