"""The pages on a telephone and a laptop, and what refreshes by itself, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from ..running import Running

LONG = "a name that is rather long, with_underscores_and-dashes/and/slashes/and_one_more_of_them"


@pytest.fixture(scope="module")
def task(server: Running) -> str:
    """A task with long names, by a user whose name is one long word, in a queue whose name is two words."""
    with server.store.writing() as tx:
        tx.run("UPDATE user SET name='Administrator' WHERE id=?", (server.user_id,))
    project = server.call("projects.create", name="a project with a long name/and one below it")["id"]
    parameter = {"section": "Args", "name": "a_parameter_" * 6, "value": "/a/path/to/somewhere" * 8}
    task: str = server.call(
        "tasks.create", name=LONG, type="data_processing", project=project,
        hyperparams={"Args": {parameter["name"]: parameter}},
    )["id"]  # fmt: skip
    queue = server.call("queues.create", name="brand new")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    server.call("workers.register", worker="a-machine-with-a-long-name.example.org:cpu:0:slot-12", queues=[])
    words = "ValueError: http://h/" + "abcdef%20" * 40
    model = {"uri": "http://elsewhere/" + "m" * 90, "labels": {}, "comment": words}
    server.call("models.create", name=LONG, project=project, **model)
    return task


@pytest.fixture(scope="module")
def failed(server: Running) -> str:
    """A pipeline that failed with long words of other people's, and its step."""
    words = "ValueError: http://h/" + "abcdef%20" * 40
    made = {"type": "controller", "system_tags": ["pipeline"]}
    pipeline: str = server.call("tasks.create", name="a pipeline", **made)["id"]
    step = server.call("tasks.create", name="step one", type="training", parent=pipeline)["id"]
    for task in (step, pipeline):
        server.call("tasks.started", task=task)
        server.call(
            "tasks.failed", task=task, status_message=words, status_reason="worker execution exit code 1"
        )
    return pipeline


@pytest.fixture(scope="module")
def draft(server: Running) -> str:
    """A draft with long words everywhere."""
    word = "a_long_word_" * 12
    parameter = {"section": "S" * 80, "name": word, "value": word}
    made: str = server.call(
        "tasks.create", name="draft_" * 20, type="training", hyperparams={"S" * 80: {word: parameter}}, tags=["t" * 70],
        script={"requirements": {"pip": "p" * 200}}, runtime={word: word},
    )["id"]  # fmt: skip
    return made


def test_no_page_is_wider_than_a_telephone(
    page: Any, task: str, failed: str, draft: str, server: Running
) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/account")
    page.get_by_label("A new key").fill("a_laptop_of_mine_" * 4)
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name="Revoke").wait_for()
    model = server.call("models.get_all", only_fields=["id"])["models"][0]["id"]
    for path in ("/", "/projects", "/tasks", f"/tasks/{task}", f"/tasks/{task}/log", f"/tasks/{task}/scalars",
                 f"/tasks/{task}/plots", f"/tasks/{task}/images", f"/tasks/{task}/clone", "/models", "/datasets",
                 "/queues", "/workers", "/account", "/new", f"/compare?tasks={task}", "/endpoints",
                 f"/tasks/{failed}", f"/tasks/{failed}/log", f"/tasks/{draft}", f"/tasks/{draft}/edit",
                 f"/models/{model}"):  # fmt: skip
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{path} is {wide} wide"


LINES = "(one) => { const range = document.createRange(); range.selectNodeContents(one); " \
        "return new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size; }"  # fmt: skip


def test_names_break_at_their_places_and_short_ones_do_not(page: Any, task: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/tasks")
    link = page.get_by_role("link", name=LONG)
    assert link.evaluate(LINES) <= 12, "letter by letter it would be many more"
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("/tasks")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=LONG))
    user = row.get_by_text("Administrator", exact=True)
    assert user.evaluate(LINES) == 1
    assert user.evaluate("(one) => one.scrollWidth <= one.clientWidth")


def test_a_shown_command_can_be_typed_as_it_stands(page: Any, task: str) -> None:
    page.goto("/queues")
    assert page.get_by_text("clearml-agent daemon --queue 'brand new'").is_visible()


@pytest.mark.parametrize("path", ["/", "/tasks"])
def test_a_page_refreshes_and_keeps_what_one_types(page: Any, server: Running, path: str) -> None:
    page.clock.install()
    page.goto(path)
    name = f"came later to {path.strip('/') or 'home'}"
    if path == "/tasks":
        page.get_by_label("Name holds").fill("half a wor")
    focused = page.get_by_role("link", name="Projects", exact=True).first
    focused.focus()
    server.call("tasks.create", name=name, type="testing")
    page.clock.run_for(11_000)
    page.get_by_role("link", name=name).wait_for()
    assert focused.evaluate("(one) => one === document.activeElement")
    if path == "/tasks":
        assert page.get_by_label("Name holds").input_value() == "half a wor"


def test_workers_refresh_only_while_somebody_looks(page: Any, server: Running) -> None:
    page.clock.install()
    page.goto("/workers")
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    server.call("workers.register", worker="box:later", queues=[])
    page.clock.run_for(25_000)
    assert asked == []
    page.evaluate("delete document.hidden")
    page.clock.run_for(11_000)
    page.get_by_text("box:later").wait_for()
