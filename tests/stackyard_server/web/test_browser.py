"""The pages in a real headless browser: what someone without a shell does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ..running import Running
from . import plotted
from .conftest import signed_in


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
    figure.locator(".scatterlayer .js-line").nth(1).wait_for()
    assert figure.locator(".scatterlayer .js-line").count() == 2
    assert figure.get_by_text("Newest: train 0.02, valid 0.01961").is_visible()
    assert figure.locator(".scatterlayer .js-line").first.bounding_box()["width"] > 200


@pytest.fixture(scope="module")
def plots(server: Running) -> str:
    return plotted.leave_plots(server)


def test_plots_of_every_kind_are_drawn_and_what_is_left_out_is_said(page: Any, plots: str) -> None:
    page.goto(f"/tasks/{plots}/plots")
    for name, kind in plotted.KINDS.items():
        figure = page.locator(f'figure[data-title="{name}"]')
        figure.scroll_into_view_if_needed()
        figure.locator(kind.drawn).nth(kind.count - 1).wait_for(state="attached")
        assert figure.locator(kind.drawn).count() == kind.count, name
        assert not figure.locator("p.hint").is_visible(), name
    names = page.locator('figure[data-title="parallel"] .axis-title').all_text_contents()
    assert sorted(names) == ["depth", "rate"]
    markers = page.locator('figure[data-title="markers"]')
    markers.scroll_into_view_if_needed()
    assert markers.locator(".scatterlayer .js-line").count() == 0, (
        "points that were not joined are not joined here"
    )
    confusion = page.locator('figure[data-title="confusion"]')
    assert confusion.locator(".xtitle, .ytitle").all_text_contents() == ["said", "true"]

    # and a picture is shown, and what is left out is said; on the same page, for it takes its time to be drawn

    def said(name: str) -> str:
        figure = page.locator(f'figure[data-title="{name}"]')
        figure.scroll_into_view_if_needed()
        figure.locator("p.hint").wait_for()
        return str(figure.locator("p.hint").inner_text())

    assert said("many") == "Walk: 20,000 of 60,000 points are drawn."
    assert "MB are more than" in said("too large")
    assert said("no figure") == "It is no figure."
    assert said("no JSON") == "What was reported is no figure that can be read."
    assert said("picture elsewhere").startswith("A picture lies elsewhere: http://elsewhere/x.png")
    for kind in plotted.MAPS:
        assert said(kind).startswith(f"A map ({kind}) is not drawn here")
    assert said("endless table") == "The first 1,000 of 2,500 rows are shown."
    figure = page.locator('figure[data-title="picture"]')
    figure.scroll_into_view_if_needed()
    picture = figure.get_by_role("img", name="picture")
    picture.wait_for()
    page.wait_for_function("(one) => one.complete", arg=picture.element_handle())
    assert picture.evaluate("(one) => one.naturalWidth") == 40


def test_every_row_of_a_reported_table_can_be_seen(page: Any, plots: str) -> None:
    page.goto(f"/tasks/{plots}/plots?page=0")
    figure = page.locator('figure[data-title="long table"]')
    figure.scroll_into_view_if_needed()
    frame = figure.get_by_role("region", name="Table: long table")
    rows = frame.locator("tbody tr")
    rows.nth(29).wait_for()
    assert rows.count() == 30
    assert figure.get_by_text("30 rows, 3 columns; the table scrolls.").is_visible()
    assert figure.locator("figcaption").inner_text() == "long table: What was found"
    assert frame.get_by_role("columnheader").all_inner_texts() == ["name", "loss", "where"]
    assert frame.evaluate("(one) => one.scrollHeight > one.clientHeight")
    frame.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "(one) => one.scrollTop + one.clientHeight > one.scrollHeight - 2", arg=frame.element_handle()
    )
    assert rows.nth(29).get_by_role("cell").all_inner_texts() == ["row 29\nof many", "9.67", "<b>"]
    assert rows.nth(28).get_by_role("cell").last.inner_text() == "<img src=x>"
    assert rows.nth(0).get_by_role("link", name="there").get_attribute("href") == "https://elsewhere.example/"


@pytest.mark.long
def test_plots_of_three_dimensions_are_drawn(page: Any, server: Running) -> None:
    page.goto(f"/tasks/{plotted.leave_plots_in_space(server)}/plots")
    for name, kind in plotted.IN_SPACE.items():
        figure = page.locator(f'figure[data-title="{name}"]')
        figure.scroll_into_view_if_needed()
        figure.locator(kind.drawn).first.wait_for(state="attached")
        assert figure.locator(".legend").count() == 0, "a lone series without a name needs none"


def test_debug_images_are_shown(page: Any, plots: str) -> None:
    page.goto(f"/tasks/{plots}")
    page.get_by_role("link", name="Images").click()
    newest = page.get_by_role("img", name="samples · grey, iteration 1")
    newest.wait_for()
    page.wait_for_function("(one) => one.complete", arg=newest.element_handle())
    assert newest.evaluate("(one) => one.naturalWidth") == 40
    assert page.get_by_role("img", name="samples · grey, iteration 0").is_visible()
    assert page.get_by_role("link", name="x.png").get_attribute("href") == "https://elsewhere.example/x.png"
    assert page.get_by_text("s3://bucket/x.png").is_visible()
    assert page.locator("main img").count() == 2, "nothing is loaded from elsewhere"


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


def test_a_draft_is_edited_enqueued_and_taken_out_again(page: Any, server: Running) -> None:
    open_task(page)
    page.get_by_role("link", name="Clone").click()
    page.get_by_label("Name").fill("train three")
    assert page.get_by_label("Queue").locator("option:checked").inner_text() == (
        "leave it as a draft, to be edited first"
    )
    page.get_by_role("button", name="Make the copy").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}/edit\?notice=copied$"))
    id = page.url.split("/")[-2]
    page.get_by_label("Packages").fill("numpy==1.26.4")
    page.get_by_label("New parameters").fill("Run/stack = some-stack")
    page.get_by_label("New user properties").fill("owner = ada")
    page.get_by_text("Remove parameters of Args").click()
    page.get_by_role("checkbox", name="note").check()
    page.get_by_role("button", name="Save").click()
    assert page.get_by_text("Saved.").is_visible()
    task = server.call("tasks.get_by_id", task=id)["task"]
    assert sorted(task["hyperparams"]) == ["Args", "Run", "properties"]
    assert list(task["hyperparams"]["Args"]) == ["rate"]
    assert task["script"]["requirements"]["pip"] == "numpy==1.26.4\n"
    page.get_by_label("Its queue").select_option(label="cpu (0 waiting, 0 workers)")
    page.get_by_role("button", name="Enqueue").click()
    assert page.locator(".pill").first.inner_text() == "queued"
    page.get_by_role("button", name="Take out of the queue").click()
    assert page.locator(".pill").first.inner_text() == "draft"
    page.get_by_role("link", name="Edit …").click()
    assert page.get_by_role("textbox", name="stack").input_value() == "some-stack"


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


def test_sign_out_ends_the_session(browser: Any, server: Running) -> None:
    with signed_in(browser, server) as page:
        cookies = page.context.cookies()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(server.web + "/login")
    kept = {"Cookie": "; ".join(f"{c['name']}={c['value']}" for c in cookies)}
    answer = server.client.get(f"{server.web}/projects", headers=kept)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fprojects"
