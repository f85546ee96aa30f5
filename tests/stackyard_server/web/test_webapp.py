"""A build of the official web app, served: its page, its policy, its configuration, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stackyard_server import identity

from ..running import Running, running_server
from .conftest import LOGIN, PASSWORD, fill
from .standin import make_build

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
#: What a browser says when it goes to a page.
GOES = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webapp")
    (folder / "secret.txt").write_text("secret")
    return make_build(folder / "build")


@pytest.fixture(scope="module")
def server(build: Path) -> Iterator[Running]:
    with running_server(webapp=build) as running:
        with running.store.writing() as tx:
            identity.add_user(tx, int(time.time() * 1000), name="Ada", login=LOGIN, password=PASSWORD)
        fill(running)
        yield running


def get(server: Running, path: str, **headers: str) -> httpx.Response:
    return server.client.get(f"{server.web}{path}", headers=headers, follow_redirects=False)


def task_with_image(server: Running) -> str:
    """The id of the task, once it has a debug image."""
    task = str(server.call("tasks.get_all", only_fields=["id"])["tasks"][0]["id"])
    key = f"vision/train one.{task}/metrics/debug/image.png"
    uploaded = server.client.post(
        server.files, files={key: (key, PNG)}, headers={"Authorization": f"Bearer {server.token}"}
    )
    assert uploaded.status_code == 200
    address = f"{server.files}/{key.replace(' ', '%20')}"
    event = {"type": "training_debug_image", "task": task, "metric": "debug", "variant": "image", "iter": 1}
    server.call_lines("events.add_batch", [{**event, "url": address, "key": key}])
    return task


def test_the_app_runs_in_a_browser_and_its_policy_blocks_nothing(server: Running, browser: Any) -> None:
    """Styled, with images, previews and embedded charts, at whichever name of the machine it is opened."""
    task = task_with_image(server)
    for web in (server.web, server.web.replace("127.0.0.1", "localhost")):
        context = browser.new_context(base_url=web)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda said, to=complaints: to.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda fault, to=complaints: to.append(str(fault)))
        page.on("response", lambda got, to=complaints: to.append(got.url) if got.status >= 400 else None)
        signed = context.request.post(
            "/api/v999.0/auth.login", headers={"Authorization": f"Bearer {server.token}"}
        )
        assert signed.ok
        page.goto(f"/projects/x/tasks/{task}/execution", wait_until="load")
        page.get_by_role("heading", name="train one").wait_for()
        page.locator("pre", has_text='{"answer": 42}').wait_for()
        page.frame_locator("iframe").get_by_text("curves: ").wait_for()
        page.wait_for_function("[...document.images].every(image => image.complete)")
        assert page.evaluate("[...document.images].map(image => image.naturalWidth)") == [1]
        assert "elsewhere" not in page.content()
        style = page.evaluate("({...getComputedStyle(document.querySelector('sm-root'))})")
        assert (style["color"], style["backgroundColor"]) == ("rgb(1, 2, 3)", "rgb(4, 5, 6)")
        assert page.evaluate("window.global === window && window.highlighter")
        context.close()
        assert complaints == []


def test_a_script_that_somebody_put_into_a_page_does_not_run(server: Running, browser: Any) -> None:
    page = browser.new_page()
    page.goto(server.web)
    page.evaluate(
        """() => { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.bad = 1">');
        document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.bad = 2'})) }"""
    )
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("window.bad") is None
    page.close()


def test_every_page_of_the_build_has_the_policy_of_its_own_scripts(server: Running) -> None:
    policies = {
        path: get(server, path, **GOES).headers["content-security-policy"] for path in ("/", "/widgets/")
    }
    assert all("'sha256-" in policy for policy in policies.values())
    assert policies["/"] != policies["/widgets/"]
    assert policies["/"] == get(server, "/projects/a/tasks/b", **GOES).headers["content-security-policy"]
    assert "sha256" not in get(server, "/main-EEEEEEEE.js").headers["content-security-policy"]


def test_the_apps_own_routes_lead_to_its_page_and_missing_files_to_none(server: Running) -> None:
    for path in ("/", "/projects/abc/tasks/def/info-output/log", "/projects/*/tasks", "/tasks/v1.2"):
        assert "<title>stand-in</title>" in get(server, path, **GOES).text
    assert "<title>stand-in</title>" in get(server, "/login").text
    for path in ("/main-ZZZZZZZZ.js", "/assets/none.svg", "/widgets/chunk-ZZZZZZZZ.js", "/version.json"):
        answer = get(server, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert get(server, "/main-EEEEEEEE.js").headers["content-type"].startswith("text/javascript")


def test_a_folder_answers_its_own_page(server: Running) -> None:
    answer = get(server, "/widgets?type=scalar&objects=a%20b", **GOES)
    assert (answer.status_code, answer.headers["location"]) == (307, "/widgets/?type=scalar&objects=a%20b")
    assert "sm-widget" in get(server, "/widgets/?type=scalar", **GOES).text
    for path in ("//widgets", "/%2fwidgets", "/./widgets"):
        assert get(server, path).headers.get("location", "/widgets/") == "/widgets/"


def test_nothing_outside_of_the_build_is_served(server: Running) -> None:
    outside = (
        "/../../secret.txt",
        "/%2e%2e/%2e%2e/secret.txt",
        "/..%2f..%2fsecret.txt",
        "/..\\secret.txt",
        "/%00",
    )
    for path in (*outside, "/../3rdpartylicenses.txt"):
        assert "secret" not in get(server, path).text
        assert "licences" not in get(server, path).text


@pytest.mark.parametrize("folder", ["", "widgets/"])
def test_the_configuration_keeps_all_of_the_app_under_its_own_origin(folder: str, server: Running) -> None:
    configuration = get(server, f"/{folder}configuration.json", Host="yard.example:8080").json()
    assert configuration["apiBaseUrl"] == "/api"
    assert configuration["fileBaseUrl"] == "http://yard.example:8080/files"
    assert configuration["displayedServerUrls"]["filesServer"] == server.files
    assert not configuration["userSecret"]
    # true would take the switch away that each user has, and no report would show
    assert configuration["blockUserScript"] is False
    assert get(server, f"/{folder}configuration.json", Host="a b<>").json()["fileBaseUrl"] == "/files"


def test_the_operators_address_goes_before_the_one_asked_for(build: Path) -> None:
    with running_server(webapp=build, web_url="https://yard.example/") as server:
        configuration = get(server, "/configuration.json").json()
        assert configuration["fileBaseUrl"] == "https://yard.example/files"


def test_files_have_the_origin_of_the_pages_in_answers_through_the_web_port_only(server: Running) -> None:
    task = server.call("tasks.create", name="moved", type="training")["id"]
    headers = {"Authorization": f"Bearer {server.token}", "Host": "yard.example"}
    shown, stored = "http://yard.example/files/a.txt", f"{server.files}/a.txt"

    def ask(name: str, **data: Any) -> dict[str, Any]:
        answer = server.client.post(f"{server.web}/api/v999.0/{name}", json=data, headers=headers).json()
        found: dict[str, Any] = answer["data"]
        return found

    # what the app sends back is kept as the file server's, whichever name it was opened at
    ask("tasks.add_or_update_artifacts", task=task, artifacts=[{"key": "a", "type": "text", "uri": shown}])
    assert server.call("tasks.get_by_id", task=task)["task"]["execution"]["artifacts"][0]["uri"] == stored
    assert ask("tasks.get_by_id", task=task)["task"]["execution"]["artifacts"][0]["uri"] == shown


def test_the_build_is_found_where_its_tools_leave_it(build: Path) -> None:
    for folder in (build, build / "browser"):
        with running_server(webapp=folder) as server:
            assert re.search("<title>stand-in</title>", get(server, "/", **GOES).text)
