"""``events``: what tasks and models report (scalars, console lines, plots, images, vectors), taken in and read back.

Reads that may be long run beside the writer (``slow``). Left out: the forms of ``debug_images`` before 2.7 and of the
plots before 1.8, which no client of these years asks for.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from functools import partial
from typing import Any, NamedTuple

import orjson

from ..calls import Call, Raw, fence
from ..calls.dispatch import endpoint
from ..listing.scrolls import EXHAUSTED, position, token
from ..protocol.error_table import ApiError, error, field_error
from ..reported import requests
from ..reported import samples as steps
from ..store import Transaction, events, logs, samples, scalars
from ..store.documents import TASK
from ..store.scalars import Memory, Name

LONGEST_RAW_PAGE = 200_000
MOST_SAMPLES = 6_000
#: What a point of a line takes of an answer.
POINT_BYTES = 30
#: Who reported where neither the event nor the request says it.
UNKNOWN_WORKER = "<unknown>"
#: Of a download, in one transaction.
LINES_AT_A_TIME = 2000
#: The fields of a downloaded console line, in order.
LINE_FIELDS = ("level", "msg", "worker", "model_event", "@timestamp", "metric", "variant", "asctime")


def _unlocked(call: Call, id: str, model: bool = False) -> None:
    """Refuse to change the events of what is published.

    Raises:
        ApiError: 400/101 or 400/201, also where there is no such task or model.
    """
    requests.names(call, [id], model)
    owner = events.owner(call.tx, id, model)
    if owner is not None and owner.locked and not call.get("allow_locked", False):
        kind, subcode = ("model", 201) if model else ("task", 101)
        whose = f"company={call.who.company}, id={id}"
        raise ApiError(400, subcode, f"Cannot update events for a published {kind}: {whose}")


# Taking in


@endpoint(access="metrics", batch=True, pieces="lines", prepare=events.prepare, fenced="run")
def add_batch(call: Call) -> dict[str, Any]:
    """How many events were stored, and how many were not, by reason."""
    if not call.lines:
        raise error("empty_batch")
    return _take_in(call, call.lines)


@endpoint(access="metrics", prepare=events.prepare, fenced="run")
def add(call: Call) -> dict[str, Any]:
    """As ``add_batch``, for one event."""
    return _take_in(call, [call.data])


def _take_in(call: Call, lines: list[dict[str, Any]]) -> dict[str, Any]:
    known_by = None
    if b'"log"' in call.body:
        known_by = logs.digest(call.who.session or call.who.user, call.body)
        if (before := logs.repeated(call.tx, known_by, call.now)) is not None:
            return before
    memory = call.services.memory.get("events.series")
    if memory is None:
        memory = call.services.memory["events.series"] = Memory(call.services.store)
    batch = events.Batch(call.tx, memory, call.now, call.worker_name or UNKNOWN_WORKER)
    batch.take(fence.admitted(call, lines, batch.errors) if call.tx.fenced else lines)
    batch.write(call.who.user)
    if not batch.added:
        raise error("events_not_added", **batch.errors)
    call.after_commit.append(partial(call.services.meter.took_in, batch.added))
    answer = {"added": batch.added, "errors": batch.errors.total(), "errors_info": dict(batch.errors)}
    if known_by and batch.lines and not batch.unstamped:
        logs.remember(call.tx, known_by, call.now, answer)
    return answer


@endpoint(access="metrics", fenced="task", destructive=True)
def delete_for_task(call: Call) -> dict[str, Any]:
    """Remove every event of a task: how many there were."""
    task = call.data["task"]
    _unlocked(call, task)
    return _deleted(call, task)


@endpoint(access="metrics", destructive=True)
def delete_for_model(call: Call) -> dict[str, Any]:
    """Remove every event of a model: how many there were."""
    model = call.data["model"]
    _unlocked(call, model, model=True)
    return _deleted(call, model)


def _deleted(call: Call, owner: str) -> dict[str, Any]:
    counted = events.count(call.tx, owner)
    events.delete_for(call.tx, [owner])
    return {"deleted": counted}


@endpoint(access="metrics", pieces="steps", fenced="task", destructive=True)
def clear_task_log(call: Call) -> Generator[None, None, dict[str, Any]]:
    """Remove the console lines of a task: how many there were.

    ``threshold_sec`` spares what is newer, ``exclude_metrics`` what is of these metrics, ``include_metrics`` all else.
    """
    task, threshold = call.data["task"], call.get("threshold_sec", 0)
    _unlocked(call, task)
    before = call.now - threshold * 1000 if 0 < threshold < 10**12 else None
    only, but = call.get("include_metrics"), requests.wanted(call.get("exclude_metrics"))
    if only == []:
        raise field_error("include_metrics", ": at least one metric was expected.")
    deleted, place = 0, logs.START
    while True:
        gone, further = logs.delete_next(call.tx, task, place, before, only=requests.wanted(only), but=but)
        deleted += gone
        if further is None:
            return {"deleted": deleted}
        place = further
        yield


@endpoint("2.18", access="none")
def clear_scroll(call: Call) -> dict[str, Any]:
    """Forget where a reader stood."""
    requests.scrolls_of(call).drop(call.data["scroll_id"])
    return {}


# Console


@endpoint("2.9")
def get_task_log(call: Call) -> dict[str, Any]:
    """Console lines from the newest backwards (or forwards) from a timestamp: {events, returned, total}.

    ``metrics`` narrows them to lines of these metrics.
    """
    wanted = requests.wanted(call.get("metrics"))
    task, earlier = requests.task(call), call.get("navigate_earlier", True)
    start = call.get("from_timestamp")
    if start is not None:
        start = max(-1, min(int(start), events.LAST_INSTANT + 1))
    size = requests.size(call, "batch_size", 500, requests.LONGEST_PAGE)
    rows = logs.read(call.tx, task, size, start, earlier, wanted)
    if call.get("order", "desc" if earlier else "asc") != ("desc" if earlier else "asc"):
        rows.reverse()
    found = [requests.shown(logs.shown(task, row)) for row in rows]
    return {"events": found, "returned": len(found), "total": logs.count(call.tx, task, wanted)}


@endpoint("1.7", name="get_task_log")
def get_task_log_from(call: Call) -> dict[str, Any]:
    """The form of 1.7: ``from`` head or tail; newest first, with a scroll id."""
    return _old_log(call, call.get("from", "head") != "head", turn=True)


@endpoint("1.0", name="get_task_log")
def get_task_log_scrolled(call: Call) -> dict[str, Any]:
    """The first form: ``order`` desc (default) or asc, with a scroll id."""
    return _old_log(call, call.get("order", "desc") != "asc", turn=False)


def _old_log(call: Call, descending: bool, turn: bool) -> dict[str, Any]:
    task = requests.task(call)
    after = position(call.get("scroll_id"), "after").get("after")
    rows = logs.read(
        call.tx, task, requests.size(call, "batch_size", 500, requests.LONGEST_PAGE), after, descending
    )
    scroll_id = token(after=rows[-1][0] if rows else after or 0)
    if turn and not descending:
        rows.reverse()
    found = [requests.shown(logs.shown(task, row)) for row in rows]
    total = logs.count(call.tx, task)
    return {"events": found, "returned": len(found), "total": total, "scroll_id": scroll_id}


@endpoint()
def download_task_log(call: Call) -> Raw:
    """A task's console as an attachment: a JSON object a line, or text by ``line_format``."""
    task = requests.task(call)
    form = call.get("line_format", "{asctime} {worker} {level} {msg}")
    written = _as_json if call.get("line_type", "json") != "text" else partial(_as_text, form)
    place = logs.START

    def more(tx: Transaction) -> bytes:
        nonlocal place
        rows, place = logs.from_place(tx, task, place, LINES_AT_A_TIME)
        return b"".join(written(_line_fields(task, row)) + b"\n" for row in rows)

    headers = {"Content-Disposition": f"attachment; filename=task_{task}.log"}
    return Raw(b"", headers=headers, more=more)


def _line_fields(task: str, row: tuple[Any, ...]) -> dict[str, Any]:
    event = requests.shown(logs.shown(task, row))
    event["asctime"] = event.pop("timestamp")
    if event["worker"] == UNKNOWN_WORKER:  # the real server adds its own fields behind the client's
        order = [n for n in LINE_FIELDS if n != "worker"]
        order.insert(order.index("@timestamp") + 1, "worker")
    else:
        order = list(LINE_FIELDS)
    event = {n: event.pop(n) for n in order if n in event} | event
    del event["type"], event["task"]
    return event


def _as_json(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event)


def _as_text(form: str, event: dict[str, Any]) -> bytes:
    return _filled(form, {**event, "asctime": requests.instant(event["asctime"])}).encode()


def _filled(form: str, event: dict[str, Any]) -> str:
    """A line format with its ``{names}`` filled in; nothing else of Python's formats is understood."""
    return re.sub(r"\{(@?\w+)\}", lambda m: str(event.get(m[1], "")), form)


# Scalars


def _series(call: Call, owners: Iterable[str]) -> list[Name]:
    return scalars.names(call.tx, owners, requests.wanted(call.get("metrics")))


def _line(call: Call, series: Name, name: str) -> dict[str, Any] | None:
    key = call.get("key", "iter")
    wanted = requests.size(call, "samples", 2000, MOST_SAMPLES)
    x, y = scalars.histogram(call.tx, series.number, wanted, "iter" if key == "iter" else "timestamp")
    if not x:
        return None
    if call.tx.reading is not None:
        call.tx.reading.take(POINT_BYTES * len(x))
    line = {"name": name, "x": [requests.instant(i) for i in x] if key == "iso_time" else x, "y": y}
    if series.label is not None:
        line["x_axis_label"] = series.label
    return line


@endpoint()
def scalar_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    """{metric: {variant: {name, x, y}}}; long series as averages over stretches of equal width."""
    found: dict[str, Any] = {}
    for series in _series(call, [requests.task(call)]):
        if line := _line(call, series, series.variant):
            found.setdefault(series.metric, {})[series.variant] = line
    return found


@endpoint()
def multi_task_scalar_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    """The same for several tasks: {metrics: {metric: {variant: {task: {name, x, y}}}}}."""
    tasks = requests.tasks(call)
    found: dict[str, Any] = {}
    for series in _series(call, tasks):
        if line := _line(call, series, tasks[series.owner]):
            found.setdefault(series.metric, {}).setdefault(series.variant, {})[series.owner] = line
    return {"metrics": found}


@endpoint("2.16")
def scalar_metrics_iter_raw(call: Call) -> dict[str, Any]:
    """The points of one metric as they were reported, page by page: {variants: {variant: {y, iter}}}."""
    task = requests.task(call)
    key = call.get("key", "iter")
    here = position(call.get("scroll_id"), "after", "size")
    size = requests.size(call, "batch_size", here.get("size", 10_000), LONGEST_RAW_PAGE)
    series = scalars.names(call.tx, [task], requests.wanted(call.data["metric"]))
    total = here.get("total")
    if total is None and call.get("count_total", False):
        total = scalars.count(call.tx, series)
    rows = scalars.page(call.tx, series, size, here.get("after"))
    variants = {s.number: s.variant for s in series}
    found: dict[str, Any] = {}
    for iteration, number, value, stamp, _, _ in rows:
        line = found.setdefault(variants[number], {"y": [], key: []})
        line["y"].append(value)
        line[key].append(
            iteration if key == "iter" else stamp if key == "timestamp" else requests.instant(stamp)
        )
    after = rows[-1][0] if rows else here.get("after", -(2**63) + 1)
    scroll_id = token(after=after, size=size, total=total)
    return {"returned": len(rows), "total": total, "scroll_id": scroll_id, "variants": found}


def _points(call: Call, series: list[Name], rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Points as events."""
    by_number = {s.number: s for s in series}
    forms = scalars.forms(call.tx, (row[5] for row in rows))
    model = call.get("model_events", False)
    found = []
    for iteration, number, value, stamp, delay, form in rows:
        name, (worker, extra) = by_number[number], forms[form]
        event = {
            "type": scalars.KIND, "task": name.owner, "metric": name.metric, "variant": name.variant,
            "iter": iteration, "value": value, "timestamp": stamp, "worker": worker, "received": stamp + delay, **extra,
        }  # fmt: skip
        found.append(requests.shown(event, model))
    return found


@endpoint()
def get_scalar_metric_data(call: Call) -> dict[str, Any]:
    """The points of one metric as events, newest iteration first, page by page."""
    task = call.get("task")
    if task is None:
        raise field_error("task", ". field is required!")
    requests.names(call, [task])
    scroll_id = call.get("scroll_id")
    if scroll_id == EXHAUSTED:
        return {"events": [], "returned": 0, "total": 0, "scroll_id": None}
    metric = call.get("metric")
    series = scalars.names(call.tx, [task], None if metric is None else {metric: []})
    rows = scalars.page(
        call.tx, series, requests.LONGEST_PAGE, position(scroll_id, "after").get("after"), descending=True
    )
    found = _points(call, series, rows)
    following = token(after=rows[-1][0]) if rows else EXHAUSTED
    return {
        "events": found,
        "returned": len(found),
        "total": scalars.count(call.tx, series),
        "scroll_id": None if call.get("no_scroll", False) else following,
    }


@endpoint()
def get_scalar_metrics_and_variants(call: Call) -> dict[str, Any]:
    """{metrics: {metric: [variants]}} of a task's scalars, single values too."""
    found: dict[str, list[str]] = {}
    for series in scalars.names(call.tx, [requests.task(call)]):
        found.setdefault(series.metric, []).append(series.variant)
    return {"metrics": found}


@endpoint()
def get_task_single_value_metrics(call: Call) -> dict[str, Any]:
    """The values reported without an iteration, by task; tasks without any are left out."""
    tasks, wanted = requests.tasks(call), requests.wanted(call.get("metrics"))
    values: dict[str, list[dict[str, Any]]] = {}
    for owner, metric, variant, value, stamp in scalars.single_values(call.tx, tasks):
        if scalars.is_wanted(wanted, metric, variant):
            one = {"metric": metric, "variant": variant, "value": value, "timestamp": stamp}
            values.setdefault(owner, []).append(one)
    found = [{"task": t, "task_name": name, "values": values[t]} for t, name in tasks.items() if t in values]
    return {"tasks": found}


@endpoint()
def get_task_latest_scalar_values(call: Call) -> dict[str, Any]:
    """The value of every series at its greatest iteration, by metric; series that are no numbers are left out."""
    task = requests.task(call)
    metrics: dict[str, list[dict[str, Any]]] = {}
    last_iteration, last_stamp = 0, 0.0
    for series in scalars.names(call.tx, [task]):
        point = scalars.newest(call.tx, series.number)
        if point is None or point[1] is None:
            continue
        variant = {"name": series.variant, "last_value": point[1], "last_10_value": point[1]}
        metrics.setdefault(series.metric, []).append(variant)
        last_iteration, last_stamp = max(last_iteration, point[0]), max(last_stamp, float(point[2]))
    found = TASK.get(call.tx, task, ("name", "status")) or {}
    return {
        "metrics": [{"name": metric, "variants": variants} for metric, variants in metrics.items()],
        "last_iter": last_iteration,
        "name": found.get("name"),
        "status": found.get("status"),
        "last_timestamp": last_stamp,
    }


# Vectors


@endpoint()
def get_vector_metrics_and_variants(call: Call) -> dict[str, Any]:
    """{metrics: {metric: [variants]}} of a task's vectors."""
    found: dict[str, list[str]] = {}
    for _, metric, variant in samples.pairs(call.tx, [requests.task(call)], samples.VECTOR):
        found.setdefault(metric, []).append(variant)
    return {"metrics": found}


@endpoint()
def vector_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    """The vectors of one series by iteration."""
    metric, variant = call.data["metric"], call.data["variant"]
    rows = samples.vector(call.tx, requests.task(call), metric, variant)
    return {
        "metric": metric,
        "variant": variant,
        "vectors": [values for _, values in rows],
        "iterations": [iteration for iteration, _ in rows],
    }


# Any kind


def _kind(call: Call) -> str:
    kind = call.get("event_type", scalars.KIND)
    if kind not in events.PLAIN:
        raise field_error("event_type", f": value {kind!r} is not a valid choice.")
    return str(kind)


@endpoint()
def get_task_metrics(call: Call) -> dict[str, Any]:
    """The metrics of which each task reported a kind of event; single values are no series here."""
    tasks, kind = requests.tasks(call), _kind(call)
    found: dict[str, list[str]] = {task: [] for task in tasks}
    if kind == scalars.KIND:
        for series in scalars.names(call.tx, tasks):
            point = scalars.newest(call.tx, series.number)
            if point is not None and point[0] > scalars.SINGLE_VALUE:
                found[series.owner].append(series.metric)
    elif kind == logs.KIND:
        for task, metric, _ in logs.pairs(call.tx, tasks):
            found[task].append(metric)
    else:
        for task, metric, _ in samples.pairs(call.tx, tasks, kind):
            found[task].append(metric)
    return {
        "metrics": [{"task": task, "metrics": list(dict.fromkeys(names))} for task, names in found.items()]
    }


@endpoint()
def get_multi_task_metrics(call: Call) -> dict[str, Any]:
    """The metrics and variants of a kind of event over several tasks."""
    if call.get("model_metrics"):
        call.data["model_events"] = True
    tasks, kind = requests.tasks(call), _kind(call)
    if kind == scalars.KIND:
        pairs = [(s.metric, s.variant) for s in scalars.names(call.tx, tasks)]
    elif kind == logs.KIND:
        pairs = [(metric, variant) for _, metric, variant in logs.pairs(call.tx, tasks)]
    else:
        pairs = [(metric, variant) for _, metric, variant in samples.pairs(call.tx, tasks, kind)]
    found: dict[str, list[str]] = {}
    for metric, variant in dict.fromkeys(pairs):
        found.setdefault(metric, []).append(variant)
    return {"metrics": [{"metric": metric, "variants": variants} for metric, variants in found.items()]}


@endpoint()
def get_task_events(call: Call) -> dict[str, Any]:
    """The events of a kind by iteration (console lines: by time), page by page; without one those of every kind, kind
    after kind."""
    task = requests.task(call)
    kinds = [_kind(call)] if call.get("event_type") else list(events.PLAIN)
    size = requests.size(call, "batch_size", 500, requests.LONGEST_PAGE)
    here = position(call.get("scroll_id"), "after")
    at, after = here.get("kind", 0), here.get("after")
    at = at if isinstance(at, int) and 0 <= at < len(kinds) else 0
    page = _events(call, task, kinds[at], after, size)
    found = page.events
    while len(found) < size and at + 1 < len(kinds):
        at += 1
        page = _events(call, task, kinds[at], None, size - len(found))
        found += page.events
    total = sum(_total(call, task, kind) for kind in kinds)
    last = -(2**63) + 1 if page.last is None else page.last
    following = token(after=last, kind=at) if len(kinds) > 1 else token(after=last)
    return {"returned": len(found), "total": total, "scroll_id": following, "events": found}


class EventPage(NamedTuple):
    """Some events of one kind, and where a reader stands behind them."""

    events: list[dict[str, Any]]
    last: int | None


def _events(call: Call, task: str, kind: str, after: int | None, size: int) -> EventPage:
    wanted, descending = requests.wanted(call.get("metrics")), call.get("order", "asc") == "desc"
    if kind == scalars.KIND:
        series = _series(call, [task])
        points = scalars.page(call.tx, series, size, after, descending)
        last = points[-1][0] if points else after
        return EventPage(_points(call, series, points), last)
    if kind == logs.KIND:
        lines = logs.read(call.tx, task, size, after, descending, wanted)
        found = [requests.shown(logs.shown(task, line)) for line in lines]
        return EventPage(found, lines[-1][0] if lines else after)
    rows = samples.page(call.tx, kind, task, size, after, descending, wanted)
    found = [requests.shown(samples.shown(row), call.get("model_events", False)) for row in rows]
    return EventPage(found, rows[-1][4] if rows else after)


def _total(call: Call, task: str, kind: str) -> int:
    """How many events of a kind there are; none of them is read."""
    wanted = requests.wanted(call.get("metrics"))
    if kind == scalars.KIND:
        return scalars.count(call.tx, _series(call, [task]))
    if kind == logs.KIND:
        return logs.count(call.tx, task, wanted)
    return samples.count(call.tx, kind, task, wanted)


# Plots and images


@endpoint("1.8")
def get_task_plots(call: Call) -> dict[str, Any]:
    """The plots of the newest iterations of every metric and variant.

    As many as an answer may have; where there are more, the scroll id goes on behind them.
    """
    skip = position(call.get("scroll_id"), "skip").get("skip", 0)
    plots, total = steps.latest_plots(call, [requests.task(call)], max(0, skip))
    following = token(skip=skip + len(plots)) if skip + len(plots) < total else None
    return {"plots": plots, "returned": len(plots), "total": total, "scroll_id": following}


@endpoint("1.8")
def get_multi_task_plots(call: Call) -> dict[str, Any]:
    """The same for several tasks: {plots: {metric: {variant: {task: {iter: {name, plots}}}}}}."""
    tasks, scrolls = requests.tasks(call), requests.scrolls_of(call)
    scroll_id = call.get("scroll_id")
    state = scrolls.find(scroll_id, "multi plots", call.now)
    skip, total = (state["skip"], state["total"]) if state else (0, 0)
    if scroll_id == EXHAUSTED or (state is not None and skip >= total):
        return {"plots": {}, "returned": 0, "total": total, "scroll_id": EXHAUSTED}
    plots, total = steps.latest_plots(call, tasks, skip)
    found: dict[str, Any] = {}
    for plot in plots:
        by_task = (
            found.setdefault(plot["metric"], {}).setdefault(plot["variant"], {}).setdefault(plot["task"], {})
        )
        one = by_task.setdefault(str(plot["iter"]), {"name": tasks[plot["task"]], "plots": []})
        one["plots"].append(plot)
    following = None
    if not call.get("no_scroll", False):
        following = scrolls.open("multi plots", call.who.user, call.now, skip=skip + len(plots), total=total)
    return {"plots": found, "returned": len(plots), "total": total, "scroll_id": following}


@endpoint("2.7")
def debug_images(call: Call) -> dict[str, Any]:
    """The debug images of the newest iterations, by task; a scroll id goes to earlier and later ones."""
    return steps.iterations(call, steps.IMAGES)


@endpoint()
def plots(call: Call) -> dict[str, Any]:
    """As ``debug_images``, of plots."""
    return steps.iterations(call, steps.PLOTS)


@endpoint("2.12")
def get_debug_image_sample(call: Call) -> dict[str, Any]:
    """One debug image, the iterations there are of it, and a scroll id to go on from."""
    return steps.first(call, steps.IMAGES, call.data["variant"])


@endpoint()
def get_plot_sample(call: Call) -> dict[str, Any]:
    """The plots of one metric and iteration, the iterations there are, and a scroll id to go on from."""
    return steps.first(call, steps.PLOTS, call.get("variant"))


@endpoint("2.12")
def next_debug_image_sample(call: Call) -> dict[str, Any]:
    """The image before or after: of the next variant, or of the next iteration."""
    return steps.following(call, steps.IMAGES)


@endpoint()
def next_plot_sample(call: Call) -> dict[str, Any]:
    """The plots before or after: of the next metric, or of the next iteration."""
    return steps.following(call, steps.PLOTS)
