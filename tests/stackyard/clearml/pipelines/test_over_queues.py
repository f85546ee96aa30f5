"""A pipeline whose steps run on the host and in containers: a whole installation, a real engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.settings import Settings
from stackyard.stacks import DEFAULT
from stackyard.stacks.images import StackImage
from tests.engine import HOME as ENGINE_HOME
from tests.engine import base_image, engine, stack_image
from tests.installation.lab import CONTAINER_QUEUE, lab
from tests.installation.site import default_stack

pytestmark = pytest.mark.whole

__all__ = ["base_image", "engine", "stack_image"]

PIPELINE = """
name = "mixed"
[steps.simulate]
workload = "simulate-firewall"
parameters = { sessions = 200, seed = 7 }
[steps.prepare]
workload = "detector-prepare"
queue = "cpu-container"
parameters = { data = "data:raw", test_data = "data:raw" }
[steps.count]
command = ["sh", "-c", "wc -l < {inputs.sessions} > counted.txt; cat own.txt"]
code = "code"
queue = "cpu-container"
memory = "1 GB"
inputs = { sessions = "step:simulate/benign.txt" }
metrics = { lines = "line:own (?P<value>[0-9]+)" }
[data.raw]
sources = [{ path = "step:simulate/benign.txt", format = "sequences", label = 0 }]
"""


@pytest.mark.long
@pytest.mark.engine
def test_a_step_in_a_container_reads_what_one_on_the_host_made(
    stack_image: Callable[[str], StackImage], tmp_path: Path
) -> None:
    if default_stack()[1] is None:
        pytest.skip(f"stack {DEFAULT} is not built here")
    image = stack_image(DEFAULT)
    home = tmp_path / "lab"
    home.mkdir()
    (home / "stacks").symlink_to(Settings.from_environment().home.resolve() / "stacks")
    shutil.copyfile(ENGINE_HOME / "images.json", home / "images.json")
    (home / "mixed.toml").write_text(PIPELINE)
    (home / "code").mkdir()
    (home / "code" / "own.txt").write_text("own 7\n")
    with lab(home, containers=1) as made:
        done = made.stackyard("pipeline", "run", "mixed.toml", "--local-controller", "--json")
        steps = {step["name"]: step for step in json.loads(done.stdout)["run"]["steps"]}
        assert {name: step["status"] for name, step in steps.items()} == {
            "simulate": "completed",
            "prepare": "completed",
            "count": "completed",
        }
        boxed = made.task(steps["prepare"]["id"])
        assert boxed["last_worker"].split(":")[1].startswith(CONTAINER_QUEUE)
        assert boxed["container"]["image"] == image.reference
        record = made.record(boxed["id"])
        assert record is not None
        assert record.results, "what it prepared"
        counted = made.record(steps["count"]["id"])
        assert counted is not None
        assert counted.results == {"lines": 7}
        assert made.containers() == []
