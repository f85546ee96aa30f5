"""From tasks in groups to a study that ``reports`` reports on: a record for each task, and what to know of them. Pure.

A task that was measured has its record. For one that was not a record is made that says what its server knows: which
machine, which Python, when. Its figures stay unmeasured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from stackyard.comparing import metrics, remarks
from stackyard.comparing.fields import FieldError
from stackyard.comparing.grouping import NO_STACK, NOTHING, Grouping, level_like, pairs_of
from stackyard.comparing.metrics import Wanted
from stackyard.comparing.reading import Found
from stackyard.comparing.selection import ENDED
from stackyard.comparing.task import Task
from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.reports.cells import WORKLOAD
from stackyard.reports.loading import Run, Study, first_results
from stackyard.reports.metrics import comparable
from stackyard.reports.report import ReportOptions
from stackyard_task.records import FAILURE_KINDS, Environment, Failure, RunRecord

_DONE = ("completed", "published", "closed")


def study(
    found: Found,
    grouping: Grouping,
    asked: Sequence[Wanted],
    options: ReportOptions,
    known: Callable[[], Iterable[str]],
    pair_by: str | None = None,
) -> tuple[Study, ReportOptions]:
    """The study, and the options with the metrics that are compared.

    Args:
        found: the tasks.
        grouping: how they are grouped.
        asked: metrics that somebody named.
        options: what else the reader chose.
        known: looks up which scalars the tasks have, for the sentence on one that none has.
        pair_by: the key whose values pair tasks of different groups; ``None``: nothing does.

    Raises:
        BadInputError: no task has ended; no task has a key or a metric.
    """
    ended = [task for task in found.tasks if task.status in ENDED]
    if not ended:
        states = sorted({task.status for task in found.tasks})
        raise BadInputError(
            f"none of {count(len(found.tasks), 'task')} has ended ({', '.join(states)}): {found.selection.words()}"
        )
    groups = grouping.of(ended)
    pairs = None if pair_by is None else pairs_of(ended, pair_by, groups.keys)
    done = [task for task in ended if task.status in _DONE]
    left_out: list[str] = []
    chosen = list(asked)
    if not asked:
        chosen, left_out = metrics.taken(done)
    own = [each for each in chosen if not each.measured]
    values = {each.result: [metrics.value_of(task, each) for task in ended] for each in own}
    for each in asked:
        if each.measured:
            if not any(task.record is not None for task in ended):
                raise FieldError(
                    "metric",
                    f"{each.name} is a figure of a measured run, and none of "
                    f"{count(len(ended), 'task')} has a record; a scalar is named title/variant",
                )
        elif all(value is None for value in values[each.result]):
            raise metrics.unknown(each, [*known(), *metrics.names(ended)])
    title = found.selection.project or found.selection.words()
    runs: list[Run] = []
    odd: dict[str, int] = {}
    for place, task in enumerate(ended):
        record = _record(task, {WORKLOAD: title, **groups.levels[place]})
        record.block = None if pairs is None else pairs[place]
        for each in own:
            value = values[each.result][place]
            if value is not None and comparable(value):
                record.results[each.result] = value
            elif value is not None:
                odd[each.label] = odd.get(each.label, 0) + 1
        runs.append(Run(record, task.server, task.called, measured=task.record is not None))
    baseline = {
        key: level_like(value, dict.fromkeys(each[key] for each in groups.levels))
        if key in groups.keys
        else value
        for key, value in (options.baseline or {}).items()
    }
    options = dataclasses.replace(
        options,
        baseline=baseline or None,
        own=tuple(each.own() for each in own),
        only=tuple(each.key for each in asked) if asked else None,
    )
    said = remarks.remarks(found, ended, groups, own, values, odd, left_out, pairs)
    return Study(
        tuple(runs),
        sources=tuple(found.servers),
        duplicates=found.twice,
        remarks=tuple(said),
        advice=remarks.ADVICE,
        hosts_apart=False,
        unsaid=(NOTHING, NO_STACK),
        blocks=pairs is not None,
        title=title,
    ), options


def _record(task: Task, cell: dict[str, str]) -> RunRecord:
    """What a report reads of a task."""
    if task.record is None:
        record = RunRecord(
            run_id=task.id,
            workload=cell[WORKLOAD],
            status="completed",
            started_at=task.started or "",
            finished_at=task.ended or "",
            environment=Environment(
                host=task.host,
                os=task.runtime.get("OS"),
                python=task.runtime.get("python_version"),
                code_own_version=task.commit,
                code_own_dirty=None if task.commit is None else task.diff is not None,
                code_own_digest=task.code,
            ),
        )
    else:
        record = task.record
        record.results, _ = first_results(record.results)
    record.cell, record.block = cell, None
    record.parameters = dict(task.parameters)
    if task.status not in _DONE and record.stopped is None:
        record.status = "failed"
        record.failure = record.failure or _failure(task)
    return record


def _failure(task: Task) -> Failure:
    if task.status == "stopped":
        return Failure("interrupted", f"the task was aborted ({task.reason or 'no reason given'})")
    kind, colon, sentence = task.reason.partition(": ")
    if colon and kind in FAILURE_KINDS:
        return Failure(kind, sentence)
    return Failure("code", task.reason or "the task failed; no reason was recorded")
