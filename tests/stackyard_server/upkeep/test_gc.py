"""``upkeep.gc``: a file that anything names stays, however its address is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from stackyard_server.files.stored import SDK_SAFE
from stackyard_server.upkeep import gc

from ..running import Running, running_server

GONE = "a" * 32
LATER_MS = 2 * gc.DAY_MS


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


def put(server: Running, path: str) -> None:
    header = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.files}/", files={path: ("x", b"content")}, headers=header)
    assert answer.status_code == 200, answer.text


def would_go(server: Running) -> set[str]:
    found = gc.collect(server.store, int(server.server.services.clock() * 1000) + LATER_MS, dry_run=True)
    return {*found["files"]["paths"], *found["files_outside"]["paths"]}


@pytest.mark.parametrize(
    "name",
    [
        "plain.bin",
        "Bob's run.bin",
        "a b  c.bin",
        "50% of (x), y.bin",
        "ü/日本.bin",
        'say "x" & <y>.bin',
        "#1?.bin",
    ],
)
@pytest.mark.parametrize(
    "address",
    [
        "{files}/{sdk}",
        "{files}/{quoted}",
        "{files}/{key}",
        "https://ml.example.org/clearml/files/{sdk}?x=1#y",
    ],
)
def test_a_file_that_a_model_names_stays(server: Running, name: str, address: str) -> None:
    key = f"p/it's a task.{GONE}/models/{name}"
    put(server, key)
    stored = key.replace('"', "%22")
    assert stored in would_go(server), "nothing names it yet"
    spelled = {"key": key, "sdk": quote(key, safe=SDK_SAFE), "quoted": quote(key, safe="/")}
    uri = address.format(files=server.files, **spelled)
    model = server.call("models.create", name="named", uri=uri)["id"]
    assert stored not in would_go(server)
    server.call("models.delete", model=model, force=True)
    assert stored in would_go(server)


def test_a_file_that_a_text_or_a_plot_names_stays(server: Running) -> None:
    keys = [f"p/t.{GONE}/{name}" for name in ("of a comment's.txt", "of a plot ü.png", "of html & more.png")]
    keys.append("beside/all tasks' folders.bin")
    for key in keys:
        put(server, key)
    assert would_go(server) >= set(keys)
    texts = [
        f"see _{server.files}/{keys[0]}_.",
        "",
        f'<img src="{server.files}/p/t.{GONE}/of html &amp; more.png">',
    ]
    task = server.call("tasks.create", name="a task", type="training", comment="".join(texts))["id"]
    figure = {"layout": {"images": [{"source": f"{server.files}/{quote(keys[1], safe=SDK_SAFE)}"}]}}
    line = {"type": "plot", "task": task, "metric": "m", "variant": "v", "plot_str": json.dumps(figure)}
    server.call_lines("events.add_batch", [line])
    server.call("tasks.edit", task=task, force=True, script={"diff": f"# http://elsewhere/{keys[3]}"})
    assert not would_go(server) & set(keys)
