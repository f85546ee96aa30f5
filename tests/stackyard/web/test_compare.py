"""The room of comparisons, asked without a browser: figures, files, refusals, hostile names, bounds."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stackyard import comparing
from stackyard.clearml.client import Client
from stackyard.web import compare
from stackyard.web.compare import Kept
from tests.stackyard.comparing.lab import Lab
from tests.stackyard.web.conftest import WebApp


@pytest.fixture(scope="module")
def visitor(app: WebApp, sweep: Lab) -> Iterator[httpx.Client]:
    with app.signed_in() as visitor:
        yield visitor


def test_the_page_has_figures_verdicts_warnings_and_the_failed_by_name(visitor: httpx.Client) -> None:
    answer = visitor.get(
        "/compare", params={"project": "Vision/detector", "group-by": "stack", "metric": "loss/val:less"}
    )
    assert answer.status_code == 200, answer.text
    text = " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
    assert "12 tasks completed, 1 failed or aborted, 3 groups" in text
    assert "Best loss/val: old, median 0.103" in text
    assert "not grouped by, and different within groups" in text.lower()
    assert "it raised ValueError" in text
    assert "<script>" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text


def test_pairs_are_told(visitor: httpx.Client) -> None:
    page = {"project": "Vision/detector", "group-by": "Args/lr", "metric": "loss/val", "pair-by": "Args/seed"}
    answer = visitor.get("/compare", params=page)
    assert answer.status_code == 200, answer.text
    assert "pairs by Args/seed" in answer.text
    assert '<span class="soft">within pairs</span>' in answer.text
    assert 'value="Args/seed" list="parameters"' in visitor.get("/compare/change", params=page).text
    wrong = visitor.get("/compare", params={**page, "pair-by": "Args/lr"})
    assert "pair by Args/lr: the tasks are grouped by it" in wrong.text


def test_it_says_how_old_its_figures_are(visitor: httpx.Client) -> None:
    page = {"project": "Vision/detector", "group-by": "Args/lr", "metric": "accuracy"}
    assert "Read from the server just now" in visitor.get("/compare", params=page).text
    assert re.search(r"Read from the server (just now|\d+ s ago)", visitor.get("/compare", params=page).text)


def test_what_is_kept_is_one_persons_and_not_kept_for_long() -> None:
    now = [0.0]
    kept = Kept(lambda: now[0])
    made: Any = object()
    kept.keep("ada", "q", made)
    now[0] = 12.0
    assert kept.find("ada", "q") == (12.0, made)
    assert kept.find("bob", "q") is None
    now[0] = compare.KEPT_SECONDS + 1
    assert kept.find("ada", "q") is None
    for number in range(compare.MOST_KEPT + 1):
        kept.keep("ada", str(number), made)
    assert kept.find("ada", "0") is None


def test_the_files_are_those_of_the_command(visitor: httpx.Client) -> None:
    page = {"project": "Vision/detector", "group-by": "Args/lr", "metric": "loss/val"}
    found = {
        name: visitor.get(f"/compare/report.{name}", params=page) for name in ("json", "csv", "md", "html")
    }
    assert {answer.status_code for answer in found.values()} == {200}
    report = json.loads(found["json"].text)
    assert report["counts"]["completed"] == 12
    assert len(list(csv.DictReader(io.StringIO(found["csv"].text)))) == 13
    assert "# Vision/detector" in found["md"].text
    assert "Content-Security-Policy" in found["html"].text
    for name, answer in found.items():
        assert answer.headers["content-disposition"] == f'attachment; filename="report.{name}"'
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "project=Vision/detectr&group-by=stack",
            "no project is named &#39;Vision/detectr&#39;; near it: Vision/detector",
        ),
        ("project=Vision/detector&group-by=Args/rate", "group by Args/rate: no task has that parameter"),
        (
            "project=Vision/detector&group-by=stack&metric=loss/vl",
            "metric loss/vl: no task has it; near it: loss/val",
        ),
        ("project=Vision/detector&group-by=stack&metric=wall_seconds:min", "wall_seconds is one figure"),
        ("project=Vision/detector&group-by=stack&filter=status=bad", "no task has that status"),
        ("project=Vision/detector&group-by=stack&filter=bad", "expected NAME=VALUE"),
        (
            "project=Vision/detector&group-by=stack&tag=none",
            "no task fits: project Vision/detector, tag none",
        ),
        ("project=Vision/detector&group-by=stack&baseline=x", "baseline x: expected KEY=VALUE"),
        ("task=00000000000000000000000000000000&group-by=stack", "no server that was asked has that task"),
        ("projct=Vision/detector", "nothing is chosen by &#39;projct&#39;; near it: project"),
        ("project=Vision/detector&project=Other", "project stands twice"),
        ("project=" + "x" * 9_000, "the address is longer than 8,000 characters"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_on_a_page(
    visitor: httpx.Client, query: str, sentence: str
) -> None:
    answer = visitor.get(f"/compare?{query}")
    assert answer.status_code == 400, answer.text
    assert sentence in answer.text
    assert "Traceback" not in answer.text


def test_after_a_mistake_the_form_holds_what_was_chosen(visitor: httpx.Client) -> None:
    answer = visitor.get("/compare?project=Vision/detector&group-by=Args/lr&metric=loss/vl:min:less")
    assert re.search(r'name="group-by" value="Args/lr" checked', answer.text)
    assert 'name="name" value="loss/vl"' in answer.text
    assert '<option value="min" selected>' in answer.text


def test_the_form_offers_what_is_there_each_as_text(visitor: httpx.Client) -> None:
    answer = visitor.get("/compare?project=Vision/detector")
    assert 'value="&lt;b&gt;"' in answer.text
    for offered in ("Args/lr", "Args/seed", "loss/val", "sweep", "wall_seconds"):
        assert f'value="{offered}"' in answer.text
    ids = re.findall(r'name="task" value="([0-9a-f]{32})"', answer.text)
    assert len(ids) == 13
    one = visitor.get(
        "/compare/choose", params={"project": "Vision/detector", "task": ids[:3], "group-by": "name"}
    )
    assert one.status_code == 303
    named = visitor.get(one.headers["location"])
    assert "3 named tasks" in named.text


def test_without_a_group_the_form_says_what_is_missing(visitor: httpx.Client) -> None:
    rows = {"name": "loss/val", "choice": "last", "better": ""}
    answer = visitor.get("/compare/choose", params={"project": "Vision/detector", **rows})
    assert answer.status_code == 400
    assert "tick what makes a group" in answer.text
    assert 'name="name" value="loss/val"' in answer.text
    assert "choose a project" in visitor.get("/compare/choose", params={"group-by": "stack", **rows}).text
    first = visitor.get("/compare/choose", params={"project": "Vision/detector"})
    assert first.status_code == 303, "a project alone is the first step"


def test_a_person_sees_what_the_server_lets_them_see(app: WebApp, visitor: httpx.Client) -> None:
    with app.visitor() as stranger:
        assert stranger.get("/compare?project=Vision/detector&group-by=stack").status_code == 401


def test_who_asks_while_all_threads_are_busy_is_told_to_come_again(
    app: WebApp, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.listening.site.comparisons, "_most", 0)
    answer = visitor.get("/compare?project=Vision/detector&group-by=name&metric=accuracy")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "too many comparisons wait already; try again in a moment" in answer.text


def test_a_server_that_is_too_slow_is_given_up(
    visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "SECONDS", -1.0)
    answer = visitor.get("/compare?project=Vision/detector&group-by=user&metric=accuracy")
    assert answer.status_code == 503
    assert "choose fewer tasks" in answer.text


def test_comparisons_say_which_task_a_report_means(client: Client, sweep: Lab) -> None:
    from stackyard.comparing.selection import Selection

    made = comparing.compare(
        [client], comparing.Asked(Selection(sweep.project), ["stack"], ["accuracy"]), rows=False
    )
    (failed,) = made.report.failed
    id, server = made.tasks[failed.folder]
    assert server == 0
    assert client.call("tasks.get_by_id", task=id)["task"]["name"] == "<script>alert(1)</script>"
