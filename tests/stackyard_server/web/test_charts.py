"""The pages with charts: what is loaded and fetched, and its bounds; without a browser."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import httpx
import pytest

from stackyard_server.web import assets, charts

from ..running import Running
from . import plotted
from .test_site import signed_in

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def task(server: Running) -> str:
    return plotted.leave_plots(server)


def test_the_vendored_library_is_what_its_text_file_says() -> None:
    script, said = (assets.FOLDER / f"{assets.PLOTLY}{end}" for end in (".min.js", ".txt"))
    text = said.read_text()
    digest = re.search(r"SHA-256: +([0-9a-f]{64})", text)
    assert digest
    assert hashlib.sha256(script.read_bytes()).hexdigest() == digest[1]
    version = assets.PLOTLY.rpartition("-")[2]
    assert re.search(rf"Version: +{re.escape(version)}\b", text)
    assert f"v{version}" in script.read_text()[:200]
    assert "MIT License" in text
    assert "Permission is hereby granted" in text


@pytest.mark.parametrize("file", ["pyproject.toml", "packaging/server/pyproject.toml"])
def test_a_wheel_holds_the_library_with_its_licence(file: str) -> None:
    patterns = tomllib.loads((ROOT / file).read_text())["tool"]["setuptools"]["package-data"][
        "stackyard_server"
    ]
    for path in assets.FOLDER.iterdir():
        assert any(Path("web/static", path.name).match(pattern) for pattern in patterns), path.name


def test_only_pages_with_plots_load_it(server: Running, task: str) -> None:
    bare = server.call("tasks.create", name="without plots", type="training")["id"]
    with signed_in(server) as client:
        for path in (
            "/",
            "/tasks",
            f"/tasks/{task}",
            f"/tasks/{bare}/plots",
            f"/tasks/{bare}/scalars",
            "/compare",
        ):
            page = client.get(path)
            assert page.status_code == 200
            assert "plotly" not in page.text, path
        page = client.get(f"/tasks/{task}/plots")
        assert f"/static/{assets.PLOTLY}.min.js" in page.text
        policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy


def test_the_library_is_sent_compressed_and_kept(server: Running) -> None:
    answer = httpx.get(f"{server.web}/static/{assets.PLOTLY}.min.js")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < 2_000_000
    plain = httpx.get(answer.url, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content


def test_a_plot_is_handed_on_as_it_was_reported_up_to_a_size(server: Running, task: str) -> None:
    with signed_in(server) as client:
        data = f"/tasks/{task}/plots/data"
        found = client.get(data, params={"metric": "box", "variant": "box"})
        large = client.get(data, params={"metric": "too large", "variant": "too large"})
        none = client.get(data, params={"metric": "box", "variant": "another"})
    assert (found.status_code, found.json()) == (200, plotted.KINDS["box"].figure)
    assert found.headers["content-type"] == "application/json"
    assert (large.status_code, none.status_code) == (204, 204)
    assert "9.0 MB are more than" in large.headers["x-left-out"]
    assert "no such plot" in none.headers["x-left-out"]


def test_a_page_of_plots_is_bounded(server: Running) -> None:
    task = server.call("tasks.create", name="many plots", type="training")["id"]
    count = charts.PLOTS_OF_PAGE + 5
    server.call_lines(
        "events.add_batch",
        [{"type": "plot", "task": task, "metric": f"m{i:03}", "variant": "v", "iter": 0, "plot_str": "{}"}
         for i in range(count)],
    )  # fmt: skip
    with signed_in(server) as client:
        first, second = (client.get(f"/tasks/{task}/plots?page={n}").text for n in (0, 1))
    assert (first.count("data-plot="), second.count("data-plot=")) == (charts.PLOTS_OF_PAGE, 5)
    assert f"{count} plots in all" in first


def test_scalars_come_a_page_at_a_time(server: Running) -> None:
    task = server.call("tasks.create", name="many scalars", type="training")["id"]
    server.call_lines(
        "events.add_batch",
        [{"type": "training_stats_scalar", "task": task, "metric": f"m{i:03}", "variant": "v", "iter": n, "value": n}
         for i in range(charts.METRICS_OF_PAGE + 1) for n in range(3)],
    )  # fmt: skip
    with signed_in(server) as client:
        first, second = (client.get(f"/tasks/{task}/scalars/data?page={n}").json() for n in (0, 1))
        other = client.get(f"/compare/scalars?tasks={task}").json()
    assert (len(first), list(second)) == (charts.METRICS_OF_PAGE, [f"m{charts.METRICS_OF_PAGE:03}"])
    assert (first["m000"]["v"]["x"], first["m000"]["v"]["y"]) == ([0, 1, 2], [0, 1, 2])
    assert list(other["m000"]) == ["many scalars · v"]


def test_points_and_lines_of_a_page_are_bounded() -> None:
    wanted, samples, left_out = charts.chosen(
        {"a": ["x"], "b": [f"v{i:04}" for i in range(1000)]}, ["a", "b"]
    )
    lines = sum(len(item["variants"]) for item in wanted)
    assert (lines, left_out) == (1 + charts.MOST_LINES, 1000 - charts.MOST_LINES)
    assert samples == charts.MOST_SAMPLES
    names = [f"m{i}" for i in range(charts.METRICS_OF_PAGE)]
    wanted, samples, _ = charts.chosen({n: [f"v{i}" for i in range(100)] for n in names}, names)
    assert sum(len(item["variants"]) for item in wanted) * samples <= charts.MOST_POINTS
    assert samples >= charts.FEWEST_SAMPLES
