"""The task that a supervisor gets: of a cell in a block, or of a preparation.

May import scenarios, runs, site and the records of the seam. Starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stackyard import scenarios
from stackyard.matrix.plan import Plan, PlannedBlock
from stackyard.matrix.runs import RunFolder
from stackyard.matrix.site import Site
from stackyard.scenarios import Cell, Preparation, References, Scenario
from stackyard.workloads import code_folders
from stackyard_task import workloads
from stackyard_task.records import Code, Limits, TaskSpec
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
    #: Key of a workload or preparation -> the archive of the folder that travels with it.
    archives: Mapping[str, Path] = field(default_factory=dict)

    def of_cell(self, block: PlannedBlock, cell: Cell) -> TaskSpec:
        """The task of a cell's run in a block, all workers' work in one."""
        settings = scenarios.settings_of(self.scenario, cell)
        environment, tunables = self.site.environment_of(settings.stack)
        chosen = tunables if settings.tunables is None else settings.tunables
        deployment = self.site.deployment(settings.deployment)
        declared = self._declared(scenarios.declared_of(settings), settings.workload.workload)
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
            criteria=self.scenario.stop,
            code=self._code(settings.workload.key),
            measure=self.plan.measure,
            work=self._archive(settings.workload.key),
            inputs=self._inputs(settings.workload.inputs),
        )

    def of_preparation(self, preparation: Preparation) -> TaskSpec:
        """The task of a run that is made once before the matrix."""
        environment, tunables = self.site.environment_of(preparation.stack)
        deployment = self.site.deployment(self.site.default_deployment)
        declared = self._declared(preparation.declared, preparation.workload)
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
            code=self._code(preparation.key),
            work=self._archive(preparation.key),
            inputs=self._inputs(preparation.inputs),
        )

    def _declared(self, declared: Workload | None, name: str) -> Workload | None:
        """The declaration that a task carries: a command's folder, seen from the file, is a place of this machine."""
        declared = declared or self.site.declared(name)
        return None if declared is None else code_folders.in_place(declared, self.beside)

    def _code(self, key: str) -> Code:
        folder = self.plan.folders.get(key)
        if folder is None:
            return self.plan.code
        return replace(
            self.plan.code, own_digest=folder.digest, own_version=folder.commit, own_dirty=folder.dirty
        )

    def _archive(self, key: str) -> str | None:
        archive = self.archives.get(key)
        return None if archive is None else str(archive)

    def _inputs(self, inputs: Mapping[str, str]) -> dict[str, str]:
        return {name: found["path"] for name, found in self._resolved(scenarios.of_inputs(inputs)).items()}

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
