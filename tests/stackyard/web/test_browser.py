"""The pages in a real headless browser: what somebody without a shell does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stackyard import reports
from stackyard.clearml.client import Client
from tests.stackyard.comparing.lab import Lab
from tests.stackyard.reports.synthetic import write_study
from tests.stackyard.web.conftest import NAME, PASSWORD, WebApp, opened

pytestmark = pytest.mark.whole


def fill_in(page: Any) -> None:
    page.get_by_label("Name, or access key").fill(NAME)
    page.get_by_label("Password, or secret").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_from_signing_in_to_a_comparison_and_the_choice_is_the_address(
    browser: Any, app: WebApp, sweep: Lab
) -> None:
    with opened(browser, app) as page:
        page.goto("/compare")
        fill_in(page)
        page.get_by_label("Project").fill(sweep.project)
        page.get_by_role("button", name="Choose").click()
        page.get_by_label("Args/lr", exact=True).check()
        page.get_by_label("Metric").first.fill("loss/val")
        page.get_by_label("Which way is better").first.select_option("less is better")
        page.get_by_role("button", name="Compare").click()
        page.get_by_role("heading", name="In short").wait_for()
        assert page.url.endswith(
            "/compare?project=Vision%2Fdetector&group-by=Args%2Flr&metric=loss%2Fval%3Aless"
        )
        table = page.get_by_role("region", name="Figures of loss/val")
        rows = table.locator("tbody tr").all_inner_texts()
        assert re.sub(r"\s+", " ", rows[0]).startswith(
            "0.1 6 0.103 [0.101, 0.105] 0.102 [0.101, 0.104] baseline"
        )
        assert "different 1.98×" in re.sub(r"\s+", " ", rows[1])
        assert page.locator("svg.track").count() == 2
        failed = page.get_by_role("link", name="<script>alert(1)</script>")
        assert re.fullmatch(r".*/experiments/[0-9a-f]{32}/output/execution", failed.get_attribute("href"))
        address = page.url
        page.get_by_role("link", name="Change the choice").click()
        assert page.get_by_label("Args/lr", exact=True).is_checked()
        assert page.get_by_label("Metric").first.input_value() == "loss/val"
        page.get_by_role("button", name="Compare").click()
        page.wait_for_url(address)
        page.get_by_role("button", name="Sign out").click()
        page.goto(address)
        fill_in(page)
        page.get_by_role("heading", name="In short").wait_for()
        assert page.url == address, "the page is kept over signing in"


def test_a_report_is_shown_in_a_sandbox_where_its_scripts_run_and_see_nothing(
    browser: Any, app: WebApp, folder: Path
) -> None:
    study = write_study(folder / "study")
    reports.write(reports.analyse(reports.load([study])), study)
    (folder / "hostile").mkdir()
    (folder / "hostile" / "report.html").write_text(
        "<p id=said></p><script>let said = [];"
        "try { said.push(document.cookie || 'no cookie') } catch (e) { said.push('no cookie') }"
        "try { said.push(parent.document.title) } catch (e) { said.push('no parent') }"
        "document.getElementById('said').textContent = said.join(', ');</script>"
    )
    with opened(browser, app) as page:
        page.goto("/reports")
        fill_in(page)
        page.get_by_role("link", name="study").click()
        frame = page.frame_locator("iframe.report")
        frame.get_by_role("heading", name="In short").wait_for()
        frame.locator(".plot .main-svg").first.wait_for(state="attached")
        page.goto("/reports/show/0/hostile")
        page.frame_locator("iframe.report").get_by_text("no cookie, no parent").wait_for()
        page.goto("/reports/files/0/hostile/report.html")
        page.get_by_text("no cookie").wait_for()


#: Where the tracks of each figure begin and end, in pixels.
TRACKS = """(figures) => figures.map((figure) => [...figure.querySelectorAll('.track')].map((track) => {
    const box = track.getBoundingClientRect(); return [box.left, box.right].map(Math.round).join('-') }))"""


@pytest.mark.parametrize("width", [390, 1280])
def test_bars_of_one_metric_are_drawn_on_one_scale(
    browser: Any, app: WebApp, client: Client, width: int
) -> None:
    lab = Lab(client, "Vision/uneven")
    if width == 390:  # the other finds them there
        for n, tasks in ((1, 1), (2, 3), (3, 6)):
            for seed in range(tasks):
                value = 1 / (30 * n) + seed / 1e6
                lab.task({"Args/net": "net " * 4**n, "Args/seed": seed}, {"loss/val": [value * 10**n]})
    with opened(browser, app, viewport={"width": width, "height": 844}) as page:
        page.goto(f"/compare?project={lab.project}&group-by=Args/net&metric=loss/val:less")
        fill_in(page)
        page.get_by_role("heading", name="In short").wait_for()
        (tracks,) = page.locator("figure.bars").evaluate_all(TRACKS)
        assert len(tracks) == 3
        assert len(set(tracks)) == 1, tracks
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        values = [re.sub(r"\s+", " ", text) for text in page.locator(".bar .value").all_inner_texts()]
        assert "0.333 n = 1" in values, "one task alone has no range"


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_no_page_is_wider_than_its_screen_and_the_keyboard_is_enough(
    browser: Any, app: WebApp, sweep: Lab, width: int, scheme: str
) -> None:
    with opened(browser, app, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        choice = f"project={sweep.project}&group-by=stack&group-by=Args/lr&metric=loss/val:less"
        page.goto(f"/compare?{choice}")
        page.wait_for_function("document.activeElement.name === 'name'")  # the first field has the focus
        page.keyboard.type(NAME)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="In short").wait_for()
        for path in (
            f"/compare?{choice}",
            f"/compare/change?{choice}",
            "/compare",
            "/reports",
            "/",
        ):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            cut = page.locator(".scrolls").evaluate_all(
                "(boxes) => boxes.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"
            )
            assert cut == [], f"{path}: a table is wider than its box"
        page.goto(f"/compare?{choice}")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
