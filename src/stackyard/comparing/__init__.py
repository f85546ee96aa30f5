"""Tasks of ClearML servers in groups, compared: any task, with its measured record or with what it reported itself.

Reads servers by ClearML's API alone, as the person whose key it has, so it works beside an official server too.
``selection`` says which tasks, ``reading`` brings them, ``grouping`` says which belong together, ``metrics`` what is
compared; ``study`` makes of them what ``reports`` reports on. ``compared`` does all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackyard.clearml.client import Client
from stackyard.comparing.selection import Selection
from stackyard.reports.report import Report, ReportOptions


@dataclass(frozen=True)
class Asked:
    """What somebody wants compared."""

    selection: Selection
    #: Keys as ``grouping`` reads them, such as "stack" or "Args/lr".
    group_by: Sequence[str]
    #: Metrics as ``metrics`` reads them, such as "loss/val:min"; none: what the tasks have.
    metrics: Sequence[str] = ()
    #: A key, such as "Args/seed": tasks of different groups with the same value of it are pairs. ``None``: none are.
    pair_by: str | None = None


@dataclass(frozen=True)
class Compared:
    """A report on tasks, and which task it means by which name."""

    report: Report
    #: What the report calls a task -> its id, and the place of its server.
    tasks: Mapping[str, tuple[str, int]]


def compared(
    clients: Sequence[Client], asked: Asked, options: ReportOptions | None = None, *, rows: bool = True
) -> Report:
    """The report on the tasks that were asked for.

    Args:
        clients: the servers, each as the person whose key it has.
        asked: which tasks, how they are grouped, what is compared.
        options: what else the reader chose.
        rows: whether the report has a row for each task.

    Raises:
        BadInputError: nothing of the kind is there: one sentence, with the names that are.
        ServerError: a server refuses.
        UnreachableError: a server does not answer.
    """
    return compare(clients, asked, options, rows=rows).report


def compare(
    clients: Sequence[Client], asked: Asked, options: ReportOptions | None = None, *, rows: bool = True
) -> Compared:
    """As ``compared``, with the tasks by what the report calls them."""
    from stackyard.comparing import metrics, reading, study
    from stackyard.comparing.grouping import Grouping
    from stackyard.reports.analysis import analyse

    grouping = Grouping(asked.group_by)
    wanted = metrics.read(asked.metrics)
    keys = [*grouping.keys, *([asked.pair_by] if asked.pair_by else [])]
    found = reading.read(clients, asked.selection, wanted, keys)
    made, chosen = study.study(
        found,
        grouping,
        wanted,
        options or ReportOptions(),
        lambda: reading.scalars(clients, found),
        asked.pair_by,
    )
    tasks = {task.called: (task.id, task.server) for task in found.tasks}
    return Compared(analyse(made, chosen, rows=rows), tasks)
