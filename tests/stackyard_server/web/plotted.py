"""Plots of every kind that ClearML's SDK reports, pictures, and what a browser must show of each."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ..running import Running


def png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def packed(*values: float) -> dict[str, str]:
    """Numbers as plotly packs them."""
    return {"dtype": "f8", "bdata": base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode()}


@dataclass(frozen=True)
class Kind:
    """A kind of plot: what is reported, and which elements a browser draws for it."""

    figure: dict[str, Any]
    drawn: str
    count: int


SQUARE = [[5, 1], [0, 7]]
KINDS = {
    "line": Kind({"data": [{"type": "scatter", "mode": "lines", "y": [1, 3, 2]}]}, ".scatterlayer .js-line", 1),
    "packed line": Kind({"data": [{"x": packed(0, 1, 2), "y": packed(1, 3, 2)}]}, ".scatterlayer .js-line", 1),
    "markers": Kind({"data": [{"type": "scatter", "mode": "markers", "x": [3, 1, 2], "y": [1, 3, 2]}]}, ".point", 3),
    "bar": Kind({"data": [{"type": "bar", "y": [3, 1]}]}, ".bars .point", 2),
    "histogram": Kind({"data": [{"type": "histogram", "x": [1, 1, 2, 9], "nbinsx": 9}]}, ".bars", 1),
    "box": Kind({"data": [{"type": "box", "y": [1, 2, 3, 9]}]}, "path.box", 1),
    "confusion": Kind(
        {"data": [{"type": "heatmap", "z": SQUARE, "x": ["a", "b"], "y": ["a", "b"]}],
         "layout": {"xaxis": {"title": "said"}, "yaxis": {"title": "true"}}},
        ".heatmaplayer image", 1,
    ),
    "table": Kind(
        {"data": [{"type": "table", "header": {"values": ["a", "b"]}, "cells": {"values": [[1, 2], [3, 4]]}}]},
        ".framed tbody td", 4,
    ),
    "parallel": Kind(
        {"data": [{"type": "parcoords", "dimensions": [{"label": n, "values": [1, 2]} for n in ("rate", ["depth"])]}],
         "layout": {"title": "parallel"}},
        ".axis-title", 2,
    ),
    "pie": Kind({"data": [{"type": "pie", "values": [1, 2, 3]}]}, ".slice", 3),
}  # fmt: skip
#: What a browser without a graphics card draws slowly.
IN_SPACE = {
    "surface": Kind({"data": [{"type": "surface", "z": SQUARE}]}, ".gl-container canvas", 1),
    "points in space": Kind(
        {"data": [{"type": "scatter3d", "mode": "markers", "x": [1, 2], "y": [1, 2], "z": [1, 2]}]},
        ".gl-container canvas", 1,
    ),
}  # fmt: skip
#: A table whose texts are long, and formatted as plotly.js does; the last of its rows must be found.
LONG_TABLE = {
    "data": [{
        "type": "table",
        "header": {"values": [["<b>name</b>"], ["loss"], "where"]},
        "cells": {"values": [[f"row {i}<br>of many" for i in range(30)], packed(*(i / 3 for i in range(30))),
                             ['<a href="https://elsewhere.example/">there</a>', "<img src=x>", "&lt;b&gt;"] * 10],
                  "format": [None, ".2f"]},
    }],
    "layout": {"title": "What was found"},
}  # fmt: skip
ENDLESS_TABLE = {"data": [{"type": "table", "cells": {"values": [list(range(2500))]}}]}
#: Kinds of plot whose outlines or tiles a browser would fetch from elsewhere.
MAPS = {
    kind: {"data": [{"type": kind, "lat": [1, 2], "lon": [3, 4], "locations": ["FRA"], "z": [1]}]}
    for kind in ("scattergeo", "choropleth", "scattermap", "densitymapbox")
}
#: A figure of more points than a browser draws with ease, and one beyond what is fetched.
MANY = {"data": [{"type": "scatter", "mode": "lines", "name": "walk", "y": [i % 7 for i in range(60_000)]}]}
TOO_LARGE = {"data": [{"y": [1]}], "layout": {"meta": "x" * 9_000_000}}


def leave_plots(server: Running) -> str:
    """A task with a plot of each kind, a picture as matplotlib's come, one from elsewhere, and debug images; its id."""
    task: str = server.call("tasks.create", name="plotted", type="training")["id"]
    server.call("tasks.started", task=task, force=True)
    base = f"{server.files}/plots/plotted.{task}"
    for name in ("metrics/figure.png", "metrics/image%200.png", "metrics/image%201.png"):
        path = f"/plots/plotted.{task}/{name.replace('%20', ' ')}"
        sent = server.client.post(
            server.files,
            files={path: (path, png(40, 30))},
            headers={"Authorization": f"Bearer {server.token}"},
        )
        assert sent.status_code == 200, sent.text
    picture = {"sizex": 1, "sizey": 1, "xref": "x", "yref": "y"}
    figures: dict[str, Any] = {name: kind.figure for name, kind in KINDS.items()} | {
        "picture": {"data": [], "layout": {"images": [{**picture, "source": f"{base}/metrics/figure.png"}]}},
        "picture elsewhere": {"data": [], "layout": {"images": [{**picture, "source": "http://elsewhere/x.png"}]}},
        "many": MANY,
        "too large": TOO_LARGE,
        "no figure": [1],
        "long table": LONG_TABLE,
        "endless table": ENDLESS_TABLE,
        **MAPS,
    }  # fmt: skip
    plots = [
        {
            "type": "plot",
            "task": task,
            "metric": name,
            "variant": name,
            "iter": 1,
            "plot_str": json.dumps(figure),
        }
        for name, figure in figures.items()
    ]
    plots.append({**plots[0], "metric": "no JSON", "variant": "", "plot_str": "{"})
    images = [
        {"type": "training_debug_image", "task": task, "metric": "samples", "variant": "grey", "iter": i,
         "url": f"{base}/metrics/image%20{i}.png"}
        for i in range(2)
    ]  # fmt: skip
    images.append({**images[0], "variant": "elsewhere", "url": "https://elsewhere.example/x.png"})
    images.append({**images[0], "variant": "no address", "url": "s3://bucket/x.png"})
    server.call_lines("events.add_batch", [*plots, *images])
    return task


def leave_plots_in_space(server: Running) -> str:
    """A task with plots of three dimensions; its id."""
    task: str = server.call("tasks.create", name="plotted in space", type="training")["id"]
    plot = {"type": "plot", "task": task, "iter": 1}
    server.call_lines(
        "events.add_batch",
        [
            {**plot, "metric": name, "variant": name, "plot_str": json.dumps(kind.figure)}
            for name, kind in IN_SPACE.items()
        ],
    )
    return task
