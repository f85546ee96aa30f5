"""The room of reports, asked without a browser: what is listed, how a file is sent, what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stackyard.web.conftest import WebApp
from tests.stackyard.web.test_run_folders import report


def test_reports_are_listed_and_their_files_sent_in_a_sandbox(app: WebApp, folder: Path) -> None:
    report(folder / "quick start" / "<b>")
    with app.signed_in() as visitor:
        page = visitor.get("/reports")
        assert "/reports/show/0/quick%20start/%3Cb%3E" in page.text
        assert "<b>" not in page.text.replace("<b>Compare", "")
        shown = visitor.get("/reports/show/0/quick%20start/%3Cb%3E")
        assert (
            'sandbox="allow-scripts" src="/reports/files/0/quick%20start/%3Cb%3E/report.html"' in shown.text
        )
        assert "frame-src 'self'" in shown.headers["content-security-policy"]
        base = "/reports/files/0/quick%20start/%3Cb%3E"
        html = visitor.get(f"{base}/report.html")
        assert html.text == "<b> report.html"
        policy = html.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts; default-src 'none'; ")
        assert "allow-same-origin" not in policy
        assert "frame-ancestors 'self'" in policy
        plain = visitor.get(f"{base}/report.json")
        assert plain.headers["content-disposition"] == 'attachment; filename="report.json"'
        assert plain.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert plain.headers["cache-control"] == "no-store"
        assert visitor.head(f"{base}/report.csv").headers["content-length"] == "14"


@pytest.mark.parametrize(
    "path",
    [
        "/reports/files/0/%2e%2e/outside/report.html",
        "/reports/files/0/..%2foutside/report.html",
        "/reports/files/0/%2fetc/report.html",
        "/reports/files/0/run/passwd",
        "/reports/files/0//report.html",
        "/reports/files/9/run/report.html",
        "/reports/files/0/run%00/report.html",
        "/reports/show/0/%2e%2e/outside",
        "/reports/show/0/run/%2e%2e/run",
        "/reports/show/x/run",
    ],
)
def test_nothing_outside_is_sent(app: WebApp, folder: Path, path: str) -> None:
    report(folder / "run")
    report(folder.parent / "outside")
    with app.signed_in() as visitor:
        answer = visitor.get(path)
    assert answer.status_code == 404, answer.text
    assert "outside report" not in answer.text
