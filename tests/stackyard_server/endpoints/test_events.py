"""``events``: what is reported comes back as ClearML's clients expect it, once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from stackyard_server.endpoints import events
from stackyard_server.reported import samples

from ..running import Running, running_server

SCALAR, LOG, PLOT, IMAGE = "training_stats_scalar", "log", "plot", "training_debug_image"
AT = 1_795_293_768_694


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


@pytest.fixture
def task(server: Running) -> str:
    id: str = server.call("tasks.create", name="reporting", type="training")["id"]
    server.call("tasks.started", task=id)
    return id


def report(server: Running, *lines: dict[str, Any] | str, **headers: str) -> dict[str, Any]:
    """The envelope of a batch; a line that is text is sent as it is."""
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = server.client.post(
        f"{server.api}/v2.23/events.add_batch",
        content=body,
        headers={
            "Authorization": f"Bearer {server.token}",
            "Content-Type": "application/json-lines",
            **headers,
        },
    )
    envelope: dict[str, Any] = answer.json()
    return envelope


def point(task: str, iteration: int, value: Any, variant: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "type": SCALAR, "task": task, "metric": "loss", "variant": variant, "iter": iteration, "value": value,
        "timestamp": AT + iteration, **more,
    }  # fmt: skip


def line(task: str, text: str, at: int | None = AT, **more: Any) -> dict[str, Any]:
    stamp = {} if at is None else {"timestamp": at}
    return {"type": LOG, "task": task, "level": "info", "msg": text, **stamp, **more}


def figures(server: Running, task: str, metric: str = "loss", variant: str = "a") -> dict[str, Any]:
    """What last_metrics shows of one series."""
    shown = server.call("tasks.get_by_id", task=task)["task"]["last_metrics"]
    keys = [hashlib.md5(n.encode()).hexdigest() for n in (metric, variant)]
    found: dict[str, Any] = shown[keys[0]][keys[1]]
    return found


def curve(server: Running, task: str, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = server.call("events.scalar_metrics_iter_histogram", task=task, **more)
    return shown


def texts(server: Running, task: str, **more: Any) -> list[str]:
    return [e["msg"] for e in server.call("events.get_task_log", task=task, **more)["events"]]


def test_scalars_come_back_and_the_task_shows_their_figures(server: Running, task: str) -> None:
    answer = report(server, *(point(task, i, v) for i, v in enumerate([3.0, 1.0, 2.0])))
    assert answer["data"] == {"added": 3, "errors": 0, "errors_info": {}}
    assert curve(server, task) == {"loss": {"a": {"name": "a", "x": [0, 1, 2], "y": [3.0, 1.0, 2.0]}}}
    assert figures(server, task) == {
        "metric": "loss", "variant": "a", "value": 2.0, "min_value": 1.0, "min_value_iteration": 1, "max_value": 3.0,
        "max_value_iteration": 0, "first_value": 3.0, "first_value_iteration": 0, "count": 3, "mean_value": 2.0,
    }  # fmt: skip
    assert server.call("tasks.get_by_id", task=task)["task"]["last_iteration"] == 2


def test_the_same_batch_again_changes_nothing(server: Running, task: str) -> None:
    batch = [point(task, i, float(i % 7)) for i in range(50)]
    report(server, *batch)
    before = figures(server, task), curve(server, task)
    assert report(server, *batch)["data"]["added"] == 50
    report(server, *reversed(batch[10:20]))
    assert (figures(server, task), curve(server, task)) == before


@pytest.mark.promise("iteration-replaced")
@pytest.mark.promise("exact-doubles")
def test_a_point_reported_anew_replaces_the_old_one_exactly(server: Running, task: str) -> None:
    report(server, point(task, 0, 1e300), point(task, 1, 4.0))
    report(server, point(task, 0, 2.0))
    report(server, point(task, 0, 2.0))
    shown = figures(server, task)
    assert (shown["count"], shown["mean_value"], shown["value"]) == (2, 3.0, 2.0)
    assert curve(server, task)["loss"]["a"]["y"] == [2.0, 4.0]


@pytest.mark.promise("iteration-replaced")
def test_one_iteration_twice_in_a_batch_counts_once(server: Running, task: str) -> None:
    report(server, point(task, 5, 1.0), point(task, 5, 3.0), point(task, 4, 8.0))
    shown = figures(server, task)
    assert (shown["count"], shown["mean_value"], shown["value"]) == (2, 5.5, 3.0)


def test_figures_survive_a_failed_request_and_events_that_are_removed(server: Running, task: str) -> None:
    report(server, point(task, 0, 1.0))
    assert report(server, point("nobody", 0, 5.0))["meta"]["result_subcode"] == 131
    report(server, point(task, 1, 3.0))
    assert figures(server, task)["mean_value"] == 2.0
    assert server.call("events.delete_for_task", task=task) == {"deleted": 2}
    assert curve(server, task) == {}
    report(server, point(task, 1, 7.0))
    assert (figures(server, task)["count"], figures(server, task)["first_value"]) == (1, 7.0)


def test_single_values_are_no_iteration(server: Running, task: str) -> None:
    single = {
        "type": SCALAR,
        "task": task,
        "metric": "Summary",
        "variant": "best",
        "iter": -(2**31),
        "value": 0.9,
    }
    report(server, single, point(task, 3, 1.0), point(task, 9, 1.0, metric=":monitor:machine"))
    assert set(curve(server, task)) == {"loss", ":monitor:machine"}
    (told,) = server.call("events.get_task_single_value_metrics", tasks=[task])["tasks"]
    assert [(v["metric"], v["variant"], v["value"]) for v in told["values"]] == [("Summary", "best", 0.9)]
    assert server.call("tasks.get_by_id", task=task)["task"]["last_iteration"] == 3


@pytest.mark.promise("nan-kept")
def test_what_is_no_finite_number_is_a_point_without_value(server: Running, task: str) -> None:
    odd = json.dumps(point(task, 0, float("nan"))), json.dumps(point(task, 1, float("-inf")))
    assert "NaN" in odd[0]
    assert report(server, *odd, point(task, 2, 4.0))["data"]["added"] == 3
    assert curve(server, task)["loss"]["a"] == {"name": "a", "x": [0, 1, 2], "y": [None, None, 4.0]}
    shown = figures(server, task)
    assert (shown["count"], shown["mean_value"], shown["min_value"], shown["first_value"]) == (
        3,
        4.0,
        4.0,
        None,
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "nope"}, "Invalid event type nope"),
        ({"type": None}, "Event must have a 'type' field"),
        ({"task": None}, "Event must have a 'task' field"),
        ({"task": "nobody"}, "Invalid task id nobody"),
        ({"iter": 2**64}, "Event 'iter' must be a 64-bit integer"),
        ({"iter": "x"}, "Event 'iter' must be a 64-bit integer"),
        ({"value": [1]}, "Event 'value' must be a number"),
        ({"metric": ["m"]}, "Event 'metric' must be a string"),
        ({"timestamp": -1}, "Event 'timestamp' must be milliseconds since 1970"),
        ({"type": PLOT, "plot_str": 1}, "Event 'plot_str' must be a string"),
    ],
)
@pytest.mark.promise("whole-or-not-at-all")
def test_a_bad_event_is_counted_and_the_rest_is_stored(
    server: Running, task: str, change: dict[str, Any], reason: str
) -> None:
    bad = point(task, 0, 1.0) | change
    assert report(server, bad, point(task, 1, 2.0))["data"] == {
        "added": 1, "errors": 1, "errors_info": {reason: 1},
    }  # fmt: skip
    alone = report(server, bad)["meta"]
    assert (alone["result_code"], alone["result_subcode"]) == (400, 131)
    assert alone["result_msg"] == f"Events not added: {reason}=1"


@pytest.mark.promise("published-stays", on="API")
def test_a_published_task_takes_events_only_where_told_so(server: Running, task: str) -> None:
    server.call("tasks.completed", task=task)
    server.call("tasks.publish", task=task)
    other = server.call("tasks.create", name="another", type="training")["id"]
    answer = report(server, line(task, "late"), line(other, "fine"))["data"]
    assert (answer["added"], answer["errors_info"]) == (1, {f"Invalid task id {task}": 1})
    assert report(server, line(task, "late", allow_locked=True))["data"]["added"] == 1
    refused = server.ask("events.clear_task_log", task=task)["meta"]
    assert (refused["result_code"], refused["result_subcode"]) == (400, 101)


def test_further_fields_and_the_worker_come_back_with_the_event(server: Running, task: str) -> None:
    report(server, point(task, 0, 1.5, method="get", epoch=1), **{"X-ClearML-Worker": "host:0"})
    (event,) = server.call("events.get_task_events", task=task, event_type=SCALAR)["events"]
    assert event.pop("@timestamp").endswith("Z")
    assert event == point(task, 0, 1.5, method="get", epoch=1, worker="host:0", model_event=False)


def test_long_series_are_averaged_over_equal_stretches(server: Running, task: str) -> None:
    report(server, *(point(task, i, float(i)) for i in range(50)))
    shown = curve(server, task, samples=10)["loss"]["a"]
    assert shown["x"] == list(range(0, 50, 5))
    assert shown["y"] == [i + 2.0 for i in range(0, 50, 5)]
    by_time = curve(server, task, samples=10, key="timestamp")["loss"]["a"]
    assert all(x % 5 == 0 for x in by_time["x"])
    assert by_time["y"] == sorted(by_time["y"])


def test_raw_points_and_events_page_without_gaps_or_doubles(server: Running, task: str) -> None:
    report(server, *(point(task, i, i / 3, variant) for i in range(30) for variant in "ab"))
    seen, scroll = [], None
    for _ in range(20):
        page = server.call(
            "events.scalar_metrics_iter_raw",
            **{
                "task": task,
                "metric": {"metric": "loss"},
                "batch_size": 7,
                "count_total": True,
                "scroll_id": scroll,
            },
        )
        assert page["total"] == 60
        scroll = page["scroll_id"]
        seen += [(i, v) for v, line in page["variants"].items() for i in line["iter"]]
        if not page["returned"]:
            break
    assert sorted(seen) == [(i, v) for i in range(30) for v in "ab"]
    found: list[int] = []
    scroll = None
    while len(found) < 60:
        page = server.call(
            "events.get_task_events",
            task=task,
            event_type=SCALAR,
            batch_size=9,
            order="desc",
            scroll_id=scroll,
        )
        assert page["returned"]
        scroll, found = page["scroll_id"], found + [e["iter"] for e in page["events"]]
    assert found == sorted(found, reverse=True)


def test_console_lines_keep_their_order_and_page_by_time(server: Running, task: str) -> None:
    report(server, *(line(task, f"{i}", AT + i // 2) for i in range(20)))
    report(server, line(task, "early", AT))
    forward = ["0", "1", "early", *(str(i) for i in range(2, 20))]
    assert texts(server, task, navigate_earlier=False) == forward
    assert texts(server, task) == forward[::-1]
    assert texts(server, task, batch_size=3) == ["19", "18", "17", "16"]
    assert texts(server, task, batch_size=3, from_timestamp=AT + 8) == ["15", "14", "13", "12"]
    assert texts(server, task, batch_size=2, order="asc") == ["18", "19"]


def test_a_repeated_request_adds_no_line_twice(server: Running, task: str) -> None:
    batch = [line(task, "a"), line(task, "b", AT + 1), point(task, 0, 1.0)]
    first = report(server, *batch)["data"]
    assert report(server, *batch)["data"] == first
    assert texts(server, task) == ["b", "a"]
    report(server, *batch, line(task, "c", AT + 2))
    assert texts(server, task) == ["c", "b", "b", "a", "a"]


def test_lines_without_a_timestamp_are_never_taken_for_a_repetition(server: Running, task: str) -> None:
    for _ in range(2):
        report(server, line(task, "tick", None))
    assert texts(server, task) == ["tick", "tick"]


def test_a_log_downloads_as_text_and_forgets_on_demand(server: Running, task: str) -> None:
    report(server, line(task, "one", worker="w"), line(task, "two {level.__class__}", AT + 1, worker="w"))
    form = "{worker}|{level}|{msg}|{level.__class__}"
    answer = server.client.get(
        f"{server.api}/events.download_task_log",
        params={"task": task, "line_type": "text", "line_format": form},
        headers={"Authorization": f"Bearer {server.token}"},
    )
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.text.splitlines()[0] == "w|info|one|{level.__class__}"
    assert server.call("events.clear_task_log", task=task) == {"deleted": 2}
    assert texts(server, task) == []


def test_lines_of_a_metric_are_read_and_cleared_alone(server: Running, task: str) -> None:
    report(
        server,
        line(task, "plain"),
        line(task, "a", AT + 1, metric="gpu", variant="0"),
        line(task, "b", AT + 2, metric="gpu", variant="1"),
        line(task, "c", AT + 3, metric="net"),
    )
    assert texts(server, task, metrics=["gpu"]) == ["b", "a"]
    assert texts(server, task, metrics=[{"metric": "gpu", "variants": ["1"]}, {"metric": "net"}]) == [
        "c",
        "b",
    ]
    assert texts(server, task, metrics=[{"metric": ""}]) == ["plain"]
    told = server.call("events.get_task_metrics", tasks=[task], event_type=LOG)
    assert told == {"metrics": [{"task": task, "metrics": ["", "gpu", "net"]}]}
    told = server.call("events.get_multi_task_metrics", tasks=[task], event_type=LOG)["metrics"]
    assert {m["metric"]: m["variants"] for m in told} == {"": [""], "gpu": ["0", "1"], "net": [""]}
    clear = "events.clear_task_log"
    assert server.ask(clear, task=task, include_metrics=[])["meta"]["result_code"] == 400
    assert server.call(clear, task=task, exclude_metrics=["gpu", "net", ""]) == {"deleted": 0}
    assert server.call(clear, task=task, include_metrics=["net"]) == {"deleted": 1}
    assert texts(server, task) == ["b", "a", "plain"]
    assert server.call(clear, task=task, exclude_metrics=["gpu"]) == {"deleted": 1}
    assert texts(server, task) == ["b", "a"]
    assert server.call(clear, task=task) == {"deleted": 2}


def plot(task: str, iteration: int, text: str, variant: str = "s") -> dict[str, Any]:
    return {
        "type": PLOT,
        "task": task,
        "metric": "table",
        "variant": variant,
        "iter": iteration,
        "plot_str": text,
    }


def test_large_plots_come_back_whole_and_are_small_on_disk(server: Running, task: str) -> None:
    text = json.dumps(
        {"data": [{"y": [0.125] * 60_000}], "layout": {"images": [{"source": "http://f/x.png"}]}}
    )
    report(server, plot(task, 0, text), plot(task, 1, text), plot(task, 1, text, variant="t"))
    told = server.call("events.get_task_plots", task=task)
    assert [(p["variant"], p["iter"]) for p in told["plots"]] == [("s", 1), ("t", 1)]
    shown = told["plots"][0]
    assert (shown["plot_str"], shown["plot_len"], shown["source_urls"]) == (
        text,
        len(text),
        ["http://f/x.png"],
    )
    with server.store.reading() as tx:
        assert tx.value("SELECT max(length(body)) FROM sample WHERE owner=?", (task,)) < len(text) / 50
    assert server.call("events.get_task_plots", task=task, iters=5)["total"] == 3
    several = server.call("events.get_multi_task_plots", tasks=[task])
    assert several["plots"]["table"]["s"][task]["1"]["name"] == "reporting"
    after = server.call("events.get_multi_task_plots", tasks=[task], scroll_id=several["scroll_id"])
    assert (after["returned"], after["scroll_id"]) == (0, "FFFF")


def test_plots_that_are_too_large_together_come_one_after_the_other(
    server: Running, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer has what it may have; the scroll goes on behind it, of one task and of several."""
    monkeypatch.setattr(samples, "ANSWER_BYTES", 2000)
    report(server, *(plot(task, 0, json.dumps({"data": ["x" * 700]}), variant=f"v{n}") for n in range(5)))
    for name, whose in (("get_task_plots", {"task": task}), ("get_multi_task_plots", {"tasks": [task]})):
        seen, scroll_id = [], None
        for returned in (2, 2, 1):
            told = server.call(f"events.{name}", scroll_id=scroll_id, **whose)
            assert (told["returned"], told["total"]) == (returned, 5)
            found, scroll_id = told["plots"], told["scroll_id"]
            seen += [p["variant"] for p in found] if isinstance(found, list) else sorted(found["table"])
        assert seen == [f"v{n}" for n in range(5)]
    assert server.call("events.get_multi_task_plots", tasks=[task], scroll_id=scroll_id)["returned"] == 0


def test_a_console_of_any_length_is_downloaded_in_parts(
    server: Running, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of one millisecond too; nothing twice, nothing left out."""
    monkeypatch.setattr(events, "LINES_AT_A_TIME", 3)
    report(server, *(line(task, f"{n}", AT + n // 5) for n in range(20)))
    url = f"{server.api}/events.download_task_log"
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.post(url, json={"task": task}, headers=headers)
    assert [json.loads(text)["msg"] for text in answer.text.splitlines()] == [f"{n}" for n in range(20)]


def image(task: str, variant: str, iteration: int, url: str) -> dict[str, Any]:
    return {
        "type": IMAGE,
        "task": task,
        "metric": "img",
        "variant": variant,
        "iter": iteration,
        "url": url,
        "key": url,
    }


def test_images_whose_file_was_used_again_are_not_shown(server: Running, task: str) -> None:
    report(server, *(image(task, v, i, f"http://f/{v}{i % 3}") for i in range(5) for v in ("v1", "v2")))
    ask = {"metrics": [{"task": task}], "iters": 2}
    first = server.call("events.debug_images", **ask)
    assert [i["iter"] for i in first["metrics"][0]["iterations"]] == [4, 3]
    ask["scroll_id"] = first["scroll_id"]
    assert [i["iter"] for i in server.call("events.debug_images", **ask)["metrics"][0]["iterations"]] == [2]
    assert server.call("events.debug_images", **ask)["metrics"][0]["iterations"] == []
    later = server.call("events.debug_images", **ask, navigate_earlier=False)
    assert [i["iter"] for i in later["metrics"][0]["iterations"]] == [4, 3]

    sample = server.call("events.get_debug_image_sample", task=task, metric="img", variant="v1")
    assert (sample["event"]["iter"], sample["min_iteration"], sample["max_iteration"]) == (4, 2, 4)
    step = {"task": task, "scroll_id": sample["scroll_id"]}
    event = server.call("events.next_debug_image_sample", **step)["event"]
    assert (event["iter"], event["variant"]) == (3, "v2")
    event = server.call("events.next_debug_image_sample", **step, next_iteration=True)["event"]
    assert (event["iter"], event["variant"]) == (2, "v2")
    assert server.call("events.next_debug_image_sample", **step, next_iteration=True)["event"] is None
    assert (
        server.ask("events.next_debug_image_sample", task=task, scroll_id="x")["meta"]["result_subcode"]
        == 1104
    )


def test_vectors_come_back(server: Running, task: str) -> None:
    vector = {"type": "training_stats_vector", "task": task, "metric": "v", "variant": "h", "iter": 0}
    report(server, vector | {"values": [1, 2, 3]})
    assert server.call("events.get_vector_metrics_and_variants", task=task) == {"metrics": {"v": ["h"]}}
    told = server.call("events.vector_metrics_iter_histogram", task=task, metric="v", variant="h")
    assert (told["vectors"], told["iterations"]) == ([[1, 2, 3]], [0])


def test_metrics_are_listed_by_kind(server: Running, task: str) -> None:
    report(
        server, point(task, 0, 1.0), plot(task, 0, "{}"), line(task, "x"), image(task, "v", 0, "http://f/1")
    )
    for kind, names in ((SCALAR, ["loss"]), (PLOT, ["table"]), (IMAGE, ["img"]), (LOG, [""])):
        told = server.call("events.get_task_metrics", tasks=[task], event_type=kind)
        assert told == {"metrics": [{"task": task, "metrics": names}]}
    several = server.call("events.get_multi_task_metrics", tasks=[task], event_type=SCALAR)
    assert several == {"metrics": [{"metric": "loss", "variants": ["a"]}]}


def test_an_event_without_its_contents_is_kept(server: Running, task: str) -> None:
    bare = [
        {"type": kind, "task": task, "metric": "bare", "variant": "v", "iter": 1, "timestamp": AT}
        for kind in (SCALAR, PLOT, IMAGE)
    ]
    assert report(server, *bare)["data"]["added"] == 3
    assert curve(server, task)["bare"]["v"]["y"] == [None]
    (plot,) = server.call("events.get_task_plots", task=task)["plots"]
    assert (plot["metric"], "plot_str" in plot) == ("bare", False)
    images = server.call("events.debug_images", metrics=[{"task": task}])["metrics"][0]["iterations"]
    assert "url" not in images[0]["events"][0]
    assert server.call("tasks.reset", task=task, return_file_urls=True)["urls"]["event_urls"] == []


def test_events_of_all_kinds_are_read_page_by_page(server: Running, task: str) -> None:
    sent = [point(task, i, 1.0) for i in range(3)]
    sent += [line(task, "x", AT + i) for i in range(2)] + [image(task, "v", 0, "http://f/1")]
    report(server, *sent, plot(task, 0, "{}"))
    found: list[str] = []
    scroll: dict[str, str] = {}
    while True:
        answer = server.call("events.get_task_events", task=task, batch_size=2, **scroll)
        assert answer["total"] == 7
        if not answer["events"]:
            break
        found += [event["type"] for event in answer["events"]]
        scroll = {"scroll_id": answer["scroll_id"]}
    assert sorted(found) == sorted([SCALAR] * 3 + [LOG] * 2 + [IMAGE, PLOT])
    at_once = server.call("events.get_task_events", task=task)
    assert (at_once["returned"], [event["type"] for event in at_once["events"]]) == (7, found)
    assert server.call("events.get_task_events", task=task, scroll_id=at_once["scroll_id"])["events"] == []
    backwards = server.call("events.get_task_events", task=task, batch_size=4, order="desc")["events"]
    assert [(event["type"], event.get("iter")) for event in backwards[:3]] == [(SCALAR, i) for i in (2, 1, 0)]
    assert backwards[3]["type"] != SCALAR
    only = server.call("events.get_task_events", task=task, event_type=PLOT, metrics=[{"metric": "no"}])
    assert (only["events"], only["total"]) == ([], 0)


def test_an_axis_with_a_name_shows_it(server: Running, task: str) -> None:
    report(server, point(task, 0, 1.0, x_axis_label="epoch"), point(task, 0, 1.0, variant="b"))
    shown = curve(server, task)["loss"]
    assert (shown["a"]["x_axis_label"], "x_axis_label" in shown["b"]) == ("epoch", False)
    several = server.call("events.multi_task_scalar_metrics_iter_histogram", tasks=[task])["metrics"]
    assert several["loss"]["a"][task]["x_axis_label"] == "epoch"


def test_where_there_is_no_sample_there_is_no_range(server: Running, task: str) -> None:
    for call, name, nothing in (
        ("events.get_debug_image_sample", "event", None),
        ("events.get_plot_sample", "events", []),
    ):
        answer = server.call(call, task=task, metric="none", variant="none")
        assert (answer[name], answer["min_iteration"], answer["max_iteration"]) == (nothing, None, None)


def test_plots_of_one_variant_are_shown_alone(server: Running, task: str) -> None:
    report(server, plot(task, 0, "{}", "a"), plot(task, 1, "{}", "b"))
    first = server.call("events.get_plot_sample", task=task, metric="table", variant="a")
    assert [(e["variant"], e["iter"]) for e in first["events"]] == [("a", 0)]
    more = {"task": task, "scroll_id": first["scroll_id"], "navigate_earlier": False}
    assert server.call("events.next_plot_sample", **more)["events"] == []


def test_models_have_events_of_their_own(server: Running, task: str) -> None:
    model = server.call("models.create", name="reported", uri="http://f/m", task=task, ready=False)["id"]
    answer = report(server, point(model, 3, 0.5, model_event=True), line(model, "x", model_event=True))
    assert answer["data"]["errors_info"] == {"Event type log is not supported for models": 1}
    assert curve(server, model, model_events=True)["loss"]["a"]["y"] == [0.5]
    assert server.ask("events.scalar_metrics_iter_histogram", task=model)["meta"]["result_subcode"] == 101
    (event,) = server.call("events.get_task_events", task=model, event_type=SCALAR, model_events=True)[
        "events"
    ]
    assert event["model_event"] is True
    assert server.call("events.delete_for_model", model=model) == {"deleted": 1}


def test_empty_and_malformed_batches_are_refused_in_words(server: Running, task: str) -> None:
    for lines, expected in (
        ([""], (400, 17)),
        (['{"a": 1}', "{bad"], (400, 0)),
        (["1", "2"], (400, 0)),
        (['{"a": 1},{"b": 2}'], (400, 0)),
        (['{"a": "\\ud800"}'], (400, 0)),
        (["[" * 100_000], (400, 0)),
    ):
        meta = report(server, *lines)["meta"]
        assert (meta["result_code"], meta["result_subcode"]) == expected, lines[0][:50]
    windows = [json.dumps(line(task, "a")) + "\r", "", json.dumps(line(task, "b")) + "\r"]
    assert report(server, *windows)["data"]["added"] == 2


@pytest.mark.parametrize("scroll", ["bogus", "eyJhZnRlciI6ICJ4In0=", "eyJhZnRlciI6IDFlNDB9", "x" * 5000])
def test_a_bad_scroll_id_is_refused(server: Running, task: str, scroll: str) -> None:
    meta = server.ask("events.get_task_events", task=task, event_type=SCALAR, scroll_id=scroll)["meta"]
    assert (meta["result_code"], meta["result_subcode"]) == (400, 1104)
