"""What dispatched runs leave on a server: a template, a pipeline with a failed and a running step, model, data."""

from __future__ import annotations

import json
from typing import Any

from ..running import Running

TIMELINE = {
    "data": [
        {"type": "scatter", "name": "CPU, % of a core", "x": [0, 1, 2, 3, 4], "y": [0, 95, 190, 180, 20]},
        {
            "type": "scatter",
            "name": "RAM, MB",
            "x": [0, 1, 2, 3, 4],
            "y": [50, 300, 420, 430, 430],
            "yaxis": "y2",
        },
        {"type": "heatmap", "z": [[1, 2]]},
    ],
    "layout": {
        "yaxis": {"title": {"text": "CPU"}},
        "yaxis2": {"title": "RAM"},
        "annotations": [{"x": 1, "text": "<b>training</b>"}],
    },
}


def parameter(section: str, name: str, value: str, kind: str = "", description: str = "") -> dict[str, Any]:
    """A hyperparameter as clients send it."""
    return {"section": section, "name": name, "value": value, "type": kind, "description": description}


def sections(*parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Hyperparameters by section and name."""
    found: dict[str, dict[str, Any]] = {}
    for one in parameters:
        found.setdefault(one["section"], {})[one["name"]] = one
    return found


def leave_template(server: Running, queue: str) -> str:
    """A published template."""
    project = server.call("projects.create", name="Stackyard/templates")["id"]
    template: str = server.call(
        "tasks.create", name="detector-train", type="training", project=project, comment="Train a next-event LSTM.",
        hyperparams=sections(
            parameter("Model", "layers", "2", "int", "LSTM layers"),
            parameter("Model", "quantitative", "False", "bool", "a second LSTM over event counts"),
            parameter("Training", "learning_rate", "0.01", "float", "greatest learning rate"),
            parameter("Training", "patience", "", "int", "epochs without a lower loss; empty: all"),
            parameter("Training", "dtype", "float32", "str", "arithmetic of training"),
            parameter("Run", "stack", "torch-2.13.0-cpu", "str", "which pinned stack"),
        ),
        container={"image": "stackyard/torch-2.13.0-cpu@sha256:" + "ab" * 32, "arguments": "--cpus 2 --memory 4g"},
        execution={"queue": queue},
    )["id"]  # fmt: skip
    return template


def leave_dataset(server: Running) -> str:
    """Two versions of a data set, the second extending the first."""
    project = server.call("projects.create", name="logs/.datasets/hdfs")["id"]
    ids: list[str] = []
    for version in ("1.0.0", "1.1.0"):
        id = server.call(
            "tasks.create", name="hdfs", type="data_processing", project=project, system_tags=["dataset"],
        )["id"]  # fmt: skip
        nodes = {str(n): {"job_id": i, "parents": [n - 1] if n else []} for n, i in enumerate([*ids, id])}
        structure = {"name": "Dataset Struct", "type": "json", "value": json.dumps(nodes)}
        server.call(
            "tasks.edit", task=id, runtime={"version": version, "ds_total_size": 123456, "ds_file_count": 3},
            configuration={"Dataset Struct": structure}, force=True,
        )  # fmt: skip
        server.call("tasks.started", task=id)
        server.call("tasks.completed", task=id)
        ids.append(id)
    return ids[-1]


def leave_pipeline(server: Running, queue: str, dataset: str) -> tuple[str, str, str]:
    """A pipeline with a failed and a running step, and the model of the running one: their ids."""
    project = server.call("projects.create", name="Stackyard/runs")["id"]
    controller = server.call(
        "tasks.create", name="nightly", type="controller", project=project, system_tags=["pipeline"]
    )["id"]
    server.call("tasks.started", task=controller, force=True)
    failed = server.call(
        "tasks.create", name="prepare", type="data_processing", project=project, parent=controller
    )
    server.call("tasks.started", task=failed["id"], force=True)
    server.call(
        "tasks.failed", task=failed["id"], status_reason="code: ValueError: no session is left", force=True
    )
    running: str = server.call(
        "tasks.create", name="train", type="training", project=project, parent=controller,
        hyperparams=sections(parameter("Input", "data", f"clearml-dataset:{dataset}/train.txt", "str")),
        execution={"queue": queue},
    )["id"]  # fmt: skip
    server.call("tasks.started", task=running, force=True)
    server.call("tasks.edit", task=running, runtime={"progress": "42"}, force=True)
    common: dict[str, Any] = {"task": running, "type": "training_stats_scalar"}
    series = {("loss", "loss"): 0.75, ("step time", "seconds"): 0.0125, ("CPU", "percent of a core"): 187.0,
              ("RAM", "MB"): 431.5, ("GPU", "MB"): 2048.0}  # fmt: skip
    events = [
        {**common, "metric": metric, "variant": variant, "iter": i, "value": last * (1 + (9 - i) / 50)}
        for i in range(10)
        for (metric, variant), last in series.items()
    ]
    plot = {"task": running, "type": "plot", "metric": "resources", "variant": "timeline", "iter": 0}
    server.call_lines("events.add_batch", [*events, {**plot, "plot_str": json.dumps(TIMELINE)}])
    model: str = server.call(
        "models.create", name="detector", uri=f"{server.files}/Stackyard/train.{running}/models/model.safetensors",
        framework="PyTorch", task=running, project=project,
    )["id"]  # fmt: skip
    server.call("tasks.add_or_update_model", task=running, name="detector", type="output", model=model)
    return controller, running, model
