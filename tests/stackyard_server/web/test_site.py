"""The web port without a browser: who gets in, what the pages forbid, the official app's folder."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from stackyard_server.web.parameters import key_of

from ..running import Running, running_server
from .conftest import LOGIN, PASSWORD


def signed_in(server: Running, login: str = LOGIN, password: str = PASSWORD) -> httpx.Client:
    answer = httpx.post(
        f"{server.web}/login", data={"login": login, "password": password}, headers={"Origin": server.web}
    )
    assert answer.status_code == 303, answer.text
    return httpx.Client(base_url=server.web, headers={"Origin": server.web}, cookies=answer.cookies)


def test_without_sign_in_every_page_leads_to_the_login(server: Running) -> None:
    for path in (
        "/",
        "/projects",
        "/tasks",
        "/queues",
        "/workers",
        "/account",
        "/new",
        "/datasets",
        "/models",
        "/compare",
        f"/models/{'0' * 32}",
        f"/tasks/{'0' * 32}",
    ):
        answer = httpx.get(server.web + path)
        after = "" if path == "/" else f"?next={quote(path, safe='')}"
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login{after}")


def test_a_wrong_password_is_refused_in_words(server: Running) -> None:
    answer = server.client.post(
        f"{server.web}/login", data={"login": LOGIN, "password": "no"}, headers={"Origin": server.web}
    )
    assert answer.status_code == 401
    assert "Wrong name or password." in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.promise("pages-escape", on="pages")
def test_pages_carry_a_strict_policy_and_no_inline_code(server: Running) -> None:
    task = server.call("tasks.get_all", name="^train one$", only_fields=["id"])["tasks"][0]["id"]
    draft = server.call("tasks.create", name="a draft", type="testing")["id"]
    with signed_in(server) as client:
        for path in ("/", "/projects", "/tasks", f"/tasks/{task}", f"/tasks/{task}/log", f"/tasks/{task}/scalars",
                     f"/tasks/{task}/clone", f"/tasks/{task}/plots", f"/tasks/{task}/now", "/queues", "/queues/cards",
                     f"/tasks/{draft}/edit", f"/tasks/{draft}",
                     "/workers", "/account", "/new", "/datasets", "/models", "/endpoints",
                     f"/compare?tasks={task}"):  # fmt: skip
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert "script-src 'self'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            for inline in ("style=", "onclick=", "<style", "<script>"):
                assert inline not in answer.text, (path, inline)


def test_pages_lead_to_a_page_that_compares_where_one_was_named(server: Running) -> None:
    with signed_in(server) as client:
        assert ">Compare</a>" not in client.get("/").text
    with running_server(compare_url="http://lab.example:8090/compare") as other:
        page = other.client.get(
            f"{other.web}/tasks", headers={"Cookie": f"clearml_token_basic={other.token}"}
        )
        assert '<a href="http://lab.example:8090/compare">Compare</a>' in page.text


def test_an_unknown_task_is_said_in_words(server: Running) -> None:
    with signed_in(server) as client:
        answer = client.get(f"/tasks/{'0' * 32}")
        unknown = client.get("/no/such/page")
    assert (answer.status_code, unknown.status_code) == (404, 404)
    assert "Invalid task id" in answer.text
    for page in (answer, unknown):
        assert 'name="q"' in page.text, "it offers a search"
        assert 'href="/projects"' in page.text


@pytest.mark.parametrize("uri", ["http://[", "//[", "http://a\uff03b/x", "javascript:alert(1)"])
@pytest.mark.promise("pages-escape", on="pages")
def test_what_is_no_address_is_shown_without_a_link(server: Running, uri: str) -> None:
    task = server.call("tasks.create", name="stored anything", type="testing")["id"]
    artifact = {"key": "thing", "type": "x", "uri": uri}
    server.call("tasks.add_or_update_artifacts", task=task, artifacts=[artifact])
    model = server.call("models.create", name="stored anything", uri=uri, labels={})["id"]
    with signed_in(server) as client:
        for path, word in ((f"/tasks/{task}", "thing"), (f"/models/{model}", "stored anything")):
            answer = client.get(path)
            assert (answer.status_code, word in answer.text) == (200, True)
            assert 'rel="noreferrer"' not in answer.text


def test_api_and_files_answer_under_the_pages_origin(server: Running) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.post(f"{server.web}/api/v999.0/debug.ping", json={}, headers=headers)
    assert answer.json()["data"] == {"msg": "ClearML server"}
    assert server.client.get(f"{server.web}/files/nothing/here", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "document",
    [
        {"script": {"requirements": {"pip": 5}}},
        {"script": {"requirements": 5}},
        {"script": {"requirements": {"pip": {"a": [1]}}, "repository": {"x": 1}}},
        {"hyperparams": {"Args": {"a": {"section": "Args", "name": "a", "value": "http://["}}}},
        {"container": {"image": "x", "arguments": "[", "setup_shell_script": "\x00"}},
        {"runtime": {"progress": "much", "stackyard_retries": [], "pipeline_hash": 5}},
        {"configuration": {"General": {"name": "General", "value": "{", "type": "json"}}},
        {"execution": {"artifacts": [{"key": "a", "type": "x", "content_size": -1, "timestamp": 10**15}]}},
    ],
)
@pytest.mark.promise("pages-escape", on="pages")
def test_whatever_a_task_holds_its_pages_are_shown(server: Running, document: dict[str, Any]) -> None:
    answer = server.ask("tasks.create", name="odd", type="testing", **document)
    if answer["meta"]["result_code"] != 200:
        return  # it is refused where it would be stored
    task = answer["data"]["id"]
    with signed_in(server) as client:
        for page in ("", "/log", "/scalars", "/plots", "/images", "/clone", "/edit", "/now"):
            shown = client.get(f"/tasks/{task}{page}")
            assert shown.status_code == 200, (page, shown.text[:500])
        assert client.get("/tasks").status_code == 200


def test_an_address_puts_no_words_into_our_pages(server: Running) -> None:
    """A link may choose one of our own sentences, and no other."""
    with signed_in(server) as client:
        said = client.get("/queues", params={"notice": "Your password expired: send it to evil.example"})
        own = client.get("/account", params={"notice": "key-revoked"})
    assert "evil.example" not in said.text
    assert 'role="status"' not in said.text
    assert "The key was revoked." in own.text


def test_a_form_shows_some_of_many_parameters_and_copies_all(server: Running) -> None:
    """What is typed is changed; what the form leaves out is in the copy as it was."""
    many = {f"p{n:05}": {"section": "Args", "name": f"p{n:05}", "value": str(n)} for n in range(7000)}
    task = server.call("tasks.create", name="many", type="training", hyperparams={"Args": many})["id"]
    with signed_in(server) as client:
        shown = client.get(f"/tasks/{task}/clone").text
        assert shown.count('name="p:Args') == 500
        assert "6500 more parameters are left out here." in shown
        typed = {"name": "copy", key_of("Args", "p00001"): "other"}
        answer = client.post(f"/tasks/{task}/clone", data=typed)
        id = answer.headers["location"].split("/")[2]
        shown = client.get(f"/tasks/{id}/edit").text
        assert shown.count('name="p:Args') == 500
        assert "6500 more parameters are left out here and stay as they are" in shown
        client.post(f"/tasks/{id}/edit", data={"name": "copy", "new-parameters": "Args/q = 1"})
    copy = server.call("tasks.get_by_id", task=id)["task"]
    values = {name: item["value"] for name, item in copy["hyperparams"]["Args"].items()}
    assert values == {**{name: item["value"] for name, item in many.items()}, "p00001": "other", "q": "1"}
    server.call("tasks.delete_many", ids=[task, copy["id"]], force=True)
