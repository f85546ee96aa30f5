"""``events``: what tasks and models report (scalars, console lines, plots, images, vectors), taken in and read back.

Reads that may be long run beside the writer (``slow``). Left out: the forms of ``debug_images`` before 2.7 and of the
plots before 1.8, which no client of these years asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from .. import fence, moments
from ..call import Call, Raw
from ..dispatch import endpoint
from ..error_table import ApiError, error, field_error
from ..listing.scrolls import EXHAUSTED, Scrolls, position, token
from ..store import events, logs, samples, scalars
from ..store.scalars import Memory, Name, Wanted

#: The most events of one answer.
LONGEST_PAGE = 10_000
LONGEST_RAW_PAGE = 200_000
MOST_SAMPLES = 6_000
#: Who reported where neither the event nor the request says it.
UNKNOWN_WORKER = "<unknown>"
#: The fields of a downloaded console line, in order.
LINE_FIELDS = ("level", "msg", "worker", "model_event", "@timestamp", "metric", "variant", "asctime")
IMAGES, PLOTS = "images", "plots"
KIND_OF = {IMAGES: samples.IMAGE, PLOTS: samples.PLOT}


# What several of them need


def _scrolls(call: Call) -> Scrolls:
    scrolls: Scrolls = call.services.memory.setdefault("events.scrolls", Scrolls())
    return scrolls


def _documents(call: Call, ids: Iterable[str], model: bool | None = None) -> dict[str, str]:
    """The names of these tasks (or models, where ``model_events`` is set), by id in the order asked for.

    Raises:
        ApiError: 400/101 or 400/201 naming those that do not exist.
    """
    if model is None:
        model = call.get("model_events", False)
    wanted = list(dict.fromkeys(ids))
    rows = call.tx.all(
        f"SELECT id, name FROM {'model' if model else 'task'} WHERE id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(wanted).decode(),),
    )
    found = dict(rows)
    if missing := [i for i in wanted if i not in found]:
        raise error("invalid_model_id" if model else "invalid_task_id", ids=missing)
    return {i: found[i] or "" for i in wanted}


def _task(call: Call) -> str:
    """The task (or model) of a call that is about one."""
    task: str = call.data["task"]
    _documents(call, [task])
    return task


def _tasks(call: Call) -> dict[str, str]:
    """The tasks (or models) of a call that is about several: their names by id."""
    return _documents(call, call.data["tasks"])


def _wanted(metrics: Any) -> Wanted:
    """``[{metric, variants}]`` of a request as ``{metric: variants}``.

    Raises:
        ApiError: 400/12.
    """
    if not metrics:
        return None
    found: dict[str, list[str]] = {}
    for item in metrics if isinstance(metrics, list) else [metrics]:
        metric = item.get("metric") if isinstance(item, dict) else None
        variants = (item.get("variants") if isinstance(item, dict) else None) or []
        if not isinstance(metric, str) or not isinstance(variants, list):
            raise field_error("metrics", ": objects with metric and variants were expected.")
        if found.get(metric, True):
            found[metric] = [*found.get(metric, []), *variants] if variants else []
    return found


def _size(call: Call, name: str, default: int, most: int) -> int:
    value: int = call.get(name, default)
    return max(1, min(value, most))


def _instant(milliseconds: int) -> str:
    """``2026-11-21T20:42:48.712Z``, the form of instants in events."""
    return moments.iso(milliseconds)[:23] + "Z"


def _shown(event: dict[str, Any], model: bool = False) -> dict[str, Any]:
    """An event in ClearML's form."""
    event["@timestamp"] = _instant(event.pop("received"))
    event["model_event"] = model
    return event


def _unlocked(call: Call, id: str, model: bool = False) -> None:
    """Refuse to change the events of what is published.

    Raises:
        ApiError: 400/101 or 400/201, also where there is no such task or model.
    """
    _documents(call, [id], model)
    owner = events.owner(call.tx, id, model)
    if owner is not None and owner.locked and not call.get("allow_locked", False):
        kind, subcode = ("model", 201) if model else ("task", 101)
        whose = f"company={call.who.company}, id={id}"
        raise ApiError(400, subcode, f"Cannot update events for a published {kind}: {whose}")


# Taking in


@endpoint(access="metrics", batch=True)
def add_batch(call: Call) -> dict[str, Any]:
    """How many events were stored, and how many were not, by reason."""
    if not call.lines:
        raise error("empty_batch")
    return _take_in(call, call.lines)


@endpoint(access="metrics")
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
    worker = call.headers.get("x-clearml-worker") or call.headers.get("x-trains-worker") or UNKNOWN_WORKER
    batch = events.Batch(call.tx, memory, call.now, worker)
    batch.take(fence.admitted(call, lines, batch.errors) if call.tx.fenced else lines)
    batch.write(call.who.user)
    if not batch.added:
        raise error("events_not_added", **batch.errors)
    answer = {"added": batch.added, "errors": batch.errors.total(), "errors_info": dict(batch.errors)}
    if known_by and batch.lines and not batch.unstamped:
        logs.remember(call.tx, known_by, call.now, answer)
    return answer


@endpoint(access="metrics")
def delete_for_task(call: Call) -> dict[str, Any]:
    """Remove every event of a task: how many there were."""
    task = call.data["task"]
    _unlocked(call, task)
    return {"deleted": events.delete_for(call.tx, [task])}


@endpoint(access="metrics")
def delete_for_model(call: Call) -> dict[str, Any]:
    """Remove every event of a model: how many there were."""
    model = call.data["model"]
    _unlocked(call, model, model=True)
    return {"deleted": events.delete_for(call.tx, [model])}


@endpoint(access="metrics")
def clear_task_log(call: Call) -> dict[str, Any]:
    """Remove the console lines of a task, or those older than ``threshold_sec``: how many there were."""
    task, threshold = call.data["task"], call.get("threshold_sec", 0)
    _unlocked(call, task)
    before = call.now - threshold * 1000 if 0 < threshold < 10**12 else None
    return {"deleted": logs.delete_for(call.tx, [task], before)}


@endpoint("2.18", access="none")
def clear_scroll(call: Call) -> dict[str, Any]:
    """Forget where a reader stood."""
    _scrolls(call).close(call.data["scroll_id"])
    return {}


# Console


@endpoint("2.9")
def get_task_log(call: Call) -> dict[str, Any]:
    """Console lines from the newest backwards (or forwards) from a timestamp: {events, returned, total}."""
    task, earlier = _task(call), call.get("navigate_earlier", True)
    start = call.get("from_timestamp")
    if start is not None:
        start = max(-1, min(int(start), events.LAST_INSTANT + 1))
    rows = logs.read(call.tx, task, _size(call, "batch_size", 500, LONGEST_PAGE), start, earlier)
    if call.get("order", "desc" if earlier else "asc") != ("desc" if earlier else "asc"):
        rows.reverse()
    found = [_shown(logs.shown(task, row)) for row in rows]
    return {"events": found, "returned": len(found), "total": logs.count(call.tx, task)}


@endpoint("1.7", name="get_task_log")
def get_task_log_from(call: Call) -> dict[str, Any]:
    """The form of 1.7: ``from`` head or tail; newest first, with a scroll id."""
    return _old_log(call, call.get("from", "head") != "head", turn=True)


@endpoint("1.0", name="get_task_log")
def get_task_log_scrolled(call: Call) -> dict[str, Any]:
    """The first form: ``order`` desc (default) or asc, with a scroll id."""
    return _old_log(call, call.get("order", "desc") != "asc", turn=False)


def _old_log(call: Call, descending: bool, turn: bool) -> dict[str, Any]:
    task = _task(call)
    after = position(call.get("scroll_id"), "after").get("after")
    rows = logs.read(call.tx, task, _size(call, "batch_size", 500, LONGEST_PAGE), after, descending)
    scroll_id = token(after=rows[-1][0] if rows else after or 0)
    if turn and not descending:
        rows.reverse()
    found = [_shown(logs.shown(task, row)) for row in rows]
    total = logs.count(call.tx, task)
    return {"events": found, "returned": len(found), "total": total, "scroll_id": scroll_id}


@endpoint(slow=True)
def download_task_log(call: Call) -> Raw:
    """A task's console as an attachment: a JSON object a line, or text by ``line_format``."""
    task = _task(call)
    lines = []
    as_text = call.get("line_type", "json") == "text"
    form = call.get("line_format", "{asctime} {worker} {level} {msg}")
    for row in logs.read(call.tx, task, 2**62, None, descending=False):
        event = _shown(logs.shown(task, row))
        event["asctime"] = event.pop("timestamp")
        if event["worker"] == UNKNOWN_WORKER:  # the real server adds its own fields behind the client's
            order = [n for n in LINE_FIELDS if n != "worker"]
            order.insert(order.index("@timestamp") + 1, "worker")
        else:
            order = list(LINE_FIELDS)
        event = {n: event.pop(n) for n in order if n in event} | event
        del event["type"], event["task"]
        if as_text:
            event["asctime"] = _instant(event["asctime"])
            lines.append(_filled(form, event).encode())
        else:
            lines.append(orjson.dumps(event))
    headers = {"Content-Disposition": f"attachment; filename=task_{task}.log"}
    return Raw(b"\n".join(lines) + b"\n" if lines else b"", headers=headers)


def _filled(form: str, event: dict[str, Any]) -> str:
    """A line format with its ``{names}`` filled in; nothing else of Python's formats is understood."""
    return re.sub(r"\{(@?\w+)\}", lambda m: str(event.get(m[1], "")), form)


# Scalars


def _series(call: Call, owners: Iterable[str]) -> list[Name]:
    return scalars.names(call.tx, owners, _wanted(call.get("metrics")))


def _line(call: Call, series: Name, name: str) -> dict[str, Any] | None:
    key = call.get("key", "iter")
    wanted = _size(call, "samples", 2000, MOST_SAMPLES)
    x, y = scalars.histogram(call.tx, series.number, wanted, "iter" if key == "iter" else "timestamp")
    if not x:
        return None
    return {"name": name, "x": [_instant(i) for i in x] if key == "iso_time" else x, "y": y}


@endpoint(slow=True)
def scalar_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    """{metric: {variant: {name, x, y}}}; long series as averages over stretches of equal width."""
    found: dict[str, Any] = {}
    for series in _series(call, [_task(call)]):
        if line := _line(call, series, series.variant):
            found.setdefault(series.metric, {})[series.variant] = line
    return found


@endpoint(slow=True)
def multi_task_scalar_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    """The same for several tasks: {metrics: {metric: {variant: {task: {name, x, y}}}}}."""
    tasks = _tasks(call)
    found: dict[str, Any] = {}
    for series in _series(call, tasks):
        if line := _line(call, series, tasks[series.owner]):
            found.setdefault(series.metric, {}).setdefault(series.variant, {})[series.owner] = line
    return {"metrics": found}


@endpoint("2.16", slow=True)
def scalar_metrics_iter_raw(call: Call) -> dict[str, Any]:
    """The points of one metric as they were reported, page by page: {variants: {variant: {y, iter}}}."""
    task = _task(call)
    key = call.get("key", "iter")
    here = position(call.get("scroll_id"), "after", "size")
    size = _size(call, "batch_size", here.get("size", 10_000), LONGEST_RAW_PAGE)
    series = scalars.names(call.tx, [task], _wanted(call.data["metric"]))
    total = here.get("total")
    if total is None and call.get("count_total", False):
        total = scalars.count(call.tx, series)
    rows = scalars.page(call.tx, series, size, here.get("after"))
    variants = {s.number: s.variant for s in series}
    found: dict[str, Any] = {}
    for iteration, number, value, stamp, _, _ in rows:
        line = found.setdefault(variants[number], {"y": [], key: []})
        line["y"].append(value)
        line[key].append(iteration if key == "iter" else stamp if key == "timestamp" else _instant(stamp))
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
        found.append(_shown(event, model))
    return found


@endpoint(slow=True)
def get_scalar_metric_data(call: Call) -> dict[str, Any]:
    """The points of one metric as events, newest iteration first, page by page."""
    task = call.get("task")
    if task is None:
        raise field_error("task", ". field is required!")
    _documents(call, [task])
    scroll_id = call.get("scroll_id")
    if scroll_id == EXHAUSTED:
        return {"events": [], "returned": 0, "total": 0, "scroll_id": None}
    metric = call.get("metric")
    series = scalars.names(call.tx, [task], None if metric is None else {metric: []})
    rows = scalars.page(
        call.tx, series, LONGEST_PAGE, position(scroll_id, "after").get("after"), descending=True
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
    for series in scalars.names(call.tx, [_task(call)]):
        found.setdefault(series.metric, []).append(series.variant)
    return {"metrics": found}


@endpoint()
def get_task_single_value_metrics(call: Call) -> dict[str, Any]:
    """The values reported without an iteration, by task; tasks without any are left out."""
    tasks, wanted = _tasks(call), _wanted(call.get("metrics"))
    values: dict[str, list[dict[str, Any]]] = {}
    for owner, metric, variant, value, stamp in scalars.single_values(call.tx, tasks):
        if wanted is None or (metric in wanted and (not wanted[metric] or variant in wanted[metric])):
            one = {"metric": metric, "variant": variant, "value": value, "timestamp": stamp}
            values.setdefault(owner, []).append(one)
    found = [{"task": t, "task_name": name, "values": values[t]} for t, name in tasks.items() if t in values]
    return {"tasks": found}


@endpoint()
def get_task_latest_scalar_values(call: Call) -> dict[str, Any]:
    """The value of every series at its greatest iteration, by metric; series that are no numbers are left out."""
    task = _task(call)
    metrics: dict[str, list[dict[str, Any]]] = {}
    last_iteration, last_stamp = 0, 0.0
    for series in scalars.names(call.tx, [task]):
        point = scalars.newest(call.tx, series.number)
        if point is None or point[1] is None:
            continue
        variant = {"name": series.variant, "last_value": point[1], "last_10_value": point[1]}
        metrics.setdefault(series.metric, []).append(variant)
        last_iteration, last_stamp = max(last_iteration, point[0]), max(last_stamp, float(point[2]))
    row = call.tx.one("SELECT name, status FROM task WHERE id=?", (task,))
    name, status = row or (None, None)
    return {
        "metrics": [{"name": metric, "variants": variants} for metric, variants in metrics.items()],
        "last_iter": last_iteration,
        "name": name,
        "status": status,
        "last_timestamp": last_stamp,
    }


# Vectors


@endpoint()
def get_vector_metrics_and_variants(call: Call) -> dict[str, Any]:
    """{metrics: {metric: [variants]}} of a task's vectors."""
    found: dict[str, list[str]] = {}
    for _, metric, variant in samples.pairs(call.tx, [_task(call)], samples.VECTOR):
        found.setdefault(metric, []).append(variant)
    return {"metrics": found}


@endpoint(slow=True)
def vector_metrics_iter_histogram(call: Call) -> dict[str, Any]:
    """The vectors of one series by iteration."""
    metric, variant = call.data["metric"], call.data["variant"]
    rows = samples.vector(call.tx, _task(call), metric, variant)
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
    tasks, kind = _tasks(call), _kind(call)
    found: dict[str, list[str]] = {task: [] for task in tasks}
    if kind == scalars.KIND:
        for series in scalars.names(call.tx, tasks):
            point = scalars.newest(call.tx, series.number)
            if point is not None and point[0] > scalars.SINGLE_VALUE:
                found[series.owner].append(series.metric)
    elif kind == logs.KIND:
        found = {task: [""] if logs.read(call.tx, task, 1) else [] for task in tasks}
    else:
        for task, metric, _ in samples.pairs(call.tx, tasks, kind):
            found[task].append(metric)
    return {
        "metrics": [{"task": task, "metrics": list(dict.fromkeys(names))} for task, names in found.items()]
    }


@endpoint()
def get_multi_task_metrics(call: Call) -> dict[str, Any]:
    """The metrics and variants of a kind of event over several tasks."""
    tasks, kind = _tasks(call), _kind(call)
    if kind == scalars.KIND:
        pairs = [(s.metric, s.variant) for s in scalars.names(call.tx, tasks)]
    elif kind == logs.KIND:
        pairs = [("", "")] if any(logs.read(call.tx, task, 1) for task in tasks) else []
    else:
        pairs = [(metric, variant) for _, metric, variant in samples.pairs(call.tx, tasks, kind)]
    found: dict[str, list[str]] = {}
    for metric, variant in dict.fromkeys(pairs):
        found.setdefault(metric, []).append(variant)
    return {"metrics": [{"metric": metric, "variants": variants} for metric, variants in found.items()]}


@endpoint(slow=True)
def get_task_events(call: Call) -> dict[str, Any]:
    """The events of one kind by iteration (console lines: by time), page by page."""
    task, kind = _task(call), _kind(call)
    here = position(call.get("scroll_id"), "after")
    after, descending = here.get("after"), call.get("order", "asc") == "desc"
    size = _size(call, "batch_size", 500, LONGEST_PAGE)
    model = call.get("model_events", False)
    if kind == scalars.KIND:
        series = _series(call, [task])
        rows = scalars.page(call.tx, series, size, after, descending)
        found, total = _points(call, series, rows), scalars.count(call.tx, series)
        last = rows[-1][0] if rows else after
    elif kind == logs.KIND:
        rows = logs.read(call.tx, task, size, after, descending)
        found, total = [_shown(logs.shown(task, row)) for row in rows], logs.count(call.tx, task)
        last = rows[-1][0] if rows else after
    else:
        rows = samples.page(call.tx, kind, task, size, after, descending)
        found, total = [_shown(samples.shown(row), model) for row in rows], samples.count(call.tx, kind, task)
        last = rows[-1][4] if rows else after
    following = token(after=last) if last is not None else token(after=-(2**63) + 1)
    return {"returned": len(found), "total": total, "scroll_id": following, "events": found}


# Plots and images


def _latest_plots(call: Call, owners: Iterable[str]) -> list[dict[str, Any]]:
    wanted, iterations = _wanted(call.get("metrics")), _size(call, "iters", 1, LONGEST_PAGE)
    model = call.get("model_events", False)
    found = []
    for pair in samples.pairs(call.tx, owners, samples.PLOT, wanted):
        for row in samples.latest(call.tx, samples.PLOT, pair, iterations):
            found.append(_shown(samples.shown(row), model))
    return found


@endpoint("1.8", slow=True)
def get_task_plots(call: Call) -> dict[str, Any]:
    """The plots of the newest iterations of every metric and variant; all in one answer, so there is no scrolling."""
    plots = _latest_plots(call, [_task(call)])
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": None}


@endpoint("1.8", slow=True)
def get_multi_task_plots(call: Call) -> dict[str, Any]:
    """The same for several tasks: {plots: {metric: {variant: {task: {iter: {name, plots}}}}}}."""
    tasks = _tasks(call)
    state = _scrolls(call).get(call.get("scroll_id"), "multi plots")
    if state is not None or call.get("scroll_id") == EXHAUSTED:
        return {"plots": {}, "returned": 0, "total": state["total"] if state else 0, "scroll_id": EXHAUSTED}
    plots = _latest_plots(call, tasks)
    found: dict[str, Any] = {}
    for plot in plots:
        by_task = (
            found.setdefault(plot["metric"], {}).setdefault(plot["variant"], {}).setdefault(plot["task"], {})
        )
        one = by_task.setdefault(str(plot["iter"]), {"name": tasks[plot["task"]], "plots": []})
        one["plots"].append(plot)
    scroll_id = None if call.get("no_scroll", False) else _scrolls(call).open("multi plots", total=len(plots))
    return {"plots": found, "returned": len(plots), "total": len(plots), "scroll_id": scroll_id}


@endpoint("2.7", slow=True)
def debug_images(call: Call) -> dict[str, Any]:
    """The debug images of the newest iterations, by task; a scroll id goes to earlier and later ones."""
    return _iterations(call, IMAGES)


@endpoint(slow=True)
def plots(call: Call) -> dict[str, Any]:
    """As ``debug_images``, of plots."""
    return _iterations(call, PLOTS)


def _iterations(call: Call, what: str) -> dict[str, Any]:
    by_task: dict[str, list[dict[str, Any]]] = {}
    for item in call.data["metrics"]:
        by_task.setdefault(item["task"], []).append(item)
    _documents(call, by_task)
    count, earlier = _size(call, "iters", 1, LONGEST_PAGE), call.get("navigate_earlier", True)
    scroll_id = call.get("scroll_id")
    state = _scrolls(call).get(scroll_id, what)
    if state is None:
        scroll_id = _scrolls(call).open(what, seen={})
        state = _scrolls(call).require(scroll_id, what)
    found = []
    for task, items in by_task.items():
        everything = any(item.get("metric") is None for item in items)
        places = samples.places(call.tx, KIND_OF[what], task, None if everything else _wanted(items))
        seen = None if call.get("refresh", False) else state["seen"].get(task)
        iterations = _next_iterations({p[0] for p in places}, seen, count, earlier)
        if iterations:
            state["seen"][task] = (iterations[-1], iterations[0])
        shown = [{"events": _events_at(call, what, task, i, places), "iter": i} for i in iterations]
        found.append({"iterations": shown, "task": task})
    return {"metrics": found, "scroll_id": scroll_id}


def _next_iterations(all: set[int], seen: tuple[int, int] | None, count: int, earlier: bool) -> list[int]:
    """The iterations to show next, newest first, after those from ``seen[0]`` to ``seen[1]``."""
    newest_first = sorted(all, reverse=True)
    if seen is None:
        return newest_first[:count]
    if earlier:
        return [i for i in newest_first if i < seen[0]][:count]
    return [i for i in newest_first if i > seen[1]][-count:]


def _events_at(
    call: Call, what: str, task: str, iteration: int, places: list[tuple[int, str, str]]
) -> list[dict[str, Any]]:
    """The events of one iteration, by metric and variant."""
    here: dict[str, list[str]] = {}
    for i, metric, variant in places:
        if i == iteration:
            here.setdefault(metric, []).append(variant)
    model = call.get("model_events", False)
    return [
        _shown(samples.shown(row), model)
        for metric, variants in here.items()
        for row in samples.at(call.tx, KIND_OF[what], task, iteration, metric, variants)
    ]


@endpoint("2.12", slow=True)
def get_debug_image_sample(call: Call) -> dict[str, Any]:
    """One debug image, the iterations there are of it, and a scroll id to go on from."""
    return _first_sample(call, IMAGES, call.data["variant"])


@endpoint(slow=True)
def get_plot_sample(call: Call) -> dict[str, Any]:
    """The plots of one metric and iteration, the iterations there are, and a scroll id to go on from."""
    return _first_sample(call, PLOTS, None)


@endpoint("2.12", slow=True)
def next_debug_image_sample(call: Call) -> dict[str, Any]:
    """The image before or after: of the next variant, or of the next iteration."""
    return _next_sample(call, IMAGES)


@endpoint(slow=True)
def next_plot_sample(call: Call) -> dict[str, Any]:
    """The plots before or after: of the next metric, or of the next iteration."""
    return _next_sample(call, PLOTS)


def _stops(call: Call, what: str, task: str, metric: str | None) -> list[tuple[int, str, str]]:
    """Where a reader of samples can stand, ascending: each image, or the plots of one metric together."""
    places = samples.places(call.tx, KIND_OF[what], task, None if metric is None else {metric: []})
    if what == PLOTS:
        places = sorted({(i, m, "") for i, m, _ in places})
    return places


def _first_sample(call: Call, what: str, variant: str | None) -> dict[str, Any]:
    task, metric, latest = _task(call), call.data["metric"], call.get("iteration")
    only = metric if call.get("navigate_current_metric", True) else None
    stops = [
        stop
        for stop in _stops(call, what, task, metric)
        if (what == PLOTS or stop[2] == variant) and (latest is None or stop[0] <= latest)
    ]
    scroll_id = call.get("scroll_id")
    state = _scrolls(call).get(scroll_id, f"{what} sample")
    if state is None:
        scroll_id = _scrolls(call).open(f"{what} sample", only=None, stop=None)
        state = _scrolls(call).require(scroll_id, f"{what} sample")
    state |= {"only": only, "stop": stops[-1] if stops else None}
    return _sample(call, what, task, scroll_id or "", state["stop"])


def _next_sample(call: Call, what: str) -> dict[str, Any]:
    task, scroll_id = _task(call), call.data["scroll_id"]
    state = _scrolls(call).require(scroll_id, f"{what} sample")
    here, earlier = state["stop"], call.get("navigate_earlier", True)
    stops = _stops(call, what, task, state["only"])
    if here is None:
        stops = []
    elif call.get("next_iteration", False):
        others = [s for s in stops if (s[0] < here[0] if earlier else s[0] > here[0])]
        iteration = (max if earlier else min)((s[0] for s in others), default=None)
        stops = [s for s in others if s[0] == iteration]
        stops = [s for s in stops if s[1:] == here[1:]] or stops
    else:
        stops = [s for s in stops if s < here] if earlier else [s for s in stops if s > here]
    stop = (stops[-1] if earlier else stops[0]) if stops else None
    state["stop"] = stop or here
    return _sample(call, what, task, scroll_id, stop)


def _sample(
    call: Call, what: str, task: str, scroll_id: str, stop: tuple[int, str, str] | None
) -> dict[str, Any]:
    name = "event" if what == IMAGES else "events"
    if stop is None:
        return {"scroll_id": scroll_id, name: None if what == IMAGES else []}
    iteration, metric, variant = stop
    places = samples.places(call.tx, KIND_OF[what], task, {metric: [variant] if what == IMAGES else []})
    found = _events_at(call, what, task, iteration, places)
    return {
        "scroll_id": scroll_id,
        name: (found[0] if found else None) if what == IMAGES else found,
        "min_iteration": places[0][0],
        "max_iteration": places[-1][0],
    }
