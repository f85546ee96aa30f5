"""Dashboards and alert rules of the role monitoring ask for metrics that really are there.

Those of ours are scraped from a real server and a real services process. Those of the exporters stand in
``exporter_names.txt``: read from Debian 12's prometheus-node-exporter 1.5.0 and prometheus-process-exporter 0.7.10;
``tests/lab/test_monitoring.py`` holds the list against the real ones.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from stackyard.clearml import connection
from tests.stackyard.services.conftest import installation

ROLE = Path(__file__).resolve().parents[2] / "ansible" / "roles" / "monitoring"
BOARDS = sorted((ROLE / "files" / "dashboards").glob("*.json"))
RULES = ROLE / "files" / "rules" / "stackyard.yml"
#: What Prometheus itself adds to each target, and what the role's figures add (``files/stackyard-figures.sh``).
ADDED = {"up", "stackyard_services_up"}
LISTED = set((Path(__file__).parent / "exporter_names.txt").read_text().split())
#: Of a histogram there are these.
PARTS = ("_bucket", "_sum", "_count")


def queries() -> dict[str, str]:
    """Where it stands -> the expression."""
    found = {}
    for path in BOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                found[f"{path.name}: {panel['title']} {target['refId']}"] = target["expr"]
    for rule in rules():
        found[f"rules: {rule['alert']}"] = rule["expr"]
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w*\s*\()", bare))
    return words - {"and", "or", "unless", "bool", "offset"}


def families(text: str) -> set[str]:
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        found |= {name + part for part in PARTS} if kind == "histogram" else {name}
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with installation(tmp_path_factory.mktemp("dashboards") / "home") as yard:
        yard.up(web_app=None)
        key = connection.find(yard.settings, yard.home / connection.CONFIG_FILE)
        server = httpx.get(f"{key.api}/metrics", auth=(key.access_key, key.secret_key)).raise_for_status()
        services = httpx.get(yard.files.state()["metrics"]).raise_for_status()
    return families(server.text) | families(services.text)


def test_names_are_found_in_expressions() -> None:
    assert names_in('sum by (a, b) (rate(x_total{c="d"}[5m])) / on (host) group_left () y_sum') == {
        "x_total",
        "y_sum",
    }
    assert names_in('a == 0 unless on (slot) b{phase="held"} == 1') == {"a", "b"}


def test_every_metric_that_is_asked_for_is_there(real: set[str]) -> None:
    asked = queries()
    assert len(asked) > 45
    unknown = {
        where: missing
        for where, expression in asked.items()
        if (missing := names_in(expression) - real - LISTED - ADDED)
    }
    assert unknown == {}


def test_no_name_of_an_exporter_is_listed_that_nothing_asks_for() -> None:
    asked = set().union(*map(names_in, queries().values()))
    assert LISTED - asked == set()


def test_what_the_studies_wanted_to_see_is_on_a_dashboard() -> None:
    asked = set().union(*map(names_in, queries().values()))
    assert {
        "stackyard_task_run_seconds_sum",
        "stackyard_task_cpu_seconds_total",
        "stackyard_task_last_peak_rss_bytes",
        "stackyard_task_last_peak_gpu_bytes",
        "stackyard_queue_waiting_tasks",
        "stackyard_platform_pss_bytes",
    } <= asked


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_has_its_own_id_and_each_panel_a_title_a_unit_and_the_one_source(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == f"stackyard-{path.stem}"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "stackyard"}


def test_the_platforms_footprint_is_drawn_over_a_week() -> None:
    board = json.loads((ROLE / "files" / "dashboards" / "platform.json").read_text())
    assert board["time"] == {"from": "now-7d", "to": "now"}


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert len(rules()) >= 6
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "what_to_do"}, rule["alert"]
        assert rule["for"]
        assert rule["labels"]["severity"] in ("critical", "warning")
