"""The pages of scalars and plots, and the data their charts are drawn from in the browser (``static/charts.js``).

What a page draws is bounded: so many metrics, lines, points and bytes. What is left out is said.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from ..http.headers import PAGES_THAT_DRAW
from . import results
from .task_pages import task_head
from .visit import Visit, as_page, title_of

#: Metrics (each a chart) and plots of one page, and lines of a chart.
METRICS_OF_PAGE, PLOTS_OF_PAGE, MOST_LINES = 24, 24, 40
#: Points of one page in all, and of one line.
MOST_POINTS, MOST_SAMPLES, FEWEST_SAMPLES = 200_000, 1000, 20
#: A plot beyond this is not drawn: a browser would hang. A figure of the SDK is some 100 kB.
LARGEST_PLOT_BYTES = 8 * 1024 * 1024

Lines = dict[str, dict[str, Any]]
#: A metric, or a metric and a variant.
Name = TypeVar("Name", str, tuple[str, str])


async def drawing(visit: Visit, template: str, **values: Any) -> Response:
    """A page with charts: where this server's files lie, and a policy that lets pictures be drawn."""
    addresses = [visit.services.urls.get("files"), *visit.services.memory.get("files_addresses", ())]
    files = json.dumps([address for address in dict.fromkeys(addresses) if address])
    answer = await visit.page(template, files=files, **values)
    answer.headers["content-security-policy"] = PAGES_THAT_DRAW
    return answer


async def as_json(value: Any) -> Response:
    """Data for a chart, written down beside the event loop; no number is null."""
    body = await asyncio.to_thread(orjson.dumps, value, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, media_type="application/json")


def sliced(names: Iterable[Name], page: int, size: int) -> tuple[list[Name], bool]:
    """The names of one page in their order, and whether there are further ones. Pure; not for the event loop."""
    ordered = sorted(names)
    return ordered[page * size : (page + 1) * size], len(ordered) > (page + 1) * size


def chosen(variants: Mapping[str, list[str]], metrics: list[str]) -> tuple[list[dict[str, Any]], int, int]:
    """What is asked of the API for a page of metrics. Pure.

    Returns:
        Its ``metrics``; the points of each line; how many lines are left out.
    """
    wanted = [{"metric": m, "variants": sorted(variants.get(m, ()))[:MOST_LINES]} for m in metrics]
    lines = sum(len(item["variants"]) for item in wanted)
    left_out = sum(len(variants.get(m, ())) for m in metrics) - lines
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, MOST_POINTS // max(1, lines)))
    return [item for item in wanted if item["variants"]], samples, left_out


async def names_of_scalars(visit: Visit, tasks: list[str]) -> dict[str, list[str]]:
    """The variants of every metric of tasks that is a line, by metric."""
    found = await visit.ask("events.get_multi_task_metrics", tasks=tasks, event_type="training_stats_scalar")
    return await asyncio.to_thread(
        lambda: {
            item["metric"]: item["variants"] for item in found["metrics"] if item["metric"] != results.SINGLE
        }
    )


async def task_scalars(visit: Visit) -> Response:
    """The scalars, a chart for each metric, followed live while the task runs."""
    found = await task_head(visit, [])
    values = await visit.ask("events.get_task_single_value_metrics", tasks=[found["id"]])
    single = [v for t in values["tasks"] for v in t["values"]]
    page = as_page(visit.request.query_params.get("page"))
    variants = await names_of_scalars(visit, [found["id"]])
    metrics, more = await asyncio.to_thread(sliced, variants, page, METRICS_OF_PAGE)
    read = await asyncio.to_thread(results.read, single)
    return await drawing(
        visit, "task_scalars.html", tab="scalars", task=found, single=read, page=page, more=more,
        count=len(variants), drawn=bool(metrics), left_out=chosen(variants, metrics)[2],
    )  # fmt: skip


async def task_scalars_data(visit: Visit) -> Response:
    """``{metric: {variant: {x, y}}}`` of one page; the status rides in a header."""
    found = await task_head(visit, [])
    variants = await names_of_scalars(visit, [found["id"]])
    metrics, _ = await asyncio.to_thread(
        sliced, variants, as_page(visit.request.query_params.get("page")), METRICS_OF_PAGE
    )
    wanted, samples, _ = chosen(variants, metrics)
    lines: dict[str, Lines] = {}
    if wanted:
        lines = await visit.ask(
            "events.scalar_metrics_iter_histogram", task=found["id"], samples=samples, metrics=wanted
        )
    answer = await as_json(lines)
    answer.headers["x-task-status"] = found["status"]
    return answer


async def task_plots(visit: Visit) -> Response:
    """The plots a task reported, the newest of each; each is fetched when one comes to see it."""
    found = await task_head(visit, [])
    reported = await visit.ask("events.get_multi_task_metrics", tasks=[found["id"]], event_type="plot")
    pairs = await asyncio.to_thread(
        lambda: [(m["metric"], variant) for m in reported["metrics"] for variant in m["variants"]]
    )
    page = as_page(visit.request.query_params.get("page"))
    here, more = await asyncio.to_thread(sliced, pairs, page, PLOTS_OF_PAGE)
    plots = [
        {"title": title_of({"metric": metric, "variant": variant}),
         "source": f"/tasks/{found['id']}/plots/data?{urlencode({'metric': metric, 'variant': variant})}"}
        for metric, variant in here
    ]  # fmt: skip
    return await drawing(
        visit, "task_plots.html", tab="plots", task=found, plots=plots, count=len(pairs), page=page, more=more
    )


async def task_plot_data(visit: Visit) -> Response:
    """The figure of one plot as it was reported, not looked into here: a browser reads it.

    What is not sent is no error: the answer is empty, and its header ``x-left-out`` says why.
    """
    query = visit.request.query_params
    wanted = [{"metric": query.get("metric", ""), "variants": [query.get("variant", "")]}]
    answer = await visit.ask("events.get_task_plots", task=visit.request.path_params["task"], metrics=wanted)
    if not answer["plots"]:
        return _left_out("there is no such plot any more")
    text = str(answer["plots"][0].get("plot_str") or "")
    if len(text) > LARGEST_PLOT_BYTES:
        most = f"{len(text) / 1e6:.1f} MB are more than the {LARGEST_PLOT_BYTES / 1e6:.1f} MB that are drawn here"
        return _left_out(f"{most}; the API has the whole plot")
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def _left_out(why: str) -> Response:
    return Response(status_code=204, headers={"x-left-out": why})
