"""What a reader should know before believing a number: enumerated warnings, each with advice. Pure.

Every rule is one small function from the study to findings, in ``about_runs``, ``about_machines``, ``short_runs``.
Codes and advice are in ``warning_codes``. A warning may make a reader doubt a figure; a note is context.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.reports import about_machines, about_runs, short_runs
from stackyard.reports.cells import Matrix
from stackyard.reports.loading import Study
from stackyard.reports.report import Warning, WorkloadReport
from stackyard.reports.warning_codes import ADVICE


def warnings_of(study: Study, matrix: Matrix, workloads: Sequence[WorkloadReport]) -> list[Warning]:
    """All warnings, the graver first, in the order of ADVICE."""
    found = [
        Warning(code, ADVICE[code][0], message, ADVICE[code][1], cells)
        for rule in (*about_runs.RULES, *about_machines.RULES)
        for code, message, cells in rule(study, matrix)
    ]
    for code, message, cells in short_runs.findings(matrix, workloads):
        found.append(Warning(code, *_split(code, message), cells))
    for workload in workloads:
        if workload.results_differing:
            message = f"{workload.name}: {_disagreement(workload)}."
            found.append(Warning("results-differ", *_split("results-differ", message)))
        if workload.left_out:
            message = f"{workload.name}: {'; '.join(workload.left_out)}."
            found.append(Warning("comparisons-left-out", *_split("comparisons-left-out", message)))
    kept = [Warning(r.code, r.severity, r.message, r.advice) for r in study.remarks]
    for warning in sorted(found, key=lambda w: list(ADVICE).index(w.code)):
        advice = study.advice.get(warning.code, warning.advice)
        if advice is not None:
            kept.append(dataclasses.replace(warning, advice=advice))
    return sorted(kept, key=lambda warning: warning.severity != "warning")


def _disagreement(workload: WorkloadReport) -> str:
    """On which results the cells disagree: numbers by more than is tolerated, texts at all."""
    texts = {name for cell in workload.cells for name, result in cell.results.items() if result.texts}
    numbers = ", ".join(name for name in workload.results_differing if name not in texts)
    words = ", ".join(name for name in workload.results_differing if name in texts)
    parts = [f"by more than 1 % on {numbers}" if numbers else "", f"on the text of {words}" if words else ""]
    return "cells disagree " + " and ".join(part for part in parts if part)


def _split(code: str, message: str) -> tuple[str, str, str]:
    return ADVICE[code][0], message, ADVICE[code][1]
