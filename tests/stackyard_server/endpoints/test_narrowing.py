"""No field that narrows an answer is accepted and ignored: every read is asked with each of its fields.

Every known field of every read stands in one of two tables: what it narrows an answer to, or that it only says how the
answer looks. A new field fails here until somebody says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server import endpoints
from stackyard_server.protocol import fields
from stackyard_server.protocol.ignored_fields import IGNORED

from ..running import Running, running_server

NOBODY = "0" * 32
#: How an answer looks, in which order it comes, and where a reader stands.
SHAPES = frozenset(
    {"only_fields", "order_by", "page", "page_size", "size", "scroll_id", "refresh_scroll", "refresh", "no_scroll"}
    | {"batch_size", "count_total", "order", "navigate_earlier", "from", "key", "samples", "iters"}
    | {"include_system", "include_stats", "include_stats_filter", "include_dataset_stats", "check_own_contents"}
    | {"stats_for_state", "stats_with_children", "line_format", "line_type", "split_by_resource", "split_by_variant"}
    | {"instance_charts", "usage_fields", "navigate_current_metric", "next_iteration", "skip_empty"}
    # what widens an answer, or asks for another thing
    | {"search_hidden", "include_hidden_projects", "include_subprojects", "include_development", "model_events"}
    | {"model_metrics", "metric_type", "expiration_sec", "path", "plots", "debug_images", "single_value_metrics"}
    | {"scalar_metrics_iter_histogram", "tasks_state"}
)  # fmt: skip
#: What fits nothing, by the name of a field.
NOTHING: dict[str, Any] = {
    "id": [NOBODY], "name": "^no such thing$", "tags": ["no such tag"], "system_tags": ["no such tag"],
    "user": [NOBODY], "project": [NOBODY], "status": ["failed"], "type": ["qc"], "parent": [NOBODY],
    "task_types": ["qc"],
    "status_changed": [">2999-01-01"], "last_update": [">2999-01-01"], "search_text": "nosuchword",
    "_any_": {"fields": ["name"], "pattern": "^no such thing$"}, "_all_": {"fields": ["name"], "pattern": "^no$"},
    "_or_": {"fields": ["name"], "pattern": "^no such thing$"}, "_and_": {"fields": ["name"], "pattern": "^no$"},
    "filters": {"tags": {"any": {"include": ["no such tag"]}}}, "allow_public": False, "non_public": True,
    "basename": "^no such thing$", "description": "^no such thing$", "shallow_search": True,
    "active_users": [NOBODY], "children_type": "pipeline", "framework": ["none"], "ready": False,
    "task": [NOBODY], "uri": ["http://no/such"], "max_task_entries": 0, "projects": [NOBODY],
    "metrics": [{"metric": "no"}],
    "input.view.entries.dataset": ["x"], "input.view.entries.version": ["x"], "names": ["no such"],
    "active_in_projects": [NOBODY], "last_seen": 1, "worker_ids": ["nobody"], "filter": {"tags": ["no such tag"]},
    "pattern": "^no such$", "task_name": "^no such$", "ids": [NOBODY], "queue_ids": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(role="admin") as running:
        yield running


@pytest.fixture(scope="module")
def world(server: Running) -> dict[str, str]:
    """One of everything, ids by name; what is public besides what belongs to the company."""
    call = server.call
    root = call("projects.create", name="work", tags=["t"])["id"]
    project = call("projects.create", name="work/deep", description="words", tags=["t"])["id"]
    entry = {"Args": {"lr": {"section": "Args", "name": "lr", "value": "0.1"}}}
    made = {
        "project": project, "name": "first task", "type": "training", "tags": ["t"], "system_tags": ["s"],
        "hyperparams": entry, "configuration": {"c": {"value": "text"}},
    }  # fmt: skip
    parent = call("tasks.create", **made)["id"]
    child = call("tasks.create", **made | {"parent": parent, "name": "second task"})["id"]
    waiting = call("tasks.create", **made | {"name": "waiting task"})["id"]
    public = call("tasks.create", **made | {"name": "public task", "tags": ["public"], "hyperparams": {
        "Args": {"lr": {"section": "Args", "name": "lr", "value": "0.2"}}}})["id"]  # fmt: skip
    about = {
        "uri": "http://f/m", "project": project, "task": child, "tags": ["t"], "framework": "net", "system_tags": ["s"],
    }  # fmt: skip
    model = call("models.create", name="a model", metadata=[{"key": "k", "value": "v"}], **about)["id"]
    shown = call(
        "models.create", name="public model", public=True, metadata=[{"key": "k", "value": "w"}],
        **about | {"tags": ["public"]},
    )["id"]  # fmt: skip
    call("tasks.make_public", ids=[public])
    events = [
        {"type": "training_stats_scalar", "metric": "m", "variant": "v", "iter": 1, "value": 1.0},
        {
            "type": "training_stats_scalar",
            "metric": "Summary",
            "variant": "s",
            "iter": -(2**31),
            "value": 1.0,
        },
        {"type": "plot", "metric": "p", "variant": "v", "iter": 2, "plot_str": "{}"},
        {"type": "plot", "metric": "p", "variant": "w", "iter": 2, "plot_str": "{}"},
        {"type": "training_debug_image", "metric": "i", "variant": "v", "iter": 2, "url": "http://f/i"},
        {"type": "log", "msg": "a line", "metric": "l"},
    ]
    server.call_lines("events.add_batch", [{"task": parent, **event} for event in events])
    queue = call("queues.create", name="a queue", tags=["t"], system_tags=["s"])["id"]
    call("tasks.enqueue", task=waiting, queue=queue)
    marks = {"tags": ["t"], "system_tags": ["s"]}
    call("workers.register", worker="w", **marks)
    call(
        "workers.status_report",
        worker="w",
        timestamp=0,
        machine_stats={"cpu_usage": [5]},
        system_tags=["s"],
        tags=["t"],
    )
    call("reports.create", name="a report", project=project, tags=["t"], report="text")
    report = call("reports.create", name="public report", project=project)["id"]
    call("tasks.make_public", ids=[report])
    call("tasks.create", name="at the root", type="training", project=root)
    call("projects.create", name="public project", tags=["public"])
    shared = call("projects.get_all", name="^public project$")["projects"][0]["id"]
    call("projects.make_public", ids=[shared])
    return {
        "root": root, "project": project, "task": parent, "child": child, "queue": queue, "model": model,
        "waiting": waiting, "shown": shown, "public": public,
    }  # fmt: skip


#: What a read is asked besides its required fields, so that there is something to narrow; "$name" is an id.
ASKED: dict[str, dict[str, Any]] = {
    "tasks.get_all": {"project": ["$project"]},
    "tasks.get_all_ex": {"project": ["$project"]},
    "events.get_scalar_metric_data": {"task": "$task"},
    "projects.get_all": {"search_hidden": True},
    "projects.get_all_ex": {"search_hidden": True},
    "reports.get_task_data": {"id": ["$task", "$public"]},
    "projects.get_user_names": {"projects": ["$root"], "include_subprojects": False},
    "organization.get_entities_count": {k: {} for k in ("tasks", "models", "projects")},
    "projects.get_model_metadata_keys": {"project": "$root"},
}
#: The required fields of reads.
NEEDED: dict[str, Any] = {
    "task": "$task", "tasks": ["$task"], "model": "$model", "queue": "$queue", "project": "$project", "id": ["$task"],
    "metrics": [{"task": "$task"}], "section": "Args", "name": "lr", "key": "k", "user": "$user", "interval": 60,
    "entity_type": "task", "field_mappings": [{"field": "name"}], "items": [{"key": "cpu_usage", "category": "avg"}],
    "projects": ["$project"],
}  # fmt: skip
#: Where what narrows is not what its name says elsewhere.
OWN: dict[tuple[str, str], Any] = {
    ("events.get_debug_image_sample", "iteration"): 0,
    ("events.get_plot_sample", "iteration"): 0,
    ("events.get_plot_sample", "variant"): "v",
    ("events.get_task_events", "event_type"): "plot",
    ("events.get_task_metrics", "event_type"): "training_stats_vector",
    ("events.get_multi_task_metrics", "event_type"): "training_stats_vector",
    ("events.get_task_log", "from_timestamp"): 1,
    ("events.get_scalar_metric_data", "metric"): "no such",
    ("events.get_scalar_metric_data", "task"): "$child",
    ("organization.get_entities_count", "tasks"): {"name": "^no such$"},
    ("organization.get_entities_count", "models"): {"name": "^no such$"},
    ("organization.get_entities_count", "projects"): {"name": "^no such$"},
    ("users.get_all", "filters"): {"name": {"any": {"include": ["nobody"]}}},
    ("users.get_all_ex", "filters"): {"name": {"any": {"include": ["nobody"]}}},
    ("organization.get_entities_count", "reports"): {},
    ("organization.get_entities_count", "pipelines"): {},
    ("organization.get_entities_count", "datasets"): {},
    ("organization.get_entities_count", "pipeline_runs"): {},
    ("organization.get_entities_count", "dataset_versions"): {},
    ("projects.get_all_ex", "children_tags"): (["no such"], {"children_type": "task"}),
    ("projects.get_all_ex", "children_tags_filter"): (
        {"any": {"include": ["no such"]}},
        {"children_type": "task"},
    ),
    ("projects.get_hyper_parameters", "project"): NOBODY,
    ("projects.get_model_metadata_keys", "project"): NOBODY,
    ("projects.get_unique_metric_variants", "project"): NOBODY,
    ("projects.get_user_names", "entity"): "model",
    ("projects.get_model_tags", "filter"): {"tags": ["-t"]},
    ("workers.get_all", "last_seen"): None,  # a second's patience is not to be tested here
    ("workers.get_count", "last_seen"): None,
    ("queues.get_queue_metrics", "queue_ids"): ["$queue"],
    ("organization.get_project_workloads", "breakdown_keys"): ["user"],
    ("pipelines.check_new_run", "new_pipeline_name"): None,  # held by the tests of pipelines
    # the list comes with the download, and the tests of downloads narrow that
    **{
        ("organization.prepare_download_for_get_all", name): None
        for name in (
            "_all_",
            "_and_",
            "_any_",
            "_or_",
            "allow_public",
            "filters",
            "search_text",
            "task_types",
        )
    },
}
#: Reads of which there is nothing to ask here: of signing in, of one's own, of serving engines, of a scroll.
ELSEWHERE = ("auth.", "login.", "server.", "serving.", "debug.", "storage.", "events.next_", "tasks.validate")


def reads() -> Iterator[str]:
    for name, entries in sorted(endpoints.load().items()):
        entry = entries[0]
        if entry.access in ("none", "read") and not entry.absent and not name.startswith(ELSEWHERE):
            yield name


def optional(name: str) -> set[str]:
    facts = fields.table().get(name, {"required": [], "fields": {}})
    return set(facts["fields"]) - set(facts["required"]) - set(IGNORED.get(name, ())) - SHAPES


def test_every_field_of_a_read_is_in_a_table() -> None:
    unknown = {
        f"{name} {field}"
        for name in reads()
        for field in optional(name)
        if field not in NOTHING and (name, field) not in OWN
    }
    assert unknown == set()


def filled(value: Any, world: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("$"):
        return world[value[1:]]
    if isinstance(value, list):
        return [filled(item, world) for item in value]
    if isinstance(value, dict):
        return {key: filled(item, world) for key, item in value.items()}
    return value


def plain(value: Any) -> Any:
    """An answer without what differs from call to call."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in ("scroll_id", "last_update", "prepare_id")}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", list(reads()))
def test_each_field_narrows(server: Running, world: dict[str, str], name: str) -> None:
    here = {**world, "user": server.user_id}
    required = fields.table().get(name, {"required": []})["required"]
    base: dict[str, Any] = {field: NEEDED.get(field, "x") for field in required} | ASKED.get(name, {})
    special = {
        "events.get_plot_sample": {"metric": "p"},
        "events.scalar_metrics_iter_raw": {"metric": {"metric": "m"}},
    }
    special["events.get_debug_image_sample"] = {"metric": "i", "variant": "v"}
    base |= special.get(name, {})
    if "from_date" in required:
        base |= {"from_date": 0, "to_date": 4_000_000_000, "interval": 10_000_000}
    ignored = []
    for field in sorted(optional(name)):
        sent = OWN.get((name, field), NOTHING.get(field))
        if sent is None:
            continue
        sent, more = sent if isinstance(sent, tuple) else (sent, {})
        whole = server.ask(name, **filled({**base, **more}, here))
        narrowed = server.ask(name, **filled({**base, **more, field: sent}, here))
        refused = narrowed["meta"]["result_code"] != 200
        if plain(narrowed["data"]) == plain(whole["data"]) and not refused:
            ignored.append(field)
    assert ignored == []
