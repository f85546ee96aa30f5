"""A server with something of everything to see, as its clients leave it: what a web app's screens are opened on."""

from __future__ import annotations

import json
import struct
import time
import zlib
from dataclasses import dataclass
from typing import Any

from tests.stackyard_server.running import Running

#: A web app reads what was reported at no step as a figure of its own.
NO_STEP = -(2**31)


@dataclass
class Furnished:
    """The ids of what is there."""

    project: str
    tasks: list[str]
    model: str
    queue: str
    report: str
    dataset_project: str
    dataset: str
    pipeline_project: str
    pipeline: str


def furnish(server: Running) -> Furnished:
    """Fill a server."""
    call = server.call
    project = call(
        "projects.create", name="Vision/Detector", description="# Detector\n\nWhat *this* is for."
    )["id"]
    queue = call("queues.create", name="gpu queue")["id"]
    tasks = [_trained(server, project, f"train {name}", rate) for name, rate in (("one", 0.1), ("two", 0.2))]
    tasks += [
        call("tasks.create", name=name, type="training", project=project)["id"]
        for name in ("draft", "to delete", "waiting first", "waiting second")
    ]
    for task in tasks[4:]:
        call("tasks.enqueue", task=task, queue=queue)
    model = _model(server, project, tasks[0])
    _worker(server, queue)
    report = call("reports.create", name="Findings", project=project, report=_text(tasks))["id"]
    dataset_project, dataset = _dataset(server)
    pipeline_project, pipeline = _pipeline(server)
    return Furnished(
        project, tasks, model, queue, report, dataset_project, dataset, pipeline_project, pipeline
    )


def _trained(server: Running, project: str, name: str, rate: float) -> str:
    call = server.call

    def parameter(section: str, key: str, value: object, kind: str) -> dict[str, Any]:
        return {"section": section, "name": key, "value": str(value), "type": kind}

    task = str(
        call(
            "tasks.create",
            name=name,
            type="training",
            project=project,
            comment="a note",
            tags=["baseline"],
            hyperparams={
                "Args": {"rate": parameter("Args", "rate", rate, "float")},
                "General": {"layers": parameter("General", "layers", 3, "int")},
            },
            configuration={"net": {"name": "net", "value": "depth: 3\nwidth: 8\n", "type": "yaml"}},
            script={"binary": "python3", "repository": "", "entry_point": "train.py", "diff": "print('hello')\n",
                    "requirements": {"pip": "numpy==1.26.4\n"}},
        )["id"]
    )  # fmt: skip
    call("tasks.started", task=task, force=True)
    events: list[dict[str, Any]] = []
    for metric, variant, size in (("loss", "train", 1), ("loss", "valid", 2), ("accuracy", "valid", 3)):
        events += [
            {"type": "training_stats_scalar", "metric": metric, "variant": variant, "iter": step,
             "value": size / (step + 1 + rate)}
            for step in range(30)
        ]  # fmt: skip
    events.append(
        {
            "type": "training_stats_scalar",
            "metric": "Summary",
            "variant": "F1",
            "iter": NO_STEP,
            "value": 0.93,
        }
    )
    drawn = {"data": [{"type": "scatter", "mode": "markers", "x": [1, 2, 3], "y": [3, 1, 2], "name": "found"}],
             "layout": {"title": "Found"}}  # fmt: skip
    events.append(
        {"type": "plot", "metric": "curve", "variant": "roc", "iter": 0, "plot_str": json.dumps(drawn)}
    )
    table = {"data": [{"type": "table", "header": {"values": ["name", "score"]}, "cells": {"values": [["a"], [1]]}}],
             "layout": {"title": "Best"}}  # fmt: skip
    events.append(
        {"type": "plot", "metric": "table", "variant": "best", "iter": 0, "plot_str": json.dumps(table)}
    )
    for step in range(2):
        address = _upload(server, f"Vision/Detector/{name}.{task}/metrics/samples/cat_{step}.png", png(step))
        events.append(
            {
                "type": "training_debug_image",
                "metric": "samples",
                "variant": "cat",
                "iter": step,
                "url": address,
            }
        )
    events += [
        {"type": "log", "level": "info", "msg": f"epoch {step} done", "worker": "w"} for step in range(20)
    ]
    server.call_lines("events.add_batch", [{"task": task, **event} for event in events])
    text = b'{"answer": 42}\n'
    address = _upload(server, f"Vision/Detector/{name}.{task}/artifacts/report/report.json", text)
    artifact = {"key": "report", "type": "json", "uri": address, "mode": "output", "content_size": len(text),
                "type_data": {"preview": '{"answer": 42}', "content_type": "application/json"}}  # fmt: skip
    call("tasks.add_or_update_artifacts", task=task, artifacts=[artifact])
    call("tasks.completed", task=task, force=True)
    return task


def _model(server: Running, project: str, task: str) -> str:
    uri = _upload(server, f"Vision/Detector/train one.{task}/models/net.pt", b"weights")
    model = str(
        server.call(
            "models.create", name="net weights", project=project, uri=uri, task=task, framework="PyTorch", ready=True,
            labels={"cat": 1, "dog": 2}, design={"net": "a: 1\n"}, tags=["best"],
        )["id"]
    )  # fmt: skip
    server.call(
        "models.add_or_update_metadata", model=model, metadata=[{"key": "size", "value": "7", "type": "int"}]
    )
    return model


def _worker(server: Running, queue: str) -> None:
    server.call("workers.register", worker="yard:gpu0", queues=[queue], timeout=3600)
    machine = {"cpu_usage": [10.0, 20.0], "memory_used": 2000.0, "memory_free": 6000.0, "gpu_usage": [50.0]}
    server.call(
        "workers.status_report",
        worker="yard:gpu0",
        queues=[queue],
        timestamp=int(time.time() * 1000),
        machine_stats=machine,
    )


def _dataset(server: Running) -> tuple[str, str]:
    project = server.call("projects.create", name="Data/.datasets/images", system_tags=["hidden", "dataset"])[
        "id"
    ]
    task = server.call(
        "tasks.create", name="images", type="data_processing", project=project, system_tags=["dataset"],
        runtime={"version": "1.0.0", "ds_version": "1.0.0", "ds_total_size": 5}, comment="five bytes",
        configuration={"Dataset Struct": {"name": "Dataset Struct", "type": "json", "value": json.dumps(
            {"0": {"job_id": "0", "status": "completed", "parents": [], "job_size": 5, "name": "images",
                   "version": "1.0.0"}})}},
    )["id"]  # fmt: skip
    server.call("tasks.started", task=task, force=True)
    server.call("tasks.completed", task=task, force=True)
    return project, task


def _pipeline(server: Running) -> tuple[str, str]:
    project = server.call(
        "projects.create", name="Flow/.pipelines/nightly", system_tags=["hidden", "pipeline"]
    )["id"]
    steps = {"load": [], "train": ["load"]}
    controller = server.call(
        "tasks.create", name="nightly", type="controller", project=project, system_tags=["pipeline"],
        runtime={"version": "1.0"},
        hyperparams={"Args": {"size": {"section": "Args", "name": "size", "value": "3", "type": "int"}}},
        configuration={"Pipeline": {"name": "Pipeline", "type": "dictionary", "value": json.dumps({
            name: {"name": name, "parents": parents, "base_task_id": None, "job_id": None, "status": "completed"}
            for name, parents in steps.items()})}},
    )["id"]  # fmt: skip
    server.call("tasks.started", task=controller, force=True)
    server.call("tasks.completed", task=controller, force=True)
    return project, controller


def _text(tasks: list[str]) -> str:
    asked = f"objectType=task&type=scalar&objects={tasks[0]}&metrics=loss&variants=train"
    return f'# What we found\n\nIt **works**.\n\n<iframe src="/widgets/?{asked}" width="100%" height="400"></iframe>\n'


def _upload(server: Running, path: str, content: bytes) -> str:
    """The address of an uploaded file."""
    headers = {"Authorization": f"Bearer {server.token}"}
    server.client.post(server.files, files={path: (path, content)}, headers=headers).raise_for_status()
    return f"{server.files}/{path.replace(' ', '%20')}"


def png(shade: int) -> bytes:
    """An image of 16 by 16 points."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((shade * 80, 16 * row, 128)) * 16 for row in range(16))
    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
