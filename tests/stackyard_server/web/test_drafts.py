"""A draft that is edited on its page, without a browser: what is saved, and what is refused in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from stackyard_server import identity
from stackyard_server.web.parameters import key_of, removal_key_of

from ..running import Running
from .test_site import signed_in


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with signed_in(server) as client:
        yield client


def parameter(section: str, name: str, value: str, **more: str) -> dict[str, str]:
    return {"section": section, "name": name, "value": value, **more}


@pytest.fixture
def draft(server: Running) -> str:
    id: str = server.call(
        "tasks.create", name="to be edited", type="training", tags=["old"], comment="as it was",
        hyperparams={
            "Args": {"rate": parameter("Args", "rate", "0.1", type="float"), "note": parameter("Args", "note", "a\nb")},
            "properties": {"owner": parameter("properties", "owner", "ada")},
        },
        configuration={
            "Study": {"name": "Study", "type": "toml", "value": "a = 1\nb = 2\n"},
            "Long": {"name": "Long", "type": "text", "value": "x" * 70_000},
        },
        script={"entry_point": "train.py", "requirements": {"pip": "numpy\n", "orig_pip": "scipy"}},
        container={"image": "base", "setup_shell_script": "true"},
    )["id"]  # fmt: skip
    return id


def task_of(server: Running, id: str) -> dict[str, Any]:
    task: dict[str, Any] = server.call("tasks.get_by_id", task=id)["task"]
    return task


class Form(HTMLParser):
    """The fields of the page's form, as a browser would send them if nobody touched one."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._is_inside = False
        self._text: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self._is_inside = given.get("class") == "form"
        elif self._is_inside and tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.sent[name] = given.get("value") or ""
        elif self._is_inside and tag == "textarea":
            self._text, self.sent[name] = name, ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self.sent[self._text] += data.removeprefix("\n").replace("\n", "\r\n")

    def handle_endtag(self, tag: str) -> None:
        self._text = None


def fields(page: str) -> dict[str, str]:
    return Form(page).sent


def test_a_form_that_nobody_touched_changes_nothing(
    server: Running, client: httpx.Client, draft: str
) -> None:
    before = task_of(server, draft)
    sent = fields(client.get(f"/tasks/{draft}/edit").text)
    assert sent[key_of("Args", "rate")] == "0.1"
    assert sent[key_of("Args", "note")] == "a\r\nb"
    assert sent["packages"] == "numpy\r\n"
    assert sent["configuration-Study"] == "a = 1\r\nb = 2\r\n"
    assert "configuration-Long" not in sent
    answer = client.post(f"/tasks/{draft}/edit", data=sent)
    assert answer.headers["location"] == f"/tasks/{draft}?notice=saved"
    assert task_of(server, draft) == before


def test_everything_of_a_draft_is_edited_at_once(server: Running, client: httpx.Client, draft: str) -> None:
    sent = fields(client.get(f"/tasks/{draft}/edit").text) | {
        "name": "edited", "comment": "two\r\nlines", "tags": "old\r\nnew one", key_of("Args", "rate"): "0.2",
        removal_key_of("Args", "note"): "1", "new-parameters": "Run/stack = some-stack\r\nArgs/depth = 3",
        key_of("properties", "owner"): "eve", "new-properties": "stack = other", "packages": "numpy==1.26.4\r\nscipy",
        "configuration-Study": "a = 3\r\n", "configuration-Long": "cut",
        "image": "ours", "arguments": "--cpus 2", "script-binary": "python3.11", "script-branch": " main ",
    }  # fmt: skip
    assert client.post(f"/tasks/{draft}/edit", data=sent).status_code == 303
    task = task_of(server, draft)
    assert (task["script"]["binary"], task["script"]["branch"]) == ("python3.11", "main")
    assert task["configuration"]["Study"] == {"name": "Study", "type": "toml", "value": "a = 3\n"}
    assert len(task["configuration"]["Long"]["value"]) == 70_000
    assert (task["name"], task["comment"], task["tags"]) == ("edited", "two\nlines", ["new one", "old"])
    values = {s: {n: one["value"] for n, one in items.items()} for s, items in task["hyperparams"].items()}
    assert values == {
        "Args": {"rate": "0.2", "depth": "3"},
        "Run": {"stack": "some-stack"},
        "properties": {"owner": "eve", "stack": "other"},
    }
    assert task["hyperparams"]["Args"]["rate"]["type"] == "float", "kinds are kept"
    assert task["script"]["requirements"] == {"pip": "numpy==1.26.4\nscipy\n"}
    assert (task["script"]["entry_point"], task["status"]) == ("train.py", "created")
    assert task["container"] == {"image": "ours", "arguments": "--cpus 2", "setup_shell_script": "true"}
    shown = client.get(f"/tasks/{draft}").text
    for word in ("some-<wbr>stack", "User properties", "eve", "numpy==1.26.4", "new one"):
        assert word in shown


def test_a_draft_goes_into_the_queue_that_was_chosen(
    server: Running, client: httpx.Client, draft: str
) -> None:
    queue = server.call("queues.create", name="for drafts")["id"]
    page = client.get(f"/tasks/{draft}").text
    assert f'action="/tasks/{draft}/enqueue"' in page
    assert f'value="{queue}"' in page
    sent = fields(client.get(f"/tasks/{draft}/edit").text) | {"name": "goes on", "queue": queue}
    assert client.post(f"/tasks/{draft}/edit", data=sent).headers["location"] == f"/tasks/{draft}"
    task = task_of(server, draft)
    assert (task["name"], task["status"], task["execution"]["queue"]) == ("goes on", "queued", queue)
    server.call("tasks.dequeue", task=draft)
    answer = client.post(f"/tasks/{draft}/edit", data={"name": "and again", "queue": "0" * 32})
    assert answer.headers["location"] == f"/tasks/{draft}?notice=saved-not-enqueued"
    assert task_of(server, draft)["name"] == "and again"
    assert client.post(f"/tasks/{draft}/enqueue", data={"queue": queue}).status_code == 303
    assert task_of(server, draft)["status"] == "queued"
    assert client.post(f"/tasks/{draft}/dequeue").status_code == 303
    assert task_of(server, draft)["status"] == "created"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"packages": "numpy 1.26.4"}, "Packages, line 1: “numpy 1.26.4” is no requirement"),
        ({"new-parameters": "rate = 3"}, "New parameters, line 1: “rate = 3” cannot be read"),
        ({"new-properties": "owner = me"}, "New user properties, line 1: “owner” is there already"),
        ({"tags": "x" * 300}, "Tags, line 1: a tag has 250 characters at most."),
        ({"name": "ab"}, "A task&#39;s name has three characters or more."),
    ],
)
def test_a_line_that_cannot_be_read_keeps_what_was_typed_and_saves_nothing(
    server: Running, client: httpx.Client, draft: str, typed: dict[str, str], sentence: str
) -> None:
    before = task_of(server, draft)
    also = {"comment": "typed besides", key_of("Args", "rate"): "0.7", removal_key_of("Args", "note"): "1"}
    answer = client.post(f"/tasks/{draft}/edit", data={"name": "other", **also, **typed})
    assert answer.status_code == 400
    assert sentence in answer.text
    for value in ("typed besides", "0.7", *typed.values()):
        assert value in answer.text
    assert f'name="{removal_key_of("Args", "note")}" value="1" checked' in answer.text
    assert task_of(server, draft) == before


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("queued", "this task is queued: take it out of the queue, edit it, and put it back."),
        ("in_progress", "this task is running: abort it and reset it, or edit a clone of it."),
        ("completed", "this task is completed: reset it, which wipes what it left, or edit a clone of it."),
        ("published", "this task is published: edit a clone of it."),
    ],
)
def test_only_a_draft_is_edited(
    server: Running, client: httpx.Client, draft: str, status: str, words: str
) -> None:
    opened = fields(client.get(f"/tasks/{draft}/edit").text)
    if status == "queued":
        server.call("tasks.enqueue", task=draft, queue_name="for drafts")
    else:
        server.call("tasks.started", task=draft)
    if status in ("completed", "published"):
        server.call("tasks.completed", task=draft)
    if status == "published":
        server.call("tasks.publish", task=draft)
    page = client.get(f"/tasks/{draft}/edit")
    assert (page.status_code, words in page.text, "<textarea" in page.text) == (400, True, False)
    assert f'href="/tasks/{draft}/edit"' not in client.get(f"/tasks/{draft}").text
    answer = client.post(f"/tasks/{draft}/edit", data=opened | {"name": "too late"})
    assert (answer.status_code, words in answer.text) == (400, True)
    assert 'value="too late"' in answer.text, "what was typed is kept"
    assert task_of(server, draft)["name"] == "to be edited"
    if status == "queued":
        server.call("tasks.dequeue", task=draft)


def test_what_somebody_else_changed_meanwhile_is_not_lost_unseen(
    server: Running, client: httpx.Client, draft: str
) -> None:
    opened = fields(client.get(f"/tasks/{draft}/edit").text)
    server.call("tasks.edit", task=draft, comment="theirs")
    answer = client.post(f"/tasks/{draft}/edit", data=opened | {"comment": "mine"})
    assert "Somebody changed this draft" in answer.text
    assert task_of(server, draft)["comment"] == "theirs"
    again = fields(answer.text)
    assert again["comment"] == "mine"
    assert client.post(f"/tasks/{draft}/edit", data=again).status_code == 303
    assert task_of(server, draft)["comment"] == "mine"


def test_a_reader_edits_nothing_and_no_other_sites_form_does(
    server: Running, client: httpx.Client, draft: str
) -> None:
    with server.store.writing() as tx:
        now = int(time.time() * 1000)
        identity.add_user(tx, now, name="Rea", login="rea", password="only reading here", role="readonly")
    with signed_in(server, "rea", "only reading here") as reader:
        assert "Your role reads tasks" in reader.get(f"/tasks/{draft}/edit").text
        assert f"/tasks/{draft}/enqueue" not in reader.get(f"/tasks/{draft}").text
        assert reader.post(f"/tasks/{draft}/edit", data={"name": "theirs now"}).status_code == 403
    foreign = {"Origin": "http://evil.example"}
    assert client.post(f"/tasks/{draft}/edit", data={"name": "theirs"}, headers=foreign).status_code == 403
    assert task_of(server, draft)["name"] == "to be edited"


def test_what_a_run_noted_of_itself_is_shown(server: Running, client: httpx.Client, draft: str) -> None:
    noted = {"some_stack": "torch-9", "_private": "hidden one", "odd": {"a": [1]}}
    server.call("tasks.edit", task=draft, runtime=noted)
    page = client.get(f"/tasks/{draft}").text
    assert "Runtime properties" in page
    assert "torch-9" in page
    assert "hidden one" not in page


def test_a_copy_without_a_queue_leads_to_its_form(server: Running, client: httpx.Client, draft: str) -> None:
    page = client.get(f"/tasks/{draft}/clone").text
    assert "leave it as a draft, to be edited first" in page
    answer = client.post(f"/tasks/{draft}/clone", data={"name": "a copy of it", "queue": ""})
    copy = answer.headers["location"].split("/")[2]
    assert answer.headers["location"] == f"/tasks/{copy}/edit?notice=copied"
    form = client.get(answer.headers["location"]).text
    assert "The draft was made." in form
    assert fields(form)["name"] == "a copy of it"
