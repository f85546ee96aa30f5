"""The role monitoring on real hosts: targets, dashboards, rules, and that nobody reads without a password."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.hosts import ANSIBLE, Host, Lab, Result
from tests.waiting import until

ROLE = ANSIBLE / "roles" / "monitoring"
PASSWORD = "a password of the test"
PLAY = """
- hosts: all
  become: true
  tasks:
    - ansible.builtin.import_role:
        name: monitoring
"""
#: Stands in for the services process, which this test's hosts have not: the text that a real one gave (simulated).
FIGURES = (
    "# TYPE stackyard_agent_up gauge\\n"
    'stackyard_agent_up{slot="cpu.0",queue="cpu"} 1\\n'
    "# TYPE stackyard_platform_rss_bytes gauge\\n"
    'stackyard_platform_rss_bytes{component="services",slot=""} 28000000\\n'
)
SERVER = (
    "import http.server\\n"
    "class Answer(http.server.BaseHTTPRequestHandler):\\n"
    "    def do_GET(self):\\n"
    "        self.send_response(200); self.end_headers(); self.wfile.write(open('/srv/figures', 'rb').read())\\n"
    "    def log_message(self, *_): pass\\n"
    "http.server.HTTPServer(('127.0.0.1', 9109), Answer).serve_forever()\\n"
)


class Watched:
    """Two hosts; the role was played twice."""

    def __init__(self, lab: Lab, inventory: Path, first: Result, second: Result) -> None:
        self.lab, self.inventory, self.first, self.second = lab, inventory, first, second
        self.center, self.other = lab.hosts["center"], lab.hosts["other"]

    def ask(self, path: str) -> Any:
        """What Prometheus answers."""
        host = self.center
        text = host.shell(f"curl -sS -u 'lab:{PASSWORD}' 'http://{host.address}:9090/api/v1/{path}'")
        return json.loads(text)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of now."""
        host = self.center
        url = f"http://{host.address}:9090/api/v1/query"
        host.put("/tmp/query", expression)
        text = host.shell(f"curl -sS -u 'lab:{PASSWORD}' --data-urlencode query@/tmp/query {url}")
        answer = json.loads(text)
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@pytest.fixture(scope="module")
def watched(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Watched:
    lab = make_lab(["center", "other"])
    host: Host = lab.hosts["other"]
    host.shell(f"printf '{FIGURES}' >/srv/figures")
    host.put("/srv/answer.py", SERVER.replace("\\n", "\n"))
    host.shell("systemd-run --unit stand-in python3 /srv/answer.py")
    play = tmp_path_factory.mktemp("play") / "play.yml"
    play.write_text(PLAY)
    groups = {"monitoring": ["center"], "agents": ["other"]}
    variables = {
        "lab_monitoring_password": PASSWORD,
        "monitoring_listen": lab.hosts["center"].address,
        "monitoring_server": False,
        "monitoring_interval_seconds": 2,
    }
    for each in lab.hosts.values():
        for path in sorted(Path("/usr/local/share/ca-certificates").glob("*.crt")):
            each.put(f"/usr/local/share/ca-certificates/{path.name}", path.read_text())
        each.shell("update-ca-certificates && apt-get update", seconds=300)
    inventory = lab.inventory(groups, variables)
    bare = lab.play(str(play), inventory, "--check", "--diff")
    assert bare.exit_code == 0, bare.output[-3000:]
    first = lab.play(str(play), inventory)
    assert first.exit_code == 0, first.output[-3000:]
    return Watched(lab, inventory, first, lab.play(str(play), inventory))


def test_a_second_run_changes_nothing_and_the_password_is_in_no_output(watched: Watched) -> None:
    assert watched.second.exit_code == 0, watched.second.output[-2000:]
    assert watched.second.named_changes() == []
    assert PASSWORD not in watched.first.output


def test_all_that_prometheus_asks_is_up(watched: Watched) -> None:
    until(lambda: len(watched.query("up == 1")) == 5, "five targets to be up", lambda: watched.query("up"))
    assert {sample["metric"]["job"] for sample in watched.query("up")} == {"node", "process", "prometheus"}


def test_figures_of_the_services_process_come_by_the_node_exporter(watched: Watched) -> None:
    until(lambda: watched.query('stackyard_agent_up{host="other"}'), "an agent")
    assert watched.query("stackyard_services_up")[0]["value"][1] == "1"
    watched.other.shell("systemctl stop stand-in")
    until(
        lambda: [s["value"][1] for s in watched.query("stackyard_services_up")] == ["0"], "its end to be told"
    )
    until(lambda: watched.query("stackyard_agent_up") == [], "old figures to go")


def test_every_expression_of_dashboards_and_rules_is_one(watched: Watched) -> None:
    expressions = re.findall(
        r'"expr": ("(?:[^"\\]|\\.)*")', "".join(p.read_text() for p in ROLE.glob("files/dashboards/*.json"))
    )
    assert len(expressions) > 40
    for expression in expressions:
        watched.query(json.loads(expression))
    assert len(watched.ask("rules")["groups"][0]["rules"]) == 7
    watched.center.shell("promtool check rules /etc/prometheus/stackyard-rules.yml")


def test_exporters_have_the_names_that_dashboards_are_checked_against(watched: Watched) -> None:
    stated = set((ANSIBLE.parent / "tests/ansible/exporter_names.txt").read_text().split())
    names = set(watched.ask("label/__name__/values"))
    for name in sorted(n for n in stated if n.startswith(("node_", "namedprocess_"))):
        assert name in names or name.startswith("node_disk_"), f"{name}: no exporter has it"


def test_nobody_reads_without_the_password_and_the_console_works(watched: Watched) -> None:
    url = f"http://{watched.center.address}:9090"
    code = "curl -s -o /dev/null -w '%{http_code}'"
    assert watched.center.shell(f"{code} {url}/metrics") == "401"
    assert watched.center.shell(f"{code} -u lab:wrong {url}/graph") == "401"
    assert watched.center.shell(f"{code} -u 'lab:{PASSWORD}' {url}/graph") == "200"
    assert watched.center.shell(f"{code} -u 'lab:{PASSWORD}' {url}/consoles/index.html.example") == "200"


def test_without_a_password_it_refuses_to_listen_beyond_loopback(watched: Watched) -> None:
    play = watched.lab.folder / "refused.yml"
    play.write_text(PLAY)
    refused = watched.lab.play(str(play), watched.inventory, extra={"monitoring_password": ""})
    assert refused.exit_code != 0
    assert "set lab_monitoring_password in a vault" in " ".join(refused.output.split())
