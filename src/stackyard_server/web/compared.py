"""The page that sets tasks or models side by side: what differs first, what is equal folded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from . import results, shown
from .charts import FEWEST_SAMPLES, METRICS_OF_PAGE, Lines, as_json, chosen, drawing, names_of_scalars, sliced
from .visit import Visit

#: How many are set side by side.
MOST_COMPARED = 10
#: Rows of a table that are shown.
MOST_ROWS = 200
TASK_FACTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "Status": ("status", lambda status: shown.STATUSES.get(status, (status, ""))[0]),
    "Type": ("type", str),
    "Started": ("started", shown.moment),
    "Run time": ("active_duration", shown.duration),
    "Iteration": ("last_iteration", str),
    "Worker": ("last_worker", str),
}
MODEL_FACTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "Framework": ("framework", str),
    "Made": ("created", shown.moment),
    "Comment": ("comment", str),
}


@dataclass(frozen=True, slots=True)
class Group:
    """A table: names of rows, and in each a value of every document; None where one has none."""

    title: str
    different: list[tuple[str, list[str | None]]]
    equal: list[tuple[str, list[str | None]]]
    #: How many rows are left out.
    left_out: int


def group(title: str, columns: list[dict[str, str]]) -> Group:
    """The values of several documents by name, those that differ apart from those that are equal. Pure."""
    names = sorted({name for column in columns for name in column})
    rows = [(name, [column.get(name) for column in columns]) for name in names]
    different = [row for row in rows if len(set(row[1])) > 1]
    equal = [row for row in rows if len(set(row[1])) == 1]
    left_out = max(0, len(different) - MOST_ROWS) + max(0, len(equal) - MOST_ROWS)
    return Group(title, different[:MOST_ROWS], equal[:MOST_ROWS], left_out)


def parameters_of(task: dict[str, Any]) -> dict[str, str]:
    """A task's parameters by section and name."""
    return {
        f"{section}/{name}": str(parameter.get("value") or "")
        for section, parameters in (task.get("hyperparams") or {}).items()
        for name, parameter in parameters.items()
    }


def metrics_of(task: dict[str, Any]) -> dict[str, str]:
    """The newest value of every series of a task."""
    return {
        value["metric"] if value["variant"] == value["metric"] else f"{value['metric']} · {value['variant']}":
            results.number(value.get("value"))
        for variants in (task.get("last_metrics") or {}).values()
        for value in variants.values()
    }  # fmt: skip


def groups_of(
    documents: list[dict[str, Any]], facts: dict[str, tuple[str, Callable[[Any], str]]]
) -> list[Group]:
    """The tables of a comparison. Takes longer the more parameters there are: not for the event loop."""
    said = [
        {name: show(document[key]) for name, (key, show) in facts.items() if document.get(key) is not None}
        for document in documents
    ]
    return [
        group("Facts", said),
        group("Parameters", [parameters_of(document) for document in documents]),
        group("Newest values", [metrics_of(document) for document in documents]),
    ]


async def compare(visit: Visit) -> Response:
    """Tasks, or models, side by side: facts, parameters and newest values."""
    query = visit.request.query_params
    of_models = bool(query.get("models"))
    asked = [id for id in (query.get("models") or query.get("tasks") or "").split(",") if id]
    ids = list(dict.fromkeys(asked))[:MOST_COMPARED]
    if of_models:
        found = await visit.ask("models.get_all_ex", id=ids) if ids else {"models": []}
        facts, documents = MODEL_FACTS, found["models"]
    else:
        found = await visit.ask("tasks.get_by_id_ex", id=ids) if ids else {"tasks": []}
        facts, documents = TASK_FACTS, found["tasks"]
    by_id = {document["id"]: document for document in documents}
    side_by_side = [by_id[id] for id in ids if id in by_id]
    groups = await asyncio.to_thread(groups_of, side_by_side, facts)
    shown_ids = [document["id"] for document in side_by_side]
    variants = await names_of_scalars(visit, shown_ids) if shown_ids and not of_models else {}
    metrics, _ = await asyncio.to_thread(sliced, variants, 0, METRICS_OF_PAGE)
    return await drawing(
        visit, "compare.html", drawn=bool(variants), metrics_left_out=len(variants) - len(metrics),
        lines_left_out=chosen(variants, metrics)[2], ids=",".join(shown_ids), documents=side_by_side,
        of_models=of_models, groups=groups, gone=[id for id in ids if id not in by_id],
        left_out=len(set(asked)) - len(ids),
    )  # fmt: skip


async def compared_scalars_data(visit: Visit) -> Response:
    """``{metric: {name of a task and variant: {x, y}}}`` of several tasks."""
    ids = list(dict.fromkeys(visit.request.query_params.get("tasks", "").split(",")))[:MOST_COMPARED]
    variants = await names_of_scalars(visit, ids)
    metrics, _ = await asyncio.to_thread(sliced, variants, 0, METRICS_OF_PAGE)
    wanted, samples, _ = chosen(variants, metrics)
    lines: dict[str, Lines] = {}
    if wanted:
        answer = await visit.ask(
            "events.multi_task_scalar_metrics_iter_histogram",
            tasks=ids,
            metrics=wanted,
            samples=max(FEWEST_SAMPLES, samples // len(ids)),
        )
        for metric, by_variant in answer["metrics"].items():
            for variant, by_task in by_variant.items():
                names = Counter(line["name"] for line in by_task.values())
                for id, line in by_task.items():
                    told_apart = f" {id[:8]}" if names[line["name"]] > 1 else ""
                    lines.setdefault(metric, {})[f"{line['name']}{told_apart} · {variant}"] = line
    return await as_json(lines)
