"""Tasks on a real server as the SDK leaves them: parameters, scalars, records, how they ended."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from stackyard import comparing
from stackyard.clearml.client import Client
from stackyard.comparing import Asked
from stackyard.comparing.selection import Selection
from stackyard.reports.report import Report, ReportOptions
from stackyard_task import records
from stackyard_task.records import RunRecord
from tests.stackyard.reports.synthetic import record

_NUMBERS = itertools.count()


@dataclass
class Lab:
    """A project on a server, and what is done with it."""

    client: Client
    project: str = field(default_factory=lambda: f"Comparing {next(_NUMBERS)}")

    def task(
        self,
        parameters: Mapping[str, object] | None = None,
        scalars: Mapping[str, Sequence[float]] | None = None,
        *,
        run: RunRecord | None = None,
        preview: str | None = None,
        end: str = "completed",
        name: str = "train",
        below: str = "",
        script: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> str:
        """A task that has ended; its id.

        Args:
            parameters: "Args/lr" -> its value.
            scalars: "loss/val" -> values from iteration 0 on; of "Summary" one value.
            run: the record it carries.
            preview: what the server shows of the record's artifact instead of all of it.
            end: "completed", "failed", "stopped", or "in_progress".
            name: the task's name.
            below: of the project's sub-project.
            script: repository, version_num, entry_point, diff.
            fields: what else ``tasks.create`` takes.
        """
        hyperparams: dict[str, dict[str, Any]] = {}
        for key, value in (parameters or {}).items():
            section, _, given = key.partition("/")
            hyperparams.setdefault(section, {})[given] = {
                "section": section,
                "name": given,
                "value": str(value),
            }
        project = self.project + (f"/{below}" if below else "")
        made = self.client.call(
            "projects.get_all", name=f"^{project}$", only_fields=["id"], search_hidden=True
        )["projects"]
        place = (
            made[0]["id"] if made else self.client.call("projects.create", name=project, description="")["id"]
        )
        fields = {"hyperparams": hyperparams, "script": dict(script or {}), **fields}
        id = str(self.client.call("tasks.create", name=name, project=place, type="training", **fields)["id"])
        self.client.call("tasks.started", task=id)
        events = [
            {
                "type": "training_stats_scalar",
                "task": id,
                "metric": title.rpartition("/")[0],
                "variant": title.rpartition("/")[2],
                "iter": -(2**31) if title.startswith("Summary/") else iteration,
                "value": value,
            }
            for title, values in (scalars or {}).items()
            for iteration, value in enumerate(values)
        ]
        if events:
            self.client.call_lines("events.add_batch", events)
        if run is not None or preview is not None:
            self.artifact(
                id, json.dumps(records.to_json(run), indent=1) if preview is None and run else preview or ""
            )
        if end == "completed":
            self.client.call("tasks.completed", task=id)
        elif end == "failed":
            self.client.call("tasks.failed", task=id, status_reason="code: it raised ValueError")
        elif end == "stopped":
            self.client.call("tasks.stopped", task=id, status_reason="somebody pressed abort")
        return id

    def hide(self, below: str) -> None:
        """Tag a sub-project hidden, as the SDK does with that of a data set."""
        name = f"{self.project}/{below}"
        (found,) = self.client.call("projects.get_all", name=f"^{name}$", only_fields=["id"])["projects"]
        self.client.call("projects.update", project=found["id"], system_tags=["hidden"])

    def artifact(self, id: str, preview: str, uri: str = "", key: str = "stackyard-record") -> None:
        """Register the artifact that is a task's record."""
        self.client.call(
            "tasks.add_or_update_artifacts",
            task=id,
            artifacts=[
                {
                    "key": key,
                    "type": "JSON",
                    "mode": "output",
                    "uri": uri or f"{self.client.connection.files}/none",
                    "type_data": {"preview": preview},
                }
            ],
        )

    def compared(
        self,
        *group_by: str,
        metrics: Sequence[str] = (),
        pair_by: str | None = None,
        baseline: Mapping[str, str] | None = None,
        **selection: Any,
    ) -> Report:
        """The report on this project's tasks."""
        asked = Asked(Selection(**{"project": self.project, **selection}), group_by, metrics, pair_by)
        return comparing.compared([self.client], asked, ReportOptions(draws=500, baseline=baseline))


def measured(wall: float = 1.0, **changes: Any) -> RunRecord:
    """A record as a measured task carries it."""
    run = record({}, None, wall)
    for name, value in changes.items():
        setattr(run, name, value)
    return run


def codes(report: Report) -> dict[str, str]:
    """Code of each warning -> what it says."""
    return {warning.code: warning.message for warning in report.warnings}


@pytest.fixture
def lab(client: Client) -> Lab:
    return Lab(client)
