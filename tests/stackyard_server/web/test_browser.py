"""The pages in a real headless browser: what someone without a shell does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ..running import Running


def open_task(page: Any) -> None:
    page.get_by_role("link", name="Projects", exact=True).first.click()
    page.get_by_role("link", name="vision/detector").click()
    page.get_by_role("link", name="train one", exact=True).click()


def test_a_task_is_found_and_shows_what_it_left(page: Any) -> None:
    open_task(page)
    assert page.get_by_role("heading", name="train one").is_visible()
    assert page.get_by_text("0.93").is_visible()
    assert page.get_by_role("row", name="rate 0.1").is_visible()
    assert page.get_by_text("<b>x</b>").is_visible()
    page.get_by_role("link", name="report").click()
    page.get_by_text('{"answer": 42}').wait_for()


@pytest.mark.promise("pages-escape", on="pages")
def test_the_log_shows_lines_as_text(page: Any) -> None:
    open_task(page)
    page.get_by_role("link", name="Log").click()
    log = page.locator("#log")
    assert "epoch 19" in log.inner_text()
    assert "<script>alert(1)</script>" in log.inner_text()


def test_scalars_are_drawn(page: Any) -> None:
    open_task(page)
    page.get_by_role("link", name="Scalars").click()
    figure = page.locator("figure", has_text="loss")
    assert figure.locator("path.line").count() == 2
    assert figure.get_by_text("train").is_visible()
    box = figure.locator("path.line").first.bounding_box()
    assert box["width"] > 200


def test_clone_with_another_parameter_waits_in_the_queue(page: Any, server: Running) -> None:
    open_task(page)
    page.get_by_role("link", name="Clone").click()
    page.get_by_label("Name").fill("train two")
    page.get_by_label(re.compile("^rate")).fill("0.2")
    page.get_by_label("Queue").select_option(label="cpu (0 waiting, 0 workers)")
    page.get_by_role("button", name="Make the copy").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    assert page.locator(".pill").first.inner_text() == "queued"
    task = server.call("tasks.get_by_id", task=page.url[-32:])["task"]
    held = task["hyperparams"]["Args"]
    assert (held["rate"]["value"], held["rate"]["type"], held["note"]["value"]) == (
        "0.2",
        "float",
        "<b>x</b>",
    )
    page.get_by_role("link", name="Queues", exact=True).click()
    assert page.locator("section", has_text="cpu").get_by_role("link", name="train two").is_visible()
    page.get_by_role("link", name="train two").click()
    page.get_by_role("button", name="Abort").click()
    assert page.locator(".pill").first.inner_text() == "aborted"
    page.get_by_text("Reset …").click()
    page.get_by_role("button", name="Wipe and reset").click()
    assert page.locator(".pill").first.inner_text() == "draft"


def test_a_running_log_grows_before_ones_eyes(page: Any, server: Running) -> None:
    task = server.call("tasks.create", name="long one", type="training")["id"]
    server.call("tasks.started", task=task, force=True)
    page.goto(f"/tasks/{task}/log")
    assert page.get_by_text("Followed live").is_visible()
    server.call_lines(
        "events.add_batch", [{"type": "log", "task": task, "level": "info", "msg": "here it comes"}]
    )
    page.get_by_text("here it comes").wait_for()
    server.call("tasks.completed", task=task, force=True)
    page.locator(".pill", has_text="completed").wait_for()


def test_tables_filter_and_sort(page: Any, server: Running) -> None:
    for name in ("alpha", "beta", "gamma"):
        server.call("tasks.create", name=f"sorted {name}", type="testing")
    page.goto("/tasks?q=sorted")
    page.get_by_role("link", name="Task", exact=True).click()
    down = page.locator("tbody tr td:first-child").all_inner_texts()
    page.get_by_role("link", name=re.compile("^Task ↓")).click()
    up = page.locator("tbody tr td:first-child").all_inner_texts()
    assert down == ["sorted gamma", "sorted beta", "sorted alpha"]
    assert up == down[::-1]


def test_sign_out_ends_the_session(page: Any, server: Running) -> None:
    cookies = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(server.web + "/login")
    kept = {"Cookie": "; ".join(f"{c['name']}={c['value']}" for c in cookies)}
    answer = server.client.get(f"{server.web}/projects", headers=kept)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fprojects"
