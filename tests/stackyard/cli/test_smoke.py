"""``stackyard task smoke`` on a real server and agent: what ran where, and what it says where nothing can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from tests.installation.site import QUEUE, Site, default_stack, site
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("home")) as found:
        yield found


def smoke(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stackyard.cli.main", "task", "smoke", *arguments]
    environment = {**os.environ, "STACKYARD_HOME": str(site.home)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment, check=False
    )


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.stdout)["tasks"]
    return found


def test_each_served_queue_runs_a_task_and_says_where(here: Site) -> None:
    if default_stack()[1] is None:
        pytest.skip(f"{stacks.DEFAULT} is not built")
    done = smoke(here, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = rows(done)
    assert (row["queue"], row["status"], row["ok"], row["worker"]) == (QUEUE, "completed", True, "here:cpu-0")
    assert row["torch"].startswith("2.13.0")
    assert row["wall_seconds"] > 0
    assert here.record(here.task(row["task"]))["command"] == ["python", "smoke.py"]


def test_a_task_that_does_not_complete_is_said_and_the_exit_status_too(here: Site) -> None:
    """No agent here has that stack."""
    done = smoke(here, "--stack", "torch-2.6.0-cu124", "--json")
    assert done.returncode == 4
    (row,) = rows(done)
    assert (row["ok"], row["status"], row["torch"]) == (False, "failed", None)
    assert "torch-2.6.0-cu124" in row["reason"]
    assert "1 of 1 task did not complete with a record" in done.stderr


def test_what_has_not_ended_in_time_is_taken_out_of_its_queue(here: Site) -> None:
    queue = here.client.call("queues.create", name="asleep")["id"]
    here.client.call("workers.register", worker="asleep:0", timeout=600, queues=[queue])
    done = smoke(here, "--queue", "asleep", "--limit", "1", "--json")
    assert done.returncode == 4
    (row,) = rows(done)
    assert row["status"] == "queued"
    assert here.task(row["task"])["status"] == "stopped"
    assert here.client.call("queues.get_by_id", queue=queue)["queue"]["entries"] == []
    here.client.call("workers.unregister", worker="asleep:0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stack", "torch-9"], "torch-9"),
        (["--queue", "nobodys"], "no worker serves nobodys; served are: cpu"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(here: Site, arguments: list[str], words: str) -> None:
    done = smoke(here, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_worker_there_is_nothing_to_try(tmp_path: Path) -> None:
    with site(tmp_path / "home", with_agent=False) as alone:
        done = smoke(alone)
        assert done.returncode == 1
        assert "no worker serves any queue" in done.stderr
