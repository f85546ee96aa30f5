"""The task that a supervisor gets: of a cell in a block, or of a preparation.

May import scenarios, runs, site and the records of the seam. Starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard import scenarios
from stackyard.matrix.runs import Plan, PlannedBlock, RunFolder
from stackyard.matrix.site import Site
from stackyard.scenarios import Cell, Preparation, References, Scenario
from stackyard_task import workloads
from stackyard_task.records import Limits, TaskSpec
from stackyard_task.workloads import Workload


@dataclass(frozen=True)
class TaskSpecs:
    """Makes the tasks of one planned matrix."""

    scenario: Scenario
    plan: Plan
    folder: RunFolder
    site: Site
    #: Folder of the scenario file; relative paths of sources are seen from there.
    beside: Path

    def of_cell(self, block: PlannedBlock, cell: Cell) -> TaskSpec:
        """The task of a cell's run in a block, all workers' work in one."""
        settings = scenarios.settings_of(self.scenario, cell)
        environment, tunables = self.site.environment_of(settings.stack)
        chosen = tunables if settings.tunables is None else settings.tunables
        deployment = self.site.deployment(settings.deployment)
        declared = self.site.declared(settings.workload.workload)
        return TaskSpec(
            run_id=f"{self.plan.name}/{block.name}-{cell.slug}",
            workload=settings.workload.workload,
            parameters=self._complete(declared, settings.parameters),
            declared=declared,
            scenario=self.plan.name,
            cell=dict(cell.axes),
            block=None if block.warm_up else block.number,
            warm_up=block.warm_up,
            stack=self.site.pin_of(settings.stack),
            limits=Limits(settings.hardware.cores, settings.hardware.memory_bytes),
            threads=settings.threads,
            environment={
                **environment,
                **chosen,
                **settings.environment,
                **deployment.environment(settings.hardware.gpus),
            },
            time_limit_seconds=self.scenario.time_limit_seconds,
            code=self.plan.code,
            measure=self.plan.measure,
        )

    def of_preparation(self, preparation: Preparation) -> TaskSpec:
        """The task of a run that is made once before the matrix."""
        environment, tunables = self.site.environment_of(preparation.stack)
        deployment = self.site.deployment(self.site.default_deployment)
        declared = self.site.declared(preparation.workload)
        return TaskSpec(
            run_id=f"{self.plan.name}/prepare-{preparation.name}",
            workload=preparation.workload,
            parameters=self._complete(declared, preparation.parameters),
            declared=declared,
            scenario=self.plan.name,
            stack=self.site.pin_of(preparation.stack),
            threads=preparation.threads,
            environment={**environment, **tunables, **deployment.environment(0)},
            time_limit_seconds=preparation.time_limit_seconds,
            code=self.plan.code,
        )

    def _complete(self, declared: Workload | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Paths in place of references, then what the declaration says where nothing is given: so a record says it."""
        resolved = self._resolved(parameters)
        return resolved if declared is None else workloads.checked(declared, resolved)

    def _resolved(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        replace = References(
            dataset=lambda reference: str(self.site.dataset(reference)),
            prepared=lambda reference: str(self.folder.prepared_file(reference).resolve()),
            beside=lambda path: str(self.beside / path),
        )
        value: dict[str, Any] = scenarios.resolved(parameters, self.scenario.data, replace)
        return value
