"""``serving``: the containers that serve models, as they report themselves."""

from __future__ import annotations

from typing import Any

from ..calls import Call
from ..calls.dispatch import endpoint
from ..protocol.error_table import error
from ..reported import serving


@endpoint("2.30", access="none", role="user")
def register_container(call: Call) -> dict[str, Any]:
    """Nothing: the container is known from now on."""
    serving.containers_of(call).report(call.who.user, call.data, call.now)
    return {}


@endpoint("2.30", access="none", role="user", destructive=True)
def unregister_container(call: Call) -> dict[str, Any]:
    """Nothing: the container is forgotten."""
    serving.containers_of(call).remove(call.who.user, call.data["container_id"])
    return {}


@endpoint("2.30", access="none", role="user")
def container_status_report(call: Call) -> dict[str, Any]:
    """Nothing: what the container measured is noted. Left out: ``machine_stats``, which no page of ours shows."""
    serving.containers_of(call).report(call.who.user, call.data, call.now)
    return {}


@endpoint(access="none", slow=True)
def get_endpoints(call: Call) -> dict[str, Any]:
    """The addresses at which models are served, with what their containers measured together."""
    by_url: dict[str, list[serving.Container]] = {}
    for container in serving.containers_of(call).alive(call.now):
        if container.url:
            by_url.setdefault(container.url, []).append(container)
    return {"endpoints": [serving.summary(containers) for containers in by_url.values()]}


@endpoint(access="none", slow=True)
def get_loading_instances(call: Call) -> dict[str, Any]:
    """The containers that do not serve yet."""
    loading = [c for c in serving.containers_of(call).alive(call.now) if not c.url]
    return {
        "instances": [
            {
                **serving.instance(container),
                "endpoint": container.described.get("endpoint_name"),
                "model": container.described.get("model_name"),
                "model_source": container.described.get("model_source"),
                "model_version": container.described.get("model_version"),
            }
            for container in loading
        ]
    }


@endpoint("2.30", access="none", slow=True)
def get_endpoint_details(call: Call) -> dict[str, Any]:
    """One address: what is served there, and by which containers."""
    containers = serving_at(call)
    newest = containers[-1].described
    names = ("model_source", "model_version", "preprocess_artifact", "input_type", "input_size")
    return {
        **serving.summary(containers),
        **{name: newest.get(name) for name in names},
        "instances": [serving.instance(container) for container in containers],
    }


@endpoint("2.30", access="none", slow=True)
def get_endpoint_metrics_history(call: Call) -> dict[str, Any]:
    """A chart of one measure of an address over time, and with ``instance_charts`` one of each container.

    ``metric_type`` is requests, requests_min or latency_ms; of others (CPU, GPU, memory, network) nothing is kept, and
    their charts are empty.
    """
    containers = serving_at(call)
    start_ms, end_ms = int(call.data["from_date"] * 1000), int(call.data["to_date"] * 1000)
    interval_ms = max(1, call.data["interval"]) * 1000
    name = call.get("metric_type", "requests")
    if name not in serving.CHARTS:
        return {"total": {"title": name, "dates": [], "values": []}, "instances": {}}
    answer: dict[str, Any] = {
        "total": serving.chart(name, containers, start_ms, end_ms, interval_ms),
        "instances": {},
    }
    if call.get("instance_charts", True):
        for container in containers:
            answer["instances"][container.id] = serving.chart(
                name, [container], start_ms, end_ms, interval_ms
            )
    return answer


def serving_at(call: Call) -> list[serving.Container]:
    """The live containers at the address asked for.

    Raises:
        ApiError: 400/12 there are none.
    """
    url = call.data["endpoint_url"]
    found = [c for c in serving.containers_of(call).alive(call.now) if c.url == url]
    if not found:
        raise error("validation", "no container serves at this address", endpoint_url=url)
    return found
