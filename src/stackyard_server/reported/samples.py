"""Plots and debug images: the newest iterations of each, and one sample after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..calls import Call
from ..protocol.bounds import ANSWER_BYTES
from ..store import samples
from . import requests

IMAGES, PLOTS = "images", "plots"
KIND_OF = {IMAGES: samples.IMAGE, PLOTS: samples.PLOT}


def latest_plots(call: Call, owners: Iterable[str], skip: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The plots of each owner's newest iterations, as many as one answer may have, and how many there are.

    Args:
        call: The request.
        owners: The tasks or models.
        skip: How many were answered before.
    """
    wanted, iterations = (
        requests.wanted(call.get("metrics")),
        requests.size(call, "iters", 1, requests.LONGEST_PAGE),
    )
    model = call.get("model_events", False)
    numbers = [
        place
        for pair in samples.pairs(call.tx, owners, samples.PLOT, wanted)
        for place in samples.latest(call.tx, samples.PLOT, pair, iterations)
    ]
    fit, room = 0, ANSWER_BYTES
    for _, size in numbers[skip:]:
        room -= size
        if room < 0 and fit:
            break
        fit += 1
    rows = samples.rows(call.tx, [number for number, _ in numbers[skip : skip + fit]])
    return [requests.shown(samples.shown(row), model) for row in rows], len(numbers)


def iterations(call: Call, what: str) -> dict[str, Any]:
    """The next iterations of each task's images or plots, newest first; the scroll remembers where it stands."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    for item in call.data["metrics"]:
        by_task.setdefault(item["task"], []).append(item)
    requests.names(call, by_task)
    count, earlier = (
        requests.size(call, "iters", 1, requests.LONGEST_PAGE),
        call.get("navigate_earlier", True),
    )
    scroll_id = call.get("scroll_id")
    scrolls = requests.scrolls_of(call)
    state = scrolls.find(scroll_id, what, call.now)
    if scroll_id is None or state is None:
        scroll_id = scrolls.open(what, call.who.user, call.now, seen={})
        state = scrolls.require(scroll_id, what, call.now)
    found = []
    for task, items in by_task.items():
        everything = any(item.get("metric") is None for item in items)
        places = samples.places(call.tx, KIND_OF[what], task, None if everything else requests.wanted(items))
        seen = None if call.get("refresh", False) else state["seen"].get(task)
        iterations = _next_iterations({p[0] for p in places}, seen, count, earlier)
        if iterations:
            state["seen"][task] = (iterations[-1], iterations[0])
        shown = [{"events": _events_at(call, what, task, i, places), "iter": i} for i in iterations]
        found.append({"iterations": shown, "task": task})
    scrolls.keep(scroll_id, state, call.who.user, call.now)
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
        requests.shown(samples.shown(row), model)
        for metric, variants in here.items()
        for row in samples.at(call.tx, KIND_OF[what], task, iteration, metric, variants)
    ]


def _stops(
    call: Call, what: str, task: str, metric: str | None, only_variant: str | None
) -> list[tuple[int, str, str]]:
    """Where a reader of samples can stand, ascending: each image, or the plots of one metric together (of one variant,
    where one is asked for)."""
    places = samples.places(call.tx, KIND_OF[what], task, None if metric is None else {metric: []})
    if what == PLOTS:
        places = [p for p in places if only_variant in (None, p[2])]
        places = sorted({(i, m, "") for i, m, _ in places})
    return places


def first(call: Call, what: str, variant: str | None) -> dict[str, Any]:
    """The newest image of a metric and variant, or the newest plots of a metric (of one variant, where one is given).

    It opens the scroll that ``following`` goes on with.
    """
    task, metric, latest = requests.task(call), call.data["metric"], call.get("iteration")
    only = metric if call.get("navigate_current_metric", True) else None
    stops = [
        stop
        for stop in _stops(call, what, task, metric, variant)
        if (what == PLOTS or stop[2] == variant) and (latest is None or stop[0] <= latest)
    ]
    scroll_id = call.get("scroll_id")
    scrolls, purpose = requests.scrolls_of(call), f"{what} sample"
    state = scrolls.find(scroll_id, purpose, call.now)
    if scroll_id is None or state is None:
        scroll_id = scrolls.open(purpose, call.who.user, call.now, only=None, variant=None, stop=None)
        state = scrolls.require(scroll_id, purpose, call.now)
    state |= {"only": only, "variant": variant, "stop": stops[-1] if stops else None}
    scrolls.keep(scroll_id, state, call.who.user, call.now)
    return _sample(call, what, task, scroll_id or "", state)


def following(call: Call, what: str) -> dict[str, Any]:
    """The image or plot before or after the one a scroll stands at.

    Raises:
        ApiError: the scroll is unknown.
    """
    task, scroll_id = requests.task(call), call.data["scroll_id"]
    scrolls = requests.scrolls_of(call)
    state = scrolls.require(scroll_id, f"{what} sample", call.now)
    here, earlier = state["stop"], call.get("navigate_earlier", True)
    stops = _stops(call, what, task, state["only"], state["variant"])
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
    scrolls.keep(scroll_id, state, call.who.user, call.now)
    return _sample(call, what, task, scroll_id, {**state, "stop": stop})


def _sample(call: Call, what: str, task: str, scroll_id: str, state: dict[str, Any]) -> dict[str, Any]:
    stop: tuple[int, str, str] | None = state["stop"]
    name = "event" if what == IMAGES else "events"
    if stop is None:
        nothing = {"min_iteration": None, "max_iteration": None}
        return {"scroll_id": scroll_id, name: None if what == IMAGES else [], **nothing}
    iteration, metric, variant = stop
    one = variant if what == IMAGES else state["variant"]
    places = samples.places(call.tx, KIND_OF[what], task, {metric: [one] if one else []})
    found = _events_at(call, what, task, iteration, places)
    return {
        "scroll_id": scroll_id,
        name: (found[0] if found else None) if what == IMAGES else found,
        "min_iteration": places[0][0],
        "max_iteration": places[-1][0],
    }
