"""The pages for dispatched runs in a real browser: from a template to its result, and what is wrong in words."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import pytest

from ..running import Running
from . import dispatched


@dataclass
class Left:
    """Ids of what is on the server."""

    queue: str
    template: str
    dataset: str
    pipeline: str
    running: str
    model: str


@pytest.fixture(scope="module")
def left(server: Running) -> Left:
    queue = server.call("queues.create", name="dispatched")["id"]
    dataset = dispatched.leave_dataset(server)
    return Left(
        queue,
        dispatched.leave_template(server, queue),
        dataset,
        *dispatched.leave_pipeline(server, queue, dataset),
    )


def test_a_run_is_made_from_a_template_without_code(page: Any, server: Running, left: Left) -> None:
    page.get_by_role("link", name="New run", exact=True).click()
    assert page.get_by_text("Train a next-event LSTM.").is_visible()
    page.get_by_role("link", name="New run: detector-train").click()
    assert page.locator("fieldset legend").all_inner_texts() == ["Model", "Training", "Run", "Container"]
    layers = page.get_by_label(re.compile("^layers"))
    assert layers.get_attribute("type") == "number"
    assert page.get_by_text("LSTM layers").is_visible()
    layers.fill("3")
    page.get_by_label(re.compile("^quantitative")).select_option("True")
    page.get_by_label(re.compile("^learning_rate")).fill("1e-3")
    page.get_by_label(re.compile("^Arguments")).fill("--cpus 1 --memory 2g")
    assert page.get_by_label("Queue").locator("option:checked").inner_text().startswith("dispatched")
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    run = server.call("tasks.get_by_id", task=page.url[-32:])["task"]
    held = run["hyperparams"]
    assert held["Model"]["layers"] == dispatched.parameter("Model", "layers", "3", "int", "LSTM layers")
    assert (held["Model"]["quantitative"]["value"], held["Training"]["learning_rate"]["value"]) == (
        "True",
        "1e-3",
    )
    assert held["Training"]["patience"]["value"] == "", "what was empty stays empty"
    assert run["container"]["arguments"] == "--cpus 1 --memory 2g"
    assert run["container"]["image"].startswith("stackyard/torch-2.13.0-cpu@sha256:")
    assert run["execution"]["queue"] == left.queue
    project = server.call("projects.get_by_id", project=run["project"])["project"]["name"]
    assert project == "Stackyard/runs", "not among the templates"
    assert page.get_by_text("Place 1 of 1 in queue").is_visible()
    assert page.get_by_text("No worker serves this queue").is_visible()
    server.call("tasks.dequeue", task=run["id"])


def test_a_running_task_shows_how_far_it_is_and_what_it_uses_now(
    page: Any, server: Running, left: Left
) -> None:
    page.goto(f"/tasks/{left.running}")
    now = page.locator("#now")
    assert now.get_by_text("42 %").last.is_visible()
    for name, value in (
        ("step time · seconds", "0.0125"),
        ("CPU · percent of a core", "187"),
        ("GPU · MB", "2,048"),
    ):
        assert value in now.locator("div", has_text=name).last.inner_text()
    server.call("tasks.edit", task=left.running, runtime={"progress": "77"}, force=True)
    now.get_by_text("77 %").last.wait_for()
    page.get_by_role("link", name="Plots").click()
    timeline = page.locator("figure", has_text="timeline")
    timeline.locator(".scatterlayer .js-line").nth(1).wait_for()
    assert timeline.locator(".scatterlayer .js-line").count() == 2
    for text in ("CPU", "RAM", "training"):
        assert timeline.get_by_text(text, exact=True).first.is_visible()


def test_lineage_is_followed_from_the_model_to_the_first_version_of_the_data(page: Any, left: Left) -> None:
    page.goto(f"/tasks/{left.running}")
    page.get_by_role("link", name="detector", exact=True).click()
    page.get_by_role("heading", name="detector").wait_for()
    assert page.get_by_role("link", name="model.safetensors").get_attribute("href").startswith("/files/")
    made_by = page.locator("section", has=page.get_by_role("heading", name="Made by"))
    assert made_by.get_by_role("link", name="train").is_visible()
    assert made_by.get_by_text("data set hdfs 1.1.0").is_visible()
    made_by.get_by_role("link", name="hdfs").click()
    assert page.url.endswith(left.dataset)
    assert page.get_by_text("data set hdfs 1.0.0").is_visible()
    page.get_by_role("link", name="Data sets").click()
    assert page.locator("tbody tr").count() == 2


def test_a_pipeline_says_which_step_failed_and_why(page: Any, left: Left) -> None:
    page.goto(f"/tasks/{left.running}")
    page.get_by_role("link", name="nightly").click()
    failed = page.get_by_role("row", name=re.compile("^prepare"))
    assert "failed" in failed.inner_text()
    assert "code: ValueError: no session is left" in failed.inner_text()


def test_queues_say_what_is_wrong_in_words(page: Any, server: Running, left: Left) -> None:
    unread = {"key": "retries", "type": "str", "value": "many"}
    queue = server.call("queues.create", name="troubled", metadata=[unread])["id"]
    server.call("workers.register", worker="box:cpu7", queues=[queue])
    task = server.call("tasks.create", name="patient", type="training")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    page.goto("/queues")
    card = page.locator(f'[id="{queue}"]')
    assert "1 waiting" in card.inner_text()
    assert card.get_by_text("metadata retries cannot be read").is_visible()
    assert card.get_by_role("row", name=re.compile("box:cpu7")).get_by_text("idle").is_visible()
    with server.store.writing() as tx:
        tx.run("UPDATE worker SET last_active=last_active-200000 WHERE id='box:cpu7'")
        tx.run("UPDATE queue_entry SET added=? WHERE task=?", (int(time.time() * 1000) - 7_200_000, task))
    card.get_by_text("box:cpu7 has been silent for 3 min").wait_for()
    assert "the oldest for 2 h" in card.inner_text()
    server.call("tasks.dequeue", task=task)
    server.call("workers.unregister", worker="box:cpu7")
