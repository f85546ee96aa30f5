"""What the ClearML SDK keeps offline: as its files look, and from the SDK itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from stackyard_task.metrics import Places, read
from stackyard_task.metrics.offline import variables
from tests.stackyard_task.metrics.running import places
from tests.waiting import PATIENCE_SECONDS


def scalar(metric: str, variant: str, value: Any, iteration: int) -> Dict[str, Any]:
    return {
        "timestamp": 1,
        "type": "training_stats_scalar",
        "task": "offline-1",
        "iter": iteration,
        "metric": metric,
        "variant": variant,
        "value": value,
        "method": "get",
    }


def offline(tmp_path: Path, *lines: str) -> Places:
    folder = tmp_path / "clearml" / "offline" / "offline-1"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    return places(tmp_path)


def test_scalars_have_their_iterations_and_single_values_none(tmp_path: Path) -> None:
    where = offline(
        tmp_path,
        json.dumps([scalar("loss", "train", 1.0, 0), scalar("loss", "a/b", 2.0, 0)] * 1000),
        json.dumps(
            [scalar("loss", "train", 0.5, 10), {"type": "plot", "metric": "loss", "variant": "train"}]
        ),
        "[1, null]",
        "cut off [",
        json.dumps([scalar("Summary", "accuracy", 0.9, -(2**31))]),
    )
    found = read(
        {
            "loss": "clearml:loss/train",
            "deep": "clearml:loss/a/b",
            "accuracy": "clearml:Summary/accuracy",
            "none": "clearml:loss/f1",
        },
        where,
    )
    assert found.values == {"loss": 0.5, "deep": 2.0, "accuracy": 0.9}
    assert found.series["loss"][-1] == [10, 0.5]
    assert found.series["accuracy"] == [[0, 0.9]]
    told = "it reported Summary/accuracy, loss/a/b, loss/train"
    assert f"metric 'none': the ClearML SDK reported no scalar 'loss/f1'; {told}" in found.notes
    assert "metric 'loss': 2 lines of the ClearML SDK's metrics.jsonl are no events" in found.notes


def test_a_script_that_reported_nothing_is_said(tmp_path: Path) -> None:
    where = places(tmp_path)
    assert "the ClearML SDK reported nothing" in read({"a": "clearml:b/c"}, where).notes[0]


@pytest.mark.whole
@pytest.mark.long  # the SDK waits for ten seconds before it ends
def test_the_sdk_itself_stays_offline_and_is_read(tmp_path: Path) -> None:
    pytest.importorskip("clearml", reason="the ClearML SDK is in no stack")
    script = (
        "import clearml\n"
        "task = clearml.Task.init('p', 'n', auto_connect_frameworks=False, auto_resource_monitoring=False)\n"
        "for n in range(3):\n"
        "    task.get_logger().report_scalar('loss', 'train', 1 / (n + 1), n * 10)\n"
        "task.get_logger().report_single_value('accuracy', 0.75)\n"
    )
    where = places(tmp_path)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    subprocess.run(
        [sys.executable, "-c", script],
        env={**inherited, "HOME": str(tmp_path), **variables(tmp_path)},
        cwd=str(tmp_path),
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    found = read({"loss": "clearml:loss/train", "accuracy": "clearml:Summary/accuracy"}, where)
    assert found.values == {"loss": pytest.approx(1 / 3), "accuracy": 0.75}
    assert [step for step, _ in found.series["loss"]] == [0, 10, 20]
