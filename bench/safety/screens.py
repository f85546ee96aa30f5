"""What is driven of the official web app (2.5): each screen with what it shows, each action with what it leads to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.stackyard_server.running import Running

from .furnished import Furnished

#: A name, and what is done; it raises where it does not come to what it waits for.
Step = tuple[str, Callable[[], object]]


def of_standin(page: Any, server: Running, there: Furnished, pair: tuple[str, str]) -> Iterator[Step]:
    """The stand-in's: sign-in by the API, the page with image, preview and embedded chart."""
    headers = {"Authorization": f"Bearer {server.token}"}
    yield "sign in", lambda: page.context.request.post("/api/v999.0/auth.login", headers=headers)
    path = f"/projects/{there.project}/tasks/{there.tasks[0]}/execution"
    yield "a task's page", lambda: (page.goto(path), page.get_by_role("heading", name="train one").wait_for())
    yield "an artifact's preview", lambda: page.locator("pre", has_text='{"answer": 42}').wait_for()
    yield "a debug image", lambda: page.wait_for_function("document.images[0]?.naturalWidth === 16")
    yield "an embedded chart", lambda: page.frame_locator("iframe").get_by_text("curves: ").wait_for()
    yield (
        "styles",
        lambda: page.wait_for_function(
            "getComputedStyle(document.querySelector('sm-root')).color === 'rgb(1, 2, 3)'"
        ),
    )


def of_app(page: Any, server: Running, there: Furnished, pair: tuple[str, str]) -> Iterator[Step]:
    """The real app's."""
    yield "sign in", lambda: _sign_in(page, *pair)
    for name, path, shown in _screens(there):
        yield name, _showing(page, path, shown)
    yield (
        "a debug image",
        lambda: (
            page.goto(f"/projects/{there.project}/tasks/{there.tasks[0]}/debugImages"),
            page.wait_for_function(
                "[...document.images].some(i => i.src.includes('/files/') && i.naturalWidth === 16)"
            ),
        ),
    )
    yield (
        "an embedded chart in a report",
        lambda: (
            page.goto(f"/reports/{there.project}/{there.report}"),
            page.frame_locator("iframe").locator(".js-plotly-plot").first.wait_for(),
        ),
    )
    yield from _actions(page, server, there)


def _sign_in(page: Any, login: str, password: str) -> None:
    page.goto("/")
    page.locator("input[formcontrolname=name]").fill(login)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name=re.compile("login", re.IGNORECASE)).click()
    page.get_by_role("button", name="GET STARTED").wait_for()
    while page.locator("mat-dialog-container").count():  # it greets whoever is new, more than once
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)


def _showing(page: Any, path: str, shown: str) -> Callable[[], object]:
    def show() -> None:
        page.goto(path)
        page.locator("body", has_text=re.compile(shown, re.IGNORECASE)).wait_for()
        page.wait_for_load_state("networkidle")

    return show


def _screens(there: Furnished) -> Iterator[tuple[str, str, str]]:
    """(name, path, what has to be there) of each screen."""
    yield "dashboard", "/dashboard", "Recent tasks"
    yield "search", "/dashboard?gq=train", "train one"
    yield "projects", "/projects", "Vision"
    project = f"/projects/{there.project}"
    yield "a project's overview", f"{project}/overview", "What this is for"
    yield "a project's workloads", f"{project}/workloads", "Resource Breakdown"
    yield "the tasks of a project", f"{project}/tasks", "train two"
    yield "all tasks", "/projects/*/tasks", "train two"
    yield "archived tasks", f"{project}/tasks?archive=true", "Archive"
    task = f"{project}/tasks/{there.tasks[0]}"
    for name, tab, shown in (
        ("execution", "execution", "train.py"),
        ("hyperparameters", "hyper-params/hyper-param/Args", "rate"),
        ("configuration", "hyper-params/configuration/net", "depth: 3"),
        ("artifacts", "artifacts/artifact/report/output", "report.json"),
        ("info", "general", "Created at"),
        ("console", "log", "epoch 19 done"),
        ("scalars", "scalars", "accuracy"),
        ("plots", "plots", "curve|Found"),
        ("debug samples", "debugImages", "samples"),
    ):
        yield f"a task's {name}", f"{task}/{tab}", shown
    yield "a task's plots in full", f"{task}/output/plots", "curve|Found"
    yield "the models of a project", f"{project}/models", "net weights"
    for tab, shown in (
        ("general", "PyTorch"), ("network", "a: 1"), ("labels", "cat"), ("metadata", "size"), ("tasks", "train one"),
        ("scalars", "No chart data"), ("plots", "No chart data"),
    ):  # fmt: skip
        yield f"a model's {tab}", f"{project}/models/{there.model}/{tab}", shown
    compared = f"{project}/compare-tasks;ids={there.tasks[0]},{there.tasks[1]}"
    for name, tab, shown in (
        ("details", "details", "train two"),
        ("hyperparameters", "hyper-params/values", "Args"),
        ("parallel coordinates", "hyper-params/graph", "Coordinates"),
        ("last values", "scalars/values", "0.93"),
        ("scalars", "scalars/graph", "accuracy"),
        ("plots", "metrics-plots", "curve - roc"),
        ("debug samples", "debug-images", "samples"),
    ):
        yield f"two tasks' {name}", f"{compared}/{tab}", shown
    yield "pipelines", "/pipelines", "nightly"
    yield "a pipeline's run", f"/pipelines/{there.pipeline_project}/tasks/{there.pipeline}", "load"
    yield "data sets", "/datasets", "images"
    yield (
        "a data set's version",
        f"/datasets/simple/{there.dataset_project}/tasks/{there.dataset}",
        "Version info",
    )
    yield "reports", "/reports", "Findings"
    yield "a report", f"/reports/{there.project}/{there.report}", "What we found"
    yield "workers", "/workers-and-queues/workers", "yard:gpu0"
    yield "queues", "/workers-and-queues/queues", "gpu queue"
    yield "model endpoints", "/endpoints/active", "No active model endpoints"
    yield "profile", "/settings/profile", "Ada"
    yield "preferences", "/settings/webapp-configuration", "User preferences"
    yield "access keys", "/settings/workspace-configuration", "API credentials"
    yield "storage credentials", "/settings/storage-credentials", "Storage providers"
    yield "an address that is none", "/nothing/here", "404"


def _actions(page: Any, server: Running, there: Furnished) -> Iterator[Step]:
    """The things that are done to tasks, projects, reports, queues and keys; each is asked back from the server."""

    def status(task: str) -> str:
        return str(server.call("tasks.get_by_id", task=task)["task"]["status"])

    def until(done: Callable[[], bool], what: str) -> None:
        for _ in range(100):
            if done():
                return
            page.wait_for_timeout(100)
        raise AssertionError(f"not on the server: {what}")

    def menu(row: str, item: str) -> None:
        page.goto(f"/projects/{there.project}/tasks")
        page.get_by_text(row, exact=True).first.click(button="right")
        page.get_by_role("menuitem", name=re.compile(item, re.IGNORECASE)).first.click()

    def confirm(button: str) -> None:
        page.locator("mat-dialog-container").get_by_role(
            "button", name=re.compile(button, re.IGNORECASE)
        ).last.click()

    def found(name: str, service: str = "tasks", key: str = "") -> list[dict[str, Any]]:
        answer = server.call(f"{service}.get_all", name=f"^{re.escape(name)}$")
        listed: list[dict[str, Any]] = answer[key or service]
        return listed

    def clone() -> None:
        menu("draft", "^clone")
        confirm("clone")
        until(lambda: bool(found("Clone of draft")), "the copy")

    def enqueue() -> None:
        menu("draft", "enqueue")
        confirm("enqueue")
        until(lambda: status(there.tasks[2]) == "queued", "queued")

    def dequeue() -> None:
        menu("draft", "dequeue")
        confirm("dequeue")
        until(lambda: status(there.tasks[2]) == "created", "taken out")

    def publish() -> None:
        menu("train two", "publish")
        confirm("publish")
        until(lambda: status(there.tasks[1]) == "published", "published")

    def archive() -> None:
        menu("to delete", "archive")
        until(
            lambda: "archived" in server.call("tasks.get_by_id", task=there.tasks[3])["task"]["system_tags"],
            "archived",
        )

    def new_project() -> None:
        page.goto("/projects")
        page.get_by_role("button", name=re.compile("new project", re.IGNORECASE)).click()
        page.locator("mat-dialog-container input").first.fill("Fresh")
        confirm("create project")
        until(lambda: bool(found("Fresh", "projects")), "the project")

    def new_queue() -> None:
        page.goto("/workers-and-queues/queues")
        page.get_by_role("button", name=re.compile("new queue", re.IGNORECASE)).click()
        page.locator("mat-dialog-container input").first.fill("night")
        confirm("create")
        until(lambda: bool(found("night", "queues")), "the queue")

    def new_key() -> None:
        page.goto("/settings/workspace-configuration")
        page.get_by_role("button", name=re.compile("create new credentials", re.IGNORECASE)).click()
        page.locator(
            "mat-dialog-container", has_text=re.compile("secret|access_key", re.IGNORECASE)
        ).wait_for()

    def publish_report() -> None:
        page.goto(f"/reports/{there.project}/{there.report}")
        page.get_by_role("button", name=re.compile("publish", re.IGNORECASE)).click()
        confirm("publish")
        until(lambda: status(there.report) == "published", "published")

    def project_menu(row: str, item: str, where: str) -> None:
        page.goto(where)
        page.get_by_text(row, exact=True).first.click(button="right")
        page.get_by_role("menuitem", name=re.compile(item, re.IGNORECASE)).first.click()

    archived = f"/projects/{there.project}/tasks?archive=true"

    def restore() -> None:
        project_menu("to delete", "restore", archived)
        tags = lambda: server.call("tasks.get_by_id", task=there.tasks[3])["task"]["system_tags"]  # noqa: E731
        until(lambda: "archived" not in tags(), "restored")

    def delete() -> None:
        server.call("tasks.archive", tasks=[there.tasks[3]])
        project_menu("to delete", "delete", archived)
        confirm("delete")
        until(lambda: not found("to delete"), "deleted")

    def reset() -> None:
        menu("train one", "reset")
        confirm("reset")
        until(lambda: status(there.tasks[0]) == "created", "reset")

    def abort() -> None:
        task = server.call("tasks.create", name="going on", type="training", project=there.project)["id"]
        server.call("tasks.started", task=task, force=True)
        menu("going on", "abort")
        confirm("abort|ok|yes")
        until(lambda: status(task) == "stopped", "stopped")

    def move() -> None:
        menu("draft", "move to project")
        page.locator("mat-dialog-container input").first.fill("Fresh")
        page.get_by_role("option", name=re.compile("Fresh")).first.click()
        confirm("move")
        fresh = found("Fresh", "projects")[0]["id"]
        until(
            lambda: server.call("tasks.get_by_id", task=there.tasks[2])["task"]["project"] == fresh, "moved"
        )

    def new_report() -> None:
        page.goto("/reports")
        page.get_by_role("button", name=re.compile("new report", re.IGNORECASE)).click()
        page.locator("mat-dialog-container input").first.fill("Second look")
        confirm("create")
        page.get_by_text(re.compile("start editing the report", re.IGNORECASE)).wait_for()

    def archive_model() -> None:
        project_menu("net weights", "archive", f"/projects/{there.project}/models")
        kept = lambda: server.call("models.get_by_id", model=there.model)["model"]["system_tags"]  # noqa: E731
        until(lambda: "archived" in kept(), "archived")

    def rename_queue() -> None:
        project_menu("night", "update", "/workers-and-queues/queues")
        page.locator("mat-dialog-container input").first.fill("late night")
        confirm("update|save|rename")
        until(lambda: bool(found("late night", "queues")), "the queue's name")

    def delete_queue() -> None:
        project_menu("late night", "delete", "/workers-and-queues/queues")
        confirm("delete")
        until(lambda: not found("late night", "queues"), "deleted")

    def download() -> None:
        page.goto(f"/projects/{there.project}/tasks/{there.tasks[1]}/artifacts/artifact/report/output")
        address = (
            page.locator("sm-experiment-info-artifacts, sm-root")
            .get_by_text(re.compile("/files/.*report.json"))
            .last.inner_text()
        )
        answer = page.request.get("".join(address.split()))
        assert answer.body() == b'{"answer": 42}\n', f"{answer.status} {address}"

    def sign_out() -> None:
        page.goto("/settings/profile")
        page.locator(
            "sm-header-user-menu-actions, .user-icon, [data-id='userProfileIcon'], .avatar"
        ).first.click()
        page.get_by_role("menuitem", name=re.compile("logout", re.IGNORECASE)).click()
        page.locator("input[type=password]").wait_for()

    yield "clone a task", clone
    yield "enqueue a task", enqueue
    yield "take a task out of its queue", dequeue
    yield "publish a task", publish
    yield "archive a task", archive
    yield "make a project", new_project
    yield "make a queue", new_queue
    yield "make an access key", new_key
    yield "publish a report", publish_report
    yield "make a report", new_report
    yield "rename a queue", rename_queue
    yield "delete a queue", delete_queue
    yield "move a task to another project", move
    yield "restore a task", restore
    yield "delete a task", delete
    yield "abort a task", abort
    yield "reset a task", reset
    yield "archive a model", archive_model
    yield "load an artifact down", download
    yield "sign out", sign_out
